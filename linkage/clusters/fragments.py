"""Fragments of one campaign joined again, by what a random account of each shares with one of the other.

The projection is bounded, so a large campaign comes in fragments. Two fragments are one when a random
account of the one shares with a random account of the other about as much as fellows inside them share.
Counting on coverage (the share of a group that uses a value) needs no pairs of accounts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from linkage.clusters.ties import Codes, Incidence
from linkage.settings import CommunitySettings

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

WORK_FAMILIES = ("content", "network", "payment")
"""What an operator's fragments can hardly avoid to have in common."""

WORK_SHARE = 0.1
"""Share of it that two fragments must share: cells with own cards and addresses and one template family have 0.2."""

LIKE_SHARE = 0.8
"""Share of what fellows have in common in the other families that makes up for work, money and place."""

MERGE_FAMILIES = 2
"""Families that must tie two fragments."""

MERGE_FAMILY_BITS = 1.0
"""Bits between two fragments from which a family ties them."""

MERGE_ROUNDS = 40
"""Rounds of pairwise joining; each can double a community, so 40 are never reached."""

CONDUCT_DISCOUNT_BITS = 1.0
"""Accounts of one hand are this much less than surely alike."""

CONDUCT_MOST_BITS = 5.0
"""Many people work alike: habits are worth no more than this."""

SAMPLED_PAIRS = 50_000
"""Random pairs of accounts that say how alike strangers are."""


def join_fragments(
    group: Codes,
    incidence: Incidence,
    *,
    ends: Codes,
    habits: Numbers,
    settings: CommunitySettings,
) -> Codes:
    """Group numbers after joining the groups that share about as much as each shares inside.

    Parameters
    ----------
    group : group number of each account code, -1 for none.
    incidence : uses as codes.
    ends : account codes of each link, links x 2; only linked groups can be joined.
    habits : as from ``rank_habits``; NaN where unknown.
    settings : ``merge_share`` of their mean inner cohesion, and ``merge_bits`` at least.
    """
    group = _renumber(group)
    yardstick = sample_gaps(habits)
    for _ in range(MERGE_ROUNDS):
        pairs = _linked_groups(group, ends)
        size = np.bincount(group[group >= 0]).astype(np.float64)
        score = _merge_scores(
            *share_bits(group, pairs, incidence=incidence, habits=habits, yardstick=yardstick), size, pairs, settings
        )
        chosen = _mutual_best(pairs, score, len(size))
        if not len(chosen):
            break
        target = np.arange(len(size))
        target[chosen[:, 1]] = chosen[:, 0]
        group = _renumber(np.where(group >= 0, target[group], -1))
    return group


def _merge_scores(
    inside: Numbers, between: Numbers, work: Flags, size: Numbers, pairs: Codes, settings: CommunitySettings
) -> Numbers:
    """Per pair of groups, what they share against what joining needs; 1 or more joins.

    Groups that work, pay and connect apart stay apart: of what both share inside in the families of work,
    money and place, ``WORK_SHARE`` must be shared between them too, unless in all other families they are
    nearly as alike (``LIKE_SHARE``) as fellows are. One family alone joins nothing.
    """
    left, right = inside[pairs[:, 0]], inside[pairs[:, 1]]
    weight = size[pairs] / size[pairs].sum(axis=1, keepdims=True)
    mean = weight[:, :1] * left + weight[:, 1:] * right
    needed = np.maximum(settings.merge_bits, settings.merge_share * mean.sum(axis=1))
    possible = np.minimum(left, right)[:, work].sum(axis=1)
    apart = between[:, work].sum(axis=1) < WORK_SHARE * possible
    apart &= between[:, ~work].sum(axis=1) < LIKE_SHARE * mean[:, ~work].sum(axis=1)
    alone = (between >= MERGE_FAMILY_BITS).sum(axis=1) < MERGE_FAMILIES
    return np.where(apart | alone, 0.0, between.sum(axis=1) / needed)


def share_bits(
    group: Codes, pairs: Codes, *, incidence: Incidence, habits: Numbers, yardstick: Numbers
) -> tuple[Numbers, Numbers, Flags]:
    """Expected bits that two random accounts share, inside each group and between the groups of each pair.

    Parameters
    ----------
    group : group number of each account code, -1 for none.
    pairs : numbers of two groups per row.
    incidence : uses as codes.
    habits : as from ``rank_habits``.
    yardstick : from :func:`sample_gaps` of the same habits.

    Returns
    -------
    Groups x families and pairs x families, conduct in the last column, and per column whether it is work.
    """
    cover, size = _coverage(group, incidence)
    inside, between = _cohesion(cover, size, incidence), _between(cover, pairs, incidence)
    center, radius = _habit_centers(group, habits, len(size))
    own = np.sqrt(2.0) * radius
    gap = ((center[pairs[:, 0]] - center[pairs[:, 1]]) ** 2).sum(axis=1)
    apart = np.sqrt(gap + radius[pairs[:, 0]] ** 2 + radius[pairs[:, 1]] ** 2)
    inside = np.column_stack([inside, _conduct_bits(own, yardstick, most=inside.sum(axis=1))])
    between = np.column_stack([between, _conduct_bits(apart, yardstick, most=between.sum(axis=1))])
    return inside, between, np.append(np.isin(incidence.families, WORK_FAMILIES), False)


def sample_gaps(habits: Numbers) -> Numbers:
    """Sorted distances between the habits of random accounts; empty when fewer than ten accounts tell.

    Random: from a seed of its own, the same every time.
    """
    known = habits[np.isfinite(habits).all(axis=1)]
    if len(known) < 10:
        return np.empty(0)
    draw = np.random.default_rng(0)
    a, b = draw.integers(0, len(known), (2, SAMPLED_PAIRS))
    return np.sort(np.sqrt(((known[a] - known[b]) ** 2).sum(axis=1))[a != b])


def _habit_centers(group: Codes, habits: Numbers, groups: int) -> tuple[Numbers, Numbers]:
    """Mean habits of each group, and the root mean square distance of its accounts to them; NaN if untold."""
    told = np.flatnonzero(np.isfinite(habits).all(axis=1) & (group >= 0))
    mine = group[told]
    count = np.bincount(mine, minlength=groups).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        sums = [np.bincount(mine, weights=habits[told, column], minlength=groups) for column in range(habits.shape[1])]
        center = np.column_stack(sums) / count[:, None]
        square = ((habits[told] - center[mine]) ** 2).sum(axis=1)
        radius = np.sqrt(np.bincount(mine, weights=square, minlength=groups) / count)
    return center, radius


def _conduct_bits(gap: Numbers, yardstick: Numbers, *, most: Numbers) -> Numbers:
    """What habits a gap apart are worth: log2 of how few random accounts are closer; at most ``most``."""
    if not len(yardstick):
        return np.zeros(len(gap))
    closer = (np.searchsorted(yardstick, np.nan_to_num(gap, nan=np.inf)) + 1) / (len(yardstick) + 1)
    return np.clip(-np.log2(closer) - CONDUCT_DISCOUNT_BITS, 0.0, np.minimum(most, CONDUCT_MOST_BITS))


def _renumber(group: Codes) -> Codes:
    result = np.full(len(group), -1, dtype=np.int64)
    result[group >= 0] = np.unique(group[group >= 0], return_inverse=True)[1]
    return result


def _coverage(group: Codes, incidence: Incidence) -> tuple[csr_array, Numbers]:
    """Share of each group's accounts that use each value (groups x values), and group sizes."""
    size = np.bincount(group[group >= 0]).astype(np.float64)
    mine = group[incidence.account]
    inside = mine >= 0
    shape = (len(size), len(incidence.bits))
    count = csr_array((np.ones(int(inside.sum())), (mine[inside], incidence.value[inside])), shape=shape)
    return count.multiply(1 / np.maximum(size, 1)[:, None]).tocsr(), size


def _cohesion(cover: csr_array, size: Numbers, incidence: Incidence) -> Numbers:
    """Expected bits two random accounts of each group share, groups x families; 0 for a group of one."""
    fellows = np.maximum(size - 1, 1)
    pairs = cover.multiply(cover).multiply((size / fellows)[:, None]) - cover.multiply((1 / fellows)[:, None])
    breadth = _breadth(cover, incidence)
    return np.where(size[:, None] > 1, _expected_best(pairs.tocsr(), incidence, breadth), 0.0)


def _between(cover: csr_array, pairs: Codes, incidence: Incidence) -> Numbers:
    """Expected bits a random account of the one group and one of the other share, pairs x families."""
    if not len(pairs):
        return np.zeros((0, len(incidence.families)))
    breadth = _breadth(cover, incidence)[pairs].mean(axis=1)
    chance = cover[pairs[:, 0]].multiply(cover[pairs[:, 1]]).tocsr()
    return _expected_best(chance, incidence, breadth)


def _breadth(cover: csr_array, incidence: Incidence) -> Numbers:
    """Bits by which each group's accounts use more values of a family than a typical account does.

    Accounts of a hundred addresses share some with many others by chance alone.
    """
    families = len(incidence.families)
    of_family = np.eye(families)[incidence.family]
    uses = np.zeros((len(incidence.accounts), families))
    np.add.at(uses, (incidence.account, incidence.family[incidence.value]), 1.0)
    typical = np.array([np.median(column[column > 0]) if (column > 0).any() else 1.0 for column in uses.T])
    mean = np.asarray(cover @ of_family, dtype=np.float64)
    return np.asarray(np.maximum(np.log2(np.maximum(mean, 1e-9) / typical), 0.0), dtype=np.float64)


def _expected_best(chance: csr_array, incidence: Incidence, breadth: Numbers) -> Numbers:
    """Expected bits of the best shared value per family, when column v is shared with its chance.

    Values are taken as independent: the best one counts when it is shared, the next when the best is not,
    and so on. ``breadth`` bits are taken off each value.
    """
    families = len(incidence.families)
    order = np.lexsort((-incidence.bits, incidence.family))
    ranked = chance[:, order].tocsr()
    ranked.sort_indices()
    row = np.repeat(np.arange(ranked.shape[0]), np.diff(ranked.indptr))
    column = order[ranked.indices]
    segment = row * families + incidence.family[column]
    share = np.clip(ranked.data, 0.0, 1.0 - 1e-9)
    missed = np.log1p(-share)
    before = np.cumsum(missed) - missed
    starts = np.flatnonzero(np.diff(segment, prepend=-1) != 0)
    lengths = np.diff(np.append(starts, len(segment)))
    before -= np.repeat(before[starts], lengths)
    worth = np.maximum(incidence.bits[column] - breadth.ravel()[segment], 0.0)
    total = np.bincount(segment, weights=share * worth * np.exp(before), minlength=ranked.shape[0] * families)
    return np.asarray(total, dtype=np.float64).reshape(ranked.shape[0], families)


def _linked_groups(group: Codes, ends: Codes) -> Codes:
    pairs = group[ends]
    pairs = pairs[(pairs[:, 0] != pairs[:, 1]) & (pairs >= 0).all(axis=1)]
    return np.asarray(np.unique(np.sort(pairs, axis=1), axis=0), dtype=np.int64)


def _mutual_best(pairs: Codes, score: Numbers, groups: int) -> Codes:
    """Pairs with a score of 1 or more that are each other's best; ties go to the lower numbers."""
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -score))
    pairs, score = pairs[order], score[order]
    pairs = pairs[score >= 1]
    best = np.full(groups, -1, dtype=np.int64)
    for side in (0, 1):
        numbers, first = np.unique(pairs[:, side], return_index=True)
        known = best[numbers]
        best[numbers] = np.where(known < 0, first, np.minimum(known, first))
    row = np.arange(len(pairs))
    mutual = (best[pairs[:, 0]] == row) & (best[pairs[:, 1]] == row)
    return np.asarray(pairs[mutual], dtype=np.int64)
