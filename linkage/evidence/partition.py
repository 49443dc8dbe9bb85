"""Partition: one work list shared out, with improbably little overlap.

Accounts that draw from a public pool on their own (a benchmark, a textbook) meet each other's items now and then;
workers of one list do not. Outsiders who draw from the same pool say how often: they are the accounts outside a group
that have at least two of its items, and one of these is spent on having chosen them. If two fellows met as often
as a fellow and such an outsider do, per pair of items sent, so many repeats inside the group would be expected;
the test is the lower tail of a Poisson law with half that mean (the core prototype took the whole mean). The logic
is that of capture and recapture, Chao 1987, "Estimating the population size for capture-recapture data with
unequal catchability", doi:10.2307/2531532, read backwards: the rate is known, the catch is too small.

Weak where the pool is private: without outsiders nothing is expected and nothing can be told. Popular items make
real people repeat more than the rate says, which only makes the test milder.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import poisson

from linkage.evidence.nulls import Codes, Numbers, chance_bits, found_frame, group_codes, none_found
from linkage.terms import ITEMS, check_frame

SHARED_OUT: Final = "work_list"
"""Kind of a work list that is shared out."""

LEAST_OUTSIDERS: Final = 3
"""Outsiders who draw from the same pool, below which no rate is known."""

OUTSIDER_HITS: Final = 2
"""Items of the group an outsider must have to count as drawing from the same pool."""

BOILERPLATE_SHARE: Final = 0.5
"""An item on more of the group's accounts than this is part of a template, not of a work list."""

LITTLE: Final = 0.5
"""Overlap is little below half of what outsiders' draws say: with many items, a small difference of taste is beyond
chance, too (192 users of one benchmark met 0.73 times as often as its outsiders; one simulated world, 2026-11-24)."""

MOST_BOILERPLATE: Final = 0.1
"""A group with more than this share of its uses in such items sends the same work, as a benchmark's users do. In
simulated campaigns the wording they share is 3 in 100 uses (2026-11-24)."""

LEAST_BOILERPLATE: Final = 3
"""An item on fewer accounts than this is never boilerplate, however small the group."""


def find_shared_out_work(groups: pd.DataFrame, *, items: pd.DataFrame, conduct: pd.DataFrame) -> pd.DataFrame:
    """Accounts of a group whose items repeat far less among them than outsiders' draws from the pool say.

    Parameters
    ----------
    groups : frame of shape ``GROUPS``.
    items : frame of shape ``ITEMS`` of all accounts.
    conduct : frame of shape ``CONDUCT``; its templated requests say how many items one request carries, and so
        how many of the repeats are one event.

    Returns
    -------
    DataFrame of shape ``FOUND``: the family is ``partition``, ``request_count`` the account's items.
    O(items + sum over groups of the uses of their items).
    """
    check_frame(items, ITEMS, name="items")
    if items.empty or groups.empty:
        return none_found()
    account = pd.factorize(items["account_id"])[0].astype(np.int64)
    item = pd.factorize(items["item"])[0].astype(np.int64)
    number = group_codes(groups, items["account_id"])
    carried = _items_per_request(items, conduct)
    by_item = np.argsort(item, kind="stable")
    start = np.searchsorted(item[by_item], np.arange(int(item.max()) + 2))
    volume = np.bincount(account)
    tries = float(groups["group"].nunique())
    parts = []
    for group in np.unique(number[number >= 0]):
        mine = np.flatnonzero(number == group)
        common = _boilerplate(account[mine], item[mine])
        if common.mean() > MOST_BOILERPLATE:
            continue
        mine = mine[~common]
        near = by_item[_ranges(start, np.unique(item[mine]))]
        other = near[number[near] != group]
        found = _test_group(items, account, item, mine, other, volume, carried, tries=tries)
        parts.append(found.assign(group=group))
    return pd.concat(parts, ignore_index=True) if parts else none_found()


def _items_per_request(items: pd.DataFrame, conduct: pd.DataFrame) -> float:
    return max(len(items) / max(float(conduct["templated_count"].sum()), 1.0), 1.0)


def _ranges(start: Codes, wanted: Codes) -> Codes:
    """All positions of the wanted items in the order by item."""
    length = start[wanted + 1] - start[wanted]
    offset = np.arange(int(length.sum())) - np.repeat(np.cumsum(length) - length, length)
    return np.asarray(np.repeat(start[wanted], length) + offset, dtype=np.int64)


def _test_group(
    items: pd.DataFrame,
    account: Codes,
    item: Codes,
    mine: Codes,
    other: Codes,
    volume: Codes,
    carried: float,
    *,
    tries: float,
) -> pd.DataFrame:
    rate, outsiders = _meeting_rate(account, item, mine, other, volume)
    if outsiders < LEAST_OUTSIDERS or rate <= 0:
        return none_found()
    code = np.unique(account[mine], return_inverse=True)[1]
    drawn = np.bincount(code).astype(np.float64)
    expected = LITTLE * rate * drawn * (drawn.sum() - drawn) / carried
    observed = _met_items(code, item[mine]) / carried
    whole = poisson.cdf(np.floor(observed.sum() / 2), expected.sum() / 2)
    group_bits = chance_bits(whole, tries=tries)
    if group_bits <= 0:
        return none_found()
    times = items["first_at"].iloc[mine].groupby(code)
    first = np.unique(code, return_index=True)[1]
    rows = pd.DataFrame(
        {
            "account_id": items["account_id"].array[mine[first]],
            "request_count": drawn.astype(np.int64),
            "first_at": times.min().array,
            "last_at": times.max().array,
            "bits": np.minimum(chance_bits(poisson.cdf(np.floor(observed), expected)), group_bits),
        }
    )
    return found_frame(rows, family="partition", kind=SHARED_OUT)


def _meeting_rate(account: Codes, item: Codes, mine: Codes, other: Codes, volume: Codes) -> tuple[float, int]:
    """Items in common per pair of items sent, one by the group and one by an outsider; and how many outsiders."""
    known, inside = np.unique(item[mine], return_counts=True)
    outsiders, code = np.unique(account[other], return_inverse=True)
    hits = np.bincount(code, minlength=len(outsiders))
    met = np.bincount(code, weights=inside[np.searchsorted(known, item[other])], minlength=len(outsiders))
    drawing = hits >= OUTSIDER_HITS
    spent = float((met[drawing] * (1 - 1 / hits[drawing])).sum())
    pairs = float(len(mine)) * float(volume[outsiders[drawing]].sum())
    return spent / max(pairs, 1.0), int(drawing.sum())


def _boilerplate(account: Codes, item: Codes) -> npt.NDArray[np.bool_]:
    """Which uses are of items that most of the group's accounts have."""
    size = np.unique(item, return_inverse=True, return_counts=True)
    most = max(BOILERPLATE_SHARE * len(np.unique(account)), LEAST_BOILERPLATE)
    return np.asarray(size[2][size[1]] > most, dtype=np.bool_)


def _met_items(code: Codes, item: Codes) -> Numbers:
    """Per account code, how often a fellow has one of its items."""
    kinds = np.unique(item, return_inverse=True, return_counts=True)
    return np.bincount(code, weights=kinds[2][kinds[1]] - 1).astype(np.float64)
