"""Graph files that others open without loss of ids."""

import json
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import networkx as nx
import pandas as pd
import pytest
from details import HOSTILE, SURROGATE, make_detail, make_graph

from linkage.errors import OutputError, OutputFileError, UsageError
from linkage.outputs.graphs import GRAPH_FORMATS, GraphFormat, write_graph
from linkage.outputs.text import visible

NODE_ATTRIBUTES = {"kind", "cluster_id", "tier", "membership"}
EDGE_ATTRIBUTES = {"family", "bits", "request_count", "first_at", "last_at"}


def read_back(path: Path, form: GraphFormat) -> "nx.Graph[Any]":
    if form == "graphml":
        return cast("nx.Graph[Any]", nx.read_graphml(path))
    if form == "gexf":
        return cast("nx.Graph[Any]", nx.read_gexf(path))
    return cast("nx.Graph[Any]", nx.node_link_graph(json.loads(path.read_bytes()), edges="edges"))


@pytest.mark.parametrize("form", GRAPH_FORMATS)
def test_networkx_reads_ids_links_and_attributes_back(form: GraphFormat, tmp_path: Path) -> None:
    graph = make_graph(make_detail(50))
    back = read_back(write_graph(graph, format=form, out=tmp_path / "g"), form)
    assert set(back.nodes) == set(graph.nodes)
    assert {frozenset(edge) for edge in back.edges} == {frozenset(edge) for edge in graph.edges}
    for name, attributes in graph.nodes(data=True):
        assert {key: back.nodes[name][key] for key in attributes} == attributes
    for a, b, attributes in graph.edges(data=True):
        found = back.edges[a, b]
        assert {key: found[key] for key in ("family", "bits", "request_count")} == {
            key: attributes[key] for key in ("family", "bits", "request_count")
        }
        assert pd.Timestamp(found["first_at"]) == attributes["first_at"]
        assert found["weight"] == attributes["bits"]
        assert set(found) >= EDGE_ATTRIBUTES


@pytest.mark.parametrize("form", GRAPH_FORMATS)
def test_hostile_ids_and_labels_break_no_file(form: GraphFormat, tmp_path: Path) -> None:
    graph: nx.Graph[str] = nx.Graph()
    names = [*HOSTILE.values(), SURROGATE, "a\tb", "a\nb", "\ufffe", " padded ", ""]
    for name in names:
        graph.add_node(name, label=name, kind="account")
        graph.add_edge("hub", name, family=name)
    path = write_graph(graph, format=form, out=tmp_path / "g")
    if form != "json":
        ElementTree.parse(path)  # noqa: S314 - a file this test made
    back = read_back(path, form)
    assert set(back.nodes) == {visible(name) for name in [*names, "hub"]}
    assert back.edges["hub", HOSTILE["script"]]["family"] == HOSTILE["script"]
    assert back.nodes["x\\ud800y"]["label"] == "x\\ud800y"


def test_ids_that_would_fall_together_stay_two(tmp_path: Path) -> None:
    graph: nx.Graph[str] = nx.Graph([("a\x00", "x"), ("a\\u0000", "y")])
    back = read_back(write_graph(graph, format="graphml", out=tmp_path / "g"), "graphml")
    assert set(back.edges) == {("a\\u0000", "y"), ("a\\u0000~2", "x")}


@pytest.mark.parametrize("form", GRAPH_FORMATS)
def test_the_same_graph_in_another_order_gives_the_same_bytes(form: GraphFormat, tmp_path: Path) -> None:
    graph = make_graph(make_detail(14))
    turned: nx.Graph[str] = nx.Graph()
    turned.add_nodes_from(reversed(list(graph.nodes(data=True))))
    turned.add_edges_from((b, a, attributes) for a, b, attributes in reversed(list(graph.edges(data=True))))
    first = write_graph(graph, format=form, out=tmp_path / "a").read_bytes()
    assert write_graph(turned, format=form, out=tmp_path / "b").read_bytes() == first
    assert b"lastmodifieddate" not in first


@pytest.mark.parametrize("form", GRAPH_FORMATS)
def test_odd_attributes_become_plain_and_nulls_are_left_out(form: GraphFormat, tmp_path: Path) -> None:
    graph: nx.Graph[str] = nx.Graph()
    graph.add_node("a", families=["network", "payment"], stability=float("nan"), tier=None, flagged=True, more={"n": 1})
    back = read_back(write_graph(graph, format=form, out=tmp_path / "g"), form)
    assert back.nodes["a"] == {"label": "a", "families": "network+payment", "flagged": True, "more": '{"n": 1}'}


@pytest.mark.parametrize("form", GRAPH_FORMATS)
def test_several_links_between_two_accounts_are_kept(form: GraphFormat, tmp_path: Path) -> None:
    graph: nx.MultiGraph[str] = nx.MultiGraph()
    graph.add_edge("a", "b", family="network", bits=3.0)
    graph.add_edge("b", "a", family="payment", bits=9.0)
    back = read_back(write_graph(graph, format=form, out=tmp_path / "g"), form)
    assert sorted(data["family"] for _, _, data in back.edges(data=True)) == ["network", "payment"]


@pytest.mark.parametrize("form", GRAPH_FORMATS)
def test_an_empty_graph_is_a_file_too(form: GraphFormat, tmp_path: Path) -> None:
    empty: nx.Graph[str] = nx.Graph()
    assert len(read_back(write_graph(empty, format=form, out=tmp_path / "g"), form)) == 0


def test_the_graph_handed_in_is_not_changed(tmp_path: Path) -> None:
    graph = make_graph(make_detail(14))
    before = json.dumps(nx.node_link_data(graph, edges="edges"), default=str)
    write_graph(graph, format="gexf", out=tmp_path / "g")
    assert json.dumps(nx.node_link_data(graph, edges="edges"), default=str) == before


def test_an_unknown_format_and_a_numbered_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="graphml, gexf, json; got 'dot'"):
        write_graph(nx.Graph(), format=cast("GraphFormat", "dot"), out=tmp_path / "g")
    with pytest.raises(OutputError, match="wanted text ids in the graph; found 7"):
        write_graph(nx.Graph([(7, 8)]), format="json", out=tmp_path / "g")
    with pytest.raises(OutputFileError):
        write_graph(nx.Graph(), format="json", out=tmp_path / "missing" / "g")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", GRAPH_FORMATS)
def test_what_is_told_about_a_graph_stands_in_the_file(form: GraphFormat, tmp_path: Path) -> None:
    graph: nx.Graph[str] = nx.Graph([("a", "b")])
    path = write_graph(
        graph, format=form, out=tmp_path / "g", about={"run_id": "r-<1>", "include_personal_data": False}
    )
    assert set(read_back(path, form).nodes) == {"a", "b"}
    if form == "gexf":
        told = ElementTree.parse(path).findtext(".//{*}description")  # noqa: S314 - a file this test made
        assert told == "include_personal_data: False; run_id: r-<1>"
    else:
        assert read_back(path, form).graph.items() >= {"run_id": "r-<1>", "include_personal_data": False}.items()
