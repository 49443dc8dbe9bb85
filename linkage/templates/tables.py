"""Exact counts of what is frequent: sort, keep the values seen often enough, look them up by hash.

Counts are exact and do not depend on the order of the rows, unlike those of a sketch with conservative update.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from linkage.coding import GOLDEN
from linkage.kernels import inlined, inner_kernel, kernel
from linkage.sorting import SIGN, order_of

Keys = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int32]

_LOWER = np.uint64(0xFFFFFFFF)


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """Distinct 64-bit keys, ascending, with their counts; :func:`find` gives place and count of a key."""

    keys: Keys
    counts: Counts
    entries: Keys
    """Open addressing, shape (a power of two, 2): key, and its count (upper half) with its place plus one (lower
    half), 0 for free. Side by side, so that a look-up costs one miss of the processor's cache and not three."""

    def __len__(self) -> int:
        return len(self.keys)


@inlined
def _slot_of(key, slots):
    """Where a key is looked for first, of so many slots (a power of two)."""
    return (key * GOLDEN) >> np.uint64(20) & np.uint64(slots - 1)


@inner_kernel
def home(entries, key):
    """Where in the table a key is looked for first."""
    return _slot_of(key, entries.shape[0])


@kernel
def find(entries, key):
    """What the table says of a key, for :func:`place_of` and :func:`count_of`; 0 where it is not there."""
    last = np.uint64(entries.shape[0] - 1)
    at = home(entries, key)
    while entries[at, 1]:
        if entries[at, 0] == key:
            return entries[at, 1]
        at = (at + np.uint64(1)) & last
    return np.uint64(0)


@kernel
def place_of(found):
    """The place among the table's keys, -1 for a key that is not there."""
    return np.int64(found & _LOWER) - 1


@kernel
def count_of(found):
    """How often the key was seen, 0 for one that is not there."""
    return np.int64(found >> np.uint64(32))


@kernel
def _fill(keys, counts, places, entries):
    last = np.uint64(entries.shape[0] - 1)
    for place in places:
        at = home(entries, keys[place])
        while entries[at, 1]:
            at = (at + np.uint64(1)) & last
        entries[at, 0] = keys[place]
        entries[at, 1] = np.uint64(counts[place]) << np.uint64(32) | np.uint64(place + 1)


@kernel
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


@inlined
def _count_bucket(keys, weights, least, slots, sums, kept, counts):
    """Fill the keys of a bucket whose weights add up to enough, ascending, and the sums; how many.

    ``slots`` and ``sums`` (open addressing, a power of two of them) are free, and are so again afterwards.
    """
    last = np.uint64(slots.size - 1)
    for row in range(keys.size):
        at = _slot_of(keys[row], slots.size)
        while sums[at] and slots[at] != keys[row]:
            at = (at + np.uint64(1)) & last
        slots[at] = keys[row]
        sums[at] += weights[row]
    found = 0
    for at in range(slots.size):
        if sums[at] >= least:
            kept[found], counts[found] = slots[at], sums[at]
            found += 1
        sums[at] = 0
    held, sums_of = np.empty(found, np.int64), np.empty(found, np.int32)
    for at in range(found):
        held[at], sums_of[at] = np.int64(kept[at] ^ SIGN), counts[at]
    order = order_of(held)
    for at in range(found):
        kept[at], counts[at] = np.uint64(held[order[at]]) ^ SIGN, sums_of[order[at]]
    return found


@kernel
def _count_buckets(keys, weights, limits, least, kept, counts):
    """Fill the frequent keys of all buckets, one bucket after the other; how many."""
    largest = 16
    for bucket in range(limits.size - 1):
        while largest < 2 * (limits[bucket + 1] - limits[bucket]):
            largest *= 2
    slots, sums = np.zeros(largest, np.uint64), np.zeros(largest, np.int32)
    found = 0
    for bucket in range(limits.size - 1):
        a, b = limits[bucket], limits[bucket + 1]
        size = 16
        while size < 2 * (b - a):
            size *= 2
        found += _count_bucket(keys[a:b], weights[a:b], least, slots[:size], sums[:size], kept[found:], counts[found:])
    return found


def count_weighted(keys: Keys, weights: Counts, limits: npt.NDArray[np.int64], *, least: int) -> tuple[Keys, Counts]:
    """The distinct keys whose weights add up to ``least`` or more, ascending in each bucket, and the sums.

    Parameters
    ----------
    keys, weights : one bucket after the other; a key stands in one bucket only, weights are at least 1.
    limits : where each bucket begins, the end of the last one included; none: no bucket.

    Examples
    --------
    >>> keys, weights = np.array([7, 1, 7, 9], dtype=np.uint64), np.array([1, 1, 2, 4], dtype=np.int32)
    >>> kept, sums = count_weighted(keys, weights, np.array([0, 3, 4]), least=3)
    >>> kept.tolist(), sums.tolist()
    ([7, 9], [3, 4])
    """
    if len(limits) < 2:
        return np.zeros(0, np.uint64), np.zeros(0, np.int32)
    room = int(limits[-1] - limits[0])
    kept, counts = np.empty(room, np.uint64), np.empty(room, np.int32)
    found = _count_buckets(keys, weights, limits, least, kept, counts)
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
    ascending, counted = np.ascontiguousarray(keys[order]), np.ascontiguousarray(counts[order])
    return Table(ascending, counted, _entered(ascending, counted, np.arange(len(order))))


def enter_some(table: Table, places: npt.NDArray[np.int64]) -> Keys:
    """Entries of the keys in some places of a table: of these they say what those of the table say, of others nothing.

    Examples
    --------
    >>> table = make_table(np.array([9, 4], dtype=np.uint64), np.array([1, 2], dtype=np.int32))
    >>> some = enter_some(table, np.array([1]))
    >>> int(place_of(find(some, np.uint64(9)))), int(place_of(find(some, np.uint64(4))))
    (1, -1)
    """
    return _entered(table.keys, table.counts, places)


def enter_all(keys: npt.NDArray[Any]) -> Keys:
    """Entries of distinct keys, for :func:`find_places`."""
    return _entered(keys.view(np.uint64), np.zeros(len(keys), np.int32), np.arange(len(keys)))


def find_places(entries: Keys, keys: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """The place of each key among those that were entered, -1 for one that was not.

    Examples
    --------
    >>> find_places(enter_all(np.array([9, 4])), np.array([4, 7, 9])).tolist()
    [1, -1, 0]
    """
    places = np.empty(len(keys), np.int32)
    _find_places(entries, np.ascontiguousarray(keys).view(np.uint64), places)
    return places


@kernel
def _find_places(entries, keys, places):
    for row in range(keys.size):
        places[row] = place_of(find(entries, keys[row]))


def _entered(keys: Keys, counts: Counts, places: npt.NDArray[np.int64]) -> Keys:
    entries = np.zeros((1 << max(4, int(2 * len(places)).bit_length()), 2), dtype=np.uint64)
    _fill(keys, counts, places, entries)
    return entries
