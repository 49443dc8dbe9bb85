"""Hours of the day as points on a clock: how evenly work lies on it, and how far accounts keep to their own hours."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from linkage.arrays import Numbers

Counts = npt.NDArray[Any]
"""Whole or weighted numbers."""

HOURS_OF_DAY: Final = 24

FEWEST_HOURS: Final = 4
"""Busy hours from which on an account's hours of the day tell anything."""


def hour_entropy(counts: Counts) -> Numbers:
    """Entropy over the hours of the day of each row of counts, 1 when they are equal; 0 for a row without any.

    Parameters
    ----------
    counts : rows x hours of the day.
    """
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return np.asarray(-(share * np.log(np.maximum(share, 1e-12))).sum(axis=1) / np.log(HOURS_OF_DAY), np.float64)


def squared_length(busy: Counts, east: Counts, north: Counts) -> Numbers:
    """Squared resultant length of each account's busy hours on the clock, less what so many give by chance.

    Accounts of few hours count right on average; NaN below :data:`FEWEST_HOURS`.

    Parameters
    ----------
    busy, east, north : busy hours of each account, and the sums of their cosines and sines.

    References
    ----------
    Mardia and Jupp 2000, "Directional Statistics", sections 2.3 and 6.3 (resultant length, Rayleigh test).
    """
    told = np.flatnonzero(busy >= FEWEST_HOURS)
    length = np.full(len(busy), np.nan)
    length[told] = (east[told] ** 2 + north[told] ** 2 - busy[told]) / (busy[told] * (busy[told] - 1))
    return length
