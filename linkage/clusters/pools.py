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

from linkage.clusters.features import SOFTWARE
from linkage.clusters.ties import Codes, Incidence

HOLDING_SHARE: Final = 0.3
"""Share of a group's accounts that must have a value for the group to hold it."""

HOLDING_ACCOUNTS: Final = 2
"""As a number of accounts."""

ALIKE_SHARE: Final = 0.5
"""Of the pooling values of one program that either of two groups holds, the share that both must hold."""

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
    size = np.bincount(group[group >= 0], minlength=groups)
    mine = group[incidence.account]
    code, count = np.unique((mine * values + incidence.value)[mine >= 0], return_counts=True)
    holder, value = np.divmod(code, max(values, 1))
    holds = (count >= HOLDING_ACCOUNTS) & (count >= HOLDING_SHARE * size[holder])
    holder, value, count = holder[holds], value[holds], count[holds]
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
