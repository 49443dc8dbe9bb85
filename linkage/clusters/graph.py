"""Graphs: igraph inside with a typed face, networkx at the door.

igraph numbers vertices in the order given and ships no types; :class:`AccountGraph` sorts accounts and
links before it builds, so that the same links in any order give the same graph. Both libraries are loaded by who asks
for a graph: igraph brings the whole of matplotlib along, so that every verb began a second later (2026-11-30).
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from linkage.coding import stack_frames, text_codes
from linkage.errors import ClusterError
from linkage.memory import seldom_collected
from linkage.terms import LINKS, USES, check_frame

if TYPE_CHECKING:
    import networkx as nx

GRAPH_KINDS: Final = ("ip", "payment", "template")
"""Kinds of entity the full graph shows beside accounts."""


LEIDEN_ITERATIONS: Final = 4
"""Rounds of Leiden, each from the outcome of the last. On 3.7 million links the fourth has all of the quality
but 3 in 100,000; going on until nothing moves takes three to four times as long (2026-11-29)."""

MANY_LINKS: Final = 500_000
"""Links from which on two rounds are enough. On 2.6 million of them, consensus and joining then move 821 of 124
thousand accounts, where another seed moves 2,967, and two rounds take two thirds of the time (2026-11-29)."""


class AccountGraph:
    """Accounts tied by weighted links.

    Parameters
    ----------
    links : frame with ``account_a``, ``account_b`` and the weight column, no pair twice.
    weight : name of the weight column; weights must be above 0.

    Attributes
    ----------
    accounts : account ids, sorted; their position is their number in the graph.

    Raises
    ------
    ClusterError : a weight that is not above 0, or an account linked to itself.
    """

    def __init__(self, links: pd.DataFrame, *, weight: str) -> None:
        weights = links[weight].to_numpy(dtype=np.float64)
        accounts, ends = _number_accounts(links)
        own = ends[:, 0] == ends[:, 1]
        if not (weights > 0).all() or own.any():
            raise ClusterError(
                f"links: wanted pairs of two accounts with {weight} above 0; found {int((weights <= 0).sum())} "
                f"not above 0 and {int(own.sum())} of one account. Drop them first"
            )
        ends.sort(axis=1)
        order = np.lexsort((ends[:, 1], ends[:, 0]))
        self.accounts: tuple[str, ...] = tuple(map(str, accounts))
        self._ends = ends[order]
        self._weights = weights[order]

    @functools.cached_property
    def _graph(self) -> Any:
        """Made when it is asked for: two processes make theirs at the same time."""
        import igraph

        with seldom_collected():  # igraph makes lists of the links, which Python would go over again and again
            return igraph.Graph(n=len(self.accounts), edges=self._ends.data)

    def __getstate__(self) -> dict[str, Any]:
        """What the graph is made of: igraph would hand its links on as a list of pairs."""
        return {name: value for name, value in vars(self).items() if name != "_graph"}

    def __repr__(self) -> str:
        return f"AccountGraph({len(self.accounts)} accounts, {len(self._ends)} links)"

    @property
    def ends(self) -> npt.NDArray[np.int64]:
        """Account numbers of each link, links x 2, sorted."""
        return self._ends.copy()

    @property
    def weights(self) -> npt.NDArray[np.float64]:
        """Weight of each link, in the order of :attr:`ends`."""
        return self._weights.copy()

    def leiden(self, *, resolution: float, seed: int) -> npt.NDArray[np.int64]:
        """Community number of each account: Leiden with the constant Potts model.

        Four rounds, each from the outcome of the last; two where there are :data:`MANY_LINKS`.

        Random: igraph draws from a generator of its own seeded with ``seed``; the one igraph had before
        is put back. O(links) per pass.

        References
        ----------
        Traag, Waltman and van Eck 2019, "From Louvain to Leiden", doi:10.1038/s41598-019-41695-z.
        Traag, Van Dooren and Nesterov 2011, "Narrow scope for resolution-limit-free community
        detection", doi:10.1103/PhysRevE.84.016114.
        """
        import igraph

        igraph.set_random_number_generator(random.Random(seed))
        try:
            found = self._graph.community_leiden(
                objective_function="CPM",
                weights=self._weights,
                resolution=resolution,
                beta=0.01,
                initial_membership=None,
                n_iterations=LEIDEN_ITERATIONS if len(self._ends) < MANY_LINKS else 2,
                node_weights=None,
            )
        finally:
            igraph.set_random_number_generator(random)
        return np.asarray(found.membership, dtype=np.int64)

    def components(self, kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """Component number of each account when only the kept links (in the order of ``ends``) count."""
        first, second = self._ends[kept].T
        size = len(self.accounts)
        graph = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(size, size))
        return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _number_accounts(links: pd.DataFrame) -> tuple[pd.Index[str], npt.NDArray[np.int64]]:
    """The accounts that are linked, ascending, and the places of both ends of each link among them, links x 2."""
    sides = [links[[name]].set_axis(["account_id"], axis=1) for name in ("account_a", "account_b")]
    codes, names = text_codes(stack_frames(sides)["account_id"])
    linked = np.flatnonzero(np.bincount(codes, minlength=len(names)))
    place = np.zeros(len(names), dtype=np.int64)
    place[linked] = np.arange(len(linked))
    return names.take(linked), np.ascontiguousarray(place[codes].reshape(2, -1).T)


def account_graph(links: pd.DataFrame, *, members: pd.DataFrame | None = None) -> nx.Graph[str]:
    """Accounts and links as a networkx graph, for export and notebooks.

    Parameters
    ----------
    links : frame of shape ``LINKS``.
    members : frame of shape ``MEMBERS`` or None; gives accounts their cluster, tier and membership.

    Returns
    -------
    Graph whose nodes carry ``kind="account"`` and whose edges carry ``bits`` and ``families``.
    """
    import networkx as nx

    check_frame(links, LINKS, name="links")
    graph: nx.Graph[str] = nx.Graph()
    accounts = pd.concat([links["account_a"], links["account_b"]]).unique()
    graph.add_nodes_from((str(account), {"kind": "account"}) for account in sorted(accounts))
    ordered = links.sort_values(["account_a", "account_b"])
    for a, b, bits, families in zip(
        ordered["account_a"], ordered["account_b"], ordered["bits"], ordered["families"], strict=True
    ):
        graph.add_edge(str(a), str(b), bits=float(bits), families=int(families))
    _add_members(graph, members)
    return graph


def entity_graph(
    uses: pd.DataFrame,
    accounts: pd.DataFrame,
    *,
    members: pd.DataFrame | None = None,
    kinds: Iterable[str] = GRAPH_KINDS,
) -> nx.Graph[str]:
    """Accounts with the addresses, payment methods and templates they use, as a networkx graph.

    Parameters
    ----------
    uses : frame of shape ``USES``.
    accounts : frame with ``account_id`` and ``request_count`` at least; every one becomes a node.
    members : frame of shape ``MEMBERS`` or None; gives accounts their cluster, tier and membership.
    kinds : kinds of entity to show.

    Returns
    -------
    Bipartite graph. An account's node is its id; an entity's is ``kind:value``. Nodes carry ``kind``,
    edges ``request_count``, ``first_at`` and ``last_at`` (ISO text, UTC).
    """
    import networkx as nx

    check_frame(uses, USES, name="uses")
    graph: nx.Graph[str] = nx.Graph()
    for account, requests in zip(accounts["account_id"], accounts["request_count"], strict=True):
        graph.add_node(str(account), kind="account", request_count=int(requests))
    rows = uses.loc[uses["kind"].isin(list(kinds)) & uses["account_id"].isin(accounts["account_id"])]
    for row in rows.sort_values(["account_id", "kind", "value"]).itertuples(index=False):
        entity = f"{row.kind}:{row.value}"
        graph.add_node(entity, kind=str(row.kind))
        graph.add_edge(str(row.account_id), entity, **_use_attributes(row))
    _add_members(graph, members)
    return graph


def as_igraph(graph: nx.Graph[str]) -> Any:
    """The same graph as ``igraph.Graph``; vertices carry their node as ``name``.

    Examples
    --------
    >>> import networkx as nx
    >>> made = as_igraph(nx.Graph([("a", "b")]))
    >>> made.vs["name"]
    ['a', 'b']
    """
    import igraph

    return igraph.Graph.from_networkx(graph, vertex_attr_hashable="name")


def _use_attributes(row: Any) -> Mapping[str, int | str]:
    times = {name: getattr(row, name) for name in ("first_at", "last_at")}
    known = {name: time.isoformat() for name, time in times.items() if not pd.isna(time)}
    return {"request_count": int(row.request_count), **known}


def _add_members(graph: nx.Graph[str], members: pd.DataFrame | None) -> None:
    if members is None:
        return
    columns = ["account_id", "cluster_id", "tier", "membership"]
    for account, cluster, tier, membership in members[columns].itertuples(index=False):
        if account in graph:
            graph.nodes[account].update(cluster_id=str(cluster), tier=str(tier), membership=str(membership))
