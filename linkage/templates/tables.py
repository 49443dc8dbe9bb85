"""Exact counts of what is frequent: sort, keep the values seen often enough, look them up by hash.

Counts are exact and do not depend on the order of the rows, unlike those of a sketch with conservative update.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int32]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """Distinct 64-bit keys, ascending, with their counts; :func:`find` gives the place of a key."""

    keys: Keys
    counts: Counts
    slots: Counts
    """Open addressing: place in ``keys`` plus one, 0 for free; a power of two of them."""

    def __len__(self) -> int:
        return len(self.keys)


@numba.njit(cache=True, nogil=True, inline="always")
def find(keys, slots, key):
    """The place of a key in the table, or -1."""
    last = np.uint64(slots.size - 1)
    at = (key * _GOLDEN) >> np.uint64(20) & last
    while slots[at]:
        if keys[slots[at] - 1] == key:
            return np.int64(slots[at] - 1)
        at = (at + np.uint64(1)) & last
    return np.int64(-1)


@numba.njit(cache=True, nogil=True)
def _fill(keys, slots):
    last = np.uint64(slots.size - 1)
    for place in range(keys.size):
        at = (keys[place] * _GOLDEN) >> np.uint64(20) & last
        while slots[at]:
            at = (at + np.uint64(1)) & last
        slots[at] = place + 1


@numba.njit(cache=True, nogil=True)
def _runs(values, least, kept, counts):
    """Of ascending values, those seen at least so often, and how often; how many there are."""
    found, start = 0, 0
    for at in range(1, values.size + 1):
        if at < values.size and values[at] == values[start]:
            continue
        if at - start >= least:
            kept[found], counts[found] = values[start], at - start
            found += 1
        start = at
    return found


def count_frequent(values: npt.NDArray[Any], *, least: int) -> tuple[npt.NDArray[Any], Counts]:
    """The distinct values seen at least ``least`` times, ascending, and how often each was seen.

    Sorts ``values`` in place, so that the caller need not hold a second copy.

    Examples
    --------
    >>> count_frequent(np.array([7, 1, 7, 3, 7], dtype=np.uint64), least=2)[1].tolist()
    [3]
    """
    values.sort()
    room = len(values) // least + 1
    kept, counts = np.empty(room, values.dtype), np.empty(room, np.int32)
    found = _runs(values, least, kept, counts)
    return kept[:found].copy(), counts[:found].copy()


def make_table(keys: Keys, counts: Counts) -> Table:
    """A table of distinct keys.

    Examples
    --------
    >>> table = make_table(np.array([9, 4], dtype=np.uint64), np.array([1, 2], dtype=np.int32))
    >>> table.keys.tolist(), table.counts.tolist()
    ([4, 9], [2, 1])
    """
    order = np.argsort(keys, kind="stable")
    ordered = np.ascontiguousarray(keys[order])
    slots = np.zeros(1 << max(4, int(2 * len(keys)).bit_length()), dtype=np.int32)
    _fill(ordered, slots)
    return Table(keys=ordered, counts=np.ascontiguousarray(counts[order]), slots=slots)
