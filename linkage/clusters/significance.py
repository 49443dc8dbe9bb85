"""How often chance alone would tie a group as firmly: permutation nulls and q-values.

Two nulls, and the larger chance counts. **The group moved**: every account keeps its values, and the group becomes as
many accounts from the same strata of volume and age. **The search repeated**: the whole search for communities is run
through evidence whose families agree only by chance (handed in), and a group must hang together more firmly, given
its size, than what such a search finds. Both leave out the family that ties a group most, because groups are found
through it; what is tested is whether the *other* families agree. Small q says "not coincidence", never "not
innocent": a class or an agency passes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import gammaincc

from linkage.arrays import Codes, Numbers
from linkage.clusters.ties import Incidence, best_ties, build_incidence
from linkage.coding import account_strata
from linkage.parallel import in_threads
from linkage.settings import VerdictSettings

LEAST_NULL_GROUPS = 10
"""Groups found by chance from which on their law can be told."""

ENOUGH_NULL_GROUPS = 500
"""Groups found by chance from which on another search would hardly move their law: mean and variance are known to
within a tenth."""

_TOGETHER = 1_000
"""Groups that are compared together with all that chance has found."""


def measure_significance(
    incidence: Incidence,
    group: Codes,
    *,
    groups: int,
    accounts: pd.DataFrame,
    settings: VerdictSettings,
    seed: int,
    null_cohesion: Numbers | None = None,
) -> Numbers:
    """A q-value per group: the expected share of coincidences among groups at least as firmly tied.

    Parameters
    ----------
    incidence, group, groups : as for ``group_ties``.
    accounts : frame of shape ``ACCOUNTS``; gives the strata.
    settings : ``permutations`` draws; the tail beyond them is a gamma fitted to their moments.
    seed : of the draws.
    null_cohesion : :func:`measure_cohesion` of what was found by searching through chance; None or fewer than
        ``LEAST_NULL_GROUPS``: only the first null counts.

    References
    ----------
    Winkler et al. 2016, "Faster permutation inference in brain imaging", doi:10.1016/j.neuroimage.2016.05.068
    (the gamma tail). Benjamini and Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x.
    """
    if not groups:
        return np.empty(0)
    real = _family_means(incidence, group, groups)
    strongest = real.argmax(axis=1)
    strata, draw = _split_strata(account_strata(accounts)), np.random.default_rng(seed)
    keys = (draw.random(len(accounts)) for _ in range(settings.permutations))
    found = in_threads(lambda drawn: _family_means(incidence, group[_permute_within(strata, drawn)], groups), keys)
    null = np.array([_without(means, strongest) for means in found])
    p_value = _tail(_without(real, strongest), null)
    if null_cohesion is not None and len(null_cohesion) >= LEAST_NULL_GROUPS:
        cohesion = measure_cohesion(incidence, group, groups=groups)
        parts = np.array_split(cohesion, groups // _TOGETHER + 1)
        searched = [_tail(part, np.repeat(null_cohesion[:, None], len(part), axis=1)) for part in parts]
        p_value = np.maximum(p_value, np.concatenate(searched))
    return adjust_p_values(p_value)


def measure_cohesion(incidence: Incidence, group: Codes, *, groups: int) -> Numbers:
    """How firmly each group hangs together: bits of all families but the strongest, times log2 of its accounts.

    Parameters
    ----------
    incidence, group, groups : as for ``group_ties``.
    """
    if not groups:
        return np.empty(0)
    means = _family_means(incidence, group, groups)
    size = np.bincount(group[group >= 0], minlength=groups)
    return np.asarray(_without(means, means.argmax(axis=1)) * np.log2(np.maximum(size, 1)), dtype=np.float64)


def find_null_cohesion(
    communities: pd.DataFrame, *, evidence: pd.DataFrame, values: pd.DataFrame, accounts: pd.DataFrame
) -> Numbers:
    """:func:`measure_cohesion` of the communities that a search found in evidence of chance.

    Parameters
    ----------
    communities : frame of shape ``COMMUNITIES``, found in ``evidence``.
    evidence, values, accounts : as for ``build_incidence``.
    """
    incidence = build_incidence(evidence, values, accounts)
    group = np.full(len(accounts), -1, dtype=np.int64)
    group[incidence.accounts.get_indexer(pd.Index(communities["account_id"]))] = communities["community"].to_numpy()
    return measure_cohesion(incidence, group, groups=int(group.max(initial=-1)) + 1)


def _family_means(incidence: Incidence, group: Codes, groups: int) -> Numbers:
    members = np.flatnonzero(group >= 0)
    ties = best_ties(incidence, group, groups=groups, accounts=members)
    total = np.zeros((groups, ties.shape[1]))
    np.add.at(total, group[members], ties)
    return total / np.maximum(np.bincount(group[members], minlength=groups), 1)[:, None]


def _without(means: Numbers, strongest: Codes) -> Numbers:
    return np.asarray(means.sum(axis=1) - means[np.arange(len(means)), strongest], dtype=np.float64)


def _split_strata(strata: Codes) -> list[Codes]:
    """The accounts of each stratum, ascending."""
    order = np.argsort(strata, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(strata[order])) + 1)


def _permute_within(strata: Sequence[Codes], drawn: Numbers) -> Codes:
    """A permutation of account codes that keeps each account inside its stratum, in the order of what was drawn."""
    result = np.empty(len(drawn), dtype=np.int64)
    for accounts in strata:
        result[accounts] = accounts[np.argsort(drawn[accounts])]
    return result


def _tail(real: Numbers, null: Numbers) -> Numbers:
    """Per group, the chance of a null as large: counted, or by the gamma's tail beyond what was drawn."""
    draws = len(null)
    counted = (1 + (null >= real).sum(axis=0)) / (1 + draws)
    mean, variance = null.mean(axis=0), null.var(axis=0)
    shape = mean**2 / np.maximum(variance, 1e-9)
    scale = np.maximum(variance, 1e-9) / np.maximum(mean, 1e-9)
    fitted = gammaincc(np.maximum(shape, 1e-3), np.maximum(real, 0.0) / scale)
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
