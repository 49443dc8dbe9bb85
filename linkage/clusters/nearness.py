"""How far from a point the nearest share of all accounts reaches, without measuring the distance of each.

Accounts are sorted into cells of the space of habits once. For a point, whole cells are surely nearer or surely
farther than the distance that is asked for; only accounts of the cells between are measured.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from linkage.coding import ranges

Numbers = npt.NDArray[np.float64]

CELLS = 24
"""Cells along each habit."""

_SLACK = 1e-9
"""Squared distances of cells and of accounts are rounded apart by far less than this."""


class Nearness:
    """The habits of accounts, ready for questions of how near their nearest share is.

    Parameters
    ----------
    habits : accounts x habits, none of them NaN, at least two accounts.
    """

    def __init__(self, habits: Numbers) -> None:
        low, high = habits.min(axis=0), habits.max(axis=0)
        step = np.maximum(high - low, 1e-12) / CELLS
        place = np.clip(((habits - low) / step).astype(np.int64), 0, CELLS - 1)
        shape = (CELLS,) * habits.shape[1]
        cell = np.ravel_multi_index(tuple(place.T), shape)
        order = np.argsort(cell, kind="stable")
        self._habits = habits[order]
        self._cells, starts, self._sizes = np.unique(cell[order], return_index=True, return_counts=True)
        self._starts = starts.astype(np.int64)
        # What the cells really hold, so that rounding at their borders cannot matter.
        self._low = np.minimum.reduceat(self._habits, self._starts, axis=0)
        self._high = np.maximum.reduceat(self._habits, self._starts, axis=0)

    def reach(self, center: Numbers, share: float) -> float:
        """The quantile ``share`` of the distances of all accounts to a point; exactly ``numpy.quantile`` of them.

        O(cells + accounts of the cells at that distance).
        """
        virtual = (len(self._habits) - 1) * share
        rank = int(virtual)
        least = (np.maximum(np.maximum(self._low - center, center - self._high), 0.0) ** 2).sum(axis=1)
        most = (np.maximum(np.abs(self._low - center), np.abs(self._high - center)) ** 2).sum(axis=1)
        # The two order statistics around the quantile lie between these.
        lower = _weighted(least, self._sizes, rank)
        upper = _weighted(most, self._sizes, min(rank + 1, len(self._habits) - 1))
        nearer = most < lower - _SLACK
        between = ~nearer & (least <= upper + _SLACK)
        squares = (self._habits[ranges(self._starts[between], self._sizes[between])] - center) ** 2
        gaps = np.sqrt(squares.sum(axis=1))
        first = rank - int(self._sizes[nearer].sum())
        last = min(first + 1, len(gaps) - 1)
        found = np.partition(gaps, [first, last])[[first, last]]
        return float(np.quantile(found, virtual - rank))


def _weighted(values: Numbers, sizes: npt.NDArray[np.int64], rank: int) -> float:
    """The value at a rank, from 0, when each value is there as often as its size says."""
    order = np.argsort(values)
    place = np.searchsorted(np.cumsum(sizes[order]), rank, side="right")
    return float(values[order[place]])
