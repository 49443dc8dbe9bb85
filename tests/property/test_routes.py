"""Laws of the served pages: whatever is asked, nothing is written and nothing outside is read.

Datasette answers some parameters of its own that make no sense with its page of status 500; nothing may get past it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_world import ACCOUNTS, tiny_requests

import linkage as lk
from linkage.notebook.serving import QUESTIONS, run_site
from linkage.outputs.datasette import App

pytestmark = pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")

SOME = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
WORDS = st.sampled_from(
    [
        "' or 1=1 --",
        "x'; drop table membership; --",
        '" union select value from account --',
        "../../../../etc/passwd",
        "%2e%2e%2fetc%2fpasswd",
        "..\\..\\s.db",
        "\x00",
        "{{7*7}}",
        "<script>alert(1)</script>",
        "(select load_extension('x'))",
        "attach database 's.db' as s",
        "r-none",
        "9" * 400,
        "",
    ]
)
TEXT = WORDS | st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace").decode())
ROUTES = st.sampled_from(
    [
        "/",
        "/clusters",
        "/data",
        "/data/published",
        "/data/published/cluster_member",
        "/-/static",
        "/find",
        "/-/metadata",
    ]
    + [f"/data/published/{question}" for question in QUESTIONS]
)
PARAMETERS = st.sampled_from(
    ["cluster_id", "account_id", "text", "run_id", "sql", "account_id__exact"]
) | st.sampled_from(
    [
        "_facet",
        "_where",
        "_sort",
        "_size",
        "_next",
        "_shape",
        "_json",
        "_search",
        "_through",
        "_fts_table",
        "_col",
        "_nocol",
        "_extra",
        "_timelimit",
        "_trace",
    ]
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[App, Path]]:
    folder = tmp_path_factory.mktemp("routes")
    (folder / "r.ndjson").write_text("".join(json.dumps(row) + "\n" for row in tiny_requests()), encoding="utf-8")
    (folder / "a.csv").write_text(ACCOUNTS, encoding="utf-8")
    with lk.open_store(folder / "s.db") as store:
        store.ingest(folder / "r.ndjson", accounts=folder / "a.csv")
        lk.rebuild(store)
        yield run_site(store._database, folder / "published.db").app, folder


def asked(app: App, method: str, path: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8001") as client:
            return await client.request(method, path)

    return asyncio.run(ask())


def content(folder: Path) -> dict[str, str]:
    """Hashes of what is in the folder; SQLite's own shared memory may come and go."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(("-shm", "-wal"))]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@SOME
@given(
    route=ROUTES,
    tail=TEXT,
    names=st.lists(st.tuples(PARAMETERS, TEXT), max_size=3),
    form=st.sampled_from(["", ".json"]),
)
def test_no_path_and_no_parameter_leads_outside_or_breaks_the_server(
    served: tuple[App, Path], route: str, tail: str, names: list[tuple[str, str]], form: str
) -> None:
    app, folder = served
    before = content(folder)
    query = "&".join(f"{name}={quote(value)}" for name, value in names)
    for path in (f"{route}{form}?{query}", f"{route.rstrip('/')}/{quote(tail)}?{query}"):
        answer = asked(app, "GET", path)
        assert "Traceback" not in answer.text
        assert "root:x:0" not in answer.text
        assert "SQLite format 3" not in answer.text
        assert "<script>alert(1)" not in answer.text
        assert ">49<" not in answer.text
    assert content(folder) == before


@pytest.mark.parametrize("question", ["cluster_members", "case_notes", "links_of_account", "find_accounts"])
@pytest.mark.parametrize("word", ["' or 1=1 --", "x' union select value, 1, 1, 1, 1, 1, 1 from account --", "*"])
def test_no_value_of_a_parameter_brings_rows_that_its_question_does_not(
    served: tuple[App, Path], question: str, word: str
) -> None:
    app, _ = served
    named = "&".join(f"{name}={quote(word)}" for name in ("cluster_id", "account_id", "text"))
    answer = asked(app, "GET", f"/data/published/{question}.json?_shape=array&{named}")
    assert (answer.status_code, answer.json()) == (200, [])


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "path", ["/", "/data/published", "/data/published/-/insert", "/data/published/cluster_member/-/upsert", "/-/logout"]
)
def test_nothing_can_be_written_without_logging_in(served: tuple[App, Path], method: str, path: str) -> None:
    app, folder = served
    before = content(folder)
    assert asked(app, method, path).status_code in (400, 401, 403, 404, 405)
    assert content(folder) == before


@pytest.mark.parametrize(
    "sql",
    [
        "delete from membership",
        "attach database 's.db' as s",
        "pragma writable_schema = on",
        "select load_extension('x')",
        "select readfile('s.db')",
        "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n",
        "select 1; delete from membership",
    ],
)
def test_a_visitor_s_sql_reads_the_masked_copy_and_nothing_else(served: tuple[App, Path], sql: str) -> None:
    """Free questions are what the pages are for: they are read-only and end after Datasette's time limit."""
    app, folder = served
    before = content(folder)
    answer = asked(app, "GET", f"/data/published.json?sql={quote(sql)}")
    assert answer.status_code in (400, 403), answer.text[:200]
    assert content(folder) == before
