"""Which values any two accounts share, the best of each family: for a hundred million pairs of a million accounts."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from linkage.arrays import Codes, Small
from linkage.coding import ranges, rows_by_code
from linkage.evidence.prefetch import STEPS_AHEAD, prefetch
from linkage.kernels import inner_kernel, kernel

RARE_ACCOUNTS: Final = 256
"""A value on more accounts than this is common: rather than to walk all who have it, it is looked for in every pair.
Of 64 values of the shorter list of a pair 44 were on no more than 128 accounts (a world of a million, 2026-11-30); half
or twice as many accounts are no better."""

_FEW: Final = 2**16


class _Listed(NamedTuple):
    """Values of each account, from worst to best, by numbers of their own."""

    start: npt.NDArray[np.uint32]
    """Where the values of each account begin, and the end."""
    number: npt.NDArray[Any]
    rank: Small
    """Of each number; and one more, of no value."""
    family: npt.NDArray[np.uint8]
    """Of each number, from 1."""


class _Holders(NamedTuple):
    """Accounts that have each rare value."""

    start: npt.NDArray[np.uint32]
    account: Small


class ValueIndex:
    """Values per account, to find the best ones any two accounts share.

    Parameters
    ----------
    account : account code of each use.
    value : code of each use's value.
    family : number of each value's family.
    order : codes of all values, of each family from best to worst; the place of a value in it is its rank.
    accounts, families : how many there are.
    """

    def __init__(
        self, account: Codes, value: Codes, *, family: Codes, order: Codes, accounts: int, families: int
    ) -> None:
        self.families = families
        first, rows = rows_by_code(value, count=len(order))
        users = np.diff(first)[order]
        listed = []
        for chosen in (users > RARE_ACCOUNTS, users <= RARE_ACCOUNTS):
            rank = np.flatnonzero(chosen)
            start = np.zeros(accounts + 2, dtype=np.uint32)
            number = np.empty(users[rank].sum(), dtype=np.uint16 if len(rank) < _FEW else np.uint32)
            _list_values(order[rank], first, rows, account, start, number)
            family_of = (family[order[rank]] + 1).astype(np.uint8)
            listed.append(_Listed(start[:-1], number, np.append(rank, len(order)).astype(np.int32), family_of))
        self._common, self._rare = listed
        holders = account[rows[ranges(first[order[rank]], users[rank])]].astype(np.int32)
        self._holders = _Holders(np.append(0, np.cumsum(users[rank])).astype(np.uint32), holders)

    def best_shared(self, a: Any, b: Any) -> Small:
        """Per pair and family the rank of the best value both accounts have; that after the last where there is none.

        Faster where ``b`` has fewer values.

        Parameters
        ----------
        a, b : accounts of distinct pairs; those of one ``a`` stand together.
        """
        best = np.empty((len(a), self.families), dtype=np.int32)
        _best_shared(self._common, self._rare, self._holders, a, b, best)
        return best


@kernel
def _list_values(
    values: Codes, first: Codes, rows: Small, account: Codes, start: npt.NDArray[np.uint32], number: npt.NDArray[Any]
) -> None:
    """Fill where the values of each account begin, in all but the last place, and their numbers, the last ones first.

    Parameters
    ----------
    values : of each number.
    first, rows : where the uses of each value begin, and the end; and these uses.
    account : of each use.
    """
    for value in values:
        for row in rows[first[value] : first[value + 1]]:
            start[account[row] + 2] += 1
    for place in range(2, start.size):
        start[place] += start[place - 1]
    for found in range(values.size - 1, -1, -1):
        for row in rows[first[values[found]] : first[values[found] + 1]]:
            number[start[account[row] + 1]] = found
            start[account[row] + 1] += 1


@kernel
def _best_shared(common: _Listed, rare: _Listed, holders: _Holders, a: Any, b: Any, best: Small) -> None:
    """Fill ``best``.

    All common values of ``b`` are walked, the best ones last, without a branch, which nobody could guess: what is not
    shared goes to a place of its own. Marks of common values fit into the processor's nearest cache.
    """
    start, number, last = common.start, common.number, a.size - 1
    marks = np.zeros(common.family.size, dtype=np.uint8)  # the families of those that the present ``a`` has
    place = np.full(start.size - 1, -1, dtype=np.int32)  # the last pair of each ``b``
    found = np.empty(best.shape[1] + 1, dtype=number.dtype)
    pair = np.int64(0)
    while pair <= last:
        mine, begin = a[pair], pair
        for at in range(start[mine], start[mine + 1]):
            marks[number[at]] = common.family[number[at]]
        while pair <= last and a[pair] == mine:
            ahead = b[min(pair + STEPS_AHEAD, last)]
            prefetch(start, b[min(pair + 2 * STEPS_AHEAD, last)])
            prefetch(place, ahead)
            prefetch(number, start[ahead])
            prefetch(number, start[ahead] + 32)
            place[b[pair]] = pair
            for family in range(1, found.size):
                found[family] = common.family.size
            for at in range(start[b[pair]], start[b[pair] + 1]):
                found[marks[number[at]]] = number[at]
            for family in range(1, found.size):
                best[pair, family - 1] = common.rank[found[family]]
            pair += 1
        for at in range(start[mine], start[mine + 1]):
            marks[number[at]] = 0
        _add_rare(rare, holders, mine, place, begin, best)


@inner_kernel
def _add_rare(rare: _Listed, holders: _Holders, mine: int, place: Small, begin: int, best: Small) -> None:
    """Widen ``best`` to rare values: whoever has one of an account's is a pair of it where its place says so."""
    for at in range(rare.start[mine], rare.start[mine + 1]):
        value = rare.number[at]
        family, rank = rare.family[value] - 1, rare.rank[value]
        for holder in range(holders.start[value], holders.start[value + 1]):
            pair = place[holders.account[holder]]
            if pair >= begin:
                best[pair, family] = min(best[pair, family], rank)
