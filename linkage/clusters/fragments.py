"""Fragments of one campaign joined again, by what a random account of each shares with one of the other.

The projection is bounded, so a large campaign comes in fragments. Two fragments are one when a random
account of the one shares with a random account of the other about as much as fellows inside them share.
Counting on coverage (the share of a group that uses a value) needs no pairs of accounts.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from linkage.arrays import Codes, Flags, Numbers
from linkage.clusters.group_bits import GroupBits
from linkage.clusters.ties import Incidence
from linkage.coding import distinct, run_starts
from linkage.kernels import kernel
from linkage.settings import CommunitySettings

WORK_SHARE = 0.1
"""Share of it that two fragments must share: cells with own cards and addresses and one template family have 0.2."""

LIKE_SHARE = 0.8
"""Share of what fellows have in common in the other families that makes up for work, money and place."""

ALIKE_SHARE = 0.9
"""Two fragments that are so nearly alike between as inside are one, though they do not share ``merge_bits``: a wording
that thousands of accounts send is common, and a few bits are all that any of them share. With 0.85 a pool of bought
accounts came to a diluted campaign (2026-12-01)."""

ALIKE_BITS = 3.0
"""Bits that these must share all the same."""

MERGE_FAMILIES = 2
"""Families that must tie two fragments."""

MERGE_FAMILY_BITS = 1.0
"""Bits between two fragments from which a family ties them."""

MERGE_ROUNDS = 200
"""Rounds of joining; a campaign of 4,500 accounts in 1,600 fragments needs 30."""

CRUMB_SHARE = 0.01
"""A fragment of so many accounts for each of its best partner's is a crumb."""

CRUMBS_SHARE = 0.1
"""Beside its best fragment a group takes in crumbs of so many of its accounts in one round: what they are compared with
is hardly another group then. One at a time, a campaign of thousands was not whole after 40 rounds (2026-11-29)."""


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
    settings : ``merge_share`` of their mean inner cohesion, and ``merge_bits`` at least, or ``ALIKE_SHARE`` of it.
    """
    group = _renumber(group)
    groups = int(group.max(initial=-1)) + 1
    bits = GroupBits(group, incidence, habits=habits)
    known = _Scored(np.empty(0, dtype=np.int64), np.empty(0))
    changed = np.ones(groups, dtype=bool)
    pairs = _distinct_pairs(group[ends])
    for _ in range(MERGE_ROUNDS):
        score = known.of(pairs[:, 0] * groups + pairs[:, 1])
        anew = changed[pairs].any(axis=1)
        score[anew] = _score_pairs(bits, pairs[anew], settings)
        chosen = _choose_pairs(pairs[score >= 1], score[score >= 1], bits.accounts)
        if not len(chosen):
            break
        known = _Scored(pairs[:, 0] * groups + pairs[:, 1], score)
        changed = _changed(groups, chosen)
        target = np.arange(groups)
        target[chosen[:, 1]] = chosen[:, 0]
        target = target[target]  # whoever is taken in by a group that itself joins another one goes with it
        group = np.where(group >= 0, target[group], -1)
        bits.join(target)
        pairs = _distinct_pairs(target[pairs])
    return _renumber(group)


def _changed(groups: int, chosen: Codes) -> Flags:
    """Which groups are others than they were before these pairs were joined."""
    changed = np.zeros(groups, dtype=bool)
    changed[chosen] = True
    return changed


@dataclasses.dataclass(frozen=True)
class _Scored:
    """Scores of pairs of groups, to be asked again for groups that stayed as they were."""

    pairs: Codes
    """Codes of the pairs, ascending."""
    score: Numbers

    def of(self, pairs: Codes) -> Numbers:
        """Score per code, NaN where there is none."""
        place = np.minimum(np.searchsorted(self.pairs, pairs), max(len(self.pairs) - 1, 0))
        if not len(self.pairs):
            return np.full(len(pairs), np.nan)
        return np.where(self.pairs[place] == pairs, self.score[place], np.nan)


def _score_pairs(bits: GroupBits, pairs: Codes, settings: CommunitySettings) -> Numbers:
    """Per pair of groups, what they share against what joining needs; 1 or more joins.

    Groups that work, pay and connect apart stay apart: of what both share inside in the families of work,
    money and place, ``WORK_SHARE`` must be shared between them too, unless in all other families they are
    nearly as alike (``LIKE_SHARE``) as fellows are. One family alone joins nothing. Cards and sign-ups of their own do
    not keep groups apart, nor what conduct adds to them: a lot of them serves a few accounts, and a large operator has
    many. How much a single account has in common inside is not known: it needs ``merge_bits``.
    """
    between, work, size = bits.between(pairs), bits.is_work, bits.accounts.astype(np.float64)
    left, right = bits.inside[pairs[:, 0]], bits.inside[pairs[:, 1]]
    weight = size[pairs] / size[pairs].sum(axis=1, keepdims=True)
    mean = weight[:, :1] * left + weight[:, 1:] * right
    both = np.minimum(left, right)
    own_lots = np.maximum(both - between, 0.0)[:, bits.is_by_lot]
    shared = mean[:, :-1].sum(axis=1) - own_lots.sum(axis=1)
    inside = shared + np.minimum(mean[:, -1], shared)  # conduct is worth no more than all else
    alike = np.minimum(settings.merge_bits, np.maximum(ALIKE_BITS, ALIKE_SHARE * inside))
    least = np.where((size[pairs] > 1).all(axis=1), alike, settings.merge_bits)
    needed = np.maximum(least, settings.merge_share * inside)
    apart = between[:, work].sum(axis=1) < WORK_SHARE * both[:, work].sum(axis=1)
    apart &= between[:, ~work].sum(axis=1) < LIKE_SHARE * mean[:, ~work].sum(axis=1)
    alone = (between >= MERGE_FAMILY_BITS).sum(axis=1) < MERGE_FAMILIES
    return np.where(apart | alone, 0.0, between.sum(axis=1) / needed)


def _renumber(group: Codes) -> Codes:
    result = np.full(len(group), -1, dtype=np.int64)
    result[group >= 0] = np.unique(group[group >= 0], return_inverse=True)[1]
    return result


def _distinct_pairs(pairs: Codes) -> Codes:
    """Each pair of two groups once, the lower number first, ascending; pairs of one group or of none are left out."""
    low, high = np.minimum(*pairs.T), np.maximum(*pairs.T)
    groups = int(high.max(initial=-1)) + 1
    code = distinct((low * groups + high)[(low >= 0) & (low != high)])
    return np.column_stack([code // max(groups, 1), code % max(groups, 1)])


@kernel
def _best_pairs(pairs: Codes, score: Numbers, groups: int) -> Codes:
    """The row of the best pair of each group, -1 where it has none; ties go to the lower numbers, as pairs ascend."""
    best = np.full(groups, -1, dtype=np.int64)
    for row in range(len(pairs)):
        for group in pairs[row]:
            if best[group] < 0 or score[row] > score[best[group]]:
                best[group] = row
    return best


def _choose_pairs(pairs: Codes, score: Numbers, size: Codes) -> Codes:
    """Pairs that are each other's best, and crumbs beside them; the group that takes in first.

    Parameters
    ----------
    pairs, score : those with a score of 1 or more, ascending.
    size : accounts of each group.
    """
    best = _best_pairs(pairs, score, len(size))
    left, right = pairs.T
    mutual = pairs[best[left] == best[right]]
    return np.concatenate([mutual, _crumbs(pairs, score, best, mutual, size)])


def _crumbs(pairs: Codes, score: Numbers, best: Codes, chosen: Codes, size: Codes) -> Codes:
    """Crumbs that are taken in beside the chosen pairs, as pairs of the group that takes in and the one that goes.

    A crumb goes to its best partner where what goes to the partner in this round, the best first, has
    :data:`CRUMBS_SHARE` of its accounts at most. Of the pairs chosen nobody goes elsewhere, and who goes takes nobody
    in.

    Parameters
    ----------
    pairs, score, size : as for :func:`_choose_pairs`.
    best : of these, as from :func:`_best_pairs`.
    chosen : pairs that are each other's best.
    """
    both = np.concatenate([pairs, pairs[:, ::-1]])  # who takes in, who goes
    twice = np.tile(score, 2)
    able = np.flatnonzero(size[both[:, 1]] <= CRUMB_SHARE * size[both[:, 0]])
    able = able[twice[able] >= score[best[both[able, 1]]]]
    able = able[~np.isin(both[able, 1], chosen)]
    order = able[np.lexsort((both[able, 1], -twice[able], both[able, 0]))]
    taker, goes = both[order].T
    _, first = np.unique(goes, return_index=True)  # of equally good partners the lower number
    taker, goes = taker[np.sort(first)], goes[np.sort(first)]
    starts = run_starts(taker)
    upto = np.cumsum(size[goes])
    before = np.repeat(upto[starts] - size[goes[starts]], np.diff(np.append(starts, len(taker))))
    fits = (upto - before <= CRUMBS_SHARE * size[taker]) & ~np.isin(taker, goes)
    return np.column_stack([taker[fits], goes[fits]])
