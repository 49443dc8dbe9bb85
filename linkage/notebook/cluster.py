"""One cluster of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import pandas as pd

from linkage.clusters.graph import account_graph
from linkage.clusters.pivots import measure_pivots
from linkage.clusters.regrowth import REGROWTH, regrowth_curve
from linkage.errors import UsageError
from linkage.notebook.given import AnyPath, Moment, given_moment
from linkage.notebook.listed import list_strongest, shorten_rows
from linkage.notebook.view import cluster_view
from linkage.outputs.html import notebook_table
from linkage.outputs.masking import mask_detail
from linkage.outputs.plain import cluster_text
from linkage.settings import ReportSettings
from linkage.store.cases import add_case_note
from linkage.store.inputs import MOST_NEW_MODELS
from linkage.store.store import Database
from linkage.terms import (
    ACTIVITY,
    CASE_NOTES,
    CASE_STATES,
    EVIDENCE,
    LINK_EVIDENCE,
    LINKS,
    MEMBERS,
    MODEL_MOVES,
    STATEMENTS,
    TEMPLATES,
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


class ItsRun(Protocol):
    """What a cluster asks of its run."""

    _database: Database

    @property
    def run_id(self) -> RunId:
        """The run's id."""

    @property
    def as_of(self) -> pd.Timestamp:
        """End of the window."""

    @property
    def info(self) -> dict[str, Any]:
        """What the run was made from."""

    @property
    def _days(self) -> Mapping[str, int]:
        """The window as parameters of queries."""

    def _template_uses(self, names: Iterable[str]) -> pd.DataFrame:
        """How templates are used in the whole store."""

    def report(self, out: AnyPath, *, clusters: Iterable[str] | None, personal_data: bool) -> list[Path]:
        """Write reports."""


class Cluster:
    """Accounts that a run found to be linked, with everything that ties them."""

    def __init__(self, run: ItsRun, row: Mapping[str, Any]) -> None:
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
        return notebook_table(said[["topic", "sentence"]], caption=repr(self).strip("<>"), longest=400)

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
        used = self._run._database.query("cluster_templates", run_id=self._run.run_id, cluster_id=self.cluster_id)
        told = used.merge(self._run._template_uses(used["template_id"]), on="template_id")
        told = told.sort_values(["members", "requests", "template_id"], ascending=[False, False, True])
        return make_frame(TEMPLATES, {name: told[name] for name in TEMPLATES} if len(told) else None)

    @property
    def activity(self) -> pd.DataFrame:
        """Requests per member and clock hour; shape ``ACTIVITY``."""
        return self._frame("cluster_activity", ACTIVITY, **self._run._days)

    @property
    def events(self) -> pd.DataFrame:
        """What happened to it in all runs that are kept, oldest first."""
        return self._run._database.query("cluster_events", cluster_id=self.cluster_id)

    @property
    def pivots(self) -> pd.DataFrame:
        """How much of its traffic moved at once to each new model; shape ``PIVOTS`` of ``clusters.pivots``."""
        moves = self._run._database.frame("model_moves", MODEL_MOVES, **self._run._days, max_models=MOST_NEW_MODELS)
        return measure_pivots(self.members, moves)

    @property
    def regrowth(self) -> pd.DataFrame:
        """Its work day by day after it was acted on (a case note ``enforced``), of those accounts and of new ones.

        Shape ``REGROWTH`` of :mod:`linkage.clusters.regrowth`; empty when nobody acted on it.
        """
        acted = self._run._database.query("cluster_enforced", cluster_id=self.cluster_id)
        if acted.empty:
            return make_frame(REGROWTH)
        activity = self._frame("enforced_activity", ACTIVITY, **self._run._days)
        return regrowth_curve(activity, acted["account_id"], enforced_at=acted["noted_at"].iloc[0])

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

    def confirm(self, *, note: str, author: str, at: Moment | None = None) -> None:
        """Say that this cluster is what it looks like; ``store.calibrate`` learns from it.

        Parameters
        ----------
        note, author : why, and who says so.
        at : when; None: the end of the run's window.
        """
        self.decide("enforced", note=note, author=author, at=self._run.as_of if at is None else at)

    def reject(self, *, note: str, author: str, at: Moment | None = None, account: str | None = None) -> None:
        """Say that this cluster is innocent, or that one account is tied to it wrongly.

        A rejected cluster is of tier ``watch`` from the next run on, and an account whose links are rejected is a
        bystander, until there is new evidence. ``store.calibrate`` learns from rejected clusters. To take it back,
        note another decision with :meth:`decide`.

        Parameters
        ----------
        note, author : why, and who says so.
        at : when; None: the end of the run's window.
        account : the member whose links are wrong; None: the whole cluster.

        Examples
        --------
        >>> cluster.reject(note="a class of four, seen by mail", author="ana")
        >>> cluster.case_notes[["state", "note"]]
             state                           note
        0  cleared  a class of four, seen by mail
        >>> lk.rebuild(store).run_id == run.run_id  # a decision counts as new input
        False
        """
        state: CaseState = "cleared" if account is None else "overturned"
        self.decide(state, note=note, author=author, at=self._run.as_of if at is None else at, account=account)

    @property
    def detail(self) -> ClusterDetail:
        """All tables of the cluster together, as the outputs take them."""
        tables = {"links": self.evidence, "shared": self.shared, "activity": self.activity}
        return self._detail(members=self.members, **tables)

    @property
    def brief(self) -> ClusterDetail:
        """The same as a report lists it: of a large cluster the strongest of each member, and figures of all of it.

        How much is listed says the setting ``[report] rows_per_table`` of the run; see
        :func:`linkage.notebook.listed.list_strongest`.

        Examples
        --------
        >>> cluster.brief.whole is None  # four accounts are listed whole
        True
        """
        usual = ReportSettings().rows_per_table
        most = self._run.info["settings"].get("report", {}).get("rows_per_table", usual)
        own = {"run_id": self._run.run_id, "cluster_id": self.cluster_id}
        members = self.members
        found = list_strongest(self._run._database, members, own=own, days=self._run._days, most=most)
        if found is None:
            return self.detail
        tables = {"links": found.links, "shared": found.shared, "activity": found.activity, "whole": found.whole}
        brief = self._detail(members=members, **tables)
        return dataclasses.replace(brief, statements=shorten_rows(brief.statements))

    def _detail(self, **tables: Any) -> ClusterDetail:
        return ClusterDetail(
            run=self._run.info,
            cluster=self._row,
            templates=self.templates,
            statements=self._said(),
            events=self.events,
            case_notes=self.case_notes,
            **tables,
        )

    def why(self) -> str:
        """What ties the accounts, how rare that is, and what would free them: plain sentences, one a line."""
        said = self._said()
        return "\n".join(
            f"[{topic}] {sentence}" for topic, sentence in zip(said["topic"], said["sentence"], strict=True)
        )

    def as_text(self) -> str:
        """All that :meth:`why` says and more, under headings: the verdict, what it lacks for ``enforce``, what to do.

        Examples
        --------
        >>> print(cluster.as_text().splitlines()[1])
        Tier watch: worth keeping an eye on; nothing to do today
        """
        tables = {"links": LINK_EVIDENCE, "shared": EVIDENCE, "activity": ACTIVITY}
        return cluster_text(
            self._detail(members=self.members, **{name: make_frame(shape) for name, shape in tables.items()})
        )

    def graph(self) -> nx.Graph[str]:
        """The members and their links as a networkx graph; links carry ``bits`` and ``families``."""
        evidence = self.evidence
        pairs = evidence.groupby(["account_a", "account_b"], as_index=False).agg(
            bits=("bits", "sum"), families=("family", "nunique")
        )
        return account_graph(make_frame(LINKS, {name: pairs[name] for name in LINKS}), members=self.members)

    def view(self, *, personal_data: bool = True) -> Any:
        """The accounts and what ties them, to move, filter and pick from; needs the extra ``notebook``, else a picture.

        Parameters
        ----------
        personal_data : full addresses and payment tokens instead of prefixes and fingerprints.

        Returns
        -------
        A widget with ``selected``, the ids of the accounts that were picked, and ``hidden``, families of evidence that
        are not drawn; or, without the extra, what :meth:`plot` gives.

        Examples
        --------
        >>> view = cluster.view()
        >>> view
        <ClusterView c-969594: 4 accounts, 15 values>
        >>> view.selected = ["c1"]
        >>> view.hidden = ["client"]
        """
        return cluster_view(self.brief if personal_data else mask_detail(self.brief))

    def plot(
        self,
        *,
        kind: Literal["cluster", "timeline", "evidence"] = "cluster",
        ax: Axes | None = None,
        personal_data: bool = True,
    ) -> Axes:
        """A picture: the accounts and what ties them, or their timeline, or their evidence by family.

        Parameters
        ----------
        kind : ``cluster``, ``timeline`` or ``evidence``.
        ax : where to draw; None: a new figure.
        personal_data : full addresses and payment tokens instead of prefixes and fingerprints.

        Raises
        ------
        UsageError : a kind that does not exist.
        """
        # Only who draws waits for matplotlib.
        from linkage.outputs import plots

        draw = {"cluster": plots.cluster, "timeline": plots.timeline, "evidence": plots.evidence_matrix}
        if kind not in draw:
            raise UsageError(f"kind: wanted {', '.join(draw)}; got {kind!r}. Choose one of these")
        return draw[kind](self.brief if personal_data else mask_detail(self.brief), ax=ax)

    def report(self, out: AnyPath, *, personal_data: bool = False) -> list[Path]:
        """Write this cluster's report into a folder; see :meth:`Run.report`."""
        return self._run.report(out, clusters=[self.cluster_id], personal_data=personal_data)

    def _said(self) -> pd.DataFrame:
        return self._frame("cluster_statements", STATEMENTS)

    def _frame(self, name: str, shape: Mapping[str, str], **more: int) -> pd.DataFrame:
        return self._run._database.frame(name, shape, run_id=self._run.run_id, cluster_id=self.cluster_id, **more)
