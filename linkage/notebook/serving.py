"""The published run as a snapshot that can be handed to readers, and as pages in a browser."""

from __future__ import annotations

import dataclasses
import functools
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

from linkage.errors import UsageError
from linkage.notebook.given import AnyPath, Moment
from linkage.notebook.runs import Run
from linkage.outputs.datasette import DATA, Desk, Question, Site, Visitor, cluster_path, make_site, question_path
from linkage.outputs.html import CaseForm, cluster_page, find_page, front_page
from linkage.outputs.masking import Masks, mask_clusters, mask_detail, mask_value
from linkage.outputs.tables import records
from linkage.rebuild import published_run
from linkage.store.queries import load_query
from linkage.store.runs import RunRecord, RunTables
from linkage.store.snapshot import write_snapshot
from linkage.store.store import Database
from linkage.terms import CASE_NOTES, EVENTS, EVIDENCE, LINK_EVIDENCE, STATEMENTS, TEXT, ClusterDetail, make_frame

SNAPSHOT: Final = "published"
"""Name of the snapshot in the addresses of pages."""

QUESTIONS: Final = (
    "run_clusters",
    "find_accounts",
    "cluster_members",
    "cluster_links",
    "cluster_shared_values",
    "cluster_statements",
    "cluster_events",
    "links_of_account",
    "case_notes",
    "templates",
    "field_coverage",
    "runs",
)
"""Named queries that a reader of the published run can ask."""

_FIND: Final = "/find"
_CASES: Final = "/cases"
_MOST_FOUND: Final = 200
_LONGEST_NOTE: Final = 2_000
_OF_CLUSTER: Final = ("cluster_members", "cluster_links", "cluster_shared_values", "cluster_statements", "case_notes")


def snapshot_run(database: Database, path: AnyPath, *, personal_data: bool = False) -> Path:
    """Write the published run with its accounts, templates and case notes into a new, small store.

    Parameters
    ----------
    path : the file to make.
    personal_data : keep full addresses and payment tokens instead of prefixes and fingerprints.

    Raises
    ------
    NoRunError : nothing was rebuilt yet.
    StoreError : the file cannot be written.
    """
    row = published_run(database)
    run = Run(database, row)
    fields = {field.name for field in dataclasses.fields(RunRecord)}
    record = RunRecord(**{name: value for name, value in row.items() if name in fields})
    whole = _whole(run)
    hide = None if personal_data else Masks.of([whole]).sentence
    tables = _tables(pd.DataFrame(run.clusters), whole, personal_data=personal_data)
    write_snapshot(database, path, record=record, tables=tables, hide=hide)
    return Path(path)


def _whole(run: Run) -> ClusterDetail:
    """All clusters as if they were one, so that two addresses of one prefix stay apart over all of them."""
    clusters = pd.DataFrame(run.clusters)
    details = {name: run.cluster(name).detail for name in clusters["cluster_id"]}
    shapes = {"links": LINK_EVIDENCE, "shared": EVIDENCE, "statements": STATEMENTS}
    joined: dict[str, Any] = {name: _joined(details, name, shape) for name, shape in shapes.items()}
    return ClusterDetail(
        run=run.info,
        cluster={},
        members=run.members,
        activity=pd.DataFrame(),
        templates=pd.DataFrame(),
        events=run.events,
        **joined,
    )


def _tables(clusters: pd.DataFrame, whole: ClusterDetail, *, personal_data: bool) -> RunTables:
    told = whole if personal_data else mask_detail(whole)
    return RunTables(
        clusters=clusters if personal_data else mask_clusters(clusters, [whole]),
        members=told.members,
        links=told.links,
        shared=told.shared,
        statements=told.statements,
        events=make_frame(EVENTS, {name: told.events[name] for name in EVENTS}),
    )


def _joined(details: Mapping[str, ClusterDetail], name: str, shape: Mapping[str, str]) -> pd.DataFrame:
    empty = make_frame({"cluster_id": TEXT, **shape})
    frames: list[pd.DataFrame] = [
        getattr(detail, name).assign(cluster_id=cluster_id) for cluster_id, detail in details.items()
    ]
    full = [frame for frame in frames if len(frame)]
    return pd.concat(full, ignore_index=True) if full else empty


@dataclasses.dataclass(frozen=True)
class CaseDesk:
    """Who notes decisions in the browser, and what tells the time of a decision."""

    author: str
    clock: Callable[[], Moment]


def run_site(
    database: Database, snapshot: AnyPath, *, personal_data: bool = False, cases: CaseDesk | None = None
) -> Site:
    """An application over a new snapshot of the published run, written to the file ``snapshot``.

    Parameters
    ----------
    personal_data : show full addresses and payment tokens.
    cases : lets whoever logs in note decisions, which go into the store; None: nothing can be written.

    Raises
    ------
    OutputError : Datasette is not installed.
    NoRunError : nothing was rebuilt yet.
    """
    path = snapshot_run(database, snapshot, personal_data=personal_data)
    questions = [_question(name) for name in QUESTIONS]
    run = Run(database, published_run(database))
    pages = _Pages(run, path.stem, questions, personal_data=personal_data)
    desk = Desk(cases.author, functools.partial(pages.decide, clock=cases.clock)) if cases else None
    return make_site(path, questions=questions, pages=pages, desk=desk)


def _question(name: str) -> Question:
    query = load_query(name)
    return Question(name, query.question, query.sql, query.parameters)


class _Pages:
    """The front page and the page of each cluster, drawn when somebody first asks for them, and the search."""

    def __init__(self, run: Run, database: str, questions: list[Question], *, personal_data: bool) -> None:
        self._run = run
        self._database = database
        self._questions = questions
        self._personal_data = personal_data
        table = pd.DataFrame(run.clusters)
        self._addresses = {str(name): cluster_path(str(name)) for name in table["cluster_id"]}
        # Stands in drawn pages for what only the visitor may see; nobody can write it into a log.
        self._mark = secrets.token_hex(16)
        self._draw = functools.cache(self._drawn)

    def __call__(self, path: str, asked: Mapping[str, str], visitor: Visitor) -> str | None:
        if path == _FIND:
            return self._found(asked.get("text", "").strip())
        if path != "/" and path not in self._addresses.values():
            return None
        page = self._draw(path, visitor.author)
        return page.replace(self._mark, visitor.token()) if visitor.author and path != "/" else page

    def decide(self, fields: Mapping[str, str], author: str, *, clock: Callable[[], Moment]) -> str:
        """Note what a form says, through the library's own door; the path of the cluster's page."""
        cluster_id, note = fields.get("cluster", ""), fields.get("note", "").strip()
        if not note or len(note) > _LONGEST_NOTE:
            raise UsageError(
                f"note: wanted 1 to {_LONGEST_NOTE:,} characters that say why; got {len(note):,}. Go back and write it"
            )
        state: Any = fields.get("state")
        self._run.cluster(cluster_id).decide(
            state, note=note, author=author, at=clock(), account=fields.get("account", "").strip() or None
        )
        self._draw.cache_clear()
        return f"{self._addresses[cluster_id]}#history"

    def _drawn(self, path: str, author: str | None) -> str:
        if path == "/":
            return self._front(author)
        [cluster_id] = [name for name, address in self._addresses.items() if address == path]
        rows = {
            name.replace("_", " "): question_path(name, database=self._database, cluster_id=cluster_id)
            for name in _OF_CLUSTER
        }
        return cluster_page(
            self._run.cluster(cluster_id).brief,
            include_personal_data=self._personal_data,
            files=rows,
            overview="/",
            desk=CaseForm(_CASES, self._mark, author) if author else None,
        )

    def _front(self, author: str | None) -> str:
        clusters = pd.DataFrame(self._run.clusters)
        details = [] if self._personal_data else [self._run.cluster(name).brief for name in self._addresses]
        place = f"{DATA}{self._database}"
        return front_page(
            clusters if self._personal_data else mask_clusters(clusters, details),
            self._run.info,
            pages=self._addresses,
            questions=[self._told(question) for question in self._questions],
            tables={"All members, with facets": f"{place}/cluster_member", "All links": f"{place}/account_link"},
            search=_FIND,
            author=author,
            notes=pd.concat(
                [make_frame(CASE_NOTES), *(self._run.cluster(name).case_notes for name in self._addresses)]
            ),
            include_personal_data=self._personal_data,
        )

    def _found(self, text: str) -> str:
        """Accounts by their ids and by the keys they used; keys are looked for in the store, and shown masked."""
        if not text:
            return find_page([], text="", total=0, search=_FIND)
        database, run_id = self._run._database, self._run.run_id
        by_id = database.query("find_accounts", run_id=run_id, text=text).assign(how="account id")
        by_key = database.query("accounts_of_key", run_id=run_id, text=text)
        keys = [key if self._personal_data else mask_value("api_key", key) for key in by_key["api_key"]]
        columns = ["account_id", "how", "cluster_id", "tier", "membership"]
        found = pd.concat([by_id[columns], by_key.assign(how=[f"API key {key}" for key in keys])[columns]])
        rows = records(found.head(_MOST_FOUND))
        shown = [row | {"page": self._addresses.get(row["cluster_id"])} for row in rows]
        return find_page(shown, text=text, total=found["account_id"].nunique(), search=_FIND)

    def _told(self, question: Question) -> dict[str, Any]:
        return {
            "title": question.title,
            "path": question_path(question.name, database=self._database),
            "asked": ", ".join(question.asked),
        }
