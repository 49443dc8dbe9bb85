"""Fragments of one campaign joined again, by what a random account of each shares with one of the other.

The projection is bounded, so a large campaign comes in fragments. Two fragments are one when a random
account of the one shares with a random account of the other about as much as fellows inside them share.
Counting on coverage (the share of a group that uses a value) needs no pairs of accounts.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from linkage.clusters.ties import Codes, Incidence, Small
from linkage.coding import ranges, run_starts
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

MERGE_ROUNDS = 200
"""Rounds of joining; a campaign of 4,500 accounts in 1,600 fragments needs 30."""

CRUMB_SHARE = 0.01
"""A fragment of so many accounts for each of its best partner's is a crumb."""

CRUMBS_SHARE = 0.1
"""Beside its best fragment a group takes in crumbs of so many of its accounts in one round: what they are compared with
is hardly another group then. One at a time, a campaign of thousands was not whole after 40 rounds (2026-11-29)."""

CONDUCT_DISCOUNT_BITS = 1.0
"""Accounts of one hand are this much less than surely alike."""

CONDUCT_MOST_BITS = 5.0
"""Many people work alike: habits are worth no more than this."""

SAMPLED_PAIRS = 50_000
"""Random pairs of accounts that say how alike strangers are."""

MOST_SHARED: Final = 1.0 - 1e-9
"""Nothing is shared for certain."""


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
    groups = int(group.max(initial=-1)) + 1
    yardstick = sample_gaps(habits)
    counts = Counts(group, incidence)
    known = _Scored(np.empty(0, dtype=np.int64), np.empty(0))
    changed = np.ones(groups, dtype=bool)
    pairs = _distinct_pairs(group[ends])
    for _ in range(MERGE_ROUNDS):
        score = known.of(pairs[:, 0] * groups + pairs[:, 1])
        anew = changed[pairs].any(axis=1)
        score[anew] = _score_pairs(
            group,
            pairs[anew],
            counts=counts,
            incidence=incidence,
            habits=habits,
            yardstick=yardstick,
            settings=settings,
        )
        chosen = _mutual_best(pairs, score, groups)
        if not len(chosen):
            break
        chosen = np.concatenate([chosen, _crumbs(pairs, score, chosen, counts.accounts)])
        known = _Scored(pairs[:, 0] * groups + pairs[:, 1], score)
        changed = _changed(groups, chosen)
        target = np.arange(groups)
        target[chosen[:, 1]] = chosen[:, 0]
        target = target[target]  # whoever is taken in by a group that itself joins another one goes with it
        group = np.where(group >= 0, target[group], -1)
        counts.join(target)
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


def _score_pairs(
    group: Codes,
    pairs: Codes,
    *,
    counts: Counts,
    incidence: Incidence,
    habits: Numbers,
    yardstick: Numbers,
    settings: CommunitySettings,
) -> Numbers:
    """Score of each pair of groups; only the groups of the pairs are looked at."""
    asked = np.unique(pairs)
    place = np.full(len(counts.accounts) + 1, -1, dtype=np.int64)
    place[asked] = np.arange(len(asked))
    cover, ours = counts.cover(asked), place[pairs]
    shared = share_bits(cover, place[group], ours, incidence=incidence, habits=habits, yardstick=yardstick)
    return _merge_scores(*shared, cover.accounts.astype(np.float64), ours, settings)


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
    cover: Coverage, group: Codes, pairs: Codes, *, incidence: Incidence, habits: Numbers, yardstick: Numbers
) -> tuple[Numbers, Numbers, Flags]:
    """Expected bits that two random accounts share, inside each group and between the groups of each pair.

    Parameters
    ----------
    cover : of the groups, by number.
    group : group number of each account code, -1 for none.
    pairs : numbers of two groups per row.
    incidence : uses as codes.
    habits : as from ``rank_habits``.
    yardstick : from :func:`sample_gaps` of the same habits.

    Returns
    -------
    Groups x families and pairs x families, conduct in the last column, and per column whether it is work.
    """
    breadth = _breadth(cover, incidence)
    inside, between = _cohesion(cover, breadth, incidence), _between(cover, pairs, breadth, incidence)
    center, radius = _habit_centers(group, habits, len(cover.accounts))
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


@dataclasses.dataclass(frozen=True)
class Coverage:
    """Share of each group's accounts that use each value, row by row: groups x values, values by rank."""

    start: Codes
    """Where each group's values begin, and the end."""
    rank: Small
    """Rank of each value (:attr:`Incidence.ranked`), ascending within a group."""
    share: Numbers
    accounts: Codes
    """How many each group has."""

    @property
    def group(self) -> Codes:
        """Group of each share."""
        return np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))


class Counts:
    """How many accounts of each group use each value, kept up to date while groups are joined.

    A group of thousands that takes in a few crumbs in each of many rounds is not counted anew from its accounts.

    Parameters
    ----------
    group : group number of each account code, -1 for none.
    incidence : uses as codes.

    Attributes
    ----------
    accounts : how many each group has, by number; 0 for one that went to another.
    """

    def __init__(self, group: Codes, incidence: Incidence) -> None:
        self.accounts: Codes = np.bincount(group[group >= 0])
        self._values = max(len(incidence.bits), 1)
        rows = incidence.uses_of(np.flatnonzero(group >= 0))
        code: Codes = np.sort(group[incidence.account[rows]] * self._values + incidence.ranks[incidence.value[rows]])
        first = run_starts(code)
        # Rows of a group stand together; those of a joined one are put at the end, and the old ones are left.
        self._rank = (code[first] % self._values).astype(np.int32)
        self._users = np.diff(np.append(first, len(code))).astype(np.int32)
        self._size: Codes = np.bincount(code[first] // self._values, minlength=len(self.accounts))
        self._start: Codes = np.cumsum(self._size) - self._size
        self._end = len(first)

    def join(self, target: Codes) -> None:
        """Join each group to its target; most are their own."""
        goes = np.flatnonzero((target != np.arange(len(target))) & (self.accounts > 0))
        taker = np.unique(target[goes])
        sources = np.concatenate([taker, goes])
        rows = ranges(self._start[sources], self._size[sources])
        owner: Codes = np.repeat(target[sources], self._size[sources])
        code = owner * self._values + self._rank[rows]
        order = np.argsort(code, kind="stable")
        first = run_starts(code[order])
        code = code[order[first]]
        users = np.add.reduceat(self._users[rows[order]], first) if len(first) else self._users[:0]
        np.add.at(self.accounts, target[goes], self.accounts[goes])
        self.accounts[goes] = self._size[goes] = 0
        self._size[taker] = np.bincount(code // self._values, minlength=len(target))[taker]
        self._start[taker] = self._end + np.cumsum(self._size[taker]) - self._size[taker]
        self._append((code % self._values).astype(np.int32), users)

    def _append(self, rank: Small, users: Small) -> None:
        end = self._end + len(rank)
        if end > len(self._rank):
            room = np.zeros(max(end - len(self._rank), len(self._rank) // 2), dtype=np.int32)
            self._rank, self._users = np.concatenate([self._rank, room]), np.concatenate([self._users, room])
        self._rank[self._end : end], self._users[self._end : end], self._end = rank, users, end

    def cover(self, asked: Codes) -> Coverage:
        """What the accounts of some groups use, numbered in the order asked for."""
        size, accounts = self._size[asked], self.accounts[asked]
        rows = ranges(self._start[asked], size)
        share = self._users[rows].astype(np.float64) * np.repeat(1 / np.maximum(accounts, 1), size)
        return Coverage(np.concatenate([[0], np.cumsum(size)]), self._rank[rows], share, accounts)


def _cohesion(cover: Coverage, breadth: Numbers, incidence: Incidence) -> Numbers:
    """Expected bits two random accounts of each group share, groups x families; 0 for a group of one."""
    size = cover.accounts.astype(np.float64)
    fellows = np.maximum(size - 1, 1)
    group = cover.group
    chance = cover.share * cover.share * (size / fellows)[group] - cover.share * (1 / fellows)[group]
    best = _best_inside(cover.start, cover.rank, chance, *incidence.ranked, breadth)
    return np.where(size[:, None] > 1, np.asarray(best, dtype=np.float64), 0.0)


def _between(cover: Coverage, pairs: Codes, breadth: Numbers, incidence: Incidence) -> Numbers:
    """Expected bits a random account of the one group and one of the other share, pairs x families."""
    apart = breadth[pairs].mean(axis=1)
    best = _best_between(cover.start, cover.rank, cover.share, pairs, *incidence.ranked, apart)
    return np.asarray(best, dtype=np.float64)


def _breadth(cover: Coverage, incidence: Incidence) -> Numbers:
    """Bits by which each group's accounts use more values of a family than a typical account does.

    Accounts of a hundred addresses share some with many others by chance alone.
    """
    families, groups = len(incidence.families), len(cover.start) - 1
    cell = cover.group * families + incidence.ranked[0][cover.rank]
    mean = np.bincount(cell, weights=cover.share, minlength=groups * families).reshape(groups, families)
    return np.asarray(np.maximum(np.log2(np.maximum(mean, 1e-9) / incidence.typical_uses), 0.0), dtype=np.float64)


def _best_inside_plain(
    start: Codes, rank: Small, chance: Numbers, family: Codes, bits: Numbers, breadth: Numbers
) -> Any:
    """Expected bits of the best shared value per row and family, when each value is shared with its chance.

    Values are taken as independent: the best one counts when it is shared, the next when the best is not, and so on.
    ``breadth`` bits are taken off each value.
    """
    result = np.zeros(breadth.shape)
    for row in range(len(start) - 1):
        now, missed = -1, 1.0
        for place in range(start[row], start[row + 1]):
            value = rank[place]
            if family[value] != now:
                now, missed = family[value], 1.0
            share = min(max(chance[place], 0.0), MOST_SHARED)
            result[row, now] += share * max(bits[value] - breadth[row, now], 0.0) * missed
            missed *= 1.0 - share
    return result


def _seek_plain(rank: Small, place: int, end: int, wanted: int) -> int:
    """The first place from here on, before the end, whose rank is not below the wanted one.

    Steps double, so that a group of a few values is compared with one of thousands in little time.
    """
    step = 1
    while place + step < end and rank[place + step] < wanted:
        place += step
        step *= 2
    low, high = place, min(place + step, end)
    while low < high:
        middle = (low + high) // 2
        if rank[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


def _best_between_plain(
    start: Codes, rank: Small, share: Numbers, pairs: Codes, family: Codes, bits: Numbers, breadth: Numbers
) -> Any:
    """The same per pair of rows, for the values both have; the chance is the product of their shares."""
    result = np.zeros(breadth.shape)
    for row in range(len(pairs)):
        left, left_end = start[pairs[row, 0]], start[pairs[row, 0] + 1]
        right, right_end = start[pairs[row, 1]], start[pairs[row, 1] + 1]
        now, missed = -1, 1.0
        while left < left_end and right < right_end:
            if rank[left] < rank[right]:
                left = _seek(rank, left, left_end, rank[right])
            elif rank[left] > rank[right]:
                right = _seek(rank, right, right_end, rank[left])
            else:
                value = rank[left]
                if family[value] != now:
                    now, missed = family[value], 1.0
                both = min(share[left] * share[right], MOST_SHARED)
                result[row, now] += both * max(bits[value] - breadth[row, now], 0.0) * missed
                missed *= 1.0 - both
                left, right = left + 1, right + 1
    return result


_seek: Any = numba.njit(cache=True)(_seek_plain)
_best_inside: Any = numba.njit(cache=True)(_best_inside_plain)
_best_between: Any = numba.njit(cache=True)(_best_between_plain)


def _distinct_pairs(pairs: Codes) -> Codes:
    """Each pair of two groups once, the lower number first, ascending; pairs of one group or of none are left out."""
    pairs = pairs[(pairs[:, 0] != pairs[:, 1]) & (pairs >= 0).all(axis=1)]
    groups = int(pairs.max(initial=-1)) + 1
    code = np.sort(pairs.min(axis=1) * groups + pairs.max(axis=1))
    code = code[run_starts(code)]
    return np.column_stack([code // max(groups, 1), code % max(groups, 1)])


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


def _crumbs(pairs: Codes, score: Numbers, chosen: Codes, size: Codes) -> Codes:
    """Crumbs that are taken in beside the chosen pairs, as pairs of the group that takes in and the one that goes.

    A crumb goes to its best partner where this has a score of 1 or more and what goes to the partner in this round, the
    best first, has :data:`CRUMBS_SHARE` of its accounts at most. Of the pairs chosen nobody goes elsewhere, and who
    goes takes nobody in.

    Parameters
    ----------
    pairs, score : as for :func:`_mutual_best`.
    chosen : what that found.
    size : accounts of each group.
    """
    both = np.concatenate([pairs, pairs[:, ::-1]])  # who takes in, who goes
    twice = np.tile(score, 2)
    able = np.flatnonzero((twice >= 1) & (size[both[:, 1]] <= CRUMB_SHARE * size[both[:, 0]]))
    able = able[~np.isin(both[able, 1], chosen)]
    best = np.full(len(size), -np.inf)
    np.maximum.at(best, both[:, 1], twice)
    able = able[twice[able] >= best[both[able, 1]]]
    order = able[np.lexsort((both[able, 1], -twice[able], both[able, 0]))]
    taker, goes = both[order].T
    _, first = np.unique(goes, return_index=True)  # of equally good partners the lower number
    taker, goes = taker[np.sort(first)], goes[np.sort(first)]
    starts = run_starts(taker)
    upto = np.cumsum(size[goes])
    before = np.repeat(upto[starts] - size[goes[starts]], np.diff(np.append(starts, len(taker))))
    fits = (upto - before <= CRUMBS_SHARE * size[taker]) & ~np.isin(taker, goes)
    return np.column_stack([taker[fits], goes[fits]])
