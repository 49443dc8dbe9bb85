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

import itertools
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import pdtr

from linkage.arrays import Codes, Numbers, Small
from linkage.coding import codes_of, hash_names, text_codes
from linkage.evidence.nulls import LEAST_BITS, chance_bits, found_frame, group_codes, none_found
from linkage.kernels import kernel
from linkage.parallel import in_threads
from linkage.terms import ITEMS, OTHER_ITEMS, OWN_ITEMS, check_frame, make_frame

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

ENOUGH_OUTSIDERS: Final = 500
"""Outsiders among some accounts from which on these tell the rate."""

FIRST_ACCOUNTS: Final = 50_000
"""Accounts among whom outsiders are looked for first; everybody is looked at for groups that lack outsiders then."""

LARGE_SHARE: Final = 0.01
"""Share of the accounts, those with the most items, who are always looked at: one may send as much as thousands do.
So looked for, 99 of 100 rates were within 5 in 100 of what all accounts say, and all within 10 (6,458 groups of one
simulated world of a million accounts, 2026-11-29)."""

_PART_ACCOUNTS: Final = 20_000


def find_shared_out_work(
    groups: pd.DataFrame,
    *,
    items: pd.DataFrame,
    conduct: pd.DataFrame,
    other_items: pd.DataFrame | None = None,
    own_items: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Accounts of a group whose items repeat far less among them than outsiders' draws from the pool say.

    Parameters
    ----------
    groups : frame of shape ``GROUPS``.
    items : frame of shape ``ITEMS`` of all accounts of groups.
    conduct : frame of shape ``CONDUCT``; its templated requests say how many items one request carries, and so
        how many of the repeats are one event.
    other_items : frame of shape ``OTHER_ITEMS``: who else has these items, beside whom ``items`` lists.
    own_items : frame of shape ``OWN_ITEMS``: how many items are in neither.

    Returns
    -------
    DataFrame of shape ``FOUND``: the family is ``partition``, ``request_count`` the account's items.
    O(items + sum over items of the accounts times the groups that have it).
    """
    check_frame(items, ITEMS, name="items")
    if items.empty or groups.empty:
        return none_found()
    items = _sort_by_account(items)
    others = _sort_by_account(make_frame(OTHER_ITEMS) if other_items is None else other_items)
    sent = _look_up(items, others, make_frame(OWN_ITEMS) if own_items is None else own_items, groups)
    each, met = sent.own.copy(), np.zeros(len(sent.names), dtype=np.int64)
    shared = _count_users(sent, each, met)
    drawn = _Drawn(each, met, *_look_outside(sent, shared))
    templated = float(conduct["templated_count"].sum())
    carried = max(int(sent.volume.sum()) / max(templated, 1.0), 1.0)
    bits = _weigh(sent, drawn, carried=carried, tries=float(groups["group"].nunique()))
    told = np.flatnonzero(bits >= LEAST_BITS)
    told = told[np.argsort(sent.group_of[told], kind="stable")]
    first, last = sent.own_times[told].T.copy()
    _span(told, first.view(np.int64), last.view(np.int64), _times(items), sent.group_of, sent.listed[0], shared)
    rows = pd.DataFrame(
        {
            "group": sent.group_of[told].astype(np.int64),
            "account_id": sent.names[told],
            "request_count": drawn.each[told],
            "first_at": pd.Series(first).dt.tz_localize("UTC"),
            "last_at": pd.Series(last).dt.tz_localize("UTC"),
            "bits": bits[told],
        }
    )
    return found_frame(rows, family="partition", kind=SHARED_OUT)


def _times(items: pd.DataFrame) -> Codes:
    return items["first_at"].to_numpy(dtype="datetime64[ms]").view(np.int64)


def _sort_by_account(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame itself where it is sorted already, as those of a store are."""
    codes, _ = text_codes(frame["account_id"])
    return frame if (codes[1:] >= codes[:-1]).all() else frame.iloc[np.argsort(codes, kind="stable")]


class _Listed(NamedTuple):
    """Rows of items, by account."""

    start: Codes
    """Where the rows of each account begin, and the end."""
    item: Small


class _Sent(NamedTuple):
    """Who sent which items; accounts are numbered in the order of their ids."""

    names: pd.Index[str]
    group_of: Small
    """Of each account; -1: none."""
    listed: tuple[_Listed, _Listed]
    """Items of those who are asked for, and of others."""
    own: Codes
    """How many items of each account are not listed."""
    own_times: npt.NDArray[np.datetime64]
    """Accounts x 2: when the first and the last of these came; NaT where there are none."""
    volume: Codes
    """How many items each account sent."""

    def by_group(self, values: npt.NDArray[Any]) -> Numbers:
        """Sums of a figure of accounts over each group."""
        inside = self.group_of >= 0
        return np.asarray(np.bincount(self.group_of[inside], weights=values[inside]), dtype=np.float64)


def _look_up(items: pd.DataFrame, other_items: pd.DataFrame, own_items: pd.DataFrame, groups: pd.DataFrame) -> _Sent:
    told = [text_codes(frame["account_id"]) for frame in (items, other_items, own_items)]
    names = told[0][1]
    for others in (told[1][1], told[2][1], pd.Index(groups["account_id"])):
        is_new = names.get_indexer(others) < 0 if not others.equals(names) else np.zeros(len(names), np.bool_)
        names = names.union(others[is_new]) if is_new.any() else names  # a union of all makes them Python's texts
    listed = []
    for frame in (items, other_items):
        sizes = np.bincount(codes_of(frame["account_id"], names), minlength=len(names))
        listed.append(_Listed(np.append(0, np.cumsum(sizes)), frame["item"].to_numpy(dtype=np.int32)))
    owner = codes_of(own_items["account_id"], names)
    own = np.zeros(len(names), dtype=np.int64)
    own[owner] = own_items["item_count"].to_numpy(dtype=np.int64)
    own_times = np.full((len(names), 2), np.datetime64("NaT", "ms"))
    for column, name in enumerate(("first_at", "last_at")):
        own_times[owner, column] = own_items[name].to_numpy(dtype="datetime64[ms]")
    volume = own + sum(np.diff(rows.start) for rows in listed)
    return _Sent(names, group_codes(groups, names.to_series()), (listed[0], listed[1]), own, own_times, volume)


class _Shared(NamedTuple):
    """Groups whose accounts have an item, by item."""

    start: Codes
    """Where the groups of each item begin, and the end."""
    group: Small
    users: Small
    """How many of the group's accounts have the item."""

    def without(self, groups: npt.NDArray[np.bool_]) -> _Shared:
        """The same but for these groups, and for items that none of a group's accounts have."""
        kept = (self.users > 0) & ~groups[self.group]
        before = np.append(0, np.cumsum(kept, dtype=np.int32))
        return _Shared(before[self.start].astype(np.int64), self.group[kept], self.users[kept])


def _count_users(sent: _Sent, each: Codes, met: Codes) -> _Shared:
    """Which groups have which items, boilerplate left out, and groups that send too much of it.

    Parameters
    ----------
    each, met : of :class:`_Drawn`; items that are listed are added.
    """
    asked = sent.listed[0]
    first, owner = np.zeros(int(asked.item.max()) + 3, dtype=np.int64), np.empty(len(asked.item), dtype=np.int32)
    _place_owners(asked, first, owner)
    first = first[:-1]
    shared = _Shared(np.empty_like(first), *np.empty((2, len(asked.item)), dtype=np.int32))
    most = np.maximum(BOILERPLATE_SHARE * sent.by_group(sent.volume > 0), LEAST_BOILERPLATE)
    common = np.zeros(len(most))
    end = _share(first, owner, sent.group_of, most, common, each, met, shared)
    is_left_out = common > MOST_BOILERPLATE * sent.by_group(sent.volume)
    return _Shared(shared.start, shared.group[:end], shared.users[:end]).without(is_left_out)


@kernel
def _place_owners(listed: _Listed, start: Codes, owner: Small) -> None:
    """Put the accounts of each item side by side, ascending, and their beginning behind two zeros in ``start``."""
    for item in listed.item:
        start[item + 2] += 1
    for item in range(2, start.size):
        start[item] += start[item - 1]
    for account in range(listed.start.size - 1):
        for item in listed.item[listed.start[account] : listed.start[account + 1]]:
            owner[start[item + 1]] = account
            start[item + 1] += 1


@kernel
def _share(
    first: Codes,
    owner: Small,
    group_of: Small,
    most: Numbers,
    common: Numbers,
    each: Codes,
    met: Codes,
    shared: _Shared,
) -> int:
    """Fill ``shared``, with 0 users of boilerplate; how many pairs of an item and a group there are.

    Parameters
    ----------
    first, owner : where the accounts of each item begin, and the end; and these accounts.
    most : accounts of each group that an item may have and be no boilerplate.
    common : uses of boilerplate by each group, added up here.
    """
    start, group, users = shared
    end, counts = 0, np.zeros(most.size, dtype=np.int32)
    for item in range(first.size - 1):
        start[item] = end
        for account in owner[first[item] : first[item + 1]]:
            found = group_of[account]
            if found >= 0:
                if not counts[found]:
                    group[end] = found
                    end += 1
                counts[found] += 1
        for place in range(start[item], end):
            found = group[place]
            if counts[found] > most[found]:
                common[found] += counts[found]
                counts[found] = 0
            users[place] = counts[found]
        for account in owner[first[item] : first[item + 1]]:
            if group_of[account] >= 0 and counts[group_of[account]]:
                each[account] += 1
                met[account] += counts[group_of[account]] - 1
        for place in range(start[item], end):
            counts[group[place]] = 0
    start[first.size - 1] = end
    return end


class _Drawn(NamedTuple):
    """What is drawn from the pools of groups, boilerplate left out."""

    each: Codes
    """Per account of a group: how many items it sent."""
    met: Codes
    """How often it meets a fellow in one of them."""
    outsiders: Codes
    """Per group: accounts outside of it that have :data:`OUTSIDER_HITS` of its items."""
    spent: Numbers
    """How often these meet a member in an item, less the one that was spent on having chosen them."""
    sent: Codes
    """How many items these sent."""


def _look_outside(sent: _Sent, shared: _Shared) -> tuple[Codes, Numbers, Codes]:
    """``outsiders``, ``spent`` and ``sent`` of :class:`_Drawn`; told by some accounts where these are enough."""
    every = max(len(sent.names) // FIRST_ACCOUNTS, 1)
    is_large = sent.volume > np.quantile(sent.volume, 1 - LARGE_SHARE)
    is_first = hash_names(sent.names) % np.uint64(every) == 0
    large = _meet_all(sent, shared, np.flatnonzero(is_large))
    some = _meet_all(sent, shared, np.flatnonzero(is_first & ~is_large))
    is_told = some[0] >= ENOUGH_OUTSIDERS
    others = _meet_all(sent, shared.without(is_told), np.flatnonzero(~is_first & ~is_large))
    weight = np.where(is_told, every, 1)
    outsiders, spent, volume = (a + weight * b + c for a, b, c in zip(large, some, others, strict=True))
    return outsiders, spent, volume


def _meet_all(sent: _Sent, shared: _Shared, accounts: Codes) -> tuple[Codes, Numbers, Codes]:
    """What :func:`_look_outside` returns, of some accounts."""
    groups = int(sent.group_of.max(initial=-1)) + 1

    def meet(part: tuple[_Listed, Codes]) -> tuple[Codes, Numbers, Codes]:
        outsiders, spent, volume = np.zeros(groups, np.int64), np.zeros(groups), np.zeros(groups, np.int64)
        _meet(*part, sent.group_of, sent.volume, shared, outsiders, spent, volume)
        return outsiders, spent, volume

    parts = np.array_split(accounts, len(accounts) // _PART_ACCOUNTS + 1)
    met = list(in_threads(meet, itertools.product(sent.listed, parts)))
    outsiders, spent, volume = (np.sum(figures, axis=0) for figures in zip(*met, strict=True))
    return outsiders, spent, volume


@kernel
def _meet(
    listed: _Listed,
    accounts: Codes,
    group_of: Small,
    volume: Codes,
    shared: _Shared,
    outsiders: Codes,
    spent: Numbers,
    sent: Codes,
) -> None:
    """Add to what :class:`_Drawn` holds of outsiders.

    A popular item is in many groups and on many accounts. Looked at account by account, all that is counted of one are
    its groups, which the processor's cache holds.
    """
    hits, meetings = np.zeros(outsiders.size, dtype=np.int64), np.zeros(outsiders.size, dtype=np.int64)
    seen = np.empty(outsiders.size, dtype=np.int64)
    first, group, users = shared
    for account in accounts:
        found = 0
        for known in listed.item[listed.start[account] : listed.start[account + 1]]:
            for entry in range(first[known], first[known + 1]) if known >= 0 else range(0):
                other = group[entry]
                if other != group_of[account]:
                    if not hits[other]:
                        seen[found] = other
                        found += 1
                    hits[other] += 1
                    meetings[other] += users[entry]
        for other in seen[:found]:
            if hits[other] >= OUTSIDER_HITS:
                outsiders[other] += 1
                spent[other] += meetings[other] * (1.0 - 1.0 / hits[other])
                sent[other] += volume[account]
            hits[other] = meetings[other] = 0


def _weigh(sent: _Sent, drawn: _Drawn, *, carried: float, tries: float) -> Numbers:
    """Bits of each account that takes part; 0 of others."""
    drawing = (sent.group_of >= 0) & (drawn.each > 0)  # whoever has nothing but boilerplate draws nothing
    total = sent.by_group(drawn.each)
    # Items in common per pair of items sent, one by the group and one by an outsider.
    rate = drawn.spent / np.maximum(total * drawn.sent, 1.0)
    number, each = sent.group_of[drawing], drawn.each[drawing].astype(np.float64)
    expected = np.zeros(len(drawing))
    expected[drawing] = LITTLE * rate[number] * each * (total[number] - each) / carried
    whole = pdtr(np.floor(sent.by_group(drawn.met) / carried / 2), sent.by_group(expected) / 2)
    is_told = (drawn.outsiders >= LEAST_OUTSIDERS) & (rate > 0)
    group_bits = np.where(is_told, chance_bits(whole, tries=tries), 0.0)
    bits = np.zeros(len(drawing))
    own_bits = chance_bits(pdtr(np.floor(drawn.met[drawing] / carried), expected[drawing]))
    bits[drawing] = np.minimum(own_bits, group_bits[number])
    return bits


@kernel
def _span(
    accounts: Codes,
    first_ms: Codes,
    last_ms: Codes,
    at: Codes,
    group_of: Small,
    listed: _Listed,
    shared: _Shared,
) -> None:
    """Widen the first and last times of accounts (the least number where there is none) to items of their groups."""
    none = np.iinfo(np.int64).min
    for number in range(accounts.size):
        account = accounts[number]
        for row in range(listed.start[account], listed.start[account + 1]):
            item = listed.item[row]
            for entry in range(shared.start[item], shared.start[item + 1]):
                if shared.group[entry] == group_of[account]:
                    if first_ms[number] == none or at[row] < first_ms[number]:
                        first_ms[number] = at[row]
                    last_ms[number] = max(last_ms[number], at[row])
