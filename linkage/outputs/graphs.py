"""Graph files that Gephi, NetworkX and others open without loss of ids."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterable, Mapping
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any, Final, Literal, cast, get_args
from xml.sax.saxutils import escape

import networkx as nx

from linkage.errors import OutputError, UsageError
from linkage.outputs.files import write_whole
from linkage.outputs.tables import plain_value
from linkage.outputs.text import visible

GraphFormat = Literal["graphml", "gexf", "json"]
"""Formats a graph can be written in."""

GRAPH_FORMATS: Final[tuple[GraphFormat, ...]] = get_args(GraphFormat)

_GEXF_DATE: Final = re.compile(rb' lastmodifieddate="[^"]*"')
"""networkx stamps GEXF files with today's date; the same graph must give the same bytes."""


def write_graph(
    graph: nx.Graph[Any],
    *,
    format: GraphFormat,  # noqa: A002 - the word the command line has, too
    out: str | PathLike[str],
    about: Mapping[str, Any] | None = None,
) -> Path:
    """Writes the graph to one file, whole or not at all, and returns its path.

    Accounts and entities keep their ids; only characters that XML cannot hold, and hidden ones, are written
    out as escapes (two ids that would then be one are told apart by a number). Attributes become text,
    whole numbers, numbers or flags; times become ISO 8601 text; nulls are left out. Where links have
    ``bits`` and no ``weight``, ``weight`` is set to the bits, since Gephi draws by it.

    Parameters
    ----------
    graph : any networkx graph, directed or not, with or without parallel edges; ids must be text.
    format : ``graphml``, ``gexf`` (1.2draft, opens in Gephi) or ``json`` (networkx node-link data).
    out : the file to write; what stood there before is replaced at the end, in one step.
    about : names and values that are written into the file, of the graph as a whole; in GEXF as its description.

    Raises
    ------
    UsageError : a format that does not exist.
    OutputError : an id that is not text.
    OutputFileError : the file cannot be written.
    """
    if format not in GRAPH_FORMATS:
        wanted = ", ".join(GRAPH_FORMATS)
        raise UsageError(f"wanted a graph format of {wanted}; got {format!r}. Choose one of these")
    clean = _clean_graph(graph)
    clean.graph.update(_clean_attributes(about or {}))
    return write_whole(_WRITERS[format](clean), out=out)


def _clean_graph(graph: nx.Graph[Any]) -> nx.Graph[str]:
    """A copy in sorted order whose ids and attributes every format can hold."""
    names = _clean_ids(graph.nodes)
    copy = cast("nx.Graph[str]", graph.__class__())
    for identifier in sorted(names):
        attributes = _clean_attributes(graph.nodes[identifier])
        copy.add_node(names[identifier], **{"label": names[identifier]} | attributes)
    copy.add_edges_from(_clean_edges(graph, names))
    return copy


def _clean_ids(identifiers: Iterable[Hashable]) -> dict[str, str]:
    names: dict[str, str] = {}
    taken: set[str] = set()
    texts = [_as_id(identifier) for identifier in identifiers]
    # Ids that need no escape come first, so that it is never they who gain a number.
    for text in sorted(texts, key=lambda text: (visible(text) != text, text)):
        name, number = visible(text), 1
        while name in taken:
            number += 1
            name = f"{visible(text)}~{number}"
        taken.add(name)
        names[text] = name
    return names


def _as_id(identifier: Hashable) -> str:
    if not isinstance(identifier, str):
        raise OutputError(
            f"wanted text ids in the graph; found {identifier!r}. Relabel with networkx.relabel_nodes first"
        )
    return identifier


def _clean_edges(graph: nx.Graph[Any], names: Mapping[str, str]) -> list[tuple[str, str, dict[str, Any]]]:
    edges = []
    for tail, head, attributes in graph.edges(data=True):
        ends = (tail, head) if graph.is_directed() else (min(tail, head), max(tail, head))
        clean = _clean_attributes(attributes)
        if "bits" in clean and "weight" not in clean:
            clean["weight"] = clean["bits"]
        edges.append((names[ends[0]], names[ends[1]], clean))
    return sorted(edges, key=lambda edge: (edge[0], edge[1], json.dumps(edge[2], sort_keys=True)))


def _clean_attributes(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    clean = {visible(str(name)): _clean_value(value) for name, value in attributes.items()}
    return {name: clean[name] for name in sorted(clean) if clean[name] is not None}


def _clean_value(value: Any) -> str | int | float | bool | None:
    plain = plain_value(value)
    if isinstance(plain, list) and all(isinstance(item, str) for item in plain):
        return visible("+".join(plain))
    if isinstance(plain, dict | list):
        return json.dumps(plain)
    return visible(plain) if isinstance(plain, str) else cast("int | float | bool | None", plain)


def _graphml_bytes(graph: nx.Graph[str]) -> bytes:
    buffer = BytesIO()
    nx.write_graphml_xml(graph, buffer, encoding="utf-8", prettyprint=True)
    return buffer.getvalue()


def _gexf_bytes(graph: nx.Graph[str]) -> bytes:
    buffer = BytesIO()
    nx.write_gexf(graph, buffer, encoding="utf-8", prettyprint=True)
    content = _GEXF_DATE.sub(b"", buffer.getvalue(), count=1)
    told = "; ".join(f"{name}: {value}" for name, value in graph.graph.items())
    # networkx has no place for the attributes of a graph in GEXF; the format has this one.
    described = f"<description>{escape(told)}</description></meta>".encode()
    return content.replace(b"</meta>", described, 1) if told else content


def _json_bytes(graph: nx.Graph[str]) -> bytes:
    data = nx.node_link_data(graph, edges="edges")
    return (json.dumps(data, allow_nan=False, indent=1) + "\n").encode("ascii")


_WRITERS: Final = {"graphml": _graphml_bytes, "gexf": _gexf_bytes, "json": _json_bytes}
