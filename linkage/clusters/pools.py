"""Pieces of one campaign joined because, together, they hold nearly all of what they share.

Each ten accounts on a card of their own are a firm little group, and what ties these groups to each other is on
hundreds of accounts, so that between two of them it says little. Of all of them it says much: hardly anybody else has
it. Pairs of groups cannot show that; the accounts of a value can.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from linkage.arrays import Codes, Flags
from linkage.clusters.features import SOFTWARE
from linkage.clusters.group_bits import GroupUses
from linkage.clusters.ties import Incidence

HOLDING_SHARE: Final = 0.3
"""Share of a group's accounts that must have a value for the group to hold it."""

HOLDING_ACCOUNTS: Final = 2
"""As a number of accounts."""

ALIKE_SHARE: Final = 0.5
"""Of the pooling values of one program that either of two groups holds, the share that both must hold."""

POOLED_SHARE: Final = 0.8
"""Share of a value's accounts in groups of one kind from which on it is theirs (:func:`find_pooled`)."""

MOST_HOLDERS: Final = 3_000
"""Groups that one value pools at most, to bound the pairs."""


def join_pools(group: Codes, incidence: Incidence, *, pooled_share: float) -> Codes:
    """Group numbers after joining groups that are pooled both by the work of one program and by something else.

    A value pools the groups that hold it when they have ``pooled_share`` of its accounts. Two groups are joined if
    they hold the same such values of the families of ``SOFTWARE`` (:data:`ALIKE_SHARE`) and, besides, one such value of
    another family: an app brings its wording to all its customers, but neither address nor card.
    O(uses log uses + pairs of groups that a value pools).

    Parameters
    ----------
    group : group number of each account code, from 0, -1 for none.
    incidence : uses as codes.
    pooled_share : from which on strangers hardly have a value.
    """
    groups, values = int(group.max(initial=-1)) + 1, len(incidence.bits)
    holder, value, count = _holdings(group, incidence)
    accounts = incidence.table["accounts"].to_numpy(dtype=np.int64)
    holders = np.bincount(value, minlength=values)
    is_pooling = (holders >= 2) & (holders <= MOST_HOLDERS)
    is_pooling &= np.bincount(value, weights=count, minlength=values) >= pooled_share * accounts
    is_software = np.isin(np.array(incidence.families)[incidence.family], SOFTWARE)
    held = csr_array((np.ones(len(holder), np.int64), (holder, value)), shape=(groups, values))
    programs, places = (held[:, np.flatnonzero(is_pooling & chosen)] for chosen in (is_software, ~is_software))
    both = coo_array(programs @ programs.T)
    either = programs.sum(axis=1)[both.row] + programs.sum(axis=1)[both.col] - both.data
    alike = both.data >= ALIKE_SHARE * either
    edges = csr_array((np.ones(int(alike.sum())), (both.row[alike], both.col[alike])), shape=(groups, groups))
    label = connected_components(edges * (places @ places.T), directed=False)[1].astype(np.int64)
    return np.where(group >= 0, np.append(label, -1)[group], -1)


def find_pooled(group: Codes, incidence: Incidence, chosen: Flags, *, least: int) -> Flags:
    """Which of the chosen groups share a value that is theirs: a wording, a client, an address that hardly others have.

    Its accounts are in chosen groups (:data:`POOLED_SHARE`), in two of them and more, so many together that none of
    these groups is all there is. Days of sign-up do not count: groups found through them have them in common. Nor do
    address prefixes: strangers rent their servers side by side.

    Parameters
    ----------
    group : group number of each account code, from 0, -1 for none.
    incidence : uses as codes.
    chosen : of each group, whether it counts.
    least : accounts of chosen groups that must have the value.
    """
    holder, value, count = _holdings(group, incidence)
    is_sign_up = np.array(incidence.families)[incidence.family] == "registration"
    is_told = ~is_sign_up & (incidence.table["kind"] != "ip_prefix").to_numpy(dtype=np.bool_)
    is_counted = chosen[holder] & is_told[value]
    holder, value, count = holder[is_counted], value[is_counted], count[is_counted]
    values = len(incidence.bits)
    together = np.bincount(value, weights=count, minlength=values)
    is_theirs = (np.bincount(value, minlength=values) >= 2) & (together >= least)
    is_theirs &= together >= POOLED_SHARE * incidence.table["accounts"].to_numpy(dtype=np.int64)
    return np.bincount(holder[is_theirs[value]], minlength=len(chosen)) > 0


def _holdings(group: Codes, incidence: Incidence) -> tuple[Codes, Codes, Codes]:
    """Each group and a value that it holds, and how many of its accounts have that."""
    uses = GroupUses(group, incidence)
    holder, value, count = uses.rows(incidence)
    holds = (count >= HOLDING_ACCOUNTS) & (count >= HOLDING_SHARE * uses.accounts[holder])
    return holder[holds], value[holds], count[holds]
