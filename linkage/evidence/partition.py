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

from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import pdtr

from linkage.evidence.nulls import (
    Codes,
    Numbers,
    Small,
    chance_bits,
    found_frame,
    group_codes,
    none_found,
    rows_by_group,
    rows_of_items,
)
from linkage.terms import ITEMS, OWN_ITEMS, check_frame, make_frame

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


def find_shared_out_work(
    groups: pd.DataFrame, *, items: pd.DataFrame, conduct: pd.DataFrame, own_items: pd.DataFrame | None = None
) -> pd.DataFrame:
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
    drawn = _Draws(items, make_frame(OWN_ITEMS) if own_items is None else own_items, groups, conduct)
    tries = float(groups["group"].nunique())
    parts = [none_found()]
    for group, mine in rows_by_group(drawn.number):
        holders = drawn.holders_of(group)
        common = _boilerplate(drawn.item[mine], len(holders))
        if common.sum() / (len(mine) + drawn.own[holders].sum()) <= MOST_BOILERPLATE:
            found = _test_group(drawn, group, mine[~common], holders, tries=tries)
            parts += [] if found is None else [found]
    return pd.concat(parts, ignore_index=True)


class _Draws:
    """Who sent which items, as codes; accounts in the order of their ids.

    Parameters
    ----------
    items, own_items, groups, conduct : as for :func:`find_shared_out_work`.
    """

    def __init__(
        self, items: pd.DataFrame, own_items: pd.DataFrame, groups: pd.DataFrame, conduct: pd.DataFrame
    ) -> None:
        held: pd.Series[Any] = items["account_id"].astype("category")  # nothing to do where it is one already
        of_category = np.bincount(held.cat.codes, minlength=len(held.cat.categories))
        named = [*held.cat.categories[of_category > 0], *own_items["account_id"]]
        self.names: pd.Index[str] = pd.Index(sorted(set(named)), dtype="str")
        place = self.names.get_indexer(held.cat.categories)
        account = place.astype(np.int32)[held.cat.codes]
        listed = np.zeros(len(self.names), dtype=np.int64)
        listed[place[of_category > 0]] = of_category[of_category > 0]
        fingerprint = items["item"].to_numpy(dtype=np.int64)
        asked = rows_of_items(fingerprint, group_codes(groups, held) >= 0)
        if len(asked) < len(items):
            account, fingerprint = account[asked], fingerprint[asked]
        self._group_of = group_codes(groups, self.names.to_series())
        item = pd.factorize(fingerprint)[0].astype(np.int32)
        self._start, self._account_by_item = _by_item(item, account, int(item.max(initial=-1)) + 1)
        # Of nobody outside of all groups it is asked which item a row is of, or when.
        mine = np.flatnonzero(self._group_of[account] >= 0)
        self.account, self.item, self.number = account[mine], item[mine], self._group_of[account[mine]]
        self.first_at = items["first_at"].to_numpy(dtype="datetime64[ms]")[asked[mine]]
        owner = self.names.get_indexer(pd.Index(own_items["account_id"]))
        self.own = np.zeros(len(self.names), dtype=np.int64)
        self.own[owner] = own_items["item_count"].to_numpy(dtype=np.int64)
        self.own_times = np.full((len(self.names), 2), np.datetime64("NaT", "ms"))
        for column, name in enumerate(("first_at", "last_at")):
            self.own_times[owner, column] = own_items[name].to_numpy(dtype="datetime64[ms]")
        self.volume = listed + self.own
        templated = float(conduct["templated_count"].sum())
        self.carried = max(int(self.volume.sum()) / max(templated, 1.0), 1.0)
        self._holders = dict(rows_by_group(self._group_of))
        self._hits, self._met, self._seen = (np.zeros(len(self.names), dtype=np.int64) for _ in range(3))

    def holders_of(self, group: int) -> Codes:
        """Accounts of a group that sent any item, ascending."""
        return self._holders[group]

    def outsiders(self, group: int, mine: Codes) -> tuple[int, float, int]:
        """Accounts outside a group that have :data:`OUTSIDER_HITS` of the items of its rows ``mine``.

        How many they are; how often they meet a member of the group in an item, less the one that was spent on having
        chosen them; and how many items they sent.
        """
        wanted, inside = np.unique(self.item[mine], return_counts=True)
        by_item = (self._start, self._account_by_item, self._group_of)
        counted = (self._hits, self._met, self._seen)
        outsiders, spent, sent = _meet(wanted, inside, *by_item, group, self.volume, *counted)
        return int(outsiders), float(spent), int(sent)

    def spans(self, code: Codes, mine: Codes, holders: Codes) -> tuple[Any, Any]:
        """First and last time of the items of each holder: the listed ones, and its own.

        Parameters
        ----------
        code : place among ``holders`` of each of the rows ``mine``.
        """
        first, last = self.own_times[holders].T.copy()
        np.fmin.at(first, code, self.first_at[mine])
        np.fmax.at(last, code, self.first_at[mine])
        return first, last


@numba.njit(cache=True, nogil=True)
def _by_item(item: Small, account: Small, items: int) -> tuple[Codes, Small]:
    """Where the rows of each item begin, and the end; and the accounts of the rows in the order of their items."""
    start = np.zeros(items + 2, np.int64)
    for row in range(item.size):
        start[item[row] + 2] += 1
    start = np.cumsum(start)
    ordered = np.empty(item.size, np.int32)
    for row in range(item.size):
        ordered[start[item[row] + 1]] = account[row]
        start[item[row] + 1] += 1
    return start[:-1], ordered


@numba.njit(cache=True, nogil=True)
def _meet(
    wanted: Small,
    inside: Codes,
    start: Codes,
    account_by_item: Small,
    group_of: Small,
    group: int,
    volume: Codes,
    hits: Codes,
    met: Codes,
    seen: Codes,
) -> tuple[int, float, int]:
    """What :meth:`_Draws.outsiders` says.

    Popular items are looked up for each group that has them, so this walks instead of sorting. ``hits`` and ``met`` are
    zeros, and are so again at the end.
    """
    found = 0
    for place in range(wanted.size):
        for at in range(start[wanted[place]], start[wanted[place] + 1]):
            account = account_by_item[at]
            if group_of[account] == group:
                continue
            if not hits[account]:
                seen[found] = account
                found += 1
            hits[account] += 1
            met[account] += inside[place]
    outsiders, spent, sent = 0, 0.0, 0
    for account in seen[:found]:
        if hits[account] >= OUTSIDER_HITS:
            outsiders += 1
            spent += met[account] * (1.0 - 1.0 / hits[account])
            sent += volume[account]
        hits[account] = met[account] = 0
    return outsiders, spent, sent


def _test_group(drawn: _Draws, group: int, mine: Codes, holders: Codes, *, tries: float) -> pd.DataFrame | None:
    """What the rows ``mine`` of a group show; None: nothing."""
    sent = len(mine) + int(drawn.own[holders].sum())
    rate, outsiders = _meeting_rate(drawn, group, mine, sent=sent)
    if outsiders < LEAST_OUTSIDERS or rate <= 0:
        return None
    code = np.searchsorted(holders, drawn.account[mine])
    each = (np.bincount(code, minlength=len(holders)) + drawn.own[holders]).astype(np.float64)
    having = each > 0  # whoever has nothing but boilerplate draws nothing
    holders, each, code = holders[having], each[having], (np.cumsum(having) - 1)[code]
    expected = LITTLE * rate * each * (each.sum() - each) / drawn.carried
    observed = _met_items(code, drawn.item[mine], len(holders)) / drawn.carried
    whole = pdtr(np.floor(observed.sum() / 2), expected.sum() / 2)
    group_bits = chance_bits(whole, tries=tries)
    if group_bits <= 0:
        return None
    first_at, last_at = drawn.spans(code, mine, holders)
    rows = pd.DataFrame(
        {
            "group": group,
            "account_id": drawn.names[holders],
            "request_count": each.astype(np.int64),
            "first_at": pd.Series(first_at).dt.tz_localize("UTC"),
            "last_at": pd.Series(last_at).dt.tz_localize("UTC"),
            "bits": np.minimum(chance_bits(pdtr(np.floor(observed), expected)), group_bits),
        }
    )
    return found_frame(rows, family="partition", kind=SHARED_OUT)


def _meeting_rate(drawn: _Draws, group: int, mine: Codes, *, sent: int) -> tuple[float, int]:
    """Items in common per pair of items sent, one by the group and one by an outsider; and how many outsiders."""
    outsiders, spent, volume = drawn.outsiders(group, mine)
    return spent / max(float(sent) * float(volume), 1.0), outsiders


def _boilerplate(item: Small, holders: int) -> npt.NDArray[np.bool_]:
    """Which uses are of items that most of the group's accounts have."""
    size = np.unique(item, return_inverse=True, return_counts=True)
    most = max(BOILERPLATE_SHARE * holders, LEAST_BOILERPLATE)
    return np.asarray(size[2][size[1]] > most, dtype=np.bool_)


def _met_items(code: Codes, item: Small, holders: int) -> Numbers:
    """Per account code, how often a fellow has one of its items."""
    kinds = np.unique(item, return_inverse=True, return_counts=True)
    return np.bincount(code, weights=kinds[2][kinds[1]] - 1, minlength=holders).astype(np.float64)
