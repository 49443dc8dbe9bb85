"""Which ids were met so far, in memory: what an index of the store would say, without its pages."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from linkage.arrays import Ints
from linkage.kernels import kernel

Slots = npt.NDArray[np.int32]

_LEAST_ROOM: Final = 1 << 12
_FULLEST: Final = 0.6  # of the slots are taken before there are twice as many
_GROWTH_SHARE: Final = 4  # what is held grows by a fourth
_CHUNK_IDS: Final = 250_000  # numbered at a time, each of which may be new


@kernel
def _find(slots: Slots, held: Ints, ids: Ints, places: Ints) -> None:
    """Fill the place of each id among those held, -1 for one that is not."""
    last = slots.size - 1
    for row in range(ids.size):
        at = ids[row] & last
        while slots[at] and held[slots[at] - 1] != ids[row]:
            at = (at + 1) & last
        places[row] = slots[at] - 1


@kernel
def _put(slots: Slots, held: Ints, first: int, stop: int) -> None:
    """Enter the ids held from one place to another; none of them stands there yet."""
    last = slots.size - 1
    for place in range(first, stop):
        at = held[place] & last
        while slots[at]:
            at = (at + 1) & last
        slots[at] = place + 1


@kernel
def _enter(slots: Slots, held: Ints, size: int, ids: Ints, places: Slots) -> int:
    """Fill the place of each id, and hold those that are new behind the first ``size``: how many are held then."""
    last = slots.size - 1
    for row in range(ids.size):
        at = ids[row] & last
        while slots[at] and held[slots[at] - 1] != ids[row]:
            at = (at + 1) & last
        if not slots[at]:
            held[size] = ids[row]
            size += 1
            slots[at] = size
        places[row] = slots[at] - 1
    return size


class KnownIds:
    """Distinct ids (hashes, so that their last bits are spread evenly) in the order they were added.

    15 to 23 bytes an id, a third more for a moment when it grows; at most two billion.

    Examples
    --------
    >>> known = KnownIds()
    >>> known.add(np.array([70, 50]))
    >>> known.places(np.array([50, 60, 70])).tolist()
    [1, -1, 0]
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self._held = np.zeros(_LEAST_ROOM, np.int64)
        self._slots = np.zeros(2 * _LEAST_ROOM, np.int32)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def nbytes(self) -> int:
        """Bytes it takes."""
        return self._held.nbytes + self._slots.nbytes

    def places(self, ids: Ints) -> Ints:
        """How many ids were added before each of these was; -1 for one that never was."""
        found = np.empty(len(ids), np.int64)
        _find(self._slots, self._held, ids, found)
        return found

    def add(self, ids: Ints) -> None:
        """Add distinct ids, none of them added before."""
        first, self._size = self._size, self._size + len(ids)
        self._make_room(self._size, first)
        self._held[first : self._size] = ids
        _put(self._slots, self._held, first, self._size)

    def number(self, ids: Ints) -> Slots:
        """The places of ids, some of them the same; what was not added before is added, in the order it first appears.

        Examples
        --------
        >>> KnownIds().number(np.array([70, 50, 70])).tolist()
        [0, 1, 0]
        """
        places = np.empty(len(ids), np.int32)
        for start in range(0, len(ids), _CHUNK_IDS):
            part = slice(start, start + _CHUNK_IDS)
            self._make_room(self._size + len(ids[part]), self._size)
            self._size = _enter(self._slots, self._held, self._size, ids[part], places[part])
        return places

    def _make_room(self, size: int, held: int) -> None:
        """Room for so many ids, of which the first ones are held."""
        if size > len(self._held):
            self._held.resize(size + size // _GROWTH_SHARE, refcheck=False)
        if size > _FULLEST * len(self._slots):
            self._slots = np.zeros(1 << int(size / _FULLEST).bit_length(), np.int32)
            _put(self._slots, self._held, 0, held)
