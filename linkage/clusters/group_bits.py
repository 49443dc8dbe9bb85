"""What random accounts of groups share, counted on coverage: the share of a group that uses a value.

No pairs of accounts are needed, and while groups are joined only those are counted anew that changed.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from linkage.arrays import Codes, Numbers, Small
from linkage.clusters.ties import Incidence, Ranked
from linkage.coding import ranges
from linkage.kernels import kernel
from linkage.parallel import in_halves
from linkage.sorting import find_place, order_of

WORK_FAMILIES = ("content", "network", "payment")
"""What an operator's fragments can hardly avoid to have in common."""

LOT_FAMILIES = ("payment", "registration")
"""What an operator has by the lot: a card serves a few accounts, and so does a mail domain or a day of sign-ups."""

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
    is_by_lot : per column, whether it comes by the lot.
    """

    def __init__(self, group: Codes, incidence: Incidence, *, habits: Numbers) -> None:
        self._uses, self._incidence = GroupUses(group, incidence), incidence
        told = np.isfinite(habits).all(axis=1) & (group >= 0)
        self._yardstick, self._habits, self._group = sample_gaps(habits), habits[told], group[told]
        groups, families = len(self._uses.accounts), len(incidence.families)
        self._breadth, self.inside = np.zeros((groups, families)), np.zeros((groups, families + 1))
        self._center, self._radius = np.full((groups, habits.shape[1]), np.nan), np.full(groups, np.nan)
        self.is_work = np.append(np.isin(incidence.families, WORK_FAMILIES), False)
        self.is_by_lot = np.append(np.isin(incidence.families, LOT_FAMILIES), False)
        self._renew(np.flatnonzero(self._uses.accounts))

    @property
    def accounts(self) -> Codes:
        """How many each group has, by number; 0 for one that went to another."""
        return self._uses.accounts

    def join(self, target: Codes) -> None:
        """Join each group to its target; most are their own."""
        self._uses.join(target)
        self._group = target[self._group]
        self._renew(np.unique(target[target != np.arange(len(target))]))

    def between(self, pairs: Codes) -> Numbers:
        """Bits that a random account of the one group and one of the other share: pairs of numbers x columns."""
        left, right = pairs.T
        apart = (self._breadth[left] + self._breadth[right]) / 2
        best = self._uses.best_between(pairs, self._incidence, apart)
        square = np.zeros(len(pairs))
        for center in self._center.T:
            square += (center[left] - center[right]) ** 2
        gap = np.sqrt(square + self._radius[left] ** 2 + self._radius[right] ** 2)
        return np.column_stack([best, _conduct_bits(gap, self._yardstick, most=best.sum(axis=1))])

    def _renew(self, groups: Codes) -> None:
        """Look anew at some groups."""
        wide = np.log2(np.maximum(self._uses.mean(groups, self._incidence), 1e-9) / self._incidence.typical_uses)
        # Accounts of a hundred addresses share some with many others by chance alone.
        self._breadth[groups] = breadth = np.maximum(wide, 0.0)
        shared = self._uses.best_inside(groups, self._incidence, breadth)
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


class _Held(NamedTuple):
    """Which values the accounts of each group use, a row for each value."""

    start: Codes
    """Where the rows of each group begin."""
    size: Codes
    """How many rows it has."""
    accounts: Codes
    """How many accounts it has."""
    rank: Small
    """The value of each row, by rank (:attr:`Incidence.ranked`); ascending within a group."""
    users: Small
    """How many of the group's accounts use it."""


class GroupUses:
    """How many accounts of each group use each value, kept up to date while groups are joined.

    A group of thousands that takes in a few crumbs in each of many rounds is not counted anew from its accounts.

    Parameters
    ----------
    group : group number of each account code, -1 for none.
    incidence : uses as codes.
    """

    def __init__(self, group: Codes, incidence: Incidence) -> None:
        members = np.flatnonzero(group >= 0)
        accounts = np.bincount(group[members])
        self._values = max(len(incidence.bits), 1)
        start, values = incidence.values_of
        code: Codes = np.empty(int((start[members + 1] - start[members]).sum()), dtype=np.int64)
        _number_uses(members, group, start, values, incidence.ranks, self._values, code)
        code.sort()
        # Rows of a group stand together; those of a joined one are put at the end, and the old ones are left until
        # there is no room.
        rank, users = (np.empty(len(code) + len(code) // 2, dtype=np.int32) for _ in range(2))
        size: Codes = np.zeros(len(accounts), dtype=np.int64)
        self._end = _count_users(code, self._values, rank, users, size)
        self._held = _Held(np.cumsum(size) - size, size, accounts, rank, users)

    @property
    def accounts(self) -> Codes:
        """How many each group has, by number; 0 for one that went to another."""
        return self._held.accounts

    def join(self, target: Codes) -> None:
        """Join each group to its target; most are their own."""
        held = self._held
        goes = np.flatnonzero((target != np.arange(len(target))) & (held.accounts > 0))
        taker = np.unique(target[goes])
        sources = np.concatenate([taker, goes])
        room = int(held.size[sources].sum())
        np.add.at(held.accounts, target[goes], held.accounts[goes])
        held.accounts[goes] = 0
        goes = goes[np.argsort(target[goes], kind="stable")]
        rank, users = np.empty(room, dtype=np.int32), np.empty(room, dtype=np.int32)
        ends = np.searchsorted(target[goes], taker, side="right")
        size = _join(held, taker, goes, ends, np.zeros(self._values, dtype=np.int32), rank, users)
        held.size[sources] = 0
        room = int(size.sum())
        if self._end + room > len(held.rank):  # without what is joined there is room
            there = np.flatnonzero(held.size)
            self._end = _close_gaps(held, there[np.argsort(held.start[there])])
        held.size[taker], held.start[taker] = size, self._end + np.cumsum(size) - size
        new = slice(self._end, self._end + room)
        held.rank[new], held.users[new], self._end = rank[:room], users[:room], new.stop

    def rows(self, incidence: Incidence) -> tuple[Codes, Codes, Codes]:
        """Each group and a value that its accounts use, and how many of them do; by group and rank of the value."""
        place = ranges(self._held.start, self._held.size)
        group = np.repeat(np.arange(len(self._held.size)), self._held.size)
        return group, incidence.by_rank[self._held.rank[place]], self._held.users[place].astype(np.int64)

    def mean(self, asked: Codes, incidence: Incidence) -> Numbers:
        """How many values of each family an account of each group uses, groups x families."""
        mean = np.zeros((len(asked), len(incidence.families)))
        in_halves(len(asked), lambda part: _sum_shares(self._held, asked[part], incidence.ranked.family, mean[part]))
        return mean

    def best_inside(self, asked: Codes, incidence: Incidence, breadth: Numbers) -> Numbers:
        """Expected bits two random accounts of each group share, groups x families; 0 for a group of one.

        Parameters
        ----------
        breadth : bits that are taken off each value, groups x families.
        """
        held, ranked, best = self._held, incidence.ranked, np.zeros(breadth.shape)
        in_halves(len(asked), lambda part: _best_inside(held, asked[part], ranked, breadth[part], best[part]))
        return best

    def best_between(self, pairs: Codes, incidence: Incidence, breadth: Numbers) -> Numbers:
        """Expected bits a random account of the one group and one of the other share, pairs x families.

        Parameters
        ----------
        breadth : bits that are taken off each value, pairs x families.
        """
        left, right = pairs.T
        held, ranked, best = self._held, incidence.ranked, np.zeros(breadth.shape)
        wide = np.where(held.size[left] >= held.size[right], left, right)
        narrow = left + right - wide
        order = np.argsort(wide, kind="stable")
        in_halves(len(order), lambda part: _best_between(held, order[part], wide, narrow, ranked, breadth, best))
        return best


@kernel
def _number_uses(
    members: Codes, group: Codes, start: Codes, values: Small, ranks: Codes, count: int, code: Codes
) -> None:
    """Fill one number for the group and the rank of the value of each use, of so many values."""
    end = 0
    for member in members:
        for value in values[start[member] : start[member + 1]]:
            code[end] = group[member] * count + ranks[value]
            end += 1


@kernel
def _count_users(code: Codes, count: int, rank: Small, users: Small, size: Codes) -> int:
    """Fill ranks and users of runs of equal numbers, and how many runs each group has; how many there are in all."""
    end = 0
    for use in range(code.size):
        if use == 0 or code[use] != code[use - 1]:
            rank[end], users[end] = code[use] % count, 0
            size[code[use] // count] += 1
            end += 1
        users[end - 1] += 1
    return end


@kernel
def _join(held: _Held, taker: Codes, goes: Codes, ends: Codes, counts: Small, to_rank: Small, to_users: Small) -> Codes:
    """Fill ranks and users of groups with those that join them; how many each has then.

    Parameters
    ----------
    goes, ends : the groups that join, taker by taker, and where those of each end.
    counts : a zero for each rank, and is again.
    """
    start, size, rank, users = held.start, held.size, held.rank, held.users
    sizes = np.empty_like(taker)
    end, first = 0, 0
    for row in range(taker.size):
        begin, last = end, ends[row]
        room, found = 0, 0
        for group in goes[first:last]:
            room += size[group]
        new = np.empty(room, dtype=np.int64)
        for group in goes[first:last]:
            for place in range(start[group], start[group] + size[group]):
                if counts[rank[place]] == 0:
                    new[found] = rank[place]
                    found += 1
                counts[rank[place]] += users[place]
        if last - first > 1:
            order = order_of(new[:found])
            for at in range(found):
                order[at] = new[order[at]]
            new = order
        place, until = start[taker[row]], start[taker[row]] + size[taker[row]]
        for value in new[:found]:
            while place < until and rank[place] < value:
                to_rank[end], to_users[end] = rank[place], users[place]
                end, place = end + 1, place + 1
            to_rank[end], to_users[end] = value, counts[value]
            if place < until and rank[place] == value:
                to_users[end] += users[place]
                place += 1
            counts[value] = 0
            end += 1
        for rest in range(place, until):
            to_rank[end], to_users[end] = rank[rest], users[rest]
            end += 1
        sizes[row], first = end - begin, last
    return sizes


@kernel
def _close_gaps(held: _Held, groups: Codes) -> int:
    """Move the rows of groups, taken in their order, to the left; where they end."""
    start, size, rank, users = held.start, held.size, held.rank, held.users
    end = 0
    for group in groups:
        for place in range(start[group], start[group] + size[group]):
            rank[end], users[end] = rank[place], users[place]
            end += 1
        start[group] = end - size[group]
    return end


@kernel
def _sum_shares(held: _Held, asked: Codes, family: Codes, total: Numbers) -> None:
    """Add up the shares of each group's accounts that use each value, by family."""
    for row in range(asked.size):
        group = asked[row]
        each = 1 / max(held.accounts[group], 1)
        for place in range(held.start[group], held.start[group] + held.size[group]):
            total[row, family[held.rank[place]]] += held.users[place] * each


@kernel
def _best_inside(held: _Held, asked: Codes, ranked: Ranked, breadth: Numbers, best: Numbers) -> None:
    """Fill the expected bits of the best shared value per group and family.

    Values are taken as independent: the best one counts when it is shared, the next when the best is not, and so on.
    """
    family, bits = ranked.family, ranked.bits
    for row in range(len(asked)):
        group = asked[row]
        accounts = held.accounts[group]
        if accounts < 2:
            continue
        now, missed, fellows, each = -1, 1.0, accounts - 1.0, 1 / accounts
        for place in range(held.start[group], held.start[group] + held.size[group]):
            value, share = held.rank[place], held.users[place] * each
            if family[value] != now:
                now, missed = family[value], 1.0
            chance = share * share * (accounts / fellows) - share * (1 / fellows)
            shared = min(max(chance, 0.0), MOST_SHARED)
            best[row, now] += shared * max(bits[value] - breadth[row, now], 0.0) * missed
            missed *= 1.0 - shared


@kernel
def _best_between(
    held: _Held, rows: Codes, wide: Codes, narrow: Codes, ranked: Ranked, breadth: Numbers, best: Numbers
) -> None:
    """The same per pair of groups, for the values both have; the chance is the product of their shares.

    What the group with more values has is laid out once for all of its pairs, and the values of the other one are
    walked: a group of thousands costs its crumbs no more than what these have. What is not shared adds nothing, which
    costs less than a branch that cannot be guessed; what is not worth its breadth ends a family, since no later value
    is worth more.

    Parameters
    ----------
    rows : of the pairs to look at, those of one wide group together.
    wide, narrow : the groups of each pair.
    best : filled for these rows.
    """
    start, size, rank, users = held.start, held.size, held.rank, held.users
    family, bits = ranked.family, ranked.bits
    laid_out, of = np.zeros(len(bits), dtype=np.int32), -1
    ends = np.empty(best.shape[1], np.int64)
    for column in range(ends.size):
        ends[column] = find_place(family, column + 1)
    for row in rows:
        if wide[row] != of:
            if of >= 0:
                for place in range(start[of], start[of] + size[of]):
                    laid_out[rank[place]] = 0
            of = wide[row]
            for place in range(start[of], start[of] + size[of]):
                laid_out[rank[place]] = users[place]
        wide_each, narrow_each = 1 / max(held.accounts[of], 1), 1 / max(held.accounts[narrow[row]], 1)
        place, until = start[narrow[row]], start[narrow[row]] + size[narrow[row]]
        while place < until:
            now = family[rank[place]]
            total, missed = 0.0, 1.0
            while place < until and rank[place] < ends[now]:
                value = rank[place]
                worth = bits[value] - breadth[row, now]
                if worth <= 0.0:
                    place += find_place(rank[place:until], ends[now])
                    break
                both = min((laid_out[value] * wide_each) * (users[place] * narrow_each), MOST_SHARED)
                total += both * worth * missed
                missed *= 1.0 - both
                place += 1
            best[row, now] = total
