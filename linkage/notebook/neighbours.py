"""What one account shares, with whom, and what that was worth in a run: looked up in the store, nothing is rebuilt.

A run keeps links inside clusters alone. What ties an account that is in none is told from the rollups of the run's
window and the run's table of weights; habits, which a rebuild compares over all accounts, are not among it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from linkage.clusters.reasons import noun
from linkage.evidence.breadth import find_own_chance_met
from linkage.evidence.recalled import recall_bits
from linkage.evidence.registration import WINDOW_WIDTHS, registration_evidence
from linkage.evidence.shared import KINDS_OF_FAMILY
from linkage.outputs.account import ACCOUNT_LINKS, ACCOUNT_USES
from linkage.settings import EvidenceSettings
from linkage.store.store import Database
from linkage.terms import ACCOUNTS, COUNT, HOUR_MS, TEXT, TIME, USES, Shape, make_frame

MOST_LISTED: Final = 100
"""Accounts of a value up to which each of them is looked at; of more, a value is counted but points at nobody."""

MOST_USES: Final = 50_000
"""Uses (account, entity and day) of a value that are counted: 4,000 accounts of a carrier's address in two weeks."""

MOST_COMPARED: Final = 200
"""Accounts that are compared in full, those that share most of what few have."""

MOST_RECORDS: Final = 20_000
"""Records of accounts that are read for who paid with the same, was created near or has the same mail domain."""

_FAMILY_OF: Final = {kind: family for family, kinds in KINDS_OF_FAMILY.items() for kind in kinds}
_VALUES: Final[Shape] = {
    "entity": COUNT,
    "kind": TEXT,
    "value": TEXT,
    "request_count": COUNT,
    "first_at": TIME,
    "last_at": TIME,
}
_HELD: Final[Shape] = {"row": COUNT, "account": COUNT}


@dataclasses.dataclass(frozen=True)
class Place:
    """Where to look: a store, and the run whose window and weights count."""

    database: Database
    run_id: str
    days: Mapping[str, int]
    """The window as parameters of queries."""
    weights: pd.DataFrame
    accounts: int
    """How many the run had."""
    settings: EvidenceSettings
    """Of the run."""

    def facts(self, accounts: Iterable[int]) -> pd.DataFrame:
        """What is declared of accounts, told by their numbers, and the cluster of each."""
        wanted = json.dumps([int(each) for each in accounts])
        return self.database.query("account_facts", run_id=self.run_id, accounts=wanted).astype({"number": COUNT})


@dataclasses.dataclass(frozen=True)
class Shared:
    """The values that an account has, and who else has those that few have."""

    uses: pd.DataFrame
    """``ACCOUNT_USES``, one row per value, whether or not others have it."""
    parts: pd.DataFrame
    """``row`` of ``uses`` and number of an ``entity`` that it is made of."""
    held: pd.DataFrame
    """``row`` of ``uses`` and number of an ``account``, the account itself left out, of values that few have."""
    known: pd.DataFrame
    """The same of creation windows that many have, as far as records were read."""
    rank: pd.Series[int]
    """The place of each value among those of its family, the best first, as a rebuild ranks them."""


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """The accounts that share most with one."""

    links: pd.DataFrame
    """``ACCOUNT_LINKS``, the surest first."""
    related: int
    """How many share values with it and declare the same organization: no links, since they say so themselves."""
    is_cut: bool
    """More accounts than were compared share values that few have."""


def shared_values(place: Place, number: int, facts: Mapping[str, Any]) -> Shared:
    """What an account has in the window, on how many accounts each of it is, and who they are where they are few.

    Parameters
    ----------
    number : of the account, in the rollups.
    facts : its row of :meth:`Place.facts`.
    """
    own, parts = _own_values(place, number)
    counts = _ask(place, "value_accounts", parts, max_uses=MOST_USES).set_index("value_number").reindex(own.index)
    accounts, is_all = counts["accounts"].fillna(0).astype(COUNT), ~(counts["uses"] >= MOST_USES)
    few = accounts.between(2, MOST_LISTED) & is_all
    holders = _ask(place, "value_holders", parts[parts["row"].isin(own.index[few])])
    held = [holders.rename(columns={"value_number": "row"})]
    records = _like_records(place, own, facts)
    is_paid = records["is_paid"] == 1
    rows = pd.Series(own.index, index=own["entity"])
    held.append(records[is_paid].assign(row=rows.reindex(records.loc[is_paid, "payment"]).to_numpy()))
    held.append(_of_domain(place, own))
    created, windows = _windows(own, records, facts, place.settings)
    own = pd.concat([own, created], ignore_index=True)
    told = pd.concat([frame[list(_HELD)].astype(_HELD) for frame in (*held, windows)]).drop_duplicates()
    told = told.sort_values(list(_HELD), ignore_index=True)
    counted = told.groupby("row").size().reindex(own.index, fill_value=0)
    own["accounts"] = accounts.reindex(own.index, fill_value=0).clip(lower=1).combine(counted, max).astype(COUNT)
    cut = own["kind"].isin(list(WINDOW_WIDTHS)) & (len(records) >= MOST_RECORDS) | (own["accounts"] >= MOST_RECORDS)
    own["is_all"] = is_all.reindex(own.index, fill_value=True) & ~cut
    own["family"] = own["kind"].map(_FAMILY_OF).fillna("registration")
    own["noun"] = own["kind"].map(noun)
    worth = recall_bits(own, place.weights, accounts=place.accounts, settings=place.settings)
    others = told[told["account"] != number]
    met = find_own_chance_met(own, others)
    others = others[~others["row"].isin(own.index[met])]
    own["bits"] = worth["bits"].mask(met | (own["accounts"] < 2), 0.0)
    is_few = others["row"].isin(own.index[own["accounts"] <= MOST_LISTED])
    values = make_frame(ACCOUNT_USES, {name: own[name].array for name in ACCOUNT_USES})
    rank = worth["prior_bits"].groupby(values["family"]).rank(method="first", ascending=False).astype(COUNT)
    return Shared(values, parts, others[is_few], others[~is_few], rank)


def _ask(place: Place, name: str, parts: pd.DataFrame, **more: int | str) -> pd.DataFrame:
    """The answer of a query about values that are made of entities."""
    pairs = json.dumps(parts[["row", "entity"]].to_numpy().tolist())
    return place.database.query(name, parts=pairs, **place.days, **more).astype(COUNT)


def _own_values(place: Place, number: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The values of an account (shape ``_VALUES``), and the entities that each is made of, by row."""
    uses = place.database.query("account_values", number=number, **place.days).astype({"family": COUNT})
    uses = uses[uses["kind"].isin(list(_FAMILY_OF))]
    declared = place.database.query("account_declared", number=number)
    declared = declared[~declared["entity"].isin(uses["entity"])]
    asked = json.dumps(sorted({int(each) for each in uses["family"] if each >= 0}))
    templates = place.database.query("family_parts", families=asked).astype({"family": COUNT, "entity": COUNT})
    used = uses.groupby("family").agg(
        request_count=("request_count", "sum"), first_at=("first_at", "min"), last_at=("last_at", "max")
    )
    families = templates.drop_duplicates("family")[["family", "value"]].join(used, on="family")
    families = families.rename(columns={"family": "entity"}).assign(kind="template_family")
    tables = (uses, declared, families)
    own = pd.concat(
        [make_frame(_VALUES, {c: t[c].array for c in _VALUES if c in t}) for t in tables], ignore_index=True
    )
    rows = pd.Series(own.index, index=own["entity"])
    plain = own.loc[own["kind"] != "template_family", ["entity"]]
    made = templates.assign(row=rows.reindex(templates["family"]).to_numpy())
    return own, pd.concat([plain.assign(row=plain.index), made[["row", "entity"]]], ignore_index=True).astype(COUNT)


def _like_records(place: Place, own: pd.DataFrame, facts: Mapping[str, Any]) -> pd.DataFrame:
    """Records with one of its payment instruments, or created near it."""
    payments = [int(each) for each in own.loc[own["kind"] == "payment", "entity"]]
    domains = own.loc[own["kind"] == "email_domain", "entity"]
    created = facts["created_at"]
    created_ms = 0 if pd.isna(created) else int(created.timestamp() * 1000)
    near_ms = 0 if pd.isna(created) else int(place.settings.signup_hours * HOUR_MS)
    wide_ms = max(WINDOW_WIDTHS.values()) * near_ms
    return place.database.query(
        "like_records",
        payments=json.dumps(payments),
        near_since_ms=created_ms - near_ms,
        near_until_ms=created_ms + near_ms,
        domain=int(domains.max()) if len(domains) else -1,
        wide_since_ms=created_ms - wide_ms,
        wide_until_ms=created_ms + wide_ms,
        max_rows=MOST_RECORDS,
        **place.days,
    )


def _of_domain(place: Place, own: pd.DataFrame) -> pd.DataFrame:
    """Who has its mail domain."""
    parts = [make_frame(_HELD)]
    for row in np.flatnonzero(own["kind"] == "email_domain").tolist():
        asked = {"domain": int(own["entity"].iloc[row]), "max_accounts": MOST_RECORDS}
        parts.append(place.database.query("domain_accounts", **asked, **place.days).assign(row=row))
    return pd.concat(parts, ignore_index=True)


def _windows(
    own: pd.DataFrame, records: pd.DataFrame, facts: Mapping[str, Any], settings: EvidenceSettings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The creation windows of an account (shape ``_VALUES``), and who else falls into them, by row behind ``own``."""
    ids = records.drop_duplicates("account_id")
    first = records.groupby("account_id")["created_at"].min().reindex(ids["account_id"])
    known = {"account_id": ids["account_id"].array, "email_domain": ids["email_domain"].array}
    accounts = make_frame(ACCOUNTS, {**known, "created_at": first.array})
    found = registration_evidence(make_frame(USES), accounts, settings=settings)
    found = found.astype({"account_id": TEXT, "kind": TEXT, "value": TEXT})
    mine = found[found["account_id"] == facts["account_id"]].reset_index(drop=True)
    created = make_frame(_VALUES, {name: mine[name].array for name in ("kind", "value", "first_at", "last_at")})
    row = mine[["kind", "value"]].assign(row=mine.index + len(own))
    held = found.merge(row, on=["kind", "value"]).merge(ids[["account_id", "account"]], on="account_id")
    return created.assign(entity=-1), held


def find_neighbours(place: Place, shared: Shared, facts: Mapping[str, Any]) -> Neighbours:
    """The accounts that share most with one, by what, and what that was worth.

    Accounts are found by values that at most :data:`MOST_LISTED` have; the first :data:`MOST_COMPARED` of them are
    compared in all. Per family the best shared value counts, as in a rebuild.

    Parameters
    ----------
    shared : what it has.
    facts : its row of :meth:`Place.facts`.
    """
    first = _total(shared.held, shared).sort_values(["bits", "account"], ascending=[False, True])
    others = place.facts(first["account"].head(MOST_COMPARED))
    is_same = others["organization_id"] == facts["organization_id"]
    others = others[~is_same].set_index("number")
    values = shared.uses
    many = values.index[values["accounts"] > MOST_LISTED]
    asked = shared.parts[shared.parts["row"].isin(many)]
    accounts = json.dumps([int(each) for each in others.index])
    popular = _ask(place, "values_of_some", asked, accounts=accounts).rename(columns={"value_number": "row"})
    domains = values.index[(values["kind"] == "email_domain") & (values["accounts"] > MOST_LISTED)]
    same_mail = others.index[others["email_domain"] == facts["email_domain"]]
    mailed = pd.DataFrame([(row, account) for row in domains for account in same_mail], columns=list(_HELD))
    held = pd.concat([frame[list(_HELD)].astype(_HELD) for frame in (shared.held, shared.known, popular, mailed)])
    held = held[held["account"].isin(others.index)].drop_duplicates()
    told = _best(held, shared).join(values.drop(columns=["bits", "family"]), on="row").join(others, on="account")
    told = surest_first(told.rename(columns={"account_id": "other_account"}))
    links = make_frame(ACCOUNT_LINKS, {name: told[name].array for name in ACCOUNT_LINKS} if len(told) else None)
    return Neighbours(links, related=int(is_same.sum()), is_cut=len(first) > MOST_COMPARED)


def surest_first(links: pd.DataFrame) -> pd.DataFrame:
    """Links of one account with ``total_bits``, those of each pair together: most bits first, then by ``family``.

    Parameters
    ----------
    links : ``other_account``, ``family`` and ``bits``, one row per account and reason.
    """
    told = links.assign(total_bits=links.groupby("other_account")["bits"].transform("sum"))
    by = ["total_bits", "other_account", "bits", "family"]
    return told.sort_values(by, ascending=[False, True, False, True], kind="stable")


def _best(held: pd.DataFrame, shared: Shared) -> pd.DataFrame:
    """Per account and family the value that ranks first: ``account``, ``family``, ``row``, ``bits``."""
    worth = held.join(shared.uses[["family", "bits"]].assign(rank=shared.rank), on="row")
    worth = worth.sort_values(["rank", "row"]).drop_duplicates(["account", "family"])
    return worth[["account", "family", "row", "bits"]]


def _total(held: pd.DataFrame, shared: Shared) -> pd.DataFrame:
    return _best(held, shared).groupby("account")["bits"].sum().reset_index()
