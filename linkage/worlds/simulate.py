"""Writes a simulated world to disk: requests day by day, accounts, and the truth about them."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import html
import math
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from linkage.arrays import Ints
from linkage.errors import OutputFileError, UsageError, WorldError
from linkage.terms import ACCOUNT_FIELDS
from linkage.worlds.campaigns import CAMPAIGNS
from linkage.worlds.innocents import INNOCENTS
from linkage.worlds.logs import write_requests
from linkage.worlds.population import Draft, Habits, add_ordinary, thin_out
from linkage.worlds.shaped import CampaignShape, add_shaped
from linkage.worlds.traffic import Account

START: Final = "2026-09-01T00:00Z"
DEFAULT_CAMPAIGNS: Final = ("E1", "E6", "E3")
TRUTH_FIELDS: Final = (
    "account_id",
    "campaign",
    "role",
    "kind",
    "controller_id",
    "purpose",
    "tags",
    "issuer",
    "serial",
    "requests",
)
"""Columns of ``truth.csv``."""


@dataclasses.dataclass(frozen=True, slots=True)
class World:
    """Where a simulated world lies and what is in it."""

    directory: Path
    requests: Path
    accounts: Path
    truth: Path
    parameters: Path
    account_count: int
    request_count: int
    campaign_count: int
    campaign_account_count: int
    scenarios: tuple[str, ...]

    def __repr__(self) -> str:
        return (
            f"World({str(self.directory)!r}: {self.account_count:,} accounts, {self.request_count:,} requests, "
            f"{self.campaign_count} campaign{'' if self.campaign_count == 1 else 's'} with "
            f"{self.campaign_account_count:,} accounts)"
        )

    def _repr_html_(self) -> str:
        rows = {
            "directory": str(self.directory),
            "accounts": f"{self.account_count:,}",
            "requests": f"{self.request_count:,}",
            "campaigns": f"{self.campaign_count} with {self.campaign_account_count:,} accounts",
            "scenarios": ", ".join(self.scenarios),
        }
        cells = "".join(f"<tr><th>{name}</th><td>{html.escape(text)}</td></tr>" for name, text in rows.items())
        return f"<table>{cells}</table>"


def simulate(
    directory: str | PathLike[str],
    *,
    accounts: int = 3_000,
    days: int = 21,
    scenarios: str | Sequence[str] | None = None,
    seed: int = 0,
    start: str = START,
    habits: Mapping[str, float] | None = None,
    shapes: Sequence[CampaignShape] = (),
) -> World:
    """A world of requests with exact truth, written to a directory.

    Writes ``requests.ndjson.gz`` (canonical request records in time order), ``accounts.csv`` (canonical account
    records), ``truth.csv`` (:data:`TRUTH_FIELDS`) and ``world.json`` (the arguments). The same arguments give the
    same bytes. Memory is that of one day; about 15 thousand requests are written per second.

    Parameters
    ----------
    directory : made where missing; files of an older world in it are replaced.
    accounts : about how many accounts, campaigns included; at least 50.
    days : length of the world, 2 to 400.
    scenarios : ``NAME`` or ``NAME:STRENGTH`` of innocents (``HN-01`` ...) and campaigns (``E1`` ...), upper or lower
        case; strength multiplies the number of accounts. ``innocents`` stands for all innocents, ``none`` for
        ordinary accounts only. Innocents are there by default, also beside a list of campaigns only: put ``none``
        into the list to leave them out. None: all innocents, and E1, E6 and E3.
    seed : draws everything, habits of the world included.
    start : UTC midnight of the first day, ISO 8601.
    habits : values that take the place of drawn ones, by name of :class:`~linkage.worlds.population.Habits`.
    shapes : further campaigns, by shape instead of by recipe.

    Raises
    ------
    UsageError : a scenario that does not exist, or a strength that is not a number above 0.
    WorldError : sizes or seed out of range, a habit that does not exist, or a start that is not a date.
    OutputFileError : the directory or a file in it cannot be written.
    """
    _check_size(accounts=accounts, days=days, seed=seed)
    chosen = read_scenarios(scenarios)
    draft = Draft(accounts=accounts, days=days, start_ms=_read_start(start), seed=seed)
    draft.habits = _changed(draft.habits, habits or {})
    people_world(draft, chosen, shapes=shapes)
    parameters = {
        "accounts": accounts,
        "days": days,
        "seed": seed,
        "start": start,
        "scenarios": [f"{name}:{strength:g}" for name, strength in chosen],
        "habits": dataclasses.asdict(draft.habits),
        "shapes": [shape.name for shape in shapes],
    }
    return write_world(draft, directory, parameters=parameters)


def _changed(drawn: Habits, habits: Mapping[str, float]) -> Habits:
    known = {field.name for field in dataclasses.fields(Habits)}
    unknown = sorted(set(habits) - known)
    if unknown:
        raise WorldError(f"habits are {', '.join(sorted(known))}; got {', '.join(unknown)}. Correct the name")
    return dataclasses.replace(drawn, **habits)


def write_world(draft: Draft, directory: str | PathLike[str], *, parameters: Mapping[str, Any]) -> World:
    """Writes the four files of a world whose accounts are all there.

    Parameters
    ----------
    directory : made where missing; files of an older world in it are replaced.
    parameters : what ``world.json`` says; ``scenarios`` among them.

    Raises
    ------
    OutputFileError : the directory or a file in it cannot be written.
    """
    folder = Path(directory)
    try:
        counts = _write_files(draft, folder, parameters)
    except OSError as error:
        raise OutputFileError(
            f"{folder}: wanted to write a world; {error.strerror or error}. "
            "Check that the folder may be written and has room"
        ) from error
    campaigns = [account.campaign for account in draft.cast if account.campaign]
    return World(
        directory=folder,
        requests=folder / "requests.ndjson.gz",
        accounts=folder / "accounts.csv",
        truth=folder / "truth.csv",
        parameters=folder / "world.json",
        account_count=len(draft.cast),
        request_count=int(counts.sum()),
        campaign_count=len(dict.fromkeys(campaigns)),
        campaign_account_count=len(campaigns),
        scenarios=tuple(parameters["scenarios"]),
    )


def _write_files(draft: Draft, folder: Path, parameters: Mapping[str, Any]) -> Ints:
    """Write the four files; returns how many requests each account sent."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = write_requests(draft, folder / "requests.ndjson.gz")
    _write_accounts(draft, folder / "accounts.csv")
    _write_truth(draft, counts, folder / "truth.csv")
    (folder / "world.json").write_bytes(orjson.dumps(parameters, option=orjson.OPT_INDENT_2) + b"\n")
    return counts


def read_scenarios(scenarios: str | Sequence[str] | None) -> list[tuple[str, float]]:
    """Name and strength of every scenario asked for, innocents first, defaults filled in.

    Raises
    ------
    UsageError : lists every name that does not exist, or strength that is not a number above 0, and what exists.

    Examples
    --------
    >>> read_scenarios(["none", "e1:2"])
    [('E1', 2.0)]
    """
    default = [*INNOCENTS, *(name for name in DEFAULT_CAMPAIGNS if name in CAMPAIGNS)]
    asked = default if scenarios is None else [scenarios] if isinstance(scenarios, str) else scenarios
    found: dict[str, float] = {}
    wrong: list[str] = []
    with_innocents = True
    for text in asked:
        name, _, strength = text.strip().upper().partition(":")
        if name == "NONE":
            with_innocents = False
        elif name == "INNOCENTS":
            found.update(dict.fromkeys(INNOCENTS, 1.0))
        elif (name in INNOCENTS or name in CAMPAIGNS) and _is_strength(strength or "1"):
            found[name] = float(strength or 1)
        else:
            wrong.append(repr(text))
    if wrong:
        raise UsageError(
            f"scenarios are NAME or NAME:STRENGTH with a strength above 0; found {', '.join(wrong)}. "
            f"Names: innocents, none, {', '.join([*INNOCENTS, *CAMPAIGNS])}"
        )
    if "E14" in found and not with_innocents:
        found.setdefault("HN-06", 1.0)
    if with_innocents and not any(name in INNOCENTS for name in found):
        found.update(dict.fromkeys(INNOCENTS, 1.0))
    return [(name, found[name]) for name in (*INNOCENTS, *CAMPAIGNS) if name in found]


def _is_strength(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def _check_size(*, accounts: int, days: int, seed: int) -> None:
    if accounts < 50 or not 2 <= days <= 400:
        raise WorldError(
            f"a world has at least 50 accounts and 2 to 400 days; got {accounts} accounts and {days} days. Ask for more"
        )
    if seed < 0:
        raise WorldError(f"a world's seed is a whole number from 0; got {seed}. Choose another")


def _read_start(start: str) -> int:
    try:
        moment = dt.datetime.fromisoformat(start)
    except ValueError as error:
        raise WorldError(f"start must be an ISO 8601 date such as {START}; got {start!r}") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    midnight = moment.astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return int(midnight.timestamp()) * 1000


_PLANNED: Final = ("HN-04", "HN-07", "HN-09", "HN-10", "HN-17", "HN-18", "HN-20")
# Recipes that state volumes; the others give way to keep the world's size.


def people_world(draft: Draft, scenarios: Iterable[tuple[str, float]], *, shapes: Sequence[CampaignShape] = ()) -> None:
    """Fills a draft: campaigns and innocents of these scenarios, then ordinary accounts up to its size."""
    chosen = list(scenarios)
    wanted = sum(INNOCENTS[name].accounts * strength for name, strength in chosen if name in INNOCENTS)
    draft.crowding = min(1.0, 0.55 * 20_000 / max(wanted, 1.0))
    for name, strength in chosen:
        if name in INNOCENTS and not INNOCENTS[name].is_overlay:
            INNOCENTS[name].recipe(draft, strength)
    for name, strength in chosen:
        if name in CAMPAIGNS:
            CAMPAIGNS[name](draft, strength, f"{name}-{draft.seed}")
    for number, shape in enumerate(shapes):
        add_shaped(draft, shape, f"shape-{number}-{draft.seed}")
    add_ordinary(draft, max(draft.accounts - len(draft.cast), draft.accounts // 5))
    planned = [account for account in draft.cast if account.campaign or account.role in _PLANNED]
    rest = [account for account in draft.cast if not (account.campaign or account.role in _PLANNED)]
    promised = sum(float(account.volume.sum()) for account in planned)
    thin_out(draft, rest, budget=max(0.65 * draft.budget, draft.budget - promised))
    for name, strength in chosen:
        if name in INNOCENTS and INNOCENTS[name].is_overlay:
            INNOCENTS[name].recipe(draft, strength)


def _write_accounts(draft: Draft, path: Path) -> None:
    rows = [
        {
            "account_id": account.account_id,
            "organization_id": account.organization_id,
            "created_at": _iso(account.created_ms),
            "email_domain": account.email_domain,
            "payment_method": account.payment_method,
            "country": account.country,
            "plan": account.plan,
        }
        for account in _by_id(draft)
    ]
    _write_csv(path, ACCOUNT_FIELDS, rows)


def _write_truth(draft: Draft, counts: Ints, path: Path) -> None:
    sent = {account.account_id: int(count) for account, count in zip(draft.cast, counts, strict=True)}
    rows = [
        {
            "account_id": account.account_id,
            "campaign": account.campaign,
            "role": account.role,
            "kind": account.kind,
            "controller_id": account.controller_id,
            "purpose": account.purpose,
            "tags": "+".join(account.tags),
            "issuer": account.issuer,
            "serial": account.serial or "",
            "requests": sent[account.account_id],
        }
        for account in _by_id(draft)
    ]
    _write_csv(path, TRUTH_FIELDS, rows)


def _by_id(draft: Draft) -> list[Account]:
    return sorted(draft.cast, key=lambda account: account.account_id)


def _iso(at_ms: int) -> str:
    return f"{np.datetime64(at_ms, 'ms').astype('datetime64[s]')}Z"


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
