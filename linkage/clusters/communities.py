"""Communities of accounts: Leiden over several seeds, their consensus, and fragments joined again.

Leiden with the constant Potts model finds tight groups of any size, but the projection is bounded, so a
large campaign comes in fragments. Two fragments are one when a random account of the one shares with a
random account of the other about as much as fellows inside them share among themselves.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pandas as pd

from linkage.arrays import Codes, Numbers
from linkage.clusters.fragments import join_fragments
from linkage.clusters.graph import MANY_LINKS, AccountGraph
from linkage.clusters.pools import join_pools
from linkage.clusters.ties import build_incidence, rank_habits
from linkage.parallel import Beside, afterwards
from linkage.settings import CommunitySettings
from linkage.terms import ACCOUNTS, COMMUNITIES, EVIDENCE, LINKS, check_frame, make_frame

WEIGHT_BITS = 10.0
"""Bits that make a link's weight 1."""

FADING_BITS = 3.0
"""A link this far below the threshold weighs nothing."""

MAX_WEIGHT = 2.5
"""Weight of the strongest link, so that no single link holds a community together."""

BESIDE_LINKS = MANY_LINKS
"""Links from which on partitions are worth a process of their own, which takes a second or two to start; a partition of
so many takes about one."""


@dataclasses.dataclass(frozen=True)
class Partitioned:
    """A graph of links and its partitions, which may be being found still."""

    graph: AccountGraph
    ask: Callable[[], Numbers]
    """Waits for the partitions. Per link: in how many of them its two accounts are in one community, 0 to 1."""


@contextlib.contextmanager
def partition_links(
    links: pd.DataFrame, *, prior_bits: float, settings: CommunitySettings, seed: int, beside: Beside | None = None
) -> Iterator[Partitioned]:
    """Leiden over several seeds, for the length of a ``with`` block.

    Parameters
    ----------
    links : frame of shape ``LINKS``.
    prior_bits : bits a link needs to be as likely as not.
    settings : resolution, and how many seeds.
    seed : the first of them.
    beside : finds the partitions while the block is run, where there are :data:`BESIDE_LINKS`; None: they are found
        when they are asked for.
    """
    check_frame(links, LINKS, name="links")
    weighted = links.assign(weight=weigh_links(links, prior_bits=prior_bits, settings=settings))
    graph = AccountGraph(weighted.loc[weighted["weight"] > 0], weight="weight")
    del weighted
    start = afterwards if beside is None or len(graph.ends) < BESIDE_LINKS else beside
    seeds = range(seed, seed + settings.seeds)
    with start(count_together, {"graph": graph, "resolution": settings.resolution, "seeds": seeds}) as ask:
        yield Partitioned(graph, lambda: ask() / settings.seeds)


def find_communities(
    partitioned: Partitioned,
    *,
    evidence: pd.DataFrame,
    values: pd.DataFrame,
    accounts: pd.DataFrame,
    conduct: pd.DataFrame | None = None,
    settings: CommunitySettings,
) -> pd.DataFrame:
    """Groups of accounts that hang together, and how surely each account belongs to its own.

    Parameters
    ----------
    partitioned : from :func:`partition_links`.
    evidence : frame of shape ``EVIDENCE``; what fragments share is counted on it.
    values : worth of the values of ``evidence`` (``Linked.values``).
    accounts : frame of shape ``ACCOUNTS``.
    conduct : frame of shape ``CONDUCT`` or None; like habits help to join fragments.
    settings : least size, and when fragments are joined.

    Returns
    -------
    DataFrame of shape ``COMMUNITIES``, sorted by community and account; communities are numbered from 0,
    largest first. ``stability``: over seeds, how often an account and its linked fellows came together.

    References
    ----------
    Lancichinetti and Fortunato 2012, "Consensus clustering in complex networks", doi:10.1038/srep00336;
    here the consensus is the components of links whose ends come together in at least half the partitions.
    """
    check_frame(evidence, EVIDENCE, name="evidence")
    check_frame(accounts, ACCOUNTS, name="accounts")
    graph = partitioned.graph
    if not graph.accounts:
        return make_frame(COMMUNITIES)
    incidence = build_incidence(evidence, values, accounts).prepared()
    habits = np.full((len(accounts), 1), np.nan) if conduct is None else rank_habits(conduct, accounts)
    together = partitioned.ask()
    label = graph.components(together >= 0.5)
    code = incidence.accounts.get_indexer(pd.Index(graph.accounts)).astype(np.int64)
    group = np.full(len(accounts), -1, dtype=np.int64)
    group[code] = label
    group = join_fragments(group, incidence, ends=code[graph.ends], habits=habits, settings=settings)
    group = join_pools(group, incidence, pooled_share=settings.pooled_share)
    return _frame(graph, group[code], together, settings)


def weightless_bits(settings: CommunitySettings) -> float:
    """How far below even odds a link weighs nothing here."""
    return FADING_BITS - float(settings.link_bits)


def weigh_links(links: pd.DataFrame, *, prior_bits: float, settings: CommunitySettings) -> pd.Series[float]:
    """What each link weighs in the search, from 0 to :data:`MAX_WEIGHT`."""
    above = links["bits"] - (prior_bits + settings.link_bits)
    return ((above + FADING_BITS) / WEIGHT_BITS).clip(0, MAX_WEIGHT)


def count_together(graph: AccountGraph, *, resolution: float, seeds: Iterable[int]) -> Numbers:
    """Per link: in how many of the partitions of these seeds its two accounts are in one community."""
    first, second = graph.ends.T
    total = np.zeros(len(first))
    for seed in seeds:
        label = graph.leiden(resolution=resolution, seed=seed)
        total += label[first] == label[second]
    return total


def _frame(graph: AccountGraph, label: Codes, together: Numbers, settings: CommunitySettings) -> pd.DataFrame:
    """Communities of enough accounts, numbered by falling size, with the stability of each account."""
    first, second = graph.ends.T
    same = label[first] == label[second]
    ends = np.concatenate([first[same], second[same]])
    links = np.bincount(ends, minlength=len(label))
    share = np.bincount(ends, weights=np.tile(together[same], 2), minlength=len(label))
    stability = share / np.maximum(links, 1)
    frame = pd.DataFrame({"account_id": list(graph.accounts), "label": label, "stability": stability})
    return number_communities(frame, least=settings.min_accounts)


def number_communities(frame: pd.DataFrame, *, least: int = 1) -> pd.DataFrame:
    """Groups of at least so many accounts as communities, the largest first: shape ``COMMUNITIES``.

    Parameters
    ----------
    frame : one row per account with ``account_id``, ``label`` (of its group) and ``stability``.
    """
    sizes = frame.groupby("label").agg(size=("account_id", "size"), first=("account_id", "min"))
    sizes = sizes.loc[sizes["size"] >= least]
    ranked = sizes.sort_values(["size", "first"], ascending=[False, True]).index
    number = pd.Series(np.arange(len(ranked)), index=ranked)
    frame = frame.loc[frame["label"].isin(ranked)]
    frame = frame.assign(community=frame["label"].map(number)).sort_values(["community", "account_id"])
    return make_frame(COMMUNITIES, {name: frame[name].array for name in COMMUNITIES})
