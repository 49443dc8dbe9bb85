"""The served pages, asked in-process: what they show, what they keep back, and that nothing is written."""

import asyncio
import builtins
import contextlib
import re
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from details import HOSTILE
from hostile_world import NAMES, write_hostile_logs

import linkage as lk
from linkage.cli import main
from linkage.errors import OutputError
from linkage.notebook.serving import QUESTIONS, CaseDesk, run_site, snapshot_run
from linkage.outputs.datasette import App, shown_cell
from linkage.outputs.masking import mask_value
from linkage.store.store import Database


@pytest.fixture(scope="module")
def hostile_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Accounts that are run as one and carry hostile names, with a run and a decision about it."""
    folder = tmp_path_factory.mktemp("serve")
    with lk.open_store(folder / "s.db") as store:
        store.ingest(write_hostile_logs(folder))
        run = lk.rebuild(store)
        run.cluster(run.clusters["cluster_id"].iloc[0]).decide(
            "watched", note="<b>see</b> 198.51.100.7", author="ana", at="2026-09-09"
        )
    return folder / "s.db"


@pytest.fixture(scope="module")
def app(hostile_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with lk.open_store(hostile_store, create=False) as store:
        yield run_site(store._database, tmp_path_factory.mktemp("snapshot") / "published.db").app


def ask(app: App, *paths: str, host: str = "localhost", method: str = "GET") -> list[httpx.Response]:
    async def asked() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}:8001") as client:
            return [await client.request(method, path) for path in paths]

    return asyncio.run(asked())


def cluster_of(path: Path) -> str:
    with lk.open_store(path, create=False) as store:
        return str(store.run.clusters["cluster_id"].iloc[0])


def test_the_front_page_says_what_it_is_and_leads_to_every_cluster(app: App, hostile_store: Path) -> None:
    [front] = ask(app, "/")
    assert front.status_code == 200
    assert "Accounts that look linked are grouped into clusters below" in front.text
    name = cluster_of(hostile_store)
    [page] = ask(app, f"/clusters/{name}.html")
    assert f'href="/clusters/{name}.html"' in front.text
    assert f"Cluster {name}: {len(NAMES)} linked accounts" in page.text
    assert f"/data/published/cluster_members?cluster_id={name}" in page.text
    assert "form-action &#39;self&#39;" in front.text
    assert "form-action &#39;none&#39;" in page.text


def test_every_question_is_answered_with_the_rows_of_the_run(app: App, hostile_store: Path) -> None:
    name = cluster_of(hostile_store)
    known = {"cluster_id": name, "account_id": HOSTILE["wide"], "text": "座"}
    with lk.open_store(hostile_store, create=False) as store:
        assert len(store.query("find_accounts", run_id=store.run.run_id, text="座")) == 1
    paths = [f"/data/published/{question}.json?_shape=array&{httpx.QueryParams(known)}" for question in QUESTIONS]
    answers = dict(zip(QUESTIONS, ask(app, *paths), strict=True))
    assert {question: answer.status_code for question, answer in answers.items()} == dict.fromkeys(QUESTIONS, 200)
    rows = {question: answer.json() for question, answer in answers.items()}
    assert [question for question in QUESTIONS if not rows[question]] == []
    assert len(rows["cluster_members"]) == len(NAMES)
    assert [row["account_id"] for row in rows["find_accounts"]] == [HOSTILE["wide"]]
    assert rows["case_notes"][0]["note"] == "<b>see</b> 198.51.100.0/24 #1"


def test_hostile_text_shows_as_text_on_every_kind_of_page(app: App, hostile_store: Path) -> None:
    name = cluster_of(hostile_store)
    paths = [
        "/",
        f"/clusters/{name}.html",
        f"/data/published/cluster_members?cluster_id={name}",
        f"/data/published/case_notes?cluster_id={name}",
        "/data/published/cluster_member",
        "/data/published/templates",
        "/data/published/account",
    ]
    for page in ask(app, *paths):
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert '" onmouseover=' not in page.text
        assert "\u202e" not in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in ask(app, "/data/published/cluster_member")[0].text


def test_links_to_facets_and_next_pages_lead_on(app: App) -> None:
    [page] = ask(app, "/data/published/cluster_member?_size=2")
    links = [link.replace("&amp;", "&") for link in re.findall(r'href="([^"]*)"', page.text)]
    assert [link for link in links if "/data/data/" in link] == []
    [facet] = [link for link in links if link.endswith("membership=core")]
    [more] = [link for link in links if "_next=2" in link and "_size" in link]
    for answer in ask(app, facet, more):
        assert (answer.status_code, "account_id" in answer.text) == (200, True)


def test_no_raw_address_or_card_is_served_unless_asked_for(app: App, hostile_store: Path, tmp_path: Path) -> None:
    name = cluster_of(hostile_store)
    paths = ["/", f"/clusters/{name}.html", f"/data/published/cluster_shared_values?cluster_id={name}"]
    for page in ask(app, *paths):
        assert "198.51.100.7<" not in page.text
        assert "card-0" not in page.text
    with lk.open_store(hostile_store, create=False) as store:
        masked = snapshot_run(store._database, tmp_path / "masked.db").read_bytes()
        raw = snapshot_run(store._database, tmp_path / "raw.db", personal_data=True).read_bytes()
        pages = ask(run_site(store._database, tmp_path / "published.db", personal_data=True).app, *paths)
    assert (b"198.51.100.7" in masked, b"card-0" in masked) == (False, False)
    assert (b"198.51.100.7" in raw, b"card-0" in raw) == (True, True)
    assert all("198.51.100.7" in page.text for page in pages[1:])
    assert "holds personal data" in pages[0].text


def test_what_is_not_meant_for_this_machine_or_not_safe_is_turned_away(app: App) -> None:
    assert ask(app, "/", host="evil.example")[0].status_code == 403
    csv, format_csv, database, missing = ask(
        app,
        "/data/published/cluster.csv",
        "/data/published/cluster?_format=csv",
        "/data/published.db",
        "/clusters/c-none.html",
    )
    assert [page.status_code for page in (csv, format_csv, database, missing)] == [403, 403, 403, 404]
    assert "linkage members STORE --format csv" in csv.text


def test_nothing_can_be_written_through_the_pages(app: App, hostile_store: Path) -> None:
    before = ask(app, "/data/published/case_notes.json?_shape=array&cluster_id=" + cluster_of(hostile_store))[0].json()
    writes = ask(app, "/data/published.json?sql=delete+from+case_note", "/data/published?sql=drop+table+account")
    assert all(answer.status_code == 400 for answer in writes)
    posted = ask(app, "/data/published/case_note", "/", method="POST")
    assert posted[0].status_code >= 400
    after = ask(app, "/data/published/case_notes.json?_shape=array&cluster_id=" + cluster_of(hostile_store))[0].json()
    assert after == before


def without_views(snapshot: Path) -> Path:
    """The file without the views that are for Datasette's readers: linkage opens no file that has any."""
    with contextlib.closing(sqlite3.connect(snapshot)) as connection:
        for view in ("cluster_member", "account_link"):
            connection.execute(f"drop view {view}")
    return snapshot


def test_a_snapshot_is_a_store_of_its_own_with_the_same_answers(planted: lk.Store, tmp_path: Path) -> None:
    with lk.open_store(without_views(snapshot_run(planted._database, tmp_path / "p.db")), create=False) as copy:
        assert copy.run.run_id == planted.run.run_id
        assert copy.run.members["account_id"].equals(planted.run.members["account_id"])
        assert copy.run.clusters["tier"].equals(planted.run.clusters["tier"])
        assert copy.query("templates").equals(planted.query("templates"))
        assert copy.counts["requests"] == copy.counts["prompts"] == copy.counts["source_files"] == 0
    assert (tmp_path / "p.db").stat().st_size < planted.path.stat().st_size / 2


def test_two_addresses_of_one_prefix_stay_two_in_a_snapshot(hostile_store: Path, tmp_path: Path) -> None:
    with lk.open_store(hostile_store, create=False) as store:
        path = without_views(snapshot_run(store._database, tmp_path / "p.db"))
    with Database(path) as copy:
        rows = copy.connection.execute("select distinct value from run_value where kind = 'ip' order by value")
        assert [row[0] for row in rows] == ["198.51.100.0/24 #1", "198.51.100.0/24 #2"]


def test_cells_show_times_fractions_and_links() -> None:
    assert shown_cell("first_ms", 1_789_000_000_000) == "2026-09-10 00:26:40"
    assert shown_cell("at_ms", 10**18) is None
    assert shown_cell("accounts", 12) is None
    assert shown_cell("reasons", "<b>\u202e") == "&lt;b&gt;\\u202e"
    assert shown_cell("cluster_id", "<") == '<a href="/clusters/cluster-a2569c83.html">&lt;</a>'


def test_without_datasette_the_message_says_how_to_install_it(
    hostile_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any, **named: Any) -> Any:
        if name.split(".")[0] == "datasette":
            raise ImportError("No module named 'datasette'")
        return real(name, *more, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    told = CliRunner().invoke(main, ["serve", str(hostile_store)])
    assert told.exit_code == OutputError.exit_code == 1
    assert "pip install 'linkage[serve]'" in told.stderr


def test_the_command_listens_on_the_loopback_address_alone(
    hostile_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: dict[str, Any] = {}
    monkeypatch.setattr("uvicorn.run", lambda app, **how: called.update(how, answer=ask(app, "/")[0].status_code))
    shutil.copy(hostile_store, tmp_path / "s.db")
    told = CliRunner().invoke(main, ["serve", str(tmp_path / "s.db"), "--port", "8123"])
    assert told.exit_code == 0
    assert "open http://127.0.0.1:8123/" in told.stderr
    assert (called["host"], called["port"], called["answer"]) == ("127.0.0.1", 8123, 200)


def test_a_port_that_is_taken_is_told_before_anything_is_promised(hostile_store: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        told = CliRunner().invoke(main, ["serve", str(hostile_store), "--port", str(port)])
    assert told.exit_code == 1
    assert told.stderr == f"linkage: port {port}: wanted to answer on it; Address already in use. Choose another port\n"


DECISION = {"state": "watched", "note": "=1+1 <b>asked the owner</b>", "account": ""}


def visit(path: Path, snapshot: Path, steps: list[tuple[str, str, dict[str, str]]], *, cases: bool = True) -> list[Any]:
    """What one browser gets that takes these steps; ``LOGIN`` is the link that was printed, ``TOKEN`` the page's."""

    async def visited(site: Any) -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=site.app)
        found: list[httpx.Response] = []
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8001") as client:
            for method, target, fields in steps:
                token = re.search(r'name="csrftoken" value="([^"]*)"', found[-1].text) if found else None
                data = {name: token[1] if value == "TOKEN" and token else value for name, value in fields.items()}
                asked = site.login if target == "LOGIN" else target
                found.append(await client.request(method, asked, data=data or None))
        return found

    with lk.open_store(path, create=False) as store:
        desk = CaseDesk("ana", lambda: "2026-09-10T09:00:00Z") if cases else None
        return asyncio.run(visited(run_site(store._database, snapshot, cases=desk)))


def test_who_is_logged_in_notes_a_decision_through_the_store(hostile_store: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(hostile_store, tmp_path / "s.db"))
    name = cluster_of(path)
    place = f"/clusters/{name}.html"
    fields = {**DECISION, "cluster": name, "csrftoken": "TOKEN"}
    steps = [("GET", "LOGIN", {}), ("GET", place, {}), ("POST", "/cases", fields), ("GET", place, {}), ("GET", "/", {})]
    login, before, posted, after, front = visit(path, tmp_path / "published.db", steps)
    assert (login.status_code, login.headers["location"]) == (302, "/")
    assert "Clear: it is innocent" in before.text
    assert (posted.status_code, posted.headers["location"]) == (303, f"{place}#history")
    assert "ana: watched. =1+1 &lt;b&gt;asked the owner&lt;/b&gt;" in after.text
    assert "you are ana" in front.text
    assert after.headers["content-security-policy"] == "frame-ancestors 'none'"
    with lk.open_store(path, create=False) as store:
        notes = store.run.cluster(name).case_notes
    assert list(notes["state"]) == ["watched", "watched"]
    assert str(notes["noted_at"].iloc[-1]) == "2026-09-10 09:00:00+00:00"


def test_nobody_else_notes_anything(hostile_store: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(hostile_store, tmp_path / "s.db"))
    name = cluster_of(path)
    place = f"/clusters/{name}.html"
    fields = {**DECISION, "cluster": name}
    stranger = visit(path, tmp_path / "a.db", [("GET", place, {}), ("POST", "/cases", fields)])
    assert "csrftoken" not in stranger[0].text
    assert stranger[1].status_code == 403
    forged = {**fields, "csrftoken": "guessed"}
    steps = [("GET", "LOGIN", {}), ("GET", place, {}), ("POST", "/cases", forged), ("POST", "/cases", fields)]
    assert [answer.status_code for answer in visit(path, tmp_path / "b.db", steps)] == [302, 200, 403, 403]
    twice = visit(path, tmp_path / "c.db", [("GET", "LOGIN", {}), ("GET", "LOGIN", {})])
    assert [answer.status_code for answer in twice] == [302, 403]
    closed = [("GET", "/data/-/auth-token?token=", {}), ("GET", "/data/-/auth-token?token=None", {})]
    assert [answer.status_code for answer in visit(path, tmp_path / "d.db", closed, cases=False)] == [403, 403]
    with lk.open_store(path, create=False) as store:
        assert len(store.run.cluster(name).case_notes) == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"note": " "}, "characters that say why"),
        ({"note": "x" * 2_001}, "characters that say why"),
        ({"state": "guilty"}, "wanted open"),
        ({"cluster": "c-none"}, "wanted cluster"),
        ({"account": "nobody", "state": "appealed"}, "wanted a member"),
    ],
)
def test_what_cannot_be_noted_is_told_and_changes_nothing(
    hostile_store: Path, tmp_path: Path, change: dict[str, str], told: str
) -> None:
    path = Path(shutil.copy(hostile_store, tmp_path / "s.db"))
    name = cluster_of(path)
    fields = {**DECISION, "cluster": name, "csrftoken": "TOKEN", **change}
    steps = [("GET", "LOGIN", {}), ("GET", f"/clusters/{name}.html", {}), ("POST", "/cases", fields)]
    answer = visit(path, tmp_path / "p.db", steps)[-1]
    assert answer.status_code == 400
    assert "Nothing was noted" in answer.text
    assert told in answer.text


def test_accounts_are_found_by_their_id_and_by_a_key_which_is_not_shown(app: App) -> None:
    by_id, by_key, none, empty = ask(app, "/find?text=%E5%BA%A7", "/find?text=@key1", "/find?text=zzz", "/find")
    assert HOSTILE["wide"] in by_id.text
    assert "1 account for “座”" in by_id.text
    assert "1 account for “@key1”" in by_key.text
    assert f"API key {mask_value('api_key', '@key1')}" in by_key.text
    assert by_key.text.count("@key1") == 2  # what was asked, in the heading and in the field
    assert "No account of the store has this in its id" in none.text
    assert "Find an account" in empty.text
