"""Those whom a community's members could have been copied from, as a community of their own where they are many.

The rule against framing leaves out who is tied by nothing but what can be copied. One victim is left out so, or a few.
Hundreds are more than that: an operator with a larger one's kit and addresses, or an app whose ways were taken over
with all its customers. Left in, they are bystanders of somebody else's cluster, and nobody looks at what they are.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from linkage.arrays import Codes, Flags
from linkage.clusters.communities import number_communities
from linkage.clusters.membership import Standing, find_standing
from linkage.clusters.nearness import Nearness
from linkage.clusters.ties import all_ties, build_incidence, rank_habits
from linkage.settings import VerdictSettings
from linkage.terms import ACCOUNTS, COMMUNITIES, CONDUCT, EXCLUSIONS, check_frame

PARTED_ACCOUNTS: Final = 10
"""Accounts from which on they are a community of their own, where they are so large a part of the one they were in:"""

PARTED_SHARE: Final = 0.2
"""as a share of its accounts."""


def part_left_out(
    communities: pd.DataFrame,
    *,
    evidence: pd.DataFrame,
    values: pd.DataFrame,
    accounts: pd.DataFrame,
    conduct: pd.DataFrame,
    settings: VerdictSettings,
) -> pd.DataFrame:
    """Communities after many who are left out only as somebody that may have been copied are parted from them.

    What shows in a group alone (hand-overs, work lists) is not asked: cells of one queue are joined again
    (:func:`~linkage.clusters.cells.join_cells`).

    Parameters
    ----------
    communities : frame of shape ``COMMUNITIES``.
    evidence, values, accounts, conduct : as for ``find_communities``.
    settings : who is left out (:func:`~linkage.clusters.membership.find_standing`).

    Returns
    -------
    DataFrame of shape ``COMMUNITIES``, numbered anew by falling size; stability stays what it was.
    """
    check_frame(communities, COMMUNITIES, name="communities")
    check_frame(accounts, ACCOUNTS, name="accounts")
    check_frame(conduct, CONDUCT, name="conduct")
    if communities.empty:
        return communities
    incidence = build_incidence(evidence, values, accounts)
    code = incidence.accounts.get_indexer(pd.Index(communities["account_id"]))
    group = np.full(len(accounts), -1, dtype=np.int64)
    group[code] = communities["community"].to_numpy()
    groups = int(group.max()) + 1
    ties = all_ties(incidence, Nearness(rank_habits(conduct, accounts)), group, groups=groups)[1]
    standing = find_standing(
        ties,
        group,
        families=(*incidence.families, "conduct"),
        incidence=incidence,
        accounts=accounts,
        conduct=conduct,
        settings=settings,
    )
    label = np.where(_is_parted(standing, group, groups), groups + group, group)
    return number_communities(communities.assign(label=label[code]))


def _is_parted(standing: Standing, group: Codes, groups: int) -> Flags:
    """Which accounts are left out of their group for this reason alone, with enough others."""
    copyable = standing.excluded[:, EXCLUSIONS.index("copyable")]
    left = copyable & (standing.excluded.sum(axis=1) == 1) & ~standing.is_untold
    size, count = (np.bincount(group[rows], minlength=groups) for rows in (group >= 0, left))
    is_many = count >= np.maximum(PARTED_ACCOUNTS, PARTED_SHARE * size)
    return np.asarray(left & is_many[group], dtype=np.bool_)  # who is in no group is not left out
