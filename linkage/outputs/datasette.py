"""The published run in a browser: a front page and the cluster pages, with Datasette behind them for the rows.

Datasette is an optional extra and is imported in one place, :func:`_datasette`.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
import socket
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from markupsafe import Markup, escape

from linkage.errors import LinkageError, OutputError
from linkage.outputs.text import file_stem, visible

HOST: Final = "127.0.0.1"
"""The only address that is listened on: what is shown is for whoever sits at this machine."""

DATA: Final = "/data/"
"""Where Datasette's own pages are; everything else is linkage's."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclasses.dataclass(frozen=True)
class Visitor:
    """Who asks for a page, as Datasette knows them."""

    author: str | None
    """The name under which this visitor may note decisions; None: they may only read."""
    token: Callable[[], str]
    """What a form must send along so that no other site can send it; sets a cookie when it is asked for."""


Pages = Callable[[str, Mapping[str, str], Visitor], str | None]
"""A path such as ``/``, what was asked, and who asks, to HTML; None: no such page."""

Decide = Callable[[Mapping[str, str], str], str]
"""The fields of a form and the name of its author to the path to go on with; raises ``LinkageError``."""

NOTE_CASE: Final = "note-case"
"""The permission to note decisions, as Datasette's plugins are asked for it; its root visitor has it."""

_OURS: Final = "-/linkage"
_ICON: Final = "/favicon.ico"  # Datasette's pages name none, so browsers ask for this one
_ROOT: Final = "root"
_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "content-security-policy": "frame-ancestors 'none'",
}
_RUN: Final = re.compile(r":run_id\b")
_LOCAL_NAMES: Final = frozenset({"127.0.0.1", "localhost"})
_TIME_COLUMN: Final = re.compile(r".*_(at|ms)|as_of|since|first_seen|last_seen")
_HIDDEN: Final = (
    "account_day",
    "account_hour",
    "account_record",
    "case_member",
    "case_value",
    "companion",
    "coverage_day",
    "entity",
    "entity_use",
    "failed_file",
    "input_state",
    "item_day",
    "link",
    "membership",
    "prompt",
    "prompt_day",
    "prompt_template",
    "published",
    "rejected",
    "request",
    "run_entry",
    "run_value",
    "shared_value",
    "source_file",
    "sqlite_stat1",
    "statement",
    "template_use",
    "work_day",
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


@dataclasses.dataclass(frozen=True)
class Desk:
    """Where decisions go, and who makes them."""

    author: str
    """The name of whoever started the server, and logs in with the link that is told then."""
    decide: Decide


@dataclasses.dataclass(frozen=True)
class Site:
    """A server's application."""

    app: App
    login: str | None
    """Path that logs its first visitor in; None where nothing can be written."""


def make_site(
    snapshot: str | PathLike[str], *, questions: Sequence[Question], pages: Pages, desk: Desk | None = None
) -> Site:
    """An ASGI application over a snapshot that never changes.

    Our pages are routes of Datasette, so that it tells who asks and turns away forms of other sites.

    Parameters
    ----------
    snapshot : a store with one published run.
    questions : the named queries to offer.
    pages : makes the pages that are not Datasette's.
    desk : where decisions go; None: nothing can be written.

    Raises
    ------
    OutputError : Datasette is not installed.
    """
    metadata = _metadata(Path(snapshot).stem, questions)
    data = _datasette()(immutables=[str(snapshot)], metadata=metadata, settings=dict(_SETTINGS))
    data.linkage = (pages, desk)
    login = f"{DATA}-/auth-token?token={data._root_token}" if desk else None
    if desk is None:
        data._root_token = None
    return Site(_guarded(data.app()), login)


def need_port(port: int) -> None:
    """Raise ``OutputError`` where something else answers on the port, or not everybody may: uvicorn would just exit."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise OutputError(f"port {port}: wanted to answer on it; {error.strerror}. Choose another port") from error


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
        from datasette.utils.asgi import Response
    except ImportError as error:
        raise OutputError(
            f"wanted Datasette to serve pages; it is not installed ({error}). "
            "Install it with: pip install 'linkage[serve]'"
        ) from error

    # With rich installed Datasette prints local variables, so people's data, at every page that is not found, and
    # breaks where it finds no trace to print.
    pm.get_plugin("datasette.handle_exception").rich = None

    async def answer(request: Any, datasette: Any) -> Any:
        told = await _answered(request, datasette)
        return Response(told.body, status=told.status, headers=dict(told.headers), content_type=told.kind)

    class LinkagePages:
        @staticmethod
        @hookimpl  # type: ignore[untyped-decorator]
        def render_cell(value: object, column: str) -> str | None:
            return shown_cell(column, value)

        @staticmethod
        @hookimpl  # type: ignore[untyped-decorator]
        def register_routes(datasette: Any) -> list[tuple[str, Any]]:
            return [(rf"^/{_OURS}(?P<path>/.*)$", answer)] if hasattr(datasette, "linkage") else []

        @staticmethod
        @hookimpl  # type: ignore[untyped-decorator]
        def permission_allowed(actor: Mapping[str, Any] | None, action: str) -> bool | None:
            return True if action == NOTE_CASE and actor and actor.get("id") == _ROOT else None

    if not pm.has_plugin("linkage"):
        # The class, not an instance: Datasette asks its plugins for their __name__.
        pm.register(LinkagePages, name="linkage")
    return Datasette


@dataclasses.dataclass(frozen=True)
class _Answer:
    body: str
    status: int = 200
    kind: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = dataclasses.field(default_factory=lambda: dict(_HEADERS))


async def _answered(request: Any, datasette: Any) -> _Answer:
    """The answer to a request for a page that is ours."""
    pages, desk = datasette.linkage
    may_note = desk is not None and await datasette.permission_allowed(request.actor, NOTE_CASE, default=False)
    author = _author(request.actor, desk) if may_note else None
    if request.method == "POST":
        return await _noted(request, desk, author)
    if request.method not in ("GET", "HEAD"):
        return _Answer("Pages can only be read.\n", 405)
    asked = {name: str(request.args.get(name)) for name in request.args}
    page = pages(request.url_vars["path"], asked, Visitor(author, request.scope["csrftoken"]))
    if page is None:
        return _Answer("No such page. The front page is at /\n", 404)
    return _Answer(page, kind="text/html; charset=utf-8")


def _author(actor: Mapping[str, Any], desk: Desk) -> str:
    """The person at the machine logs in as Datasette's root; others have names of their own."""
    return desk.author if actor.get("id") == _ROOT else str(actor["id"])


async def _noted(request: Any, desk: Desk | None, author: str | None) -> _Answer:
    """Hand a form on; Datasette has turned away forms that were not made here."""
    if desk is None or author is None:
        return _Answer("Decisions are noted by whoever is logged in at a server started with --cases.\n", 403)
    try:
        place = desk.decide(await request.post_vars(), author)
    except LinkageError as error:
        return _Answer(f"Nothing was noted. {error}\n", 400)
    return _Answer("", 303, headers={**_HEADERS, "location": place})


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


def _guarded(data: App) -> App:
    """Our pages at the root, Datasette under ``DATA``; requests that were not meant for this machine turned away."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await data(scope, receive, send)
            return
        path = str(scope["path"])
        if not _is_local(scope):
            await _refuse(send, "This server answers only to the name localhost.\n")
        elif _is_csv(scope):
            # Datasette's CSV would run as formulas in a spreadsheet; ours does not.
            await _refuse(send, "For CSV that is safe in a spreadsheet: linkage members STORE --format csv\n")
        elif path == f"{DATA}-/auth-token":
            await data(_inner(scope), receive, _to_front_page(send))
        else:
            await data(_inner(scope), receive, send)

    return app


def _inner(scope: Scope) -> Scope:
    """The request as Datasette is to see it: it puts ``DATA`` before every link and wants paths without it."""
    path = str(scope["path"])
    if path == _ICON:
        return scope
    if not path.startswith(DATA):
        inner = f"/{_OURS}{path}"
        return {**scope, "path": inner, "raw_path": quote(inner).encode()}
    raw = scope.get("raw_path") or quote(path).encode()
    return {**scope, "path": path[len(DATA) - 1 :], "raw_path": raw[len(DATA) - 1 :]}


def _to_front_page(send: Send) -> Send:
    """Who has logged in goes to the front page, not to the list of tables."""

    async def sent(message: Message) -> None:
        pairs = message.get("headers", [])
        moved = [(name, b"/" if name.lower() == b"location" else value) for name, value in pairs]
        await send({**message, "headers": moved} if message["type"] == "http.response.start" else message)

    return sent


def _is_local(scope: Scope) -> bool:
    """Whether the caller named this machine: a page elsewhere may point its own name at 127.0.0.1."""
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    return host.decode("latin-1").rsplit(":", 1)[0] in _LOCAL_NAMES


def _is_csv(scope: Scope) -> bool:
    query = scope.get("query_string", b"").decode("latin-1").lower()
    return str(scope["path"]).lower().endswith(".csv") or "_format=csv" in query


async def _refuse(send: Send, body: str) -> None:
    content = body.encode()
    told = {**_HEADERS, "content-type": "text/plain; charset=utf-8", "content-length": str(len(content))}
    headers = [(name.encode(), value.encode()) for name, value in told.items()]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": content})
