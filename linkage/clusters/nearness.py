"""How far from a point the nearest share of all accounts reaches, without measuring the distance of each.

Accounts are sorted into cells of the space of habits once. For a point, whole cells are surely nearer or surely
farther than the distance that is asked for; only accounts of the cells between are measured.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from linkage.arrays import Numbers

CELLS = 24
"""Cells along each habit."""

_SLACK = 1e-9
"""Squared distances of cells and of accounts are rounded apart by far less than this."""


class Nearness:
    """The habits of accounts, ready for questions of how near their nearest share is.

    Parameters
    ----------
    habits : accounts x habits; accounts with a NaN are left out.
    """

    def __init__(self, habits: Numbers) -> None:
        self.habits = habits
        self.told = np.flatnonzero(np.isfinite(habits).all(axis=1))
        """The accounts that count."""
        self._reaches: dict[tuple[bytes, float], float] = {}
        if not len(self.told):
            return
        known = habits[self.told]
        low, high = known.min(axis=0), known.max(axis=0)
        step = np.maximum(high - low, 1e-12) / CELLS
        place = np.clip(((known - low) / step).astype(np.int64), 0, CELLS - 1)
        cell = np.ravel_multi_index(tuple(place.T), (CELLS,) * known.shape[1])
        order = np.argsort(cell, kind="stable")
        self._sorted = known[order]
        _, starts, self._sizes = np.unique(cell[order], return_index=True, return_counts=True)
        self._starts = starts.astype(np.int64)
        # What the cells really hold, so that rounding at their borders cannot matter.
        self._low = np.minimum.reduceat(self._sorted, self._starts, axis=0)
        self._high = np.maximum.reduceat(self._sorted, self._starts, axis=0)

    def reach(self, center: Numbers, share: float) -> float:
        """The quantile ``share`` of the distances of all accounts to a point; exactly ``numpy.quantile`` of them.

        There must be two accounts that count. O(cells + accounts of the cells at that distance), and nothing where the
        same was asked before.
        """
        asked = center.tobytes(), share
        if asked not in self._reaches:
            self._reaches[asked] = self._find_reach(center, share)
        return self._reaches[asked]

    def _find_reach(self, center: Numbers, share: float) -> float:
        virtual = (len(self._sorted) - 1) * share
        rank = int(virtual)
        least, most = _bound(self._low, self._high, center)
        # The two order statistics around the quantile lie between these.
        lower = _weighted(least, self._sizes, rank)
        upper = _weighted(most, self._sizes, min(rank + 1, len(self._sorted) - 1))
        nearer = most < lower - _SLACK
        between = np.flatnonzero(~nearer & (least <= upper + _SLACK))
        gaps = _measure(self._sorted, self._starts[between], self._sizes[between], center)
        first = rank - int(self._sizes[nearer].sum())
        last = min(first + 1, len(gaps) - 1)
        found = np.partition(gaps, [first, last])[[first, last]]
        return float(np.quantile(found, virtual - rank))


@numba.njit(cache=True, nogil=True)
def _bound(low: Numbers, high: Numbers, center: Numbers) -> tuple[Numbers, Numbers]:
    """The least and the most that the squared distance of an account of each cell may be."""
    least, most = np.zeros(len(low)), np.zeros(len(low))
    for cell in range(len(low)):
        for habit in range(len(center)):
            below, above = center[habit] - low[cell, habit], high[cell, habit] - center[habit]
            least[cell] += max(-below, -above, 0.0) ** 2
            most[cell] += max(abs(below), abs(above)) ** 2
    return least, most


@numba.njit(cache=True, nogil=True)
def _measure(habits: Numbers, starts: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64], center: Numbers) -> Numbers:
    """The distances of the accounts of some cells."""
    gaps, end = np.empty(sizes.sum()), 0
    for cell in range(len(starts)):
        for account in range(starts[cell], starts[cell] + sizes[cell]):
            square = 0.0
            for habit in range(len(center)):
                square += (habits[account, habit] - center[habit]) ** 2
            gaps[end] = np.sqrt(square)
            end += 1
    return gaps


def _weighted(values: Numbers, sizes: npt.NDArray[np.int64], rank: int) -> float:
    """The value at a rank, from 0, when each value is there as often as its size says."""
    order = np.argsort(values)
    place = np.searchsorted(np.cumsum(sizes[order]), rank, side="right")
    return float(values[order[place]])
