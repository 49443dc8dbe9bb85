"""What ties an account to a whole group: the shared primitive of merging, nulls, verdicts and reasons.

A value is worth to a member ``log2(share of its fellows that have it / chance that a stranger has it)``: the
log likelihood ratio of belonging. Among many fellows somebody shares something by chance, and the share of
one in many shows it.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.arrays import Codes, Numbers, Small
from linkage.clusters.nearness import Nearness
from linkage.coding import (
    codes_of,
    find_values,
    mid_ranks,
    ranges,
    rows_by_code,
    value_keys,
)
from linkage.errors import ClusterError
from linkage.kernels import kernel
from linkage.parallel import in_threads

HABIT_REQUESTS = 5
"""Requests from which on an account has habits."""

NEAR_SHARE = 0.05
"""Share of all accounts that counts as near a group's median habits."""

MAX_TIE = 14.0
"""Bits that one family adds to an account's ties at most."""

OWN_ACCOUNTS = 4
"""Accounts of a group that count as strangers when it is asked how many strangers have a value."""

PRIOR_FELLOWS = 2.0
"""Fellows without the value that are counted in, so that one fellow of two is no certainty."""


class Ranked(NamedTuple):
    """Values sorted by family, and within a family from best to worst: the place of each is its rank."""

    family: Codes
    bits: Numbers


@dataclasses.dataclass(frozen=True)
class Incidence:
    """Uses of shared values as codes, each value with its worth."""

    accounts: pd.Index[str]
    """Account ids; their position is their code."""
    families: tuple[str, ...]
    table: pd.DataFrame
    """One row per value: ``family, kind, value, accounts, unrelated_accounts, unseen, chance, bits``."""
    family: Codes
    """Position in ``families`` of each value."""
    bits: npt.NDArray[np.float64]
    """Worth of each value to a pair."""
    chance: npt.NDArray[np.float64]
    """Chance that an account has each value."""
    unseen: npt.NDArray[np.float64]
    """Unseen accounts that are taken to have each value."""
    account: Small
    """Account code of each use."""
    value: Small
    """Value code of each use."""

    def prepared(self) -> Incidence:
        """The same, once uses and values are in the orders that joining groups asks for."""
        _ = self.values_of, self.ranks, self.ranked, self.typical_uses
        return self

    def uses_of(self, accounts: Codes) -> Small:
        """The uses of some accounts, account by account."""
        start, order = self._by_account
        return order[ranges(start[accounts], start[accounts + 1] - start[accounts])]

    def uses_inside(self, group: Codes) -> Small:
        """The uses of accounts that are in a group (-1: none), ascending."""
        return np.sort(self.uses_of(np.flatnonzero(group >= 0)))

    @functools.cached_property
    def _by_account(self) -> tuple[Codes, Small]:
        """Where the uses of each account begin, and the end; and the uses in the order of their accounts."""
        return rows_by_code(self.account, count=len(self.accounts))

    @functools.cached_property
    def values_of(self) -> tuple[Codes, Small]:
        """Where the values that each account uses begin, and the end; and these values."""
        start, order = self._by_account
        return start, self.value.astype(np.int32)[order]

    @functools.cached_property
    def ranks(self) -> Codes:
        """The rank of each value."""
        ranks = np.empty(len(self.bits), dtype=np.int64)
        ranks[self.by_rank] = np.arange(len(ranks))
        return ranks

    @functools.cached_property
    def ranked(self) -> Ranked:
        """Family and bits of the values by rank."""
        return Ranked(self.family[self.by_rank], self.bits[self.by_rank])

    @functools.cached_property
    def by_rank(self) -> Codes:
        """The value of each rank."""
        return np.lexsort((-self.bits, self.family))

    @functools.cached_property
    def typical_uses(self) -> Numbers:
        """Per family, how many of its shared values an account has that has any: the median, 1 where none has."""
        uses = np.zeros((len(self.families), len(self.accounts)), dtype=np.int32)
        _count_uses(self.account, self.value, self.family, uses)
        return np.array([np.median(row[row > 0]) if row.any() else 1.0 for row in uses])


def build_incidence(evidence: pd.DataFrame, values: pd.DataFrame, accounts: pd.DataFrame) -> Incidence:
    """Evidence and the worth of its values as codes.

    Parameters
    ----------
    evidence : frame of shape ``EVIDENCE``.
    values : one row per value with ``family, kind, value, accounts, unrelated_accounts, unseen, chance, bits``.
    accounts : frame of shape ``ACCOUNTS``.

    Raises
    ------
    ClusterError : evidence names a value that ``values`` does not have.
    """
    table = values.reset_index(drop=True)
    value = find_values(evidence, table).astype(np.int32)
    if (value < 0).any():
        missing = len(np.unique(value_keys(evidence)[value < 0]))
        raise ClusterError(
            f"values: wanted one row for every value of the evidence; {missing} of its values have none. Hand over the "
            "values of the same linking"
        )
    index: pd.Index[str] = pd.Index(accounts["account_id"])
    account = codes_of(evidence["account_id"], index).astype(np.int32)
    families = tuple(sorted(table["family"].unique()))
    family = pd.Categorical(table["family"], categories=list(families)).codes.astype(np.int64)
    bits, chance, unseen = (table[name].to_numpy(dtype=np.float64) for name in ("bits", "chance", "unseen"))
    return Incidence(index, families, table, family, bits, chance, unseen, account, value)


def group_ties(incidence: Incidence, group: Codes, *, groups: int) -> pd.DataFrame:
    """Per account in a group and family: the value that ties it best to its fellows.

    Parameters
    ----------
    incidence : uses as codes.
    group : group number of each account code, -1 for none.
    groups : how many groups there are.

    Returns
    -------
    DataFrame of ``account`` (code), ``group``, ``family`` (position), ``value`` (code), ``fellows`` (how many
    fellows share the value), ``tie`` (bits, above 0 and at most ``MAX_TIE``); one row per account and family
    with a tie, sorted by account and family. Of equal ties the lowest value counts. O(uses of accounts in groups).
    """
    shared = _find_shared(incidence, group, groups)
    tie, best = _find_best(incidence, shared)
    use = best[best >= 0]
    pair = shared.pair[use]
    value = shared.value[pair].astype(np.int64)
    columns = {
        "account": shared.account[use].astype(np.int64),
        "group": shared.group[pair].astype(np.int64),
        "value": value,
        "fellows": shared.users[pair].astype(np.int64) - 1,
        "family": incidence.family[value],
        "tie": tie[pair],
    }
    return pd.DataFrame(columns)


def best_ties(incidence: Incidence, group: Codes, *, groups: int, accounts: Codes) -> Numbers:
    """The ties of :func:`group_ties` of some accounts as an array, accounts x families, 0 where there is none.

    Parameters
    ----------
    incidence, group, groups : as for :func:`group_ties`.
    accounts : their codes.
    """
    shared = _find_shared(incidence, group, groups)
    tie, best = _find_best(incidence, shared)
    pair = np.append(shared.pair, np.int32(-1))[best[accounts]]
    return np.append(tie, 0.0)[pair]


@dataclasses.dataclass(frozen=True)
class _Shared:
    """Values that two accounts of one group have: what is the same for all of these accounts is there once."""

    value: Small
    """Of each pair of a value and a group."""
    group: Small
    users: Small
    """How many of the group have the value."""
    size: Codes
    """Accounts of each group."""
    account: Small
    """Of each use."""
    pair: Small
    """The pair that each use belongs to."""

    def ties(self, incidence: Incidence) -> Numbers:
        """Per pair, the bits that the value ties each of the accounts with."""
        users, size = self.users.astype(np.int64), self.size[self.group]
        share = (users - 1) / (size - 1 + PRIOR_FELLOWS)
        with np.errstate(divide="ignore"):
            bits = np.log2(share / _stranger_chance(incidence, self.value, users, size))
        return np.asarray(np.minimum(bits, MAX_TIE), dtype=np.float64)


def _find_shared(incidence: Incidence, group: Codes, groups: int) -> _Shared:
    members = np.flatnonzero(group >= 0)
    members = members[np.argsort(group[members], kind="stable")]
    start, values = incidence.values_of
    most = int((start[members + 1] - start[members]).sum())
    pairs, uses = np.empty((3, most // 2 + 1), dtype=np.int32), np.empty((2, most), dtype=np.int32)
    owners = group[members].astype(np.int32)
    found, used = _walk_groups(members, owners, start, values, np.zeros(len(incidence.bits), np.int32), pairs, uses)
    value, owner, users = pairs[:, :found]
    size = np.bincount(owners, minlength=max(groups, 1))
    account, pair = uses[:, :used]
    return _Shared(value, owner, users, size, account, pair)


@kernel
def _count_uses(account: Small, value: Small, family: Codes, uses: Small) -> None:
    """Count the uses of each family by each account, families x accounts."""
    for use in range(account.size):
        uses[family[value[use]], account[use]] += 1


@kernel
def _walk_groups(
    members: Codes,
    group: Small,
    start: Codes,
    values: Small,
    counts: Small,
    pairs: npt.NDArray[np.int32],
    uses: npt.NDArray[np.int32],
) -> tuple[int, int]:
    """Fill value, group and users of each pair, account and pair of each use, as :class:`_Shared` has them; how many.

    Parameters
    ----------
    members, group : accounts group by group, and the group of each.
    start, values : the values that each account uses (:attr:`Incidence.values_of`).
    counts : a zero for each value.
    """
    value, owner, users = pairs[0], pairs[1], pairs[2]
    account, pair = uses[0], uses[1]
    found = used = begin = 0
    while begin < len(members):
        end = begin
        while end < len(members) and group[end] == group[begin]:
            for place in range(start[members[end]], start[members[end] + 1]):
                counts[values[place]] += 1
            end += 1
        for member in members[begin:end]:
            for place in range(start[member], start[member + 1]):
                shared = values[place]
                if counts[shared] > 1:
                    value[found], owner[found], users[found] = shared, group[begin], counts[shared]
                    counts[shared] = -1 - found  # where its pair is
                    found += 1
                if counts[shared] < 0:
                    account[used], pair[used] = member, -1 - counts[shared]
                    used += 1
        for member in members[begin:end]:
            for place in range(start[member], start[member + 1]):
                counts[values[place]] = 0
        begin = end
    return found, used


def _find_best(incidence: Incidence, shared: _Shared) -> tuple[Numbers, Small]:
    """The ties of all pairs, and accounts x families with the use that ties the account best; -1: none does."""
    tie = shared.ties(incidence)
    best = np.full((len(incidence.accounts), len(incidence.families)), -1, dtype=np.int32)
    _keep_best(shared.account, shared.pair, incidence.family[shared.value], tie, shared.value, best)
    return tie, best


@kernel
def _keep_best(account: Small, pair: Small, family: Codes, tie: Numbers, value: Small, best: Small) -> None:
    """Write each account's best uses.

    Parameters
    ----------
    family, tie, value : of each pair.
    """
    for use in range(len(account)):
        mine = pair[use]
        known = best[account[use], family[mine]]
        other = pair[known]
        if tie[mine] > 0 and (
            known < 0 or tie[mine] > tie[other] or (tie[mine] == tie[other] and value[mine] < value[other])
        ):
            best[account[use], family[mine]] = use


def _stranger_chance(incidence: Incidence, value: Small, users: Codes, size: Codes) -> Numbers:
    """Chance that an account outside the group has each value.

    Of the group's own accounts that have it, ``OWN_ACCOUNTS`` are counted as strangers: the value was noticed because
    they share it, and among many values some are shared by a few accounts by chance.
    """
    having = incidence.table["accounts"].to_numpy(dtype=np.float64)[value] + incidence.unseen[value]
    everybody = having / incidence.chance[value]
    outside = having - np.maximum(users - OWN_ACCOUNTS, 0)
    return np.asarray(outside / np.maximum(everybody - np.maximum(size - OWN_ACCOUNTS, 0), 1.0), dtype=np.float64)


def tie_matrix(ties: pd.DataFrame, incidence: Incidence) -> npt.NDArray[np.float64]:
    """Ties as an array, accounts x families; 0 where there is none."""
    matrix = np.zeros((len(incidence.accounts), len(incidence.families)))
    matrix[ties["account"].to_numpy(), ties["family"].to_numpy()] = ties["tie"].to_numpy()
    return matrix


def rank_habits(conduct: pd.DataFrame, accounts: pd.DataFrame) -> Numbers:
    """Habits of each account as ranks from 0 to 1: output length, prompt length, share of templated prompts.

    Parameters
    ----------
    conduct : frame of shape ``CONDUCT``.
    accounts : frame of shape ``ACCOUNTS``; gives the order of the rows.

    Returns
    -------
    Array, accounts x 3; NaN where an account has fewer than ``HABIT_REQUESTS`` requests or no such figure.
    """
    table = conduct.set_index("account_id").reindex(accounts["account_id"])
    requests = table["request_count"].to_numpy(dtype=np.float64)
    templated = table["templated_count"].to_numpy(dtype=np.float64) / np.maximum(requests, 1)
    habits = [table[name].to_numpy(dtype=np.float64) for name in ("log_output_mean", "log_input_mean")]
    enough = requests >= HABIT_REQUESTS
    return np.column_stack([mid_ranks(np.where(enough, habit, np.nan)) for habit in [*habits, templated]])


def conduct_ties(near: Nearness, group: Codes) -> Numbers:
    """Per account, in bits, how much its conduct speaks for its group; 0 where it does not.

    An account is near when it lies closer to the group's median habits than ``NEAR_SHARE`` of all accounts;
    a tie is log2 of how many times more members than strangers are near.

    Parameters
    ----------
    near : of the habits of :func:`rank_habits`.
    """
    result = np.zeros(len(group))
    if len(near.told) < 10:
        return result
    mine = near.told[group[near.told] >= 0]
    mine = mine[np.argsort(group[mine], kind="stable")]
    groups = np.split(mine, np.flatnonzero(np.diff(group[mine])) + 1)
    for members, tie in in_threads(
        lambda members: _tie_near(near, members), (some for some in groups if len(some) > 2)
    ):
        result[members] = tie
    return result


def _tie_near(near: Nearness, members: Codes) -> tuple[Codes, float]:
    """Those of a group's members who are near its center, and what ties them."""
    habits = near.habits[members]
    center = np.median(habits, axis=0)
    gap = np.sqrt(((habits - center) ** 2).sum(axis=1))
    inside = members[gap <= near.reach(center, NEAR_SHARE)]
    share = max(len(inside) - 1, 0) / (len(members) - 1 + PRIOR_FELLOWS)
    return inside, max(np.log2(max(share, 1e-9) / NEAR_SHARE), 0.0)


def all_ties(incidence: Incidence, near: Nearness, group: Codes, *, groups: int) -> tuple[pd.DataFrame, Numbers]:
    """Ties by shared values as a frame, and ties of all families as an array with conduct in the last column.

    Conduct adds at most what the shared values give together: alone it says nothing.

    Parameters
    ----------
    incidence, group, groups : as for :func:`group_ties`.
    near : as for :func:`conduct_ties`.
    """
    ties = group_ties(incidence, group, groups=groups)
    matrix = tie_matrix(ties, incidence)
    conduct = np.minimum(conduct_ties(near, group), matrix.sum(axis=1))
    return ties, np.column_stack([matrix, conduct])
