from __future__ import annotations

import copy
import random

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from linking_frames import World

from linkage.clusters.graph import AccountGraph, account_graph, entity_graph
from linkage.errors import ClusterError
from linkage.terms import LINKS, MEMBERS, make_frame


def cliques(*groups: str, bits: float = 10.0) -> pd.DataFrame:
    pairs = [(a, b) for group in groups for a in group for b in group if a < b]
    columns = {"account_a": [a for a, _ in pairs], "account_b": [b for _, b in pairs]}
    return make_frame(LINKS, {**columns, "bits": [bits] * len(pairs), "families": [2] * len(pairs)})


def test_two_cliques_are_two_communities() -> None:
    graph = AccountGraph(cliques("abcd", "wxyz"), weight="bits")
    label = graph.leiden(resolution=0.5, seed=1)
    assert graph.accounts == tuple("abcdwxyz")
    assert len(set(label)) == 2
    assert len(set(label[:4])) == 1


def test_the_order_of_links_does_not_matter() -> None:
    links = pd.concat([cliques("abcdefgh"), cliques("hijk")], ignore_index=True)
    shuffled = links.sample(frac=1, random_state=3)
    graphs = [AccountGraph(frame, weight="bits") for frame in (links, shuffled)]
    assert (graphs[0].ends == graphs[1].ends).all()
    assert (graphs[0].leiden(resolution=0.5, seed=4) == graphs[1].leiden(resolution=0.5, seed=4)).all()


def test_leiden_leaves_the_global_generator_alone() -> None:
    random.seed(5)
    expected = random.Random(5).random()
    AccountGraph(cliques("abcd"), weight="bits").leiden(resolution=0.5, seed=6)
    assert random.random() == expected


def test_many_links_get_two_rounds_of_leiden(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[int] = []

    class Partitioned:
        membership = (0, 0, 0)

        def community_leiden(self, *, n_iterations: int, **_rest: object) -> Partitioned:
            rounds.append(n_iterations)
            return self

    graph = AccountGraph(cliques("abc"), weight="bits")
    vars(graph)["_graph"] = Partitioned()
    graph.leiden(resolution=0.5, seed=1)
    monkeypatch.setattr("linkage.clusters.graph.MANY_LINKS", 3)
    graph.leiden(resolution=0.5, seed=1)
    assert rounds == [4, 2]


def test_a_graph_is_sent_without_what_igraph_made_of_it() -> None:
    graph = AccountGraph(cliques("abcd", "wxyz"), weight="bits")
    label = graph.leiden(resolution=0.5, seed=1)
    sent = copy.deepcopy(graph)
    assert "_graph" not in vars(sent)
    assert (sent.leiden(resolution=0.5, seed=1) == label).all()


def test_components_follow_the_kept_links() -> None:
    graph = AccountGraph(cliques("abc", "xyz"), weight="bits")
    assert len(set(graph.components(np.ones(6, dtype=bool)))) == 2
    assert len(set(graph.components(np.zeros(6, dtype=bool)))) == 6


def test_a_weight_of_nothing_is_refused() -> None:
    with pytest.raises(ClusterError, match="3 not above 0"):
        AccountGraph(cliques("abc", bits=0.0), weight="bits")


def test_the_account_graph_carries_bits_and_clusters() -> None:
    row = {"account_id": ["a"], "cluster_id": ["c-1"], "tier": ["enforce"], "membership": ["core"]}
    graph = account_graph(cliques("abc"), members=make_frame(MEMBERS, row))
    assert graph.edges["a", "b"] == {"bits": 10.0, "families": 2}
    assert graph.nodes["a"]["cluster_id"] == "c-1"
    assert "cluster_id" not in graph.nodes["b"]


def test_the_full_graph_has_two_sides() -> None:
    world = World(seed=41)
    world.add_campaign(5)
    frames = world.frames()
    graph = entity_graph(frames["uses"], frames["accounts"])
    sides = nx.get_node_attributes(graph, "kind")
    assert nx.is_bipartite(graph)
    assert {sides[a] == "account" for a, _ in graph.edges} | {sides[b] == "account" for _, b in graph.edges} == {
        True,
        False,
    }
    assert graph.degree["template:t-c"] == 5
    assert graph.nodes["c0000"]["request_count"] >= 110
    assert set(sides.values()) == {"account", "ip", "payment", "template"}
