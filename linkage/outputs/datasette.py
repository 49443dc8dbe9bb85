"""The published run in a browser: a front page and the cluster pages, with Datasette behind them for the rows.

Datasette is an optional extra and is imported in one place, :func:`_datasette`.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from markupsafe import Markup, escape

from linkage.errors import OutputError
from linkage.outputs.text import file_stem, visible

HOST: Final = "127.0.0.1"
"""The only address that is listened on: there is no log-in."""

DATA: Final = "/data/"
"""Where Datasette's own pages are; everything else is linkage's."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Pages = Callable[[str], str | None]
"""A path such as ``/`` to its HTML; None: no such page."""

_RUN: Final = re.compile(r":run_id\b")
_LOCAL_NAMES: Final = frozenset({"127.0.0.1", "localhost"})
_TIME_COLUMN: Final = re.compile(r".*_(at|ms)|as_of|since|first_seen|last_seen")
_HIDDEN: Final = (
    "account_day",
    "account_hour",
    "account_record",
    "case_member",
    "case_value",
    "coverage_day",
    "entity",
    "entity_use",
    "input_state",
    "item_day",
    "link",
    "membership",
    "prompt",
    "prompt_day",
    "published",
    "rejected",
    "request",
    "run_entry",
    "shared_value",
    "source_file",
    "sqlite_stat1",
    "statement",
)
"""Tables that are empty in a snapshot, or that a view or a question shows with ids as text."""
_SETTINGS: Final = {
    "base_url": DATA,
    "allow_download": False,
    "allow_csv_stream": False,
    "sql_time_limit_ms": 5_000,
    "default_page_size": 100,
}


@dataclasses.dataclass(frozen=True)
class Question:
    """A named query as people see it."""

    name: str
    title: str
    sql: str
    parameters: tuple[str, ...]

    @property
    def asked(self) -> tuple[str, ...]:
        """What a person has to fill in; the run is known."""
        return tuple(name for name in self.parameters if name != "run_id")


def question_path(name: str, *, database: str, **values: str) -> str:
    """Where Datasette answers a question.

    Examples
    --------
    >>> question_path("cluster_members", database="published", cluster_id="c-1")
    '/data/published/cluster_members?cluster_id=c-1'
    """
    asked = f"?{urlencode(values, errors='replace')}" if values else ""
    return f"{DATA}{database}/{name}{asked}"


def make_app(snapshot: str | PathLike[str], *, questions: Sequence[Question], pages: Pages) -> App:
    """An ASGI application over a snapshot that never changes.

    Parameters
    ----------
    snapshot : a store with one published run.
    questions : the named queries to offer.
    pages : makes the pages that are not Datasette's.

    Raises
    ------
    OutputError : Datasette is not installed.
    """
    metadata = _metadata(Path(snapshot).stem, questions)
    data = _datasette()(immutables=[str(snapshot)], metadata=metadata, settings=dict(_SETTINGS))
    return _guarded(data.app(), pages)


def serve(app: App, *, port: int) -> None:
    """Answer on the loopback address until interrupted."""
    import uvicorn

    uvicorn.run(app, host=HOST, port=port, log_level="warning")


def _datasette() -> Any:
    """The class Datasette, once its cells show values as people read them."""
    try:
        from datasette import hookimpl
        from datasette.app import Datasette
        from datasette.plugins import pm
    except ImportError as error:
        raise OutputError(
            f"wanted Datasette to serve pages; it is not installed ({error}). "
            "Install it with: pip install 'linkage[serve]'"
        ) from error

    class LinkageCells:
        @staticmethod
        @hookimpl  # type: ignore[untyped-decorator]
        def render_cell(value: object, column: str) -> str | None:
            return shown_cell(column, value)

    if not pm.has_plugin("linkage"):
        # The class, not an instance: Datasette asks its plugins for their __name__.
        pm.register(LinkageCells, name="linkage")
    return Datasette


def shown_cell(column: str, value: object) -> str | None:
    """A cell as Datasette is to show it: times in UTC, four digits of a fraction, clusters as links; None: as it is.

    Examples
    --------
    >>> shown_cell("first_at", 86_400_000), shown_cell("bits", 9.123456), shown_cell("requests", 86_400_000)
    ('1970-01-02 00:00:00', '9.123', None)
    >>> shown_cell("cluster_id", "c-1")
    Markup('<a href="/clusters/c-1.html">c-1</a>')
    """
    if isinstance(value, int) and _TIME_COLUMN.fullmatch(column):
        return _shown_time(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, str):
        text = escape(visible(value))
        return Markup('<a href="{}">{}</a>').format(cluster_path(value), text) if column == "cluster_id" else text
    return None


def _shown_time(value: int) -> str | None:
    try:
        return f"{dt.datetime.fromtimestamp(value / 1000, tz=dt.UTC):%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return None


def cluster_path(cluster_id: str) -> str:
    """Where the page of a cluster is.

    Examples
    --------
    >>> cluster_path("c-7f3a91")
    '/clusters/c-7f3a91.html'
    """
    return f"/clusters/{file_stem(cluster_id)}.html"


def _metadata(database: str, questions: Sequence[Question]) -> dict[str, Any]:
    queries = {
        # A snapshot holds one run: nobody has to type its id.
        question.name: {
            "sql": _RUN.sub("(select run_id from published)", question.sql),
            "title": question.title,
            "params": list(question.asked),
            "hide_sql": True,
        }
        for question in questions
    }
    tables: dict[str, Any] = {name: {"hidden": True} for name in _HIDDEN}
    tables["cluster_member"] = {"facets": ["tier", "membership", "cluster_id"]}
    tables["account_link"] = {"facets": ["family", "cluster_id"]}
    told = "A snapshot of the published run; it does not change while it is served."
    return {
        "title": "linkage: the rows",
        "description": told,
        "about": "the front page",
        "about_url": "/",
        "databases": {database: {"description": told, "queries": queries, "tables": tables}},
    }


def _guarded(data: App, pages: Pages) -> App:
    """Our pages first, Datasette under ``DATA``; requests that were not meant for this machine are turned away."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await data(scope, receive, send)
            return
        path = str(scope["path"])
        if not _is_local(scope):
            await _answer(send, 403, "This server answers only to the name localhost.\n")
        elif path.startswith(DATA) and not _is_csv(scope):
            await data(scope, receive, send)
        elif _is_csv(scope):
            # Datasette's CSV would run as formulas in a spreadsheet; ours does not.
            await _answer(send, 403, "For CSV that is safe in a spreadsheet: linkage members STORE --format csv\n")
        elif (page := pages(path)) is not None:
            await _answer(send, 200, page, kind="text/html")
        else:
            await _answer(send, 404, "No such page. The front page is at /\n")

    return app


def _is_local(scope: Scope) -> bool:
    """Whether the caller named this machine: a page elsewhere may point its own name at 127.0.0.1."""
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    return host.decode("latin-1").rsplit(":", 1)[0] in _LOCAL_NAMES


def _is_csv(scope: Scope) -> bool:
    query = scope.get("query_string", b"").decode("latin-1").lower()
    return str(scope["path"]).lower().endswith(".csv") or "_format=csv" in query


async def _answer(send: Send, status: int, body: str, *, kind: str = "text/plain") -> None:
    content = body.encode()
    headers: Mapping[bytes, bytes] = {
        b"content-type": f"{kind}; charset=utf-8".encode(),
        b"content-length": str(len(content)).encode(),
        b"x-content-type-options": b"nosniff",
        b"cache-control": b"no-store",
    }
    await send({"type": "http.response.start", "status": status, "headers": list(headers.items())})
    await send({"type": "http.response.body", "body": content})
