"""The bounded projection: which pairs of accounts to look at, and the rarest value each pair shares.

All pairs of a hub would be quadratic. A value on few accounts proposes all its pairs; a value on many
proposes, for each account, only the neighbours in a few orders of its accounts (by creation, by conduct,
by what else they share), so that accounts which agree on more than the hub stand side by side.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.arrays import Codes, Small
from linkage.coding import first_rows, of_runs, rows_by_code, sort_rows, value_runs
from linkage.evidence.prefetch import STEPS_AHEAD, prefetch
from linkage.kernels import inner_kernel, kernel
from linkage.parallel import in_threads

_PART_ROOM: Final = 16_000_000
"""Pairs that accounts whose pairs are gathered together may have: 64 MB."""

SIGNATURE_ACCOUNTS: Final = 1_000
"""A value on more accounts than this does not shape the order by what else accounts share."""


def value_table(evidence: pd.DataFrame) -> tuple[pd.DataFrame, Codes]:
    """The distinct values of the evidence, and for each row of evidence the row of its value.

    Returns
    -------
    DataFrame of ``family, kind, value`` (str, or categories where the evidence has them), ``accounts,
    unrelated_accounts`` (int64), one row per value in the order the evidence has them, and an array of row numbers
    into it.
    """
    heads, keys = value_runs(evidence)
    code = pd.factorize(keys)[0].astype(np.int64)
    first = heads[first_rows(code)]
    names = ("family", "kind", "value", "accounts", "unrelated_accounts")
    table = pd.DataFrame({name: evidence[name].array.take(first) for name in names})
    return table, of_runs(code, heads, len(evidence))


@dataclasses.dataclass(frozen=True)
class Proposed:
    """Distinct pairs of accounts, four bytes each: of every account those with accounts whose turn comes later.

    Where pairs are gathered, accounts with many values have the first turns: the values of the first account are marked
    once for all of its pairs, and only those of the other one are walked for each.
    """

    start: Codes
    """Where the pairs of each turn begin, and the end."""
    other: Small
    """The later turn of each pair."""
    account_of: Small
    """The account of each turn."""

    def __len__(self) -> int:
        return len(self.other)

    def part(self, rows: slice) -> tuple[Small, Small]:
        """Both accounts of some consecutive pairs; those of one first account stand together."""
        first, last, _ = rows.indices(len(self))
        inside = np.clip(self.start, first, last)
        return np.repeat(self.account_of, np.diff(inside)), self.account_of[self.other[first:last]]

    def among(self, a: Codes, b: Codes) -> npt.NDArray[np.bool_]:
        """Which of these pairs are among the proposed ones, whichever account is named first."""
        turn = turns_of(self.account_of)
        first, later = np.minimum(turn[a], turn[b]), np.maximum(turn[a], turn[b])
        return np.asarray(_is_proposed(self.start, self.other, first, later, np.argsort(first)), dtype=np.bool_)


def turns_of(account_of: Small) -> Small:
    """The turn of each account."""
    turn = np.empty(len(account_of), dtype=np.int32)
    turn[account_of] = np.arange(len(account_of), dtype=np.int32)
    return turn


def pair_up(a: Codes, b: Codes, *, accounts: int) -> Proposed:
    """These pairs, which are distinct and ``a < b``, in any order; the turns are the codes."""
    order = sort_rows(b, a)
    start = np.searchsorted(a[order], np.arange(accounts + 1)).astype(np.int64)
    return Proposed(start, b[order].astype(np.int32), np.arange(accounts, dtype=np.int32))


def in_order(a: Small, b: Small) -> tuple[Codes, Codes]:
    """The same pairs with ``a < b``, by ``a`` and then ``b``."""
    low, high = np.minimum(a, b).astype(np.int64), np.maximum(a, b).astype(np.int64)
    order = sort_rows(high, low)
    return low[order], high[order]


def propose_pairs(account: Codes, value: Codes, *, orders: Sequence[Codes], links_per_use: int) -> tuple[Codes, Codes]:
    """Pairs of accounts worth scoring; at most ``links_per_use`` for each account and value.

    Parameters
    ----------
    account, value : one entry per use of a shared value.
    orders : one array per order: a sort key for each account code.
    links_per_use : bound, at least 1.

    Returns
    -------
    Two arrays of account codes, ``a < b``, without repeats, sorted. O(uses * links_per_use).

    Examples
    --------
    >>> hub = np.zeros(5, dtype=np.int64)
    >>> line = np.arange(5, dtype=np.int64)
    >>> a, b = propose_pairs(line, hub, orders=[line], links_per_use=1)
    >>> list(zip(a.tolist(), b.tolist()))
    [(0, 1), (1, 2), (2, 3), (3, 4)]
    """
    accounts = int(account.max(initial=-1)) + 1
    keys = [order[:accounts] for order in orders]
    apart = np.full(accounts, -1, dtype=np.int64)
    found = propose(account, value, orders=keys, links_per_use=links_per_use, organization=apart)
    return in_order(*found.part(slice(None)))


def propose(
    account: Codes, value: Codes, *, orders: Sequence[Codes], links_per_use: int, organization: Codes
) -> Proposed:
    """The pairs of :func:`propose_pairs` whose accounts do not declare one organization.

    Parameters
    ----------
    account, value, orders, links_per_use : as for :func:`propose_pairs`; a key for every account there is.
    organization : of each account, -1 for none.
    """
    account_of = np.argsort(-np.bincount(account, minlength=len(organization)), kind="stable").astype(np.int32)
    counts, others = _gather_pairs(account, value, orders, links_per_use, organization[account_of], account_of)
    return Proposed(np.concatenate([[0], np.cumsum(np.concatenate(counts))]), np.concatenate(others), account_of)


def _gather_pairs(
    account: Codes, value: Codes, orders: Sequence[Codes], links_per_use: int, organization: Codes, account_of: Small
) -> tuple[Sequence[Codes], Sequence[Small]]:
    """How many pairs there are of each turn, and their later turns, in parts; the uses in order end here.

    Parameters
    ----------
    organization : of each turn.
    """
    room = 2 * links_per_use * np.bincount(account, minlength=len(account_of))[account_of]
    runs = _order_uses(account, value, orders, links_per_use, turns_of(account_of))
    parts = np.arange(_PART_ROOM, int(room.sum()), _PART_ROOM)
    bounds = [0, *np.unique(np.searchsorted(np.cumsum(room), parts)).tolist(), len(organization)]

    def find(part: tuple[int, int]) -> tuple[Codes, Small]:
        count = np.zeros(part[1] - part[0], dtype=np.int64)
        other = np.empty(room[slice(*part)].sum() + 1, dtype=np.int32)  # what is no pair is written behind the last one
        found = _list_pairs(runs, organization, part[0], count, other)
        return count, other[:found].copy()

    counts, others = zip(*in_threads(find, itertools.pairwise(bounds)), strict=True)
    return counts, others


class _Runs(NamedTuple):
    """Uses in several orders of the accounts within each value, one order after the other.

    Accounts that stand up to the reach of the order apart within one value are pairs.
    """

    turn: Small
    """Of the account of each use; inverted where another value begins, or another order, and once at the end."""
    ends: Codes
    """Where each order ends."""
    reach: Codes
    """Of each order."""
    start: Codes
    """Where the rows of each turn begin, and the end."""
    rows: Small
    """Rows of ``turn``, turn by turn."""


def _order_uses(account: Codes, value: Codes, orders: Sequence[Codes], links_per_use: int, turn: Small) -> _Runs:
    """The uses of small values in one order, with a reach that makes pairs of all; those of others in each order."""
    small = (np.bincount(value) <= links_per_use + 1)[value] if len(value) else np.empty(0, dtype=np.bool_)
    sizes = [int(small.sum()), *[int((~small).sum())] * len(orders)]
    ends, reach = np.cumsum(sizes), np.array([links_per_use, *_split(links_per_use, len(orders))])
    whole, rows = np.zeros(ends[-1] + 1, dtype=np.int32), np.empty(ends[-1], dtype=np.int32)
    sorts = ((small, [np.arange(len(turn))]), (~small, orders))
    held = [rows_by_code(account[mine], count=len(turn)) for mine, _ in sorts]
    each = np.array([np.diff(first) for (first, _), (_, keys) in zip(held, sorts, strict=True) for _ in keys])
    of_turn = np.empty(len(turn), dtype=np.int64)
    of_turn[turn] = each.sum(axis=0)
    start = np.append(0, np.cumsum(of_turn))
    begins = iter(start[turn] + np.cumsum(each, axis=0) - each)
    firsts, end = [ends[-1:]], 0
    placing: list[Callable[[], None]] = []
    for (mine, keys), (first, by_account) in zip(sorts, held, strict=True):
        values, holders = value.astype(np.int32)[mine][by_account], np.bincount(value[mine])
        for key in keys:
            place = end + np.cumsum(holders) - holders
            firsts.append(place[holders > 0])
            placing.append(functools.partial(_place_by_key, key, turn, first, values, place, next(begins), whole, rows))
            end += len(values)
    deque(in_threads(lambda place_uses: place_uses(), placing), maxlen=0)
    is_first = np.concatenate(firsts)
    whole[is_first] = ~whole[is_first]
    return _Runs(whole, ends, reach, start, rows)


def _place_by_key(
    key: Codes, turn: Small, start: Codes, values: Small, place: Codes, begin: Codes, whole: Small, rows: Small
) -> None:
    _place_uses(np.argsort(key, kind="stable"), turn, start, values, place.copy(), begin, whole, rows)


@kernel
def _place_uses(
    by_key: Codes, turn: Small, start: Codes, values: Small, place: Codes, begin: Codes, whole: Small, rows: Small
) -> None:
    """Put the uses of the accounts, taken in this order, to the places of their values, which move on.

    Parameters
    ----------
    begin : where in ``rows`` the places of each account's uses go.
    """
    for account in by_key:
        at = begin[account]
        for value in values[start[account] : start[account + 1]]:
            whole[place[value]] = turn[account]
            rows[at] = place[value]
            at += 1
            place[value] += 1


@kernel
def _list_pairs(runs: _Runs, organization: Codes, low: int, count: Codes, other: Small) -> int:
    """Fill how many distinct pairs there are of each turn from ``low`` on, and their later turns.

    How many there are in all. Pairs of one organization are left out.
    """
    turn, ends, reach, start, rows = runs
    marks = np.full(len(organization), -1, dtype=np.int32)  # the last turn that each stood near
    end: Any = np.int64(0)  # of one type for what is called with it
    last = len(rows) - 1
    for mine in range(low, low + len(count)):
        first, order = end, 0
        for place in range(start[mine], start[mine + 1]):
            prefetch(turn, rows[min(place + STEPS_AHEAD, last)])
            row = rows[place]
            while row >= ends[order]:
                order += 1
            left, right = row, row
            while turn[left] >= 0 and row - left < reach[order]:
                left -= 1
            while turn[right + 1] >= 0 and right - row < reach[order]:
                right += 1
            for at in range(left, right + 1):
                later = max(turn[at], ~turn[at])
                other[end] = later
                end += (later > mine) & (marks[later] != mine)
                marks[later] = mine
        if organization[mine] >= 0:
            end = _leave_out(other, first, end, organization, mine)
        count[mine - low] = end - first
    return int(end)


@inner_kernel
def _leave_out(other: Small, first: int, end: int, organization: Codes, mine: int) -> int:
    """Close the gaps that pairs of one organization leave; where the others end."""
    kept = first
    for at in range(first, end):
        if organization[other[at]] != organization[mine]:
            other[kept] = other[at]
            kept += 1
    return kept


@kernel
def _is_proposed(start: Codes, other: Small, first: Small, later: Small, by_first: Codes) -> Any:
    result = np.zeros(len(first), dtype=np.bool_)
    marks = np.full(len(start) - 1, -1, dtype=np.int32)
    marked = -1
    for pair in by_first:
        if first[pair] != marked:
            marked = first[pair]
            for place in range(start[marked], start[marked + 1]):
                marks[other[place]] = marked
        result[pair] = marks[later[pair]] == marked
    return result


def _split(total: int, parts: int) -> list[int]:
    """``total`` shared out over ``parts`` as evenly as can be, the first ones getting the rest."""
    return [total // parts + (1 if number < total % parts else 0) for number in range(parts)]


def signature(account: Codes, value: Codes, *, accounts: int, seed: int) -> Codes:
    """Per account a min-hash of its values: accounts that share most values likely get the same one.

    Parameters
    ----------
    account, value : one entry per use; values on more than ``SIGNATURE_ACCOUNTS`` accounts are ignored.
    accounts : how many account codes there are.
    seed : of the permutation.

    References
    ----------
    Broder 1997, "On the resemblance and containment of documents", doi:10.1109/SEQUEN.1997.666900.
    """
    values = int(value.max()) + 1 if len(value) else 0
    shuffled = np.random.default_rng(seed).permutation(values)
    result = np.full(accounts, values, dtype=np.int64)
    if values:
        small = np.bincount(value)[value] <= SIGNATURE_ACCOUNTS
        np.minimum.at(result, account[small], shuffled[value[small]])
    return result
