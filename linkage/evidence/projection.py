"""The bounded projection: which pairs of accounts to look at, and the rarest value each pair shares.

All pairs of a hub would be quadratic. A value on few accounts proposes all its pairs; a value on many
proposes, for each account, only the neighbours in a few orders of its accounts (by creation, by conduct,
by what else they share), so that accounts which agree on more than the hub stand side by side.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.coding import first_rows, rows_by_code, value_codes
from linkage.parallel import in_threads

Codes = npt.NDArray[np.int64]
"""Integer codes: accounts in the order of the account frame, or values in the order of the value table."""

Small = npt.NDArray[np.int32]
"""The same where there are many of them."""

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
    counts, others = _gather_pairs(account, value, orders, links_per_use, organization)
    return Proposed(np.concatenate([[0], np.cumsum(np.concatenate(counts))]), np.concatenate(others))


def _gather_pairs(
    account: Codes, value: Codes, orders: Sequence[Codes], links_per_use: int, organization: Codes
) -> tuple[Sequence[Codes], Sequence[Small]]:
    """How many pairs begin with each account, and their other accounts, in parts; the uses in order end here."""
    runs = _order_uses(account, value, orders, links_per_use, accounts=len(organization))
    room = runs.room()
    parts = np.arange(_PART_ROOM, int(room.sum()), _PART_ROOM)
    bounds = [0, *np.unique(np.searchsorted(np.cumsum(room), parts)).tolist(), len(organization)]

    def find(part: tuple[int, int]) -> tuple[Codes, Small]:
        count, other = np.zeros(part[1] - part[0], dtype=np.int64), np.empty(room[slice(*part)].sum(), dtype=np.int32)
        found = _list_pairs(*runs, organization, part[0], count, other)
        return count, other[:found].copy()

    counts, others = zip(*in_threads(find, itertools.pairwise(bounds)), strict=True)
    return counts, others


class _Runs(NamedTuple):
    """Uses in several orders of the accounts within each value, one order after the other.

    Accounts that stand up to ``reach`` apart within one value and order are pairs.
    """

    account: Small
    reach: npt.NDArray[np.int16]
    is_first: npt.NDArray[np.bool_]
    """Where another value begins, or another order."""
    start: Codes
    """Where the rows of each account begin, and the end."""
    rows: Small
    """Rows of these columns, account by account."""

    def room(self) -> Codes:
        """How many pairs each account can have at most."""
        return np.asarray(_add_reach(self.account, self.reach, np.zeros(len(self.start) - 1, dtype=np.int64)))


def _order_uses(account: Codes, value: Codes, orders: Sequence[Codes], links_per_use: int, *, accounts: int) -> _Runs:
    """The uses of small values in one order, with a reach that makes pairs of all; those of others in each order."""
    small = (np.bincount(value) <= links_per_use + 1)[value] if len(value) else np.empty(0, dtype=np.bool_)
    hubs = account[~small], value[~small]
    ends = [int(small.sum()) + len(hubs[0]) * number for number in range(len(orders) + 1)]
    whole, reach = np.empty(ends[-1], dtype=np.int32), np.empty(ends[-1], dtype=np.int16)
    is_first = np.empty(ends[-1], dtype=np.bool_)
    _order_into(whole[: ends[0]], is_first[: ends[0]], account[small], value[small], np.arange(accounts))
    reach[: ends[0]] = links_per_use
    shares = _split(links_per_use, len(orders))
    for (begin, end), key, share in zip(itertools.pairwise(ends), orders, shares, strict=True):
        _order_into(whole[begin:end], is_first[begin:end], *hubs, key)
        reach[begin:end] = share
    return _Runs(whole, reach, is_first, *rows_by_code(whole, count=accounts))


def _order_into(ordered: Small, is_first: npt.NDArray[np.bool_], account: Codes, value: Codes, key: Codes) -> None:
    """Put uses by value and then in the order of a key, one for each account (equal ones by account)."""
    by_key = np.lexsort((np.arange(len(key)), key))
    rank = np.empty(len(key), dtype=np.int64)
    rank[by_key] = np.arange(len(key))
    both = rank[account]
    both += value * len(key)
    both.sort()
    values = both // max(len(key), 1)
    np.not_equal(values, np.concatenate([[-1], values[:-1]]), out=is_first)
    values *= len(key)
    both -= values
    by_key.astype(np.int32).take(both, out=ordered)


@numba.njit(cache=True, nogil=True)
def _add_reach(account: Small, reach: npt.NDArray[np.int16], room: Codes) -> Codes:
    for row in range(len(account)):
        room[account[row]] += 2 * reach[row]
    return room


def _list_pairs_plain(
    account: Small,
    reach: npt.NDArray[np.int16],
    is_first: npt.NDArray[np.bool_],
    start: Codes,
    rows: Small,
    organization: Codes,
    low: int,
    count: Codes,
    other: Small,
) -> int:
    """Fill how many distinct pairs begin with each account from ``low`` on, and their other accounts, ascending.

    How many there are in all. Pairs of one organization are left out.
    """
    marks = np.full(len(organization), -1, dtype=np.int32)  # the last account that had each as its other one
    end = 0
    for a in range(low, low + len(count)):
        first = end
        for row in rows[start[a] : start[a + 1]]:
            for side in (-1, 1):
                at = row
                for _ in range(reach[row]):
                    if is_first[at] if side < 0 else (at + 1 == len(account) or is_first[at + 1]):
                        break
                    at += side
                    b = account[at]
                    is_apart = organization[a] < 0 or organization[a] != organization[b]
                    if b > a and marks[b] != a and is_apart:
                        marks[b] = a
                        other[end] = b
                        end += 1
        other[first:end] = np.sort(other[first:end])
        count[a - low] = end - first
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


_list_pairs: Any = numba.njit(cache=True, nogil=True)(_list_pairs_plain)
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
