"""Lasting ids: which cluster of this run is which cluster of the last one, and what happened to it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Container, Iterable, Set

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from linkage.settings import TrackingSettings
from linkage.terms import CLUSTERS, EVENTS, MEMBERS, check_frame, make_frame

_Turn = tuple[str, int, int]
"""``dormant`` or ``revived``, accounts before, accounts in both."""


@dataclasses.dataclass(frozen=True)
class Tracked:
    """Clusters and members under lasting ids, and the events since the last run."""

    clusters: pd.DataFrame
    """Shape ``CLUSTERS``."""
    members: pd.DataFrame
    """Shape ``MEMBERS``."""
    events: pd.DataFrame
    """Shape ``EVENTS``."""


def carry_ids(
    clusters: pd.DataFrame,
    members: pd.DataFrame,
    previous_members: pd.DataFrame,
    *,
    dormant_members: pd.DataFrame | None = None,
    known_ids: Iterable[str] = (),
    quiet_now: Container[str] = (),
    quiet_before: Container[str] = (),
    settings: TrackingSettings,
) -> Tracked:
    """Clusters under the ids they had before, new ids for new ones, and what happened.

    A cluster is the same as one of the last run when the two overlap by ``settings.overlap`` or more and
    no other matching of clusters overlaps more in all (one-to-one). What is none of the last run may be one that was
    gone in it: those are matched after, in the same way. Members count without bystanders. A cluster whose members
    fall silent (:func:`quiet_clusters`) is told once as dormant, and as revived when they are back.

    Parameters
    ----------
    clusters, members : this run, under provisional ids.
    previous_members : frame of shape ``MEMBERS`` of the last run; empty for a first run.
    dormant_members : frame of shape ``MEMBERS``: clusters of earlier runs that the last run did not have, as they were
        last; None: none is remembered.
    known_ids : every cluster id ever given; a new id is none of them.
    quiet_now, quiet_before : provisional ids of clusters that are silent, and ids of those that were in the last run.
    settings : overlap from which two clusters are the same.

    Returns
    -------
    :class:`Tracked`; clusters in the order given, members sorted by cluster and account, events by cluster.

    Examples
    --------
    >>> empty = make_frame(MEMBERS)
    >>> carry_ids(make_frame(CLUSTERS), empty, empty, settings=TrackingSettings()).events.empty
    True
    """
    check_frame(clusters, CLUSTERS, name="clusters")
    check_frame(members, MEMBERS, name="members")
    check_frame(previous_members, MEMBERS, name="previous_members")
    shared = _shared(_firm(members), _firm(previous_members))
    now, before = _sizes(members), _sizes(previous_members)
    lasting = _match(shared, now, before, overlap=settings.overlap)
    asleep = make_frame(MEMBERS) if dormant_members is None else dormant_members
    asleep = asleep[~asleep["cluster_id"].isin(before.index)]
    revived = _revive(members, asleep, lasting, overlap=settings.overlap)
    taken = {*known_ids, *before.index.astype(str), *asleep["cluster_id"]}
    accounts_of = dict(list(members.groupby("cluster_id")["account_id"]))
    for cluster in clusters["cluster_id"]:
        if cluster not in lasting:
            lasting[cluster] = new_cluster_id(accounts_of.get(cluster, ()), taken=taken)
            taken.add(lasting[cluster])
    turned = _turned(shared, now, before, lasting, quiet_now, quiet_before)
    events = _events(shared, now, before, lasting, turned=turned | revived, overlap=settings.overlap)
    renamed = members.assign(cluster_id=members["cluster_id"].map(lasting).astype("str"))
    return Tracked(
        clusters.assign(cluster_id=clusters["cluster_id"].map(lasting).astype("str")),
        renamed.sort_values(["cluster_id", "account_id"], ignore_index=True),
        events,
    )


def _revive(
    members: pd.DataFrame, asleep: pd.DataFrame, lasting: dict[str, str], *, overlap: float
) -> dict[str, _Turn]:
    """Give clusters that are none of the last run the ids of dormant ones."""
    rest = members[~members["cluster_id"].isin(list(lasting))]
    shared, then = _shared(_firm(rest), _firm(asleep)), _sizes(asleep)
    found = _match(shared, _sizes(rest), then, overlap=overlap)
    lasting |= found
    both = shared.set_index(["cluster_id_now", "cluster_id_before"])["shared"]
    return {old: ("revived", int(then[old]), int(both[now, old])) for now, old in found.items()}


def quiet_clusters(clusters: pd.DataFrame, *, as_of: pd.Timestamp, settings: TrackingSettings) -> frozenset[str]:
    """Ids of clusters whose firm members made their last request ``settings.dormant_days`` before a time, or earlier.

    Parameters
    ----------
    clusters : frame of shape ``CLUSTERS``.
    as_of : end of the run's window.
    """
    silent_since = as_of - pd.Timedelta(days=settings.dormant_days)
    return frozenset(clusters.loc[clusters["last_seen"] <= silent_since, "cluster_id"])


def _turned(
    shared: pd.DataFrame,
    now: pd.Series[int],
    before: pd.Series[int],
    lasting: dict[str, str],
    quiet_now: Container[str],
    quiet_before: Container[str],
) -> dict[str, _Turn]:
    """Clusters of both runs that fell silent in between, or are back."""
    both = shared.set_index(["cluster_id_now", "cluster_id_before"])["shared"]
    turns: dict[str, _Turn] = {}
    for provisional in now.index:
        cluster = lasting[str(provisional)]
        is_quiet, was_quiet = str(provisional) in quiet_now, cluster in quiet_before
        if cluster in before.index and is_quiet != was_quiet:
            kind = "dormant" if is_quiet else "revived"
            turns[cluster] = (kind, int(before[cluster]), int(both[provisional, cluster]))
    return turns


def new_cluster_id(accounts: Iterable[str], *, taken: Iterable[str] = ()) -> str:
    """An id made of the accounts' ids: ``c-`` and six hex digits or more, none of the taken ones.

    Examples
    --------
    >>> new_cluster_id(["b", "a"]) == new_cluster_id(["a", "b"])
    True
    >>> new_cluster_id(["a"], taken=[new_cluster_id(["a"])]) == new_cluster_id(["a"])
    False
    """
    digest = hashlib.sha256("\n".join(sorted(accounts)).encode()).hexdigest()
    used = taken if isinstance(taken, Set) else set(taken)
    for length in range(6, len(digest) + 1):
        candidate = f"c-{digest[:length]}"
        if candidate not in used:
            return candidate
    return new_cluster_id([digest], taken=used)


def _firm(members: pd.DataFrame) -> pd.DataFrame:
    return members.loc[members["membership"] != "bystander", ["account_id", "cluster_id"]]


def _sizes(members: pd.DataFrame) -> pd.Series[int]:
    return _firm(members).groupby("cluster_id").size()


def _shared(members: pd.DataFrame, previous: pd.DataFrame) -> pd.DataFrame:
    """Pairs of a cluster now and one before with the number of accounts in both."""
    both = members.merge(previous, on="account_id", suffixes=("_now", "_before"))
    pairs = both.groupby(["cluster_id_now", "cluster_id_before"]).size()
    return pairs.rename("shared").reset_index()


def _match(shared: pd.DataFrame, now: pd.Series[int], before: pd.Series[int], *, overlap: float) -> dict[str, str]:
    """Provisional id to the id of the last run, one-to-one."""
    if shared.empty:
        return {}
    total = shared["cluster_id_now"].map(now) + shared["cluster_id_before"].map(before) - shared["shared"]
    jaccard = (shared["shared"] / total).to_numpy(dtype=np.float64)
    rows, row_names = pd.factorize(shared["cluster_id_now"], sort=True)
    columns, column_names = pd.factorize(shared["cluster_id_before"], sort=True)
    matrix = np.zeros((len(row_names), len(column_names)))
    matrix[rows, columns] = np.where(jaccard >= overlap, jaccard, 0.0)
    chosen = zip(*linear_sum_assignment(matrix, maximize=True), strict=True)
    return {str(row_names[r]): str(column_names[c]) for r, c in chosen if matrix[r, c] > 0}


def _events(
    shared: pd.DataFrame,
    now: pd.Series[int],
    before: pd.Series[int],
    lasting: dict[str, str],
    *,
    turned: dict[str, _Turn],
    overlap: float,
) -> pd.DataFrame:
    """What happened: at most one birth, turn, growth or end per cluster, and a row per split or merge."""
    rows: list[dict[str, object]] = []
    current = {lasting[str(cluster)]: int(size) for cluster, size in now.items()}
    common = {
        (lasting[a], b): int(n)
        for a, b, n in shared[["cluster_id_now", "cluster_id_before", "shared"]].itertuples(index=False)
    }
    for cluster, size in sorted(current.items()):
        earlier = int(before.get(cluster, 0))
        same = common.get((cluster, cluster), 0)
        if cluster in turned:
            turn, then, both = turned[cluster]
            rows.append(_event(cluster, turn, None, then, size, both))
            continue
        kind = "born" if not earlier else "grew" if size > earlier else "shrank" if size < earlier else None
        if kind:
            rows.append(_event(cluster, kind, None, earlier, size, same))
    for (cluster, other), both in sorted(common.items()):
        earlier, size = int(before[other]), current[cluster]
        if cluster == other:
            continue
        if both >= overlap * size and other in current:
            rows.append(_event(other, "split", cluster, earlier, current[other], both))
        elif both >= overlap * earlier:
            rows.append(_event(cluster, "merged", other, earlier, size, both))
    ended = [(str(cluster), int(size)) for cluster, size in before.items() if cluster not in current]
    rows += [_event(cluster, "ended", None, size, 0, 0) for cluster, size in ended]
    frame = pd.DataFrame(rows, columns=list(EVENTS))
    made = make_frame(EVENTS, {name: frame[name].array for name in EVENTS} if rows else None)
    return made.sort_values(["cluster_id", "event", "other_id"], kind="stable", ignore_index=True)


def _event(cluster: str, kind: str, other: str | None, before: int, after: int, shared: int) -> dict[str, object]:
    return {
        "cluster_id": cluster,
        "event": kind,
        "other_id": other,
        "accounts_before": before,
        "accounts_after": after,
        "accounts_shared": shared,
    }
