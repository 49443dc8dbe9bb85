"""How often chance alone would tie a group as firmly: permutation nulls and q-values.

The null keeps every account with all its values and moves the group: as many accounts, drawn from the same
strata of volume and age. The family that ties the real group most is left out, because the group was found
through it; what is tested is whether the *other* families agree. Small q says "not coincidence", never "not
innocent": a class or an agency passes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import gamma

from linkage.clusters.ties import Codes, Incidence, group_ties, tie_matrix
from linkage.settings import VerdictSettings

Numbers = npt.NDArray[np.float64]

VOLUME_STRATA = 4
"""Quarters of the accounts by requests."""

AGE_STRATA = 3
"""Thirds of the accounts by first use."""


def measure_significance(
    incidence: Incidence,
    group: Codes,
    *,
    groups: int,
    accounts: pd.DataFrame,
    settings: VerdictSettings,
    seed: int,
) -> Numbers:
    """A q-value per group: the expected share of coincidences among groups at least as firmly tied.

    Parameters
    ----------
    incidence, group, groups : as for ``group_ties``.
    accounts : frame of shape ``ACCOUNTS``; gives the strata.
    settings : ``permutations`` draws; the tail beyond them is a gamma fitted to their moments.
    seed : of the draws.

    References
    ----------
    Winkler et al. 2016, "Faster permutation inference in brain imaging", doi:10.1016/j.neuroimage.2016.05.068
    (the gamma tail). Benjamini and Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x.
    """
    if not groups:
        return np.empty(0)
    real = _family_means(incidence, group, groups)
    strongest = real.argmax(axis=1)
    strata = _strata(accounts)
    draw = np.random.default_rng(seed)
    null = np.empty((settings.permutations, groups))
    for number in range(settings.permutations):
        moved = group[_permute_within(strata, draw)]
        null[number] = _without(_family_means(incidence, moved, groups), strongest)
    return adjust_p_values(_tail(_without(real, strongest), null))


def _family_means(incidence: Incidence, group: Codes, groups: int) -> Numbers:
    matrix = tie_matrix(group_ties(incidence, group, groups=groups), incidence)
    members = np.flatnonzero(group >= 0)
    total = np.zeros((groups, matrix.shape[1]))
    np.add.at(total, group[members], matrix[members])
    return total / np.maximum(np.bincount(group[members], minlength=groups), 1)[:, None]


def _without(means: Numbers, strongest: Codes) -> Numbers:
    return np.asarray(means.sum(axis=1) - means[np.arange(len(means)), strongest], dtype=np.float64)


def _strata(accounts: pd.DataFrame) -> Codes:
    volume = accounts["request_count"].rank(method="first", pct=True).to_numpy(dtype=np.float64)
    age = accounts["first_at"].rank(method="first", pct=True).to_numpy(dtype=np.float64)
    coarse = np.ceil(volume * VOLUME_STRATA) * (AGE_STRATA + 1) + np.ceil(age * AGE_STRATA)
    return np.asarray(np.nan_to_num(coarse), dtype=np.int64)


def _permute_within(strata: Codes, draw: np.random.Generator) -> Codes:
    """A permutation of account codes that keeps each account inside its stratum."""
    order = np.argsort(strata, kind="stable")
    shuffled = np.lexsort((draw.random(len(strata)), strata))
    result = np.empty(len(strata), dtype=np.int64)
    result[order] = shuffled
    return result


def _tail(real: Numbers, null: Numbers) -> Numbers:
    """Per group, the chance of a null as large: counted, or by the gamma's tail beyond what was drawn."""
    draws = len(null)
    counted = (1 + (null >= real).sum(axis=0)) / (1 + draws)
    mean, variance = null.mean(axis=0), null.var(axis=0)
    shape = mean**2 / np.maximum(variance, 1e-9)
    fitted = gamma.sf(real, np.maximum(shape, 1e-3), scale=np.maximum(variance, 1e-9) / np.maximum(mean, 1e-9))
    usable = (mean > 1e-6) & ((null >= real).sum(axis=0) == 0)
    return np.asarray(np.where(usable, np.minimum(fitted, counted), counted), dtype=np.float64)


def adjust_p_values(p_values: Numbers) -> Numbers:
    """Benjamini-Hochberg q-values, in the order given.

    Examples
    --------
    >>> adjust_p_values(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    order = np.argsort(p_values, kind="stable")
    scaled = p_values[order] * len(p_values) / np.arange(1, len(p_values) + 1)
    result = np.empty(len(p_values))
    result[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return result
