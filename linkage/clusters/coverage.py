"""What random accounts of groups share, counted on coverage: the share of a group that uses a value.

No pairs of accounts are needed, and while groups are joined only those are counted anew that changed.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from linkage.clusters.ties import Codes, Incidence, Small
from linkage.coding import ranges, run_starts
from linkage.parallel import THREADS, in_threads

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

WORK_FAMILIES = ("content", "network", "payment")
"""What an operator's fragments can hardly avoid to have in common."""

CONDUCT_DISCOUNT_BITS = 1.0
"""Accounts of one hand are this much less than surely alike."""

CONDUCT_MOST_BITS = 5.0
"""Many people work alike: habits are worth no more than this."""

SAMPLED_PAIRS = 50_000
"""Random pairs of accounts that say how alike strangers are."""

MOST_SHARED: Final = 1.0 - 1e-9
"""Nothing is shared for certain."""


class GroupBits:
    """Expected bits that two random accounts share, inside each group and between two, while groups are joined.

    Columns are the families in their order, and conduct.

    Parameters
    ----------
    group : group number of each account code, -1 for none.
    incidence : uses as codes.
    habits : as from ``rank_habits``; NaN where unknown.

    Attributes
    ----------
    inside : groups x columns.
    is_work : per column, whether it is work, money or place.
    """

    def __init__(self, group: Codes, incidence: Incidence, *, habits: Numbers) -> None:
        self._counts, self._incidence = Counts(group, incidence), incidence
        told = np.isfinite(habits).all(axis=1) & (group >= 0)
        self._yardstick, self._habits, self._group = sample_gaps(habits), habits[told], group[told]
        groups, families = len(self._counts.accounts), len(incidence.families)
        self._breadth, self.inside = np.zeros((groups, families)), np.zeros((groups, families + 1))
        self._center, self._radius = np.full((groups, habits.shape[1]), np.nan), np.full(groups, np.nan)
        self.is_work = np.append(np.isin(incidence.families, WORK_FAMILIES), False)
        self._renew(np.flatnonzero(self._counts.accounts))

    @property
    def accounts(self) -> Codes:
        """How many each group has, by number; 0 for one that went to another."""
        return self._counts.accounts

    def join(self, target: Codes) -> None:
        """Join each group to its target; most are their own."""
        self._counts.join(target)
        self._group = target[self._group]
        self._renew(np.unique(target[target != np.arange(len(target))]))

    def between(self, pairs: Codes) -> Numbers:
        """Bits that a random account of the one group and one of the other share: pairs of numbers x columns."""
        apart = self._breadth[pairs].mean(axis=1)
        best = self._counts.best_between(pairs, self._incidence, apart)
        center, radius = self._center[pairs], self._radius[pairs]
        gap = np.sqrt(((center[:, 0] - center[:, 1]) ** 2).sum(axis=1) + radius[:, 0] ** 2 + radius[:, 1] ** 2)
        return np.column_stack([best, _conduct_bits(gap, self._yardstick, most=best.sum(axis=1))])

    def _renew(self, groups: Codes) -> None:
        """Look anew at some groups."""
        cover = self._counts.cover(groups)
        self._breadth[groups] = breadth = _breadth(cover, self._incidence)
        shared = _cohesion(cover, breadth, self._incidence)
        place = np.full(len(self.inside), -1, dtype=np.int64)
        place[groups] = np.arange(len(groups))
        center, radius = _habit_centers(place[self._group], self._habits, len(groups))
        self._center[groups], self._radius[groups] = center, radius
        conduct = _conduct_bits(np.sqrt(2.0) * radius, self._yardstick, most=shared.sum(axis=1))
        self.inside[groups] = np.column_stack([shared, conduct])


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
    """Mean habits of each group, and the root mean square distance of its accounts to them; NaN where none tells."""
    told = np.flatnonzero(group >= 0)
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

    def best_between(self, pairs: Codes, incidence: Incidence, breadth: Numbers) -> Numbers:
        """Expected bits a random account of the one group and one of the other share, pairs x families.

        Parameters
        ----------
        breadth : bits that are taken off each value, pairs x families.
        """
        left, right = pairs.T
        wide = np.where(self._size[left] >= self._size[right], left, right)
        narrow = left + right - wide
        groups = (self._start, self._size, 1 / np.maximum(self.accounts, 1))
        best = np.zeros(breadth.shape)

        def fill(rows: Codes) -> None:
            _best_between(rows, wide, narrow, *groups, self._rank, self._users, *incidence.ranked, breadth, best)

        for _ in in_threads(fill, np.array_split(np.argsort(wide, kind="stable"), THREADS)):
            pass
        return best


def _cohesion(cover: Coverage, breadth: Numbers, incidence: Incidence) -> Numbers:
    """Expected bits two random accounts of each group share, groups x families; 0 for a group of one."""
    size = cover.accounts.astype(np.float64)
    fellows = np.maximum(size - 1, 1)
    group = cover.group
    chance = cover.share * cover.share * (size / fellows)[group] - cover.share * (1 / fellows)[group]
    best = _best_inside(cover.start, cover.rank, chance, *incidence.ranked, breadth)
    return np.where(size[:, None] > 1, np.asarray(best, dtype=np.float64), 0.0)


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


def _best_between_plain(
    rows: Codes,
    wide: Codes,
    narrow: Codes,
    start: Codes,
    size: Codes,
    each: Numbers,
    rank: Small,
    users: Small,
    family: Codes,
    bits: Numbers,
    breadth: Numbers,
    best: Numbers,
) -> None:
    """The same per pair of groups, for the values both have; the chance is the product of their shares.

    The shares of the group with more values are laid out once for all of its pairs, and those of the other one walked:
    a group of thousands costs its crumbs no more than what these have.

    Parameters
    ----------
    rows : of the pairs to look at, those of one wide group together.
    wide, narrow : the groups of each pair.
    start, size, each : where the values of each group begin, how many there are, and what share an account is of it.
    best : filled for these rows.
    """
    laid_out, of = np.zeros(len(bits)), -1
    for row in rows:
        if wide[row] != of:
            if of >= 0:
                laid_out[rank[start[of] : start[of] + size[of]]] = 0.0
            of = wide[row]
            for place in range(start[of], start[of] + size[of]):
                laid_out[rank[place]] = users[place] * each[of]
        other = narrow[row]
        now, missed = -1, 1.0
        for place in range(start[other], start[other] + size[other]):
            value = rank[place]
            if laid_out[value] > 0.0:
                if family[value] != now:
                    now, missed = family[value], 1.0
                both = min(laid_out[value] * (users[place] * each[other]), MOST_SHARED)
                best[row, now] += both * max(bits[value] - breadth[row, now], 0.0) * missed
                missed *= 1.0 - both


_best_inside: Any = numba.njit(cache=True, nogil=True)(_best_inside_plain)
_best_between: Any = numba.njit(cache=True, nogil=True)(_best_between_plain)
