"""Communities of accounts: Leiden over several seeds, their consensus, and fragments joined again.

Leiden with the constant Potts model finds tight groups of any size, but the projection is bounded, so a
large campaign comes in fragments. Two fragments are one when a random account of the one shares with a
random account of the other about as much as fellows of the looser one share among themselves.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array

from linkage.clusters.graph import AccountGraph
from linkage.clusters.ties import Codes, Incidence, build_incidence
from linkage.settings import CommunitySettings
from linkage.terms import ACCOUNTS, COMMUNITIES, EVIDENCE, LINKS, check_frame, make_frame

Numbers = npt.NDArray[np.float64]

WORK_FAMILIES = ("content", "network", "payment")
"""What an operator's fragments can hardly avoid to have in common."""

WORK_SHARE = 0.1
"""Share of it that two fragments must share; cells of one campaign that share only a template family reach 0.2."""

WEIGHT_BITS = 10.0
"""Bits that make a link's weight 1."""

MARGIN_BITS = 3.0
"""A link this far below the threshold weighs nothing."""

MAX_WEIGHT = 2.5
"""Weight of the strongest link, so that no single link holds a community together."""

MERGE_ROUNDS = 40
"""Rounds of pairwise joining; each can double a community, so 40 are never reached."""


def find_communities(
    links: pd.DataFrame,
    *,
    evidence: pd.DataFrame,
    values: pd.DataFrame,
    accounts: pd.DataFrame,
    prior_bits: float,
    settings: CommunitySettings,
    seed: int,
) -> pd.DataFrame:
    """Groups of accounts that hang together, and how surely each account belongs to its own.

    Parameters
    ----------
    links : frame of shape ``LINKS``.
    evidence : frame of shape ``EVIDENCE``; what fragments share is counted on it.
    values : worth of the values of ``evidence`` (``Linked.values``).
    accounts : frame of shape ``ACCOUNTS``.
    prior_bits : bits a link needs to be as likely as not.
    settings : resolution, seeds, least size, and when fragments are joined.
    seed : the first of ``settings.seeds`` seeds.

    Returns
    -------
    DataFrame of shape ``COMMUNITIES``, sorted by community and account; communities are numbered from 0,
    largest first. ``stability``: over seeds, how often an account and its linked fellows came together.

    References
    ----------
    Lancichinetti and Fortunato 2012, "Consensus clustering in complex networks", doi:10.1038/srep00336;
    here the consensus is the components of links whose ends come together in at least half the partitions.
    """
    check_frame(links, LINKS, name="links")
    check_frame(evidence, EVIDENCE, name="evidence")
    check_frame(accounts, ACCOUNTS, name="accounts")
    graph = _weighted_graph(links, prior_bits + settings.link_bits)
    if not graph.accounts:
        return make_frame(COMMUNITIES)
    together = _together(graph, settings, seed)
    label = graph.components(together >= 0.5)
    incidence = build_incidence(evidence, values, accounts)
    code = incidence.accounts.get_indexer(pd.Index(graph.accounts)).astype(np.int64)
    group = np.full(len(accounts), -1, dtype=np.int64)
    group[code] = label
    group = join_fragments(group, incidence, code[graph.ends], settings=settings)
    return _frame(graph, group[code], together, settings)


def _weighted_graph(links: pd.DataFrame, threshold: float) -> AccountGraph:
    weight = np.clip((links["bits"] - threshold + MARGIN_BITS) / WEIGHT_BITS, 0, MAX_WEIGHT)
    weighted = links.assign(weight=weight)
    return AccountGraph(weighted.loc[weighted["weight"] > 0], weight="weight")


def _together(graph: AccountGraph, settings: CommunitySettings, seed: int) -> Numbers:
    """Per link: in how many of the partitions its two accounts are in one community, 0 to 1."""
    first, second = graph.ends.T
    total = np.zeros(len(first))
    for number in range(settings.seeds):
        label = graph.leiden(resolution=settings.resolution, seed=seed + number)
        total += label[first] == label[second]
    return total / settings.seeds


def join_fragments(group: Codes, incidence: Incidence, ends: Codes, *, settings: CommunitySettings) -> Codes:
    """Group numbers after joining the groups that share about as much as each shares inside.

    Parameters
    ----------
    group : group number of each account code, -1 for none.
    incidence : uses as codes.
    ends : account codes of each link, links x 2; only linked groups can be joined.
    settings : ``merge_share`` of the inner cohesion, and ``merge_bits`` at least.
    """
    group = _renumber(group)
    for _ in range(MERGE_ROUNDS):
        cover, size = _coverage(group, incidence)
        pairs = _linked_groups(group, ends)
        score = _merge_scores(cover, size, pairs, incidence, settings)
        chosen = _mutual_best(pairs, score, len(size))
        if not len(chosen):
            break
        target = np.arange(len(size))
        target[chosen[:, 1]] = chosen[:, 0]
        group = _renumber(np.where(group >= 0, target[group], -1))
    return group


def _merge_scores(
    cover: csr_array, size: Numbers, pairs: Codes, incidence: Incidence, settings: CommunitySettings
) -> Numbers:
    """Per pair of groups, what they share against what joining needs; 1 or more joins.

    Groups that work, pay and connect apart stay apart, however alike they signed up: of what both share
    inside in the families of work, money and place, ``WORK_SHARE`` must be shared between them too.
    """
    inside = _cohesion(cover, size, incidence)
    between = _between(cover, pairs, incidence)
    left, right = inside[pairs[:, 0]], inside[pairs[:, 1]]
    cohesion = np.where(size > 1, inside.sum(axis=1), np.inf)
    looser = np.minimum(cohesion[pairs[:, 0]], cohesion[pairs[:, 1]])
    needed = np.maximum(settings.merge_bits, settings.merge_share * looser)
    work = np.isin(incidence.families, WORK_FAMILIES)
    possible = np.minimum(left, right)[:, work].sum(axis=1)
    apart = between[:, work].sum(axis=1) < WORK_SHARE * possible
    return np.where(apart, 0.0, between.sum(axis=1) / needed)


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
    total = np.zeros((cover.shape[0], len(incidence.families)))
    fellows = np.maximum(size - 1, 1)
    pairs = cover.multiply(cover).multiply((size / fellows)[:, None]) - cover.multiply((1 / fellows)[:, None])
    for family in range(len(incidence.families)):
        bits = np.where(incidence.family == family, incidence.bits, 0.0)
        most = cover.sign().multiply(bits[None, :]).max(axis=1).toarray().ravel()
        total[:, family] = np.minimum(np.asarray(pairs @ bits), most)
    return np.where(size[:, None] > 1, total, 0.0)


def _linked_groups(group: Codes, ends: Codes) -> Codes:
    pairs = group[ends]
    pairs = pairs[(pairs[:, 0] != pairs[:, 1]) & (pairs >= 0).all(axis=1)]
    return np.asarray(np.unique(np.sort(pairs, axis=1), axis=0), dtype=np.int64)


def _between(cover: csr_array, pairs: Codes, incidence: Incidence) -> Numbers:
    """Expected bits a random account of the one group and one of the other share, pairs x families."""
    total = np.zeros((len(pairs), len(incidence.families)))
    if not len(pairs):
        return total
    both = cover[pairs[:, 0]].multiply(cover[pairs[:, 1]]).tocsr()
    for family in range(len(incidence.families)):
        bits = np.where(incidence.family == family, incidence.bits, 0.0)
        most = both.sign().multiply(bits[None, :]).max(axis=1).toarray().ravel()
        total[:, family] = np.minimum(np.asarray(both @ bits), most)
    return total


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


def _frame(graph: AccountGraph, label: Codes, together: Numbers, settings: CommunitySettings) -> pd.DataFrame:
    """Communities of enough accounts, numbered by falling size, with the stability of each account."""
    first, second = graph.ends.T
    same = label[first] == label[second]
    ends = np.concatenate([first[same], second[same]])
    links = np.bincount(ends, minlength=len(label))
    share = np.bincount(ends, weights=np.tile(together[same], 2), minlength=len(label))
    frame = pd.DataFrame(
        {"account_id": list(graph.accounts), "label": label, "stability": share / np.maximum(links, 1)}
    )
    sizes = frame.groupby("label").agg(size=("account_id", "size"), first=("account_id", "min"))
    sizes = sizes.loc[sizes["size"] >= settings.min_accounts]
    ranked = sizes.sort_values(["size", "first"], ascending=[False, True]).index
    number = pd.Series(np.arange(len(ranked)), index=ranked)
    frame = frame.loc[frame["label"].isin(ranked)]
    frame["community"] = frame["label"].map(number)
    frame = frame.sort_values(["community", "account_id"])
    return make_frame(COMMUNITIES, {name: frame[name].array for name in COMMUNITIES})
