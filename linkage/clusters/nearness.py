"""How far from a point the nearest share of all accounts reaches, without measuring the distance of each.

Accounts are sorted into cells of the space of habits once. For a point, whole cells are surely nearer or surely
farther than the distance that is asked for; only accounts of the cells between are measured.
"""

from __future__ import annotations

import numpy as np

from linkage.arrays import Codes, Numbers
from linkage.kernels import inner_kernel, kernel
from linkage.sorting import put_in_order

CELLS = 24
"""Cells along each habit."""

_STEPS = 1_024
"""Steps of squared distances, for bounds that take no sorting."""

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
        cells = self._starts, self._sizes, self._low, self._high
        return float(_find_reach(self._sorted, *cells, center, int(virtual), virtual - int(virtual)))


@kernel
def _find_reach(
    habits: Numbers, starts: Codes, sizes: Codes, low: Numbers, high: Numbers, center: Numbers, rank: int, rest: float
) -> float:
    """The distance at a rank of all distances, from 0, and so far on the way to the next one.

    Parameters
    ----------
    habits : accounts x habits, cell by cell.
    starts, sizes, low, high : where the accounts of each cell begin, how many they are, and between what they lie.
    """
    least, most = _bound(low, high, center)
    # The two order statistics around the quantile lie between these.
    widest = _SLACK
    for square in most:
        widest = max(widest, square)
    scale = _STEPS / widest
    lower = _step_of(least, sizes, scale, rank) / scale
    upper = (_step_of(most, sizes, scale, min(rank + 1, len(habits) - 1)) + 1) / scale
    first, count = rank, 0
    for cell in range(len(sizes)):
        if most[cell] < lower - _SLACK:
            first -= sizes[cell]
        elif least[cell] <= upper + _SLACK:
            count += sizes[cell]
    gaps, end = np.empty(count), 0
    for cell in range(len(sizes)):
        if most[cell] >= lower - _SLACK and least[cell] <= upper + _SLACK:
            for account in range(starts[cell], starts[cell] + sizes[cell]):
                square = 0.0
                for habit in range(len(center)):
                    square += (habits[account, habit] - center[habit]) ** 2
                gaps[end] = np.sqrt(square)
                end += 1
    put_in_order(gaps, first)
    one = other = gaps[first]
    for at in range(first + 1, count):
        other = min(other, gaps[at]) if at > first + 1 else gaps[at]
    # As numpy.quantile has it, to the last bit.
    return float(one + (other - one) * rest if rest < 0.5 else other - (other - one) * (1 - rest))


@inner_kernel
def _bound(low: Numbers, high: Numbers, center: Numbers) -> tuple[Numbers, Numbers]:
    """The least and the most that the squared distance of an account of each cell may be."""
    least, most = np.zeros(len(low)), np.zeros(len(low))
    for cell in range(len(low)):
        for habit in range(len(center)):
            below, above = center[habit] - low[cell, habit], high[cell, habit] - center[habit]
            least[cell] += max(-below, -above, 0.0) ** 2
            most[cell] += max(abs(below), abs(above)) ** 2
    return least, most


@inner_kernel
def _step_of(values: Numbers, sizes: Codes, scale: float, rank: int) -> int:
    """The step that the value at a rank lies in, from 0, when each value is there as often as its size says."""
    counts = np.zeros(_STEPS + 1, dtype=np.int64)
    for cell in range(len(values)):
        counts[int(values[cell] * scale)] += sizes[cell]
    step = 0
    while counts[step] <= rank:
        rank -= counts[step]
        step += 1
    return step
