"""A run and its clusters."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import pandas as pd

from linkage.clusters.graph import as_igraph, entity_graph
from linkage.engines.beside import Worker
from linkage.engines.halves import spread
from linkage.engines.progress import READING, WRITING, Progress, tell_each, untold
from linkage.errors import NoSuchClusterError, SourceError, UsageError
from linkage.memory import seldom_collected
from linkage.notebook.account import Account, find_account, no_such_account
from linkage.notebook.cluster import Cluster
from linkage.notebook.given import AnyPath, AnySettings
from linkage.notebook.neighbours import surest_first
from linkage.notebook.progress import progress_shown, steps_shown
from linkage.notebook.whatif import Bench, LeftOut, WhatIf, as_tuple, changed_settings
from linkage.outputs.html import Spread, notebook_table, pressing_clusters, write_report
from linkage.outputs.masking import Masks
from linkage.outputs.pack import write_pack
from linkage.outputs.parquet import write_parquet
from linkage.outputs.stix import write_stix
from linkage.settings import settings_digest
from linkage.stages import Step
from linkage.store.inputs import Window
from linkage.store.store import Database
from linkage.terms import (
    ACCOUNTS,
    CLUSTERS,
    COUNT,
    DAY_MS,
    EVENTS,
    MEMBERS,
    NUMBER,
    TEMPLATE_USES,
    TEXT,
    TIERS,
    USES,
    ClusterDetail,
    RunId,
    Shape,
    make_frame,
    rows_of,
)

if TYPE_CHECKING:
    import networkx as nx

ExportFormat = Literal["graphml", "gexf", "json", "parquet", "stix", "pack"]

TIES: Final[Shape] = {
    "other_account": TEXT,
    "cluster_id": TEXT,
    "membership": TEXT,
    "controller_probability": NUMBER,
    "total_bits": NUMBER,
    "family": TEXT,
    "kind": TEXT,
    "value": TEXT,
    "accounts": COUNT,
    "unrelated_accounts": COUNT,
    "bits": NUMBER,
}
"""One row per account that another is tied to and reason. How sure: ``total_bits`` of all reasons of the pair (log2 of
how many times likelier they are under one controller than by chance), and of the other account its ``membership`` and
``controller_probability`` (0 to 1, calibrated); null outside clusters. ``accounts`` have the value at all, of which
``unrelated_accounts`` are otherwise unrelated."""


_SHOWN: Final = [
    "cluster_id",
    "tier",
    "accounts",
    "requests",
    "controller_probability",
    "extraction_probability",
    "strongest",
    "first_seen",
]


_READ_S: Final = 0.1  # a cluster, and each of its accounts besides: 50 s for 68,000 in eight clusters (2026-11-29)
_READ_ACCOUNT_S: Final = 0.0007
_DRAW_S: Final = 0.5  # fifty small pages in 25 s, and seven large ones of 67,000 accounts in 40 s (2026-11-29)
_DRAW_ACCOUNT_S: Final = 0.0006


class Clusters(pd.DataFrame):
    """The clusters of a run: a table, and by id the clusters themselves.

    ``clusters["tier"]`` is a column, ``clusters["c-7f3a91"]`` a :class:`Cluster`; what is made from the table is a
    plain DataFrame.

    Examples
    --------
    >>> run.clusters[["cluster_id", "tier", "accounts"]]
      cluster_id   tier  accounts
    0   c-969594  watch         4
    >>> run.clusters["c-969594"]
    <Cluster c-969594: watch, 4 accounts, 32 requests, controller 0.58, extraction 0.02>
    """

    _metadata: list[str] = ["_run"]  # noqa: RUF012 - the name and form pandas asks for
    _run: Run

    @property
    def _constructor(self) -> Callable[..., pd.DataFrame]:
        return pd.DataFrame

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str) and key not in self.columns:
            try:
                return self._run.cluster(key)
            except NoSuchClusterError as error:
                raise NoSuchClusterError(f"{error}. Nor is it a column: {', '.join(self.columns)}") from None
        return super().__getitem__(key)

    def _ipython_key_completions_(self) -> list[str]:
        return [*self["cluster_id"], *self.columns]

    def _repr_html_(self) -> str:
        tiers = self["tier"].value_counts()
        caption = f"{len(self):,} clusters: " + ", ".join(f"{tiers.get(tier, 0):,} {tier}" for tier in TIERS)
        return notebook_table(pd.DataFrame(self)[_SHOWN], caption=caption)


class Run:
    """One rebuild: its clusters, their members, and what it was made from.

    Examples
    --------
    >>> run
    <Run r-20260902-...: 1 clusters, 4 members, 0 flagged of 12 accounts>
    >>> run.members[["account_id", "membership"]].head(2)
      account_id membership
    0         c1       core
    1         c2       core
    """

    def __init__(self, database: Database, row: Mapping[str, Any]) -> None:
        self._database = database
        self._row = row
        self._bench: Bench | None = None
        self._uses_known: tuple[tuple[int, int], pd.DataFrame] | None = None

    def __repr__(self) -> str:
        counts = self.counts
        return (
            f"<Run {self.run_id}: {counts['clusters']:,} clusters, {counts['members']:,} members, "
            f"{counts['flagged']:,} flagged of {counts['accounts']:,} accounts>"
        )

    def _repr_html_(self) -> str:
        return notebook_table(pd.DataFrame(self.clusters)[_SHOWN], caption=repr(self).strip("<>"))

    @property
    def run_id(self) -> RunId:
        """The run's id."""
        return RunId(self._row["run_id"])

    @property
    def as_of(self) -> pd.Timestamp:
        """End of the window, exclusive (UTC)."""
        return pd.Timestamp(self._row["as_of_ms"], unit="ms", tz="UTC")

    @property
    def since(self) -> pd.Timestamp:
        """Start of the window, inclusive (UTC)."""
        return pd.Timestamp(self._row["since_ms"], unit="ms", tz="UTC")

    @property
    def counts(self) -> dict[str, int]:
        """Accounts, requests, uses, links, clusters, members and flagged accounts of the run."""
        return dict(json.loads(self._row["counts"]))

    @property
    def info(self) -> dict[str, Any]:
        """All it takes to make the run again: window, seed, settings, versions, digest of the input."""
        return {
            "run_id": self.run_id,
            "as_of": self.as_of,
            "since": self.since,
            "window_days": -(-(self._row["as_of_ms"] - self._row["since_ms"]) // DAY_MS),
            "seed": self._row["seed"],
            "settings": json.loads(self._row["settings"]),
            "settings_digest": settings_digest(json.loads(self._row["settings"])),
            "versions": json.loads(self._row["versions"]),
            "inputs": {"digest": self._row["input_digest"], **self.counts},
        }

    @property
    def clusters(self) -> Clusters:
        """One row per cluster (shape ``CLUSTERS``), the most pressing first; by id, the :class:`Cluster`."""
        table = Clusters(self._frame("run_clusters", CLUSTERS))
        object.__setattr__(table, "_run", self)
        return table

    @property
    def members(self) -> pd.DataFrame:
        """One row per account in any cluster; shape ``MEMBERS``."""
        return self._frame("run_members", MEMBERS)

    @property
    def events(self) -> pd.DataFrame:
        """What happened to clusters since the run before; shape ``EVENTS``."""
        return self._frame("run_events", EVENTS)

    @property
    def weights(self) -> pd.DataFrame:
        """What a shared value was worth in this run: bits by family and popularity class."""
        return pd.DataFrame(json.loads(self._row["weights"]))

    def cluster(self, cluster_id: str) -> Cluster:
        """The cluster of this id.

        Raises
        ------
        NoSuchClusterError : the run has no such cluster; the message lists some it has.
        """
        return self._named([cluster_id])[0]

    def links_of(self, account_id: str, *, everywhere: bool = False) -> pd.DataFrame:
        """Which accounts an account is tied to, by what, and how sure that is; shape :data:`TIES`, the surest first.

        Parameters
        ----------
        account_id : the account.
        everywhere : all accounts with which one controller is likelier than not, in its cluster or out of it. These
            links are not kept with the run but found again, which takes as long as :meth:`what_if`.

        Returns
        -------
        DataFrame; empty for an account in no cluster, and with ``everywhere`` for one without a likely link.

        Raises
        ------
        NoSuchAccountError : the store has no such account.

        Examples
        --------
        >>> run.links_of("c1")[["other_account", "family", "value", "bits"]].head(2).round(1)
          other_account   family         value  bits
        0            c2  payment        card_x   6.6
        1            c2  network  198.51.100.7   6.2
        """
        if everywhere:
            found = self._tried.likely_links(account_id)
        else:
            found = self._database.query("links_of_account", run_id=self.run_id, account_id=account_id)
        if found.empty:
            self._need_account(account_id)
        known = self.members[["account_id", "cluster_id", "membership", "controller_probability"]]
        told = found[["other_account", "family", "kind", "value", "accounts", "unrelated_accounts", "bits"]].merge(
            known, left_on="other_account", right_on="account_id", how="left"
        )
        told = surest_first(told)
        return make_frame(TIES, {name: told[name].array for name in TIES} if len(told) else None)

    def _need_account(self, account_id: str) -> None:
        if self._database.query("account_window", account_id=str(account_id), **self._days).empty:
            raise no_such_account(self._database, str(account_id))

    def account(self, account_id: str) -> Account:
        """One account, in a cluster or in none: why it is flagged, or why not; looked up, nothing is rebuilt.

        Raises
        ------
        NoSuchAccountError : the store has no such account; the message lists some whose ids are like it.

        Examples
        --------
        >>> run.account("c1").status
        'in cluster'
        >>> run.account("o1").links[["other_account", "noun", "value", "accounts"]]
          other_account            noun         value  accounts
        0            p4  address prefix  192.0.2.0/24         3
        >>> print(run.account("p5").why().splitlines()[0])
        Account p5: not flagged
        """
        return find_account(str(account_id), database=self._database, row=self._row, info=self.info)

    def what_if(
        self,
        *,
        settings: AnySettings | None = None,
        without_family: str | Iterable[str] = (),
        without_entity: str | Iterable[str] = (),
        without_account: str | Iterable[str] = (),
        step: Step | bool | None = None,
    ) -> WhatIf:
        """What this run would have found if something were otherwise; nothing is written, the run stays as it is.

        The input is read once for all calls on this object. A change of ``[verdicts]`` or coefficients alone is told
        at once, anything else takes as long as a rebuild without its reading and publishing.

        Parameters
        ----------
        settings : single values by section, as ``{"verdicts": {"enforce_extraction": 0.9}}``, in the place of the
            run's own; or whole settings, or a settings file.
        without_family : evidence families that do not count, as if the logs did not have their fields: ``"network"``
            for shared addresses.
        without_entity : addresses, payment instruments, templates, ... that do not count. The prefix of an address and
            the family of a template are values of their own.
        without_account : accounts taken out.
        step : told the name of each step as it begins; True shows a bar.

        Returns
        -------
        :class:`~linkage.notebook.whatif.WhatIf`: clusters and members before and after.

        Raises
        ------
        UsageError : a family that does not exist, or a value that no account of the window has.
        NoSuchAccountError : an account without a request in the window.
        SettingsError : a setting that does not exist or is out of range.

        Examples
        --------
        >>> run.what_if()
        <WhatIf as it is: 0 accounts flagged, then 0; 0 clusters and 0 accounts differ>
        >>> run.what_if(without_account=["c3", "c4"])
        <WhatIf without c3 and c4: 0 accounts flagged, then 0; 1 clusters and 4 accounts differ>
        """
        bench = self._tried
        left_out = LeftOut(as_tuple(without_family), as_tuple(without_entity), as_tuple(without_account))
        with steps_shown(step) as tell:
            return bench.try_out(settings=changed_settings(bench.settings, settings), left_out=left_out, step=tell)

    @property
    def _tried(self) -> Bench:
        if self._bench is None or self._bench.revision != self._database.revision():
            self._bench = Bench(self._database, self._row)
        return self._bench

    def graph(self, *, personal_data: bool = True) -> Any:
        """The full graph of accounts, addresses, payment methods and templates of the window, as ``igraph.Graph``.

        Parameters
        ----------
        personal_data : raw addresses and payment tokens instead of prefixes and fingerprints.

        Returns
        -------
        Undirected. Vertices carry ``name`` (an account's id, or ``kind:value``), ``kind``, and for accounts
        ``request_count``, ``cluster_id``, ``tier`` and ``membership`` (None where unknown); edges carry
        ``request_count``, ``first_at`` and ``last_at`` (ISO text, UTC). ``to_networkx()`` makes it another.

        Examples
        --------
        >>> graph = run.graph()
        >>> len(graph.vs.select(kind="account")) == run.counts["accounts"]
        True
        """
        return as_igraph(self._graph(personal_data=personal_data))

    def _graph(self, *, personal_data: bool) -> nx.Graph[str]:
        return entity_graph(self._uses(personal_data=personal_data), self._accounts, members=self.members)

    def export(
        self,
        out: AnyPath,
        *,
        format: ExportFormat = "graphml",  # noqa: A002 - the contract's name
        personal_data: bool = False,
        key: bytes = b"",
        tlp: str = "amber",
        producer: str = "linkage",
    ) -> Path:
        """Write the run for other programs: the full graph, or what may be passed on to another provider.

        Parameters
        ----------
        out : the file.
        format : ``graphml``, ``gexf``, ``json`` and ``parquet`` hold the full graph (see :meth:`graph`), ``stix`` the
            clusters as a STIX 2.1 bundle (see :func:`linkage.outputs.stix.stix_bundle`), ``pack`` what ties them as
            keyed hashes (see :func:`linkage.outputs.pack.make_pack`).
        personal_data : show full addresses and payment tokens, and in STIX account ids; the file says which it is.
        key : secret of the hashes in a pack, and of the pseudonyms in STIX.
        tlp, producer : marking and author of a STIX bundle.

        Raises
        ------
        UsageError : a format or marking that does not exist, or a pack with a key that is missing or too short.
        OutputFileError : the file cannot be written.
        """
        if format not in get_args(ExportFormat):
            raise UsageError(f"format: wanted {', '.join(get_args(ExportFormat))}; got {format!r}. Choose one of these")
        if format == "pack":
            return write_pack(self._details, out=out, key=key)
        if format == "stix":
            return write_stix(
                self._details, out=out, include_personal_data=personal_data, key=key, tlp=tlp, producer=producer
            )
        # networkx is loaded for the graph alone.
        from linkage.outputs.graphs import write_graph

        about = {"include_personal_data": personal_data, "run_id": self.run_id}
        if format == "parquet":
            uses = self._uses(personal_data=personal_data)
            return write_parquet(uses, self._accounts, self.members, out=out, about=about)
        return write_graph(self._graph(personal_data=personal_data), format=format, out=out, about=about)

    @seldom_collected()
    def report(
        self,
        out: AnyPath,
        *,
        clusters: str | Iterable[str] | None = None,
        personal_data: bool = False,
        pdf: bool = False,
        progress: Progress | bool | None = None,
    ) -> list[Path]:
        """Write a folder of self-contained HTML pages, JSON and CSV; ``index.html`` is the overview.

        Parameters
        ----------
        clusters : an id or ids; None: all that need a decision or a review, and the 50 most pressing that are watched.
        personal_data : show full addresses and payment tokens instead of prefixes and fingerprints.
        pdf : print every page as PDF too, with a browser that is installed.
        progress : called with what is done, how much of it and how much there is; True shows a bar.
        """
        table = pd.DataFrame(self.clusters)
        named = [clusters] if isinstance(clusters, str) else clusters
        chosen = pressing_clusters(table) if named is None else list(dict.fromkeys(named))
        shown = table[table["cluster_id"].isin(chosen)]
        with Worker() as worker, progress_shown(progress) as told:
            tell = told or untold
            with self._database.snapshot():
                details = self._briefs(chosen, worker, tell)
            spread_here = spread_pages(details, worker)
            return write_report(
                details,
                shown,
                self.info,
                out=out,
                include_personal_data=personal_data,
                sources=self._database.query("source_files"),
                pdf=pdf,
                spread=lambda make, values: tell_each(tell, WRITING, spread_here(make, values), count=len(values)),
            )

    def _briefs(
        self, cluster_ids: Sequence[str], worker: Worker | None = None, progress: Progress = untold
    ) -> list[ClusterDetail]:
        """Clusters as a report lists them, of one state of the store: to be called inside a snapshot.

        Half of them are read by another process, where there is enough to read.
        """
        clusters = dict(zip(cluster_ids, self._named(cluster_ids), strict=True))
        costs = [_READ_S + clusters[name].summary["accounts"] * _READ_ACCOUNT_S for name in cluster_ids]
        there = functools.partial(read_briefs, path=self._database.path, row=self._row, state=_state(self._database))
        read = spread(lambda name: clusters[name].brief, cluster_ids, costs=costs, there=there, worker=worker)
        return list(tell_each(progress, READING, read, count=len(cluster_ids)))

    @property
    def _details(self) -> list[ClusterDetail]:
        return [cluster.detail for cluster in self._named(pd.DataFrame(self.clusters)["cluster_id"])]

    def _named(self, cluster_ids: Iterable[str]) -> list[Cluster]:
        known, wanted = (
            {row["cluster_id"]: row for row in rows_of(self._frame("run_clusters", CLUSTERS))},
            [*cluster_ids],
        )
        unknown = [name for name in wanted if name not in known]
        if unknown:
            raise NoSuchClusterError(
                f"wanted cluster {unknown[0]!r} of run {self.run_id}; found {', '.join(list(known)[:10]) or 'none'}. "
                "List them with: linkage clusters"
            )
        return [Cluster(self, known[name]) for name in wanted]

    def _template_uses(self, names: Iterable[str]) -> pd.DataFrame:
        """How templates are used by all accounts: as the run counted it, else looked up, each once for all clusters."""
        revision = self._database.revision()
        if self._uses_known is None or self._uses_known[0] != revision:
            self._uses_known = (revision, self._frame("run_templates", TEMPLATE_USES))
        known = self._uses_known[1]
        missing = json.dumps(sorted(set(names) - set(known["template_id"])))
        if missing != "[]":
            found = self._database.frame("template_uses", TEMPLATE_USES, template_ids=missing, **self._days)
            known = pd.concat([known, found], ignore_index=True)
            self._uses_known = (revision, known)
        return known

    @property
    def _accounts(self) -> pd.DataFrame:
        return self._database.frame("account_profiles", ACCOUNTS, **self._days)

    def _uses(self, *, personal_data: bool) -> pd.DataFrame:
        uses = self._database.frame("account_uses", USES, **self._days)
        return uses if personal_data else Masks([uses]).values(uses)

    @property
    def _days(self) -> Mapping[str, int]:
        return Window(self._row["since_ms"], self._row["as_of_ms"]).days

    def _frame(self, name: str, shape: Mapping[str, str]) -> pd.DataFrame:
        return self._database.frame(name, shape, run_id=self.run_id)


def read_briefs(
    values: Sequence[str], *, path: Path, row: Mapping[str, Any], state: tuple[Any, ...]
) -> Iterator[ClusterDetail]:
    """What a report lists of some clusters of a run, by their ids, in a process that has the store still to open.

    Parameters
    ----------
    path, row : the store's file and the row of the run.
    state : the state of the store that is to be read.

    Raises
    ------
    SourceError : the store is in another state now.
    """
    with contextlib.closing(Database(path, create=False)) as database, database.snapshot():
        if _state(database) != state:
            raise SourceError(
                f"{path}: wanted the state that is read elsewhere; found a later one. Read all of it there"
            )
        for cluster in Run(database, row)._named(values):
            yield cluster.brief


def _state(database: Database) -> tuple[Any, ...]:
    """What is another after anything was written that a report tells of."""
    return (*database.revision(), *database.query("published_run").itertuples(index=False, name=None))


def spread_pages(details: Iterable[ClusterDetail], worker: Worker) -> Spread:
    """What draws the pages of these clusters, in two processes where there is enough to draw."""
    costs = [_DRAW_S + len(each.members) * _DRAW_ACCOUNT_S for each in details]
    return functools.partial(spread, costs=costs, worker=worker)
