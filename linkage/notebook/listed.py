"""A large cluster read as numbers: all of it is counted, and of each member the strongest is listed.

One cluster of 18,000 accounts has 1.5 million reasons and 4 million uses of shared values. As rows of text they take
gigabytes and minutes; nobody reads them, and they stay in the store.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.arrays import Ints
from linkage.coding import distinct, is_run_start, run_places, value_keys
from linkage.outputs.ties import CodedTies, measure_ties
from linkage.store.names import Names
from linkage.store.store import Database
from linkage.terms import (
    ACTIVITY,
    COUNT,
    EVIDENCE,
    HOUR_MS,
    LINK_EVIDENCE,
    TEXT,
    TIME,
    Shape,
    WholeCluster,
    make_frame,
)

_VALUES: Final[Shape] = {
    "number": COUNT,
    "family": TEXT,
    "kind": TEXT,
    "value": TEXT,
    "accounts": COUNT,
    "unrelated_accounts": COUNT,
    "first_at": TIME,
    "last_at": TIME,
}
_NEVER: Final = np.iinfo(np.int64).max
_KEYS: Final = ["family", "kind", "value"]
_ROWS_CHARS: Final = 2_000
"""Characters of the rows behind a sentence: one that names 400,000 values has 8 MB of them (2026-11-29)."""

_WORK: Final = ["hour_at", "request_count"]


@dataclasses.dataclass(frozen=True)
class Listed:
    """The tables of a cluster as far as a report lists them, and what is told of all of it."""

    links: pd.DataFrame
    shared: pd.DataFrame
    activity: pd.DataFrame
    whole: WholeCluster


@dataclasses.dataclass(frozen=True)
class _Ties:
    """Links as numbers, one row per pair and family, sorted by pair."""

    account_a: Ints
    account_b: Ints
    value: Ints
    """Number of the value in the run."""
    bits: npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class _Uses:
    """What members share as numbers, one row per value and member, sorted by value."""

    value: Ints
    """Number of the value in the run."""
    account: Ints
    requests: Ints
    first_ms: Ints
    last_ms: Ints


def list_strongest(
    database: Database, members: pd.DataFrame, *, own: Mapping[str, str], days: Mapping[str, int], most: int
) -> Listed | None:
    """What a report lists of a cluster, where it has more links, shared values or hours than are to be listed.

    Of each member as many are listed as keeps every table within ``most`` rows, but never less than one: of links those
    of its strongest pairs, of these the reasons worth most; of shared values those worth most bits, then the rarest; of
    hours the busiest. What is counted is all.

    Parameters
    ----------
    database : the store, best inside a snapshot.
    members : ``MEMBERS`` of the cluster.
    own : ``run_id`` and ``cluster_id``.
    days : the window as parameters of queries.
    most : rows of a table.

    Returns
    -------
    None where no table has more rows. Takes about 4 s for a million links, and 40 bytes of memory for each.
    """
    counts = database.query("cluster_row_counts", **own)
    rows = {str(name): int(counts[name].iloc[0]) for name in counts.columns}
    if max(rows.values()) <= most and database.query("cluster_hour_count", **own, **days)["activity"].iloc[0] <= most:
        return None
    known_numbers = database.query("cluster_account_numbers", **own).set_index("account_id")["number"]
    accounts = pd.Index(members["account_id"])
    numbers = known_numbers.reindex(accounts).to_numpy(dtype=np.int64)
    places = Names(numbers)
    with database.compiled():
        uses, ties = _read_uses(database, own, places), _read_ties(database, own, places)
        activity = _read_activity(database, own, days, places, accounts)
    wanted = distinct(np.concatenate([uses.value, ties.value]))
    told = database.frame("run_values", _VALUES, run_id=own["run_id"], wanted=json.dumps(wanted.tolist()))
    used, linked = np.searchsorted(wanted, uses.value), np.searchsorted(wanted, ties.value)  # rows of ``told``
    row, values = _count_values(told, uses, ties, used, linked)
    held_value, held_by = _held(row[used], uses, row[linked], ties, values)
    coded = CodedTies(
        accounts=accounts,
        members=len(accounts),
        known=values,
        held_value=held_value,
        held_by=held_by,
        account_a=ties.account_a,
        account_b=ties.account_b,
        link_value=row[linked],
        bits=ties.bits,
        activity=activity,
        rows={**rows, "activity": len(activity)},
    )
    return Listed(
        links=_list_links(ties, told, linked, accounts, most),
        shared=_list_shared(database, own, coded, uses, numbers, most),
        activity=_list_activity(activity, most),
        whole=measure_ties(coded),
    )


def _read_uses(database: Database, own: Mapping[str, str], places: Names) -> _Uses:
    parts = list(database.numbers("cluster_uses", **own))
    value, number, *counts = np.concatenate(parts).T.copy() if parts else np.zeros((5, 0), dtype=np.int64)
    return _Uses(value, places.places(number), *counts)


def _read_ties(database: Database, own: Mapping[str, str], places: Names) -> _Ties:
    rows = np.concatenate([part.numbers for part in database.packed("cluster_ties", **own)])
    number_a, number_b, value, bits = np.ascontiguousarray(rows.T)
    return _Ties(places.places(number_a), places.places(number_b), value, bits.view(np.float64))


def _count_values(told: pd.DataFrame, uses: _Uses, ties: _Ties, used: Ints, linked: Ints) -> tuple[Ints, pd.DataFrame]:
    """Which row of the second each of the values that are told has: values and what uses and links say of them.

    Values that members share come first, in their order, then those that only links tell, as these do. A value that is
    told twice, with other figures, is one.

    Parameters
    ----------
    used, linked : the row in ``told`` of the value of each use and of each link.
    """
    told_by, first = np.unique(linked, return_index=True)
    place = np.full(len(told), _NEVER)
    place[told_by] = first
    place[used] = -1
    keys, some, key = np.unique(value_keys(told), return_index=True, return_inverse=True)
    places = np.full(len(keys), _NEVER)
    np.minimum.at(places, key, place)
    order = np.argsort(places, kind="stable")
    rank = np.empty(len(keys), dtype=np.int64)
    rank[order] = np.arange(len(keys))
    row = rank[key]
    counts = {name: np.zeros(len(keys), dtype=np.int64) for name in ("accounts", "unrelated_accounts", "requests")}
    for name in ("accounts", "unrelated_accounts"):
        np.maximum.at(counts[name], row, told[name].to_numpy())
    np.add.at(counts["requests"], row[used], uses.requests)
    bits = np.full(len(keys), -np.inf)
    np.maximum.at(bits, row[linked], ties.bits)
    told_first, told_last = (told[name].astype("int64").to_numpy()[told_by] for name in ("first_at", "last_at"))
    firsts, lasts = np.full(len(keys), _NEVER), np.full(len(keys), -1)
    for rows, first_ms, last_ms in ((used, uses.first_ms, uses.last_ms), (told_by, told_first, told_last)):
        np.minimum.at(firsts, row[rows], np.where(first_ms < 0, _NEVER, first_ms))  # no time is below 0, too
        np.maximum.at(lasts, row[rows], last_ms)
    return row, told[_KEYS].take(some[order]).reset_index(drop=True).assign(
        **counts,
        bits=np.where(np.isfinite(bits), bits, np.nan),
        first_at=_times(np.where(firsts == _NEVER, -1, firsts)),
        last_at=_times(lasts),
    )


def _held(used: Ints, uses: _Uses, linked: Ints, ties: _Ties, values: pd.DataFrame) -> tuple[Ints, Ints]:
    """Which members (by place) have which value (by row): uses, then ends of links by a value that only links tell."""
    is_used = np.zeros(len(values), dtype=np.bool_)
    is_used[used] = True
    is_new = ~is_used[linked]
    ends = np.concatenate([ties.account_a[is_new], ties.account_b[is_new]])
    total = max(1, int(uses.account.max(initial=0)), int(ends.max(initial=0))) + 1
    pairs = distinct(np.tile(linked[is_new], 2) * total + ends)
    return np.concatenate([used, pairs // total]), np.concatenate([uses.account, pairs % total])


def _read_activity(
    database: Database, own: Mapping[str, str], days: Mapping[str, int], places: Names, accounts: pd.Index[str]
) -> pd.DataFrame:
    parts = list(database.numbers("cluster_hours", **own, **days))
    rows = np.concatenate(parts) if parts else np.zeros((0, 3), dtype=np.int64)
    place = places.places(rows[:, 0])
    order = np.lexsort((rows[:, 1], place))
    return pd.DataFrame(
        {
            "account_id": pd.Categorical.from_codes(place[order], accounts),
            "hour_at": _times(rows[order, 1] * HOUR_MS),
            "request_count": rows[order, 2],
        }
    )


def _list_links(ties: _Ties, told: pd.DataFrame, linked: Ints, accounts: pd.Index[str], most: int) -> pd.DataFrame:
    """Of each member the first so many reasons of its strongest pairs; ``linked`` is the row of each in ``told``."""
    total, is_first = len(accounts), is_run_start(ties.account_a, ties.account_b)
    pair_of, start = np.cumsum(is_first) - 1, np.flatnonzero(is_first)
    ends = np.concatenate([ties.account_a[start], ties.account_b[start]])
    bits = np.tile(np.add.reduceat(ties.bits, start) if len(start) else ties.bits, 2)
    rank = _places_within(ends, np.lexsort((np.tile(np.arange(len(start)), 2), -bits, ends)))
    # A row counts for two members at most, so no more than these pairs of a member can be listed where all have some.
    reach = 2 * most // max(1, total) + 1
    own = np.concatenate([ties.account_a, ties.account_b])
    row = np.tile(np.arange(len(pair_of)), 2)
    rank = np.concatenate([each[pair_of] for each in np.split(rank, 2)])
    near = np.flatnonzero(rank < reach)
    own, row, rank = own[near], row[near], rank[near]
    levels = np.full(len(pair_of), _NEVER)
    np.minimum.at(levels, row, _places_within(own, np.lexsort((row, -ties.bits[row], rank, own))))
    rows = _within(levels, most)
    names = {name: accounts.take(getattr(ties, name)[rows]) for name in ("account_a", "account_b")}
    found = (
        told.take(linked[rows]).assign(bits=ties.bits[rows], **names).sort_values(["account_a", "account_b", *_KEYS])
    )
    return make_frame(LINK_EVIDENCE, {name: found[name] for name in LINK_EVIDENCE})


def _list_shared(
    database: Database, own: Mapping[str, str], coded: CodedTies, uses: _Uses, numbers: Ints, most: int
) -> pd.DataFrame:
    """Of each member the first so many of the values it shares; of what is held uses come first."""
    values = coded.known
    worth = np.lexsort((np.arange(len(values)), values["accounts"], -values["bits"].fillna(-np.inf)))
    place = np.empty(len(values), dtype=np.int64)
    place[worth] = np.arange(len(values))
    is_used = np.flatnonzero((values["requests"] > 0).to_numpy()[coded.held_value[: len(uses.value)]])
    worth_of, by = place[coded.held_value[is_used]], uses.account[is_used]
    rows = _within(_places_within(by, np.lexsort((worth_of, by))), most)
    keys = np.column_stack([uses.value[is_used[rows]], numbers[by[rows]]])
    return database.frame("cluster_shared_rows", EVIDENCE, **own, wanted=json.dumps(keys.tolist()))


def _list_activity(activity: pd.DataFrame, most: int) -> pd.DataFrame:
    """Of each member so many of its busiest hours."""
    by = activity["account_id"].cat.codes.to_numpy().astype(np.int64)
    order = np.lexsort((np.arange(len(activity)), -activity["request_count"], by))
    rows = activity.iloc[_within(_places_within(by, order), most)]
    return make_frame(ACTIVITY, {"account_id": rows["account_id"].astype(TEXT), **{n: rows[n] for n in _WORK}})


def shorten_rows(statements: pd.DataFrame) -> pd.DataFrame:
    """``STATEMENTS`` whose rows are cut between two of them, and say how many are left out.

    Examples
    --------
    >>> long = pd.DataFrame({"rows": ["; ".join(["ip=192.0.2.1"] * 1000)]})
    >>> shorten_rows(long)["rows"][0][-34:]
    'ip=192.0.2.1; and 858 more of them'
    """
    return statements.assign(rows=[_shorten(text) for text in statements["rows"]]).astype({"rows": TEXT})


def _shorten(text: Any) -> Any:
    if not isinstance(text, str) or len(text) <= _ROWS_CHARS:
        return text
    end = text.rfind("; ", 0, _ROWS_CHARS)
    return text if end < 0 else f"{text[:end]}; and {text.count('; ', end):,} more of them"


def _places_within(values: Ints, order: Ints) -> Ints:
    """The place of each row among those of equal value, once they are in an order that sorts them by value."""
    places = np.empty(len(values), dtype=np.int64)
    places[order] = run_places(values[order])
    return places


def _within(levels: Ints, most: int) -> Ints:
    """Rows of the first so many levels as ``most`` allows, but at least of the first; all, where there are no more."""
    if len(levels) <= most:
        return np.arange(len(levels))
    counts = np.cumsum(np.bincount(levels[levels != _NEVER]))
    return np.flatnonzero(levels < max(1, int(np.searchsorted(counts, most, side="right"))))


def _times(moments_ms: Ints) -> pd.Series[Any]:
    """UTC times of epoch milliseconds; below 0 stands for none."""
    times = moments_ms.astype("datetime64[ms]")
    times[moments_ms < 0] = np.datetime64("NaT")
    return pd.Series(times).dt.tz_localize("UTC")
