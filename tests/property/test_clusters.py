from __future__ import annotations

import random

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage.clusters.graph import AccountGraph
from linkage.clusters.significance import adjust_p_values
from linkage.clusters.tracking import carry_ids
from linkage.settings import TrackingSettings
from linkage.terms import CLUSTERS, LINKS, MEMBERS, make_frame

PAIR = st.tuples(st.integers(0, 15), st.integers(0, 15)).filter(lambda pair: pair[0] < pair[1])


def links(pairs: list[tuple[int, int]]) -> pd.DataFrame:
    columns = {
        "account_a": [f"a{a:02d}" for a, _ in pairs],
        "account_b": [f"a{b:02d}" for _, b in pairs],
        "bits": [1.0 + (a * 7 + b) % 5 for a, b in pairs],
        "families": [2] * len(pairs),
    }
    return make_frame(LINKS, columns)


def clusters(label: list[int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Account n in cluster label[n]."""
    names = [f"k{number}" for number in label]
    columns = {"account_id": [f"a{n:02d}" for n in range(len(label))], "cluster_id": names}
    members = make_frame(MEMBERS, {**columns, "membership": ["core"] * len(label)})
    return make_frame(CLUSTERS, {"cluster_id": sorted(set(names))}), members


@settings(max_examples=40, deadline=None)
@given(st.lists(PAIR, min_size=1, max_size=40, unique=True), st.integers(0, 5))
def test_a_partition_is_the_same_for_any_order_of_links(pairs: list[tuple[int, int]], seed: int) -> None:
    shuffled = pairs.copy()
    random.Random(seed).shuffle(shuffled)
    labels = [AccountGraph(links(p), weight="bits").leiden(resolution=0.3, seed=seed) for p in (pairs, shuffled)]
    assert (labels[0] == labels[1]).all()


@settings(max_examples=40, deadline=None)
@given(st.lists(PAIR, min_size=1, max_size=40, unique=True))
def test_components_never_cross_missing_links(pairs: list[tuple[int, int]]) -> None:
    graph = AccountGraph(links(pairs), weight="bits")
    label = graph.components(np.ones(len(pairs), dtype=bool))
    first, second = graph.ends.T
    assert (label[first] == label[second]).all()
    assert len(graph.accounts) == len({name for pair in pairs for name in pair})


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=16), st.lists(st.integers(0, 4), min_size=1, max_size=16))
def test_every_cluster_keeps_one_id_and_every_old_one_is_accounted_for(now: list[int], before: list[int]) -> None:
    table, members = clusters(now)
    tracked = carry_ids(table, members, clusters(before)[1], settings=TrackingSettings())
    assert tracked.clusters["cluster_id"].is_unique
    assert len(tracked.members) == len(now)
    old, new = {f"k{n}" for n in before}, set(tracked.clusters["cluster_id"])
    ended = set(tracked.events.loc[tracked.events["event"] == "ended", "cluster_id"])
    born = set(tracked.events.loc[tracked.events["event"] == "born", "cluster_id"])
    assert ended == old - new
    assert born == new - old


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=16))
def test_a_second_run_of_the_same_clusters_has_no_events(label: list[int]) -> None:
    table, members = clusters(label)
    first = carry_ids(table, members, make_frame(MEMBERS), settings=TrackingSettings())
    second = carry_ids(table, members, first.members, settings=TrackingSettings())
    assert second.events.empty
    pd.testing.assert_frame_equal(second.members, first.members)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.0001, 1), min_size=1, max_size=30))
def test_q_values_are_at_least_their_p_values_and_ordered_alike(values: list[float]) -> None:
    p_values = np.array(values)
    q_values = adjust_p_values(p_values)
    assert (q_values >= p_values - 1e-12).all()
    assert (np.diff(q_values[np.argsort(p_values, kind="stable")]) >= -1e-12).all()
