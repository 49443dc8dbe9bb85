"""Small hand-made frames for the tests of evidence and clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from linkage.clusters.verdicts import Verdicts
from linkage.evidence.weights import Linked
from linkage.rebuild import Inputs
from linkage.settings import Settings
from linkage.stages import Judged, judge_inputs
from linkage.terms import ACCOUNTS, CONDUCT, HOURS, ITEMS, USES, make_frame

START = pd.Timestamp("2026-03-01", tz="UTC")


class World:
    """Frames of a little world, built account by account; everything random comes from one seed."""

    def __init__(self, *, seed: int) -> None:
        self.draw = np.random.default_rng(seed)
        self.uses: list[dict[str, Any]] = []
        self.accounts: list[dict[str, Any]] = []
        self.conduct: list[dict[str, Any]] = []
        self.items: list[dict[str, Any]] = []
        self.hours: list[dict[str, Any]] = []

    def add(
        self,
        account: str,
        *,
        values: Mapping[str, Sequence[str]],
        created_day: float,
        organization: str | None = None,
        requests: int = 20,
        output: float = 4.0,
        templated: float = 0.2,
        mail: str = "gmail.com",
    ) -> None:
        """One account with the entities it uses; ``created_day`` counts from a year before the start."""
        created = START + pd.Timedelta(days=created_day - 365)
        first, last = START, START + pd.Timedelta(days=10)
        common = {"account_id": account, "request_count": requests, "first_at": first, "last_at": last}
        own = {"ip": [f"ip-{account}"], "payment": [f"card-{account}"], "email_domain": [mail]}
        for kind, names in {**own, **values}.items():
            self.uses += [{**common, "kind": kind, "value": name} for name in names]
        self.accounts.append(
            {
                **common,
                "organization_id": organization or f"org-{account}",
                "created_at": created,
                "email_domain": mail,
                "country": "DE",
                "plan": "paid",
            }
        )
        self._add_conduct(account, requests=requests, output=output, templated=templated)
        self._add_hours(account, requests)

    def _add_conduct(self, account: str, *, requests: int, output: float, templated: float) -> None:
        self.conduct.append(
            {
                "account_id": account,
                "request_count": requests,
                "active_days": 5,
                "active_hours": min(requests, 20),
                "input_tokens": requests * 50,
                "output_tokens": requests * 100,
                "log_input_mean": float(self.draw.normal(4, 0.5)),
                "log_output_mean": output + float(self.draw.normal(0, 0.1)),
                "templated_count": round(requests * templated),
                "prompt_count": requests,
                "distinct_prompt_count": requests - int(self.draw.integers(0, 3)),
            }
        )
        for number in self.draw.integers(0, 2**40, round(requests * templated)):
            row = {"account_id": account, "item": int(number), "first_at": START}
            self.items.append(row)

    def _add_hours(self, account: str, requests: int) -> None:
        hours = np.unique(self.draw.integers(0, 240, min(requests, 20)))
        for hour in hours:
            at = START + pd.Timedelta(hours=int(hour))
            self.hours.append({"account_id": account, "hour_at": at, "request_count": 1})

    def add_strangers(self, count: int) -> None:
        """Accounts that share only what everybody may: a popular template, client and contract."""
        for number in range(count):
            values = {
                "template": [f"t-public-{self.draw.integers(5)}"] if self.draw.random() < 0.3 else [],
                "client": [f"client-{self.draw.integers(4)}"],
                "contract": ["default"],
                "ip_prefix": [f"prefix-{self.draw.integers(count)}"],
            }
            self.add(
                f"s{number:04d}",
                values=values,
                created_day=float(self.draw.uniform(0, 360)),
                requests=int(self.draw.integers(3, 60)),
                output=float(self.draw.normal(4, 1)),
                mail=["gmail.com", "outlook.com", f"firm{number // 7}.example"][self.draw.integers(3)],
            )

    def add_campaign(self, count: int, *, name: str = "c", cards: int = 4, day: float = 300.0) -> None:
        """Accounts run as one: a private template, cards on ``cards`` accounts each, one sign-up burst."""
        for number in range(count):
            self.add(
                f"{name}{number:04d}",
                values={
                    "template": [f"t-{name}"],
                    "payment": [f"card-{name}-{number // cards}"],
                    "contract": [f"contract-{name}"],
                    "client": ["client-0"],
                },
                created_day=day + float(self.draw.uniform(0, 2)),
                requests=110 + int(self.draw.integers(0, 8)),
                output=5.5,
                templated=1.0,
            )

    def hurry(self, name: str, *, hours: int) -> None:
        """Put all work of the accounts whose ids begin so into the first hours of the log."""
        for row in self.hours:
            if str(row["account_id"]).startswith(name):
                row["hour_at"] = START + pd.Timedelta(hours=int(self.draw.integers(0, hours)))

    def add_hand_overs(self, accounts: Sequence[str], *, count: int, first_item: int = 2**50) -> None:
        """Work that one account sends first and another two minutes later, on days of its own."""
        for number in range(count):
            giver, taker = self.draw.choice(len(accounts), 2, replace=False)
            at = START + pd.Timedelta(minutes=int(self.draw.integers(0, 240 * 60)))
            for account, when in ((giver, at), (taker, at + pd.Timedelta(minutes=2))):
                self.items.append({"account_id": accounts[account], "item": first_item + number, "first_at": when})

    def frames(self) -> dict[str, pd.DataFrame]:
        """The frames the stages are handed."""
        tables = {
            "uses": (self.uses, USES),
            "accounts": (self.accounts, ACCOUNTS),
            "conduct": (self.conduct, CONDUCT),
            "items": (self.items, ITEMS),
            "hours": (self.hours, HOURS),
        }
        made = {}
        for name, (rows, shape) in tables.items():
            table = pd.DataFrame(rows)
            if "item" in table:
                table["item"] = pd.factorize(table["item"])[0]
            made[name] = make_frame(shape, {column: table[column].array for column in table.columns})
        made["accounts"] = made["accounts"].sort_values("account_id", ignore_index=True)
        return made


def judged(frames: Mapping[str, pd.DataFrame], settings: Settings | None = None) -> Judged:
    """Everything the stages after the store make of these frames, as a rebuild runs them."""
    return judge_inputs(Inputs(**frames), settings=settings or Settings(), seed=1)


def run(
    frames: Mapping[str, pd.DataFrame], settings: Settings | None = None
) -> tuple[pd.DataFrame, Linked, pd.DataFrame, Verdicts]:
    """Evidence, links, communities and verdicts of these frames."""
    made = judged(frames, settings)
    return made.evidence, made.linked, made.communities, made.verdicts


def flagged(verdicts: Verdicts) -> list[str]:
    """Account ids at tier enforce, sorted."""
    members = verdicts.members
    return sorted(members.loc[members["flagged"], "account_id"])
