"""A run, its clusters, and one cluster."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from linkage.clusters.graph import account_graph, entity_graph
from linkage.errors import NoSuchClusterError, UsageError
from linkage.notebook.given import AnyPath, Moment, given_moment
from linkage.outputs import plots
from linkage.outputs.graphs import write_graph
from linkage.outputs.html import notebook_table, write_report
from linkage.outputs.masking import mask_values
from linkage.outputs.pack import write_pack
from linkage.outputs.parquet import write_parquet
from linkage.outputs.stix import write_stix
from linkage.rebuild import Window
from linkage.settings import settings_digest
from linkage.store.cases import add_case_note
from linkage.store.store import Database
from linkage.terms import (
    ACCOUNTS,
    ACTIVITY,
    CASE_NOTES,
    CASE_STATES,
    CLUSTERS,
    DAY_MS,
    EVENTS,
    EVIDENCE,
    LINK_EVIDENCE,
    LINKS,
    MEMBERS,
    STATEMENTS,
    TEMPLATES,
    USES,
    CaseState,
    ClusterDetail,
    ClusterId,
    RunId,
    join_words,
    make_frame,
)

if TYPE_CHECKING:
    import networkx as nx
    from matplotlib.axes import Axes

ExportFormat = Literal["graphml", "gexf", "json", "parquet", "stix", "pack"]


class Clusters(pd.DataFrame):
    """The clusters of a run: a table, and by id the clusters themselves.

    ``clusters["tier"]`` is a column, ``clusters["c-7f3a91"]`` a :class:`Cluster`.
    """

    _metadata: list[str] = ["_run"]  # noqa: RUF012 - the name and form pandas asks for
    _run: Run

    @property
    def _constructor(self) -> Callable[..., pd.DataFrame]:
        return pd.DataFrame

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str) and key not in self.columns:
            return self._run.cluster(key)
        return super().__getitem__(key)


class Run:
    """One rebuild: its clusters, their members, and what it was made from."""

    def __init__(self, database: Database, row: Mapping[str, Any]) -> None:
        self._database = database
        self._row = row

    def __repr__(self) -> str:
        counts = self.counts
        return (
            f"<Run {self.run_id}: {counts['clusters']:,} clusters, {counts['members']:,} members, "
            f"{counts['flagged']:,} flagged of {counts['accounts']:,} accounts>"
        )

    def _repr_html_(self) -> str:
        columns = ["cluster_id", "tier", "accounts", "requests", "strongest", "first_seen", "last_seen"]
        return notebook_table(pd.DataFrame(self.clusters)[columns], caption=repr(self).strip("<>"))

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
        table = self._frame("run_clusters", CLUSTERS)
        rows = table[table["cluster_id"] == cluster_id].to_dict("records")
        if not rows:
            known = ", ".join(table["cluster_id"].head(10)) or "none"
            raise NoSuchClusterError(
                f"wanted cluster {cluster_id!r} of run {self.run_id}; found {known}. List them with: linkage clusters"
            )
        return Cluster(self, {str(key): value for key, value in rows[0].items()})

    def links_of(self, account_id: str) -> pd.DataFrame:
        """Which accounts an account is tied to inside its cluster, by what, and how strongly."""
        return self._database.query("links_of_account", run_id=self.run_id, account_id=account_id)

    def graph(self, *, personal_data: bool = True) -> nx.Graph[str]:
        """The full graph of accounts, addresses, payment methods and templates of the window, as networkx.

        Parameters
        ----------
        personal_data : raw addresses and payment tokens instead of prefixes and fingerprints.
        """
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
        if format == "pack":
            return write_pack(self._details, out=out, key=key)
        if format == "stix":
            return write_stix(
                self._details, out=out, include_personal_data=personal_data, key=key, tlp=tlp, producer=producer
            )
        about = {"include_personal_data": personal_data, "run_id": self.run_id}
        if format == "parquet":
            uses = self._uses(personal_data=personal_data)
            return write_parquet(uses, self._accounts, self.members, out=out, about=about)
        return write_graph(self.graph(personal_data=personal_data), format=format, out=out, about=about)

    def report(self, out: AnyPath, *, clusters: Iterable[str] | None = None, personal_data: bool = False) -> list[Path]:
        """Write a folder of self-contained HTML pages, JSON and CSV; ``index.html`` is the overview.

        Parameters
        ----------
        clusters : ids; None: all.
        personal_data : show full addresses and payment tokens instead of prefixes and fingerprints.
        """
        table = pd.DataFrame(self.clusters)
        chosen = list(table["cluster_id"]) if clusters is None else list(clusters)
        details = [self.cluster(cluster_id).detail for cluster_id in chosen]
        shown = table[table["cluster_id"].isin(chosen)]
        sources = self._database.query("source_files")
        return write_report(details, shown, self.info, out=out, include_personal_data=personal_data, sources=sources)

    @property
    def _details(self) -> list[ClusterDetail]:
        return [self.cluster(name).detail for name in pd.DataFrame(self.clusters)["cluster_id"]]

    @property
    def _accounts(self) -> pd.DataFrame:
        return self._database.frame("account_profiles", ACCOUNTS, **self._days)

    def _uses(self, *, personal_data: bool) -> pd.DataFrame:
        uses = self._database.frame("account_uses", USES, **self._days)
        return uses if personal_data else mask_values(uses)

    @property
    def _days(self) -> Mapping[str, int]:
        return Window(self._row["since_ms"], self._row["as_of_ms"]).days

    def _frame(self, name: str, shape: Mapping[str, str]) -> pd.DataFrame:
        return self._database.frame(name, shape, run_id=self.run_id)


class Cluster:
    """Accounts that a run found to be linked, with everything that ties them."""

    def __init__(self, run: Run, row: Mapping[str, Any]) -> None:
        self._run = run
        self._row = row

    def __repr__(self) -> str:
        row = self._row
        return (
            f"<Cluster {self.cluster_id}: {row['tier']}, {row['accounts']:,} accounts, {row['requests']:,} requests, "
            f"controller {row['controller_probability']:.2f}, extraction {row['extraction_probability']:.2f}>"
        )

    def _repr_html_(self) -> str:
        said = self._said()
        return notebook_table(said[["topic", "sentence"]], caption=repr(self).strip("<>"))

    @property
    def cluster_id(self) -> ClusterId:
        """The lasting id."""
        return ClusterId(self._row["cluster_id"])

    @property
    def summary(self) -> dict[str, Any]:
        """The cluster's row of ``run.clusters``."""
        return dict(self._row)

    @property
    def members(self) -> pd.DataFrame:
        """Its accounts; shape ``MEMBERS``."""
        return self._frame("cluster_members", MEMBERS)

    @property
    def evidence(self) -> pd.DataFrame:
        """One row per pair and reason, with what the reason is worth; shape ``LINK_EVIDENCE``."""
        return self._frame("cluster_links", LINK_EVIDENCE)

    @property
    def shared(self) -> pd.DataFrame:
        """One row per member and shared value, with how many accounts share it at all; shape ``EVIDENCE``."""
        return self._frame("cluster_shared_values", EVIDENCE)

    @property
    def templates(self) -> pd.DataFrame:
        """Templates that two or more members use; shape ``TEMPLATES``."""
        return self._frame("cluster_templates", TEMPLATES, **self._run._days)

    @property
    def activity(self) -> pd.DataFrame:
        """Requests per member and clock hour; shape ``ACTIVITY``."""
        return self._frame("cluster_activity", ACTIVITY, **self._run._days)

    @property
    def events(self) -> pd.DataFrame:
        """What happened to it in all runs that are kept, oldest first."""
        return self._run._database.query("cluster_events", cluster_id=self.cluster_id)

    @property
    def case_notes(self) -> pd.DataFrame:
        """What people decided about it, oldest first; shape ``CASE_NOTES``."""
        return self._run._database.frame("case_notes", CASE_NOTES, cluster_id=self.cluster_id)

    def decide(
        self,
        state: CaseState,
        *,
        note: str,
        author: str,
        at: Moment,
        account: str | None = None,
        wait_s: float = 0.0,
    ) -> None:
        """Note a decision about this cluster, or one account of it; notes are added, never changed.

        A cleared cluster is of tier ``watch`` from the next run on, and an overturned account is a bystander, until
        there is new evidence; then a sentence says what is new (:func:`linkage.clusters.cases.settle`).

        Parameters
        ----------
        state : ``open``, ``cleared``, ``watched``, ``enforced``, ``appealed`` or ``overturned``.
        note : why, in plain words.
        author : who decided.
        at : when.
        account : the member that the decision is about; None: the whole cluster.
        wait_s : how long to wait for another writer, in seconds.
        """
        if state not in CASE_STATES:
            raise UsageError(f"state: wanted {join_words(CASE_STATES)}; got {state!r}. Choose one of them")
        add_case_note(
            self._run._database,
            self.cluster_id,
            state=state,
            note=note,
            author=author,
            noted_ms=given_moment(at),
            account=account,
            wait_s=wait_s,
        )

    @property
    def detail(self) -> ClusterDetail:
        """All tables of the cluster together, as the outputs take them."""
        return ClusterDetail(
            run=self._run.info,
            cluster=self._row,
            members=self.members,
            links=self.evidence,
            shared=self.shared,
            activity=self.activity,
            templates=self.templates,
            statements=self._said(),
            events=self.events,
            case_notes=self.case_notes,
        )

    def why(self) -> str:
        """What ties the accounts, how rare that is, and what would free them: plain sentences, one a line."""
        said = self._said()
        return "\n".join(
            f"[{topic}] {sentence}" for topic, sentence in zip(said["topic"], said["sentence"], strict=True)
        )

    def graph(self) -> nx.Graph[str]:
        """The members and their links as a networkx graph; links carry ``bits`` and ``families``."""
        evidence = self.evidence
        pairs = evidence.groupby(["account_a", "account_b"], as_index=False).agg(
            bits=("bits", "sum"), families=("family", "nunique")
        )
        return account_graph(make_frame(LINKS, {name: pairs[name] for name in LINKS}), members=self.members)

    def plot(self, *, kind: Literal["cluster", "timeline", "evidence"] = "cluster", ax: Axes | None = None) -> Axes:
        """A picture: the accounts and what ties them, or their timeline, or their evidence by family."""
        draw = {"cluster": plots.cluster, "timeline": plots.timeline, "evidence": plots.evidence_matrix}[kind]
        return draw(self.detail, ax=ax)

    def report(self, out: AnyPath, *, personal_data: bool = False) -> list[Path]:
        """Write this cluster's report into a folder; see :meth:`Run.report`."""
        return self._run.report(out, clusters=[self.cluster_id], personal_data=personal_data)

    def _said(self) -> pd.DataFrame:
        return self._frame("cluster_statements", STATEMENTS)

    def _frame(self, name: str, shape: Mapping[str, str], **more: int) -> pd.DataFrame:
        return self._run._database.frame(name, shape, run_id=self._run.run_id, cluster_id=self.cluster_id, **more)
