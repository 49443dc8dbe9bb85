"""Cells of one campaign joined: communities that share little but are fed from one queue.

An operator who knows the tool keeps cells apart: a card and an address per cell, its own wording. What cells
cannot have apart is their work. Where communities hand work over to each other improbably often, and one more
family ties them, they are cells of one cluster; how firmly each hangs together inside is not asked.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from linkage.clusters.communities import number_communities
from linkage.clusters.fragments import MERGE_FAMILY_BITS
from linkage.clusters.group_bits import GroupBits
from linkage.clusters.ties import build_incidence, rank_habits
from linkage.settings import CommunitySettings
from linkage.terms import ACCOUNTS, COMMUNITIES, CONDUCT, GROUP_RELATIONS, check_frame


def join_cells(
    communities: pd.DataFrame,
    relations: pd.DataFrame,
    *,
    evidence: pd.DataFrame,
    values: pd.DataFrame,
    accounts: pd.DataFrame,
    conduct: pd.DataFrame,
    settings: CommunitySettings,
) -> pd.DataFrame:
    """Communities after joining those between which work is handed over.

    Parameters
    ----------
    communities : frame of shape ``COMMUNITIES``.
    relations : frame of shape ``GROUP_RELATIONS`` whose groups are the communities.
    evidence, values, accounts, conduct : as for ``find_communities``.
    settings : ``join_bits`` that a relation must have.

    Returns
    -------
    DataFrame of shape ``COMMUNITIES``, numbered anew by falling size; stability stays that of the cell.
    """
    check_frame(communities, COMMUNITIES, name="communities")
    check_frame(relations, GROUP_RELATIONS, name="relations")
    check_frame(accounts, ACCOUNTS, name="accounts")
    check_frame(conduct, CONDUCT, name="conduct")
    strong = relations.loc[relations["bits"] >= settings.join_bits]
    if strong.empty:
        return communities
    incidence = build_incidence(evidence, values, accounts)
    pairs = strong[["group_a", "group_b"]].to_numpy(dtype=np.int64)
    asked = communities[communities["community"].isin(pairs.ravel())]
    group = np.full(len(accounts), -1, dtype=np.int64)
    group[incidence.accounts.get_indexer(pd.Index(asked["account_id"]))] = asked["community"].to_numpy()
    between = GroupBits(group, incidence, habits=rank_habits(conduct, accounts)).between(pairs)
    tied = (between >= MERGE_FAMILY_BITS).any(axis=1)
    label = np.arange(int(communities["community"].max()) + 1)
    for first, second in pairs[tied]:
        low, high = sorted((label[first], label[second]))
        label[label == high] = low
    return number_communities(communities.assign(label=label[communities["community"]]))
