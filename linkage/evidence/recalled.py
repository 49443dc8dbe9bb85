"""What shared values were worth in a run, told from what it kept: its table of weights."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from linkage.evidence.weights import MATE_SHARE, OTHER_SHARE, TYPICAL_SHARE, chance_of
from linkage.settings import EvidenceSettings
from linkage.terms import NUMBER, Shape, make_frame

RECALLED: Final[Shape] = {"prior_bits": NUMBER, "bits": NUMBER}
"""One row per value: its shipped weight, by which a rebuild ranks the values that a pair shares, and what it was
worth."""

_FLAT_BITS: Final = 0.05
"""A class whose mean is as near as this to the least of the rarer class was held down to it, all of it."""


class _Class(NamedTuple):
    """Values of a kind that about as many accounts have."""

    most: int
    shift: float
    """By how many bits the run corrected their shipped weight."""
    cap: float
    """What no value of theirs is worth more than."""
    is_flat: bool
    """All of them are worth as much as ``cap``."""

    def bits(self, prior_bits: float) -> float:
        """What a value of this shipped weight was worth."""
        return self.cap if self.is_flat else min(prior_bits + self.shift, self.cap)


def recall_bits(
    values: pd.DataFrame, weights: pd.DataFrame, *, accounts: int, settings: EvidenceSettings
) -> pd.DataFrame:
    """What each value was worth to a pair that shared it.

    The table has the mean of each popularity class; within one, the shipped weight tells how much more a rarer value is
    worth, and no value is worth more than a rarer one of its kind.

    Parameters
    ----------
    values : ``family``, ``kind`` and ``accounts`` of each.
    weights : shape ``WEIGHTS``; a kind that it does not have is worth what was shipped.
    accounts : how many the run had.
    settings : ``prior_accounts`` and ``max_bits`` of the run.

    Returns
    -------
    DataFrame of shape ``RECALLED``, in the order of the values; ``bits`` from 0 to ``max_bits``. O(values * weights).
    """
    classes = {
        kind: _classes(str(kind), rows.sort_values("least_accounts"), accounts=accounts, settings=settings)
        for kind, rows in weights[weights["family"] != "conduct"].groupby("kind")
    }
    keys = list(zip(values["kind"], values["accounts"], strict=True))
    prior = [_shipped(kind, count, accounts=accounts, settings=settings) for kind, count in keys]
    bits = [
        _class_of(classes[kind], count).bits(p) if kind in classes else p
        for (kind, count), p in zip(keys, prior, strict=True)
    ]
    return make_frame(RECALLED, {"prior_bits": prior, "bits": np.clip(bits, 0.0, settings.max_bits)})


def _shipped(kind: str, count: int, *, accounts: int, settings: EvidenceSettings) -> float:
    """The shipped weight of a value that so many accounts have."""
    share, typical = MATE_SHARE.get(kind, OTHER_SHARE[0]), TYPICAL_SHARE.get(kind, OTHER_SHARE[1])
    return math.log2(share / float(chance_of(count, typical, accounts=accounts, settings=settings)))


def _classes(kind: str, rows: pd.DataFrame, *, accounts: int, settings: EvidenceSettings) -> list[_Class]:
    """The classes of a kind, the rarest first."""
    found: list[_Class] = []
    cap = settings.max_bits
    columns = ("most_accounts", "prior_bits", "bits")
    for most, prior, mean in zip(*(rows[name].tolist() for name in columns), strict=True):
        is_flat = abs(mean - cap) <= _FLAT_BITS
        found.append(_Class(most, mean - prior, min(mean, cap) if is_flat else cap, is_flat))
        cap = found[-1].bits(_shipped(kind, most, accounts=accounts, settings=settings))
    return found


def _class_of(classes: list[_Class], count: int) -> _Class:
    """The class of a value that so many accounts have; the most popular one, where none reaches so far."""
    return next((each for each in classes if count <= each.most), classes[-1])
