"""The bounded projection: which pairs of accounts to look at, and the rarest value each pair shares.

All pairs of a hub would be quadratic. A value on few accounts proposes all its pairs; a value on many
proposes, for each account, only the neighbours in a few orders of its accounts (by creation, by conduct,
by what else they share), so that accounts which agree on more than the hub stand side by side.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.coding import first_rows, value_codes
from linkage.parallel import in_threads

Codes = npt.NDArray[np.int64]
"""Integer codes: accounts in the order of the account frame, or values in the order of the value table."""

Small = npt.NDArray[np.int32]
"""The same where there are many of them."""

PROPOSED_PARTS: Final = 4
"""Parts of the accounts whose pairs are gathered at a time, repeats and all."""

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
    code = value_codes(evidence)
    columns = ["family", "kind", "value", "accounts", "unrelated_accounts"]
    return evidence.iloc[first_rows(code)][columns].reset_index(drop=True), code


@dataclasses.dataclass(frozen=True)
class Proposed:
    """Distinct pairs of accounts ``a < b``, by ``a`` and then ``b``: four bytes a pair."""

    start: Codes
    """Where the pairs of each ``a`` begin, and the end."""
    other: Small
    """The ``b`` of each pair."""

    def __len__(self) -> int:
        return len(self.other)

    def part(self, rows: slice) -> tuple[Small, Small]:
        """Both accounts of some consecutive pairs."""
        first, last, _ = rows.indices(len(self))
        inside = np.clip(self.start, first, last)
        return np.repeat(np.arange(len(self.start) - 1, dtype=np.int32), np.diff(inside)), self.other[first:last]

    def among(self, a: Codes, b: Codes) -> npt.NDArray[np.bool_]:
        """Which of these pairs, ``a < b``, are among the proposed ones."""
        return np.asarray(_is_proposed(self.start, self.other, a, b), dtype=np.bool_)


def pair_up(a: Codes, b: Codes, *, accounts: int) -> Proposed:
    """These pairs, which are distinct and ``a < b``, in any order."""
    order = np.lexsort((b, a))
    return Proposed(np.searchsorted(a[order], np.arange(accounts + 1)).astype(np.int64), b[order].astype(np.int32))


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
    a, b = found.part(slice(None))
    return a.astype(np.int64), b.astype(np.int64)


def propose(
    account: Codes, value: Codes, *, orders: Sequence[Codes], links_per_use: int, organization: Codes
) -> Proposed:
    """The pairs of :func:`propose_pairs` whose accounts do not declare one organization.

    Parameters
    ----------
    account, value, orders, links_per_use : as for :func:`propose_pairs`; a key for every account there is.
    organization : of each account, -1 for none.
    """
    accounts = len(organization)
    size = np.bincount(value)[value] if len(value) else np.empty(0, dtype=np.int64)
    small = size <= links_per_use + 1
    runs = [_Run.of(account[small], value[small], np.arange(accounts), reach=links_per_use)]
    hubs = account[~small], value[~small]
    for key, reach in zip(orders, _split(links_per_use, len(orders)), strict=True):
        runs.append(_Run.of(*hubs, key, reach=reach))
    named = sum(in_threads(lambda run: run.begun(organization), runs), np.zeros(accounts, dtype=np.int64))
    shares = np.linspace(0, named.sum(), PROPOSED_PARTS + 1)[1:-1]
    bounds = [0, *np.searchsorted(np.cumsum(named), shares).tolist(), accounts]

    def find(part: int) -> tuple[Codes, Small]:
        low = bounds[part]
        return _pairs_from(runs, low, named[low : bounds[part + 1]], organization)

    counts, others = zip(*in_threads(find, range(PROPOSED_PARTS)), strict=True)
    return Proposed(np.concatenate([[0], np.cumsum(np.concatenate(counts))]), np.concatenate(others))


class _Run(NamedTuple):
    """Uses in one order of the accounts within each value; those up to ``reach`` apart are pairs."""

    account: Small
    value: Small
    reach: int

    @classmethod
    def of(cls, account: Codes, value: Codes, key: Codes, *, reach: int) -> _Run:
        """These uses in the order of a key, one for each account; equal ones by account."""
        by_key = np.lexsort((np.arange(len(key)), key))
        rank = np.empty(len(key), dtype=np.int64)
        rank[by_key] = np.arange(len(key))
        both = np.sort(value * max(len(key), 1) + rank[account])
        values, ranks = np.divmod(both, max(len(key), 1))
        return cls(by_key.astype(np.int32)[ranks], values.astype(np.int32), reach)

    def begun(self, organization: Codes) -> Codes:
        """How many pairs begin with each account, repeats and all."""
        count = np.zeros(len(organization), dtype=np.int64)
        no_room = np.empty(0, dtype=np.int32)
        _list_neighbours(self.account, self.value, self.reach, 0, organization, count, no_room)
        return count


def _pairs_from(runs: Sequence[_Run], low: int, named: Codes, organization: Codes) -> tuple[Codes, Small]:
    """How many distinct pairs begin with each account from ``low`` on, and their other accounts.

    Parameters
    ----------
    named : how many pairs begin with each of these accounts, repeats and all.
    """
    place = np.cumsum(named) - named
    other = np.empty(int(named.sum()), dtype=np.int32)
    start, count = place.copy(), named.copy()
    if len(other):
        for run in runs:
            _list_neighbours(run.account, run.value, run.reach, low, organization, place, other)
    left = _sort_each(other, start, count, len(organization))
    return count, other[:left].copy()


def _list_neighbours_plain(
    account: Small, value: Small, reach: int, low: int, organization: Codes, place: Codes, other: Small
) -> None:
    """Put the other account of each pair where ``place`` says, which moves on; without room they are only counted.

    Pairs that begin with another account than the ``len(place)`` from ``low`` on are left out.
    """
    has_room = len(other) > 0
    high = low + len(place)
    for row in range(len(account)):
        for step in range(1, reach + 1):
            if row + step >= len(account) or value[row + step] != value[row]:
                break
            first, second = account[row], account[row + step]
            a = min(first, second)
            is_apart = organization[first] < 0 or organization[first] != organization[second]
            if first != second and low <= a < high and is_apart:
                if has_room:
                    other[place[a - low]] = max(first, second)
                place[a - low] += 1


def _sort_each_plain(other: Small, start: Codes, count: Codes, accounts: int) -> int:
    """Sort each run of others and keep the distinct ones, from the left; ``count`` becomes how many there are."""
    marks = np.full(accounts, -1, dtype=np.int32)  # the last run that had each account
    end = 0
    for row in range(len(count)):
        first = end
        for place in range(start[row], start[row] + count[row]):
            if marks[other[place]] != row:
                marks[other[place]] = row
                other[end] = other[place]
                end += 1
        other[first:end] = np.sort(other[first:end])
        count[row] = end - first
    return end


def _is_proposed_plain(start: Codes, other: Small, a: Codes, b: Codes) -> Any:
    result = np.zeros(len(a), dtype=np.bool_)
    for pair in range(len(a)):
        low, high = start[a[pair]], start[a[pair] + 1]
        while low < high:
            middle = (low + high) // 2
            if other[middle] < b[pair]:
                low = middle + 1
            else:
                high = middle
        result[pair] = low < start[a[pair] + 1] and other[low] == b[pair]
    return result


_list_neighbours: Any = numba.njit(cache=True, nogil=True)(_list_neighbours_plain)
_sort_each: Any = numba.njit(cache=True, nogil=True)(_sort_each_plain)
_is_proposed: Any = numba.njit(cache=True, nogil=True)(_is_proposed_plain)


def distinct(values: Codes) -> Codes:
    """The distinct values, ascending; several times as fast as ``numpy.unique``, which hashes, on millions of them.

    Examples
    --------
    >>> distinct(np.array([5, 2, 5])).tolist()
    [2, 5]
    """
    return _first_ones(np.sort(values))


def _first_ones(ordered: Codes) -> Codes:
    is_new = np.ones(len(ordered), bool)
    is_new[1:] = ordered[1:] != ordered[:-1]
    return ordered[is_new]


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


class ValueIndex:
    """Values per account in order of worth, family by family, to find the best ones any two accounts share.

    Parameters
    ----------
    account : account code of each use.
    value : code of each use's value.
    family : number of each value's family.
    order : codes of all values, of each family from best to worst.
    accounts, families : how many there are.
    """

    def __init__(
        self, account: Codes, value: Codes, *, family: Codes, order: Codes, accounts: int, families: int
    ) -> None:
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        self.order = order.astype(np.int32)
        cell = account * families + family[value]
        both = np.sort(cell * max(len(order), 1) + rank[value])
        self.rank = (both % max(len(order), 1)).astype(np.int32)
        counts = np.bincount(cell, minlength=accounts * families)
        self.start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self.families = families

    def best_shared(self, a: Any, b: Any) -> Small:
        """Per pair and family the best value both accounts have, or -1; O(pairs * values per account).

        Twice as fast where pairs of one ``a`` stand together.
        """
        best = np.empty((len(a), self.families), dtype=np.int32)
        _best_shared(self.start, self.rank, self.order, a, b, np.zeros(len(self.order), dtype=np.int32), best)
        return best


def _best_shared_plain(start: Codes, rank: Small, order: Small, a: Small, b: Small, marks: Small, best: Small) -> None:
    """Fill ``best``; ``marks`` has a zero for each value, and says which account had it last.

    Merging the values of both would be a third as fast: which of two is behind cannot be guessed (2026-11-29).
    """
    families = best.shape[1]
    marked = -1
    for pair in range(len(a)):
        if a[pair] != marked:
            marked = a[pair]
            for place in range(start[marked * families], start[(marked + 1) * families]):
                marks[rank[place]] = marked + 1
        for family in range(families):
            best[pair, family] = -1
            cell = b[pair] * families + family
            for place in range(start[cell], start[cell + 1]):
                if marks[rank[place]] == marked + 1:
                    best[pair, family] = order[rank[place]]
                    break


_best_shared: Any = numba.njit(cache=True, nogil=True)(_best_shared_plain)
