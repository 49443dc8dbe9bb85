"""Purge: what an account leaves in the store, in its file's bytes and in reports, is gone."""

import json
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny_world import ACCOUNTS, tiny_requests

import linkage as lk
from linkage.cli import main
from linkage.engines.purge import purge_account
from linkage.errors import NoSuchAccountError, StoreBusyError, UsageError
from linkage.outputs.tables import to_csv
from linkage.settings import IngestSettings, Settings
from linkage.store.redact import mentions, redact

FACTS = (
    "account",
    "account_record",
    "request",
    "account_day",
    "account_hour",
    "coverage_day",
    "prompt_day",
    "item_day",
    "work_day",
)
OF_C1 = ("c1-secret", "key_c1", "org_1-secret", "198.51.100.77")


@pytest.fixture
def store(tmp_path: Path) -> lk.Store:
    """The tiny world with values that only c1 uses, a run, a report and a note."""
    folder = tmp_path / "place"
    folder.mkdir()
    rows = [{**row, "account_id": "c1-secret"} if row["account_id"] == "c1" else row for row in tiny_requests()]
    rows[0]["ip"] = "198.51.100.77"
    write(folder, rows, ACCOUNTS.replace("c1,org_1,", "c1-secret,org_1-secret,"))
    with lk.open_store(folder / "s.db") as opened:
        opened.ingest(tmp_path / "requests.ndjson", accounts=tmp_path / "accounts.csv", keep_prompts=True)
        run = lk.rebuild(opened)
        cluster = run.cluster(run.clusters["cluster_id"].iloc[0])
        cluster.decide("watched", note="c1-secret wrote in.", author="ana", at="2026-09-05")
        yield opened


def write(folder: Path, rows: list[dict[str, object]], accounts: str) -> None:
    (folder.parent / "requests.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder.parent / "accounts.csv").write_text(accounts, encoding="utf-8")


def found_in(folder: Path, values: tuple[str, ...]) -> set[tuple[str, str]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {(path.name, value) for path in files for value in values if value.encode() in path.read_bytes()}


def facts(path: Path) -> dict[str, list[tuple[object, ...]]]:
    connection = sqlite3.connect(path)
    rows = {name: sorted(connection.execute(f"select * from {name}"), key=repr) for name in FACTS}  # noqa: S608
    plain = "select id, kind, value from entity where kind not like 'template%' order by id"
    rows["entity"] = connection.execute(plain).fetchall()
    rows["prompt"] = connection.execute("select id, features, text from prompt order by id").fetchall()
    connection.close()
    return rows


def test_no_byte_of_a_purged_account_is_left_beside_the_store(store: lk.Store) -> None:
    folder = store.path.parent
    store.run.report(folder / "report")
    assert {value for name, value in found_in(folder, OF_C1) if name.startswith("s.db")} == set(OF_C1)
    result = store.purge(account="c1-secret")
    assert found_in(folder, OF_C1) == set()
    assert result.reports == (str(folder / "report"),)
    assert not (folder / "report").exists()
    assert result.counts["request"] == 8
    assert result.counts["membership"] == 1
    store.close()
    assert found_in(folder, OF_C1) == set()


def test_what_is_left_is_what_a_store_without_the_account_holds(store: lk.Store, tmp_path: Path) -> None:
    store.purge(account="c1-secret")
    rows = [json.loads(line) for line in (tmp_path / "requests.ndjson").read_text(encoding="utf-8").splitlines()]
    accounts = (tmp_path / "accounts.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    others = "".join(line for line in accounts if not line.startswith("c1-secret"))
    write(tmp_path / "place", [row for row in rows if row["account_id"] != "c1-secret"], others)
    with lk.open_store(tmp_path / "other.db") as other:
        other.ingest(tmp_path / "requests.ndjson", accounts=tmp_path / "accounts.csv", keep_prompts=True)
    assert facts(store.path) == facts(tmp_path / "other.db")


def test_the_run_stays_without_the_account_and_the_note_without_its_name(store: lk.Store) -> None:
    before = store.run
    cluster_id = before.clusters["cluster_id"].iloc[0]
    evidence = len(before.cluster(cluster_id).evidence)
    store.purge(account="c1-secret")
    run = store.run
    assert run.run_id == before.run_id
    assert run.members["account_id"].tolist() == ["c2", "c3", "c4"]
    assert run.counts["members"] == 3
    assert run.clusters[["accounts", "requests"]].to_numpy().tolist() == [[3, 24]]
    assert 0 < len(run.cluster(cluster_id).evidence) < evidence
    assert run.cluster(cluster_id).case_notes["note"].tolist() == ["(purged) wrote in."]
    assert lk.rebuild(store).counts["accounts"] == 11


def test_no_run_tells_a_value_that_nothing_of_it_names_any_more(store: lk.Store) -> None:
    named = """
    select l.value_number from cluster as c join link as l on l.cluster_number = c.number
    union select s.value_number from cluster as c join shared_value as s on s.cluster_number = c.number
    """

    def numbers() -> tuple[set[int], set[int]]:
        connection = store._database.connection
        kept = {number for (number,) in connection.execute("select number from run_value")}
        return kept, {number for (number,) in connection.execute(named)}

    store._database.connection.execute("insert into run_value select id, 99, 'f', 'k', 'v', 1, 0, 1, 1 from run")
    kept, used = numbers()
    assert kept == used | {99}
    store.purge(account="c1-secret")
    kept, used = numbers()
    assert kept == used != set()
    assert not store.run.cluster(store.run.clusters["cluster_id"].iloc[0]).evidence["value"].isna().any()
    store.purge(account="c2")
    store.purge(account="c3")
    assert numbers() == (set(), set())


def test_uses_of_templates_are_counted_without_the_account_at_once(store: lk.Store) -> None:
    def told() -> list[int]:
        return store.run.clusters[store.run.clusters["cluster_id"].iloc[0]].templates["accounts"].tolist()

    before = told()
    store.purge(account="c1-secret")
    assert store.query("run_templates", run_id=store.run.run_id).empty
    assert told() == [count - 1 for count in before]


def test_templates_that_others_use_keep_their_ids(store: lk.Store) -> None:
    before = store.templates
    store.purge(account="c1-secret")
    after = store.templates
    shared = before.loc[before["accounts"] > 1, "template_id"]
    assert set(shared) <= set(after["template_id"])
    assert set(after["template_id"]) <= set(before["template_id"])


def test_templates_of_prompts_go_with_them_and_are_counted_anew(store: lk.Store) -> None:
    connection = store._database.connection
    left = "select count(*) from prompt_template where prompt_id in (select id from prompt)"
    before = connection.execute("select count(*) from prompt_template").fetchone()[0]
    store.purge(account="c1-secret")
    after = connection.execute("select count(*) from prompt_template").fetchone()[0]
    assert 0 < after < before
    assert connection.execute(left).fetchone()[0] == after
    counted = "select template_id, count(*) from prompt_template group by template_id"
    assert dict(connection.execute("select id, prompts from template")) == dict(connection.execute(counted))


def test_loading_the_same_files_again_does_not_bring_the_account_back(store: lk.Store, tmp_path: Path) -> None:
    store.purge(account="c1-secret")
    again = store.ingest(tmp_path / "requests.ndjson", accounts=tmp_path / "accounts.csv", keep_prompts=True)
    assert again.kept == 0
    assert found_in(store.path.parent, OF_C1) == set()


def test_a_setting_that_lets_more_of_a_file_in_does_not_bring_the_account_back(store: lk.Store, tmp_path: Path) -> None:
    rows = [{**row, "request_id": f"again-{at}", "account_id": "c1-secret"} for at, row in enumerate(tiny_requests())]
    write(store.path.parent, [*rows, {**rows[0], "request_id": "long", "prompt": "x" * 1_500}], ACCOUNTS)
    low, mid, high = (Settings(ingest=IngestSettings(line_bytes=size)) for size in (1_000, 1_500, 2_000))
    assert [store.ingest(tmp_path / "requests.ndjson", settings=size).kept for size in (low, mid)] == [64, 0]
    store.purge(account="c1-secret")
    for settings in (low, high):
        again = store.ingest(tmp_path / "requests.ndjson", settings=settings)
        assert (again.kept, again.set_aside) == (0, 0)
    assert found_in(store.path.parent, OF_C1) == set()


def test_a_cluster_that_is_left_with_one_member_goes_with_its_notes(store: lk.Store) -> None:
    for account in ("c1-secret", "c2", "c3"):
        store.purge(account=account)
    assert store.run.clusters.empty
    assert store.run.members.empty
    assert store.counts["accounts"] == 9
    assert store.query("case_notes", cluster_id="c-none").empty
    assert lk.open_store(store.path)._database.connection.execute("select count(*) from case_note").fetchone() == (0,)


def test_before_takes_whole_days_and_accounts_that_are_silent_since(tmp_path: Path) -> None:
    rows = [row for row in tiny_requests() if row["account_id"] != "p1" or str(row["timestamp"]) < "2026-09-02"]
    write(tmp_path / "place", rows, ACCOUNTS)
    with lk.open_store(tmp_path / "s.db") as store:
        store.ingest(tmp_path / "requests.ndjson", accounts=tmp_path / "accounts.csv")
        store.purge(before="2026-09-02T13:00Z")
        days = store._database.connection.execute("select distinct day from account_day").fetchall()
        assert days == [(20698,)]
        assert store.counts["requests"] == 30
        assert store.counts["accounts"] == store.counts["recorded_accounts"] == 11
        assert lk.rebuild(store, as_of="2026-09-03").counts["accounts"] == 11
    write(tmp_path / "place", [row for row in rows if str(row["timestamp"]) >= "2026-09-02"], ACCOUNTS)
    with lk.open_store(tmp_path / "other.db") as other:
        other.ingest(tmp_path / "requests.ndjson")
    both = [facts(tmp_path / name) for name in ("s.db", "other.db")]
    for table in ("request", "account_day", "account_hour", "coverage_day", "prompt"):
        assert both[0][table] == both[1][table], table
    assert found_in(tmp_path, ("key_p1",)) == set()


def test_runs_that_end_by_the_day_go_and_later_ones_stay(tiny_store: lk.Store) -> None:
    lk.rebuild(tiny_store, as_of="2026-09-02")
    last = lk.rebuild(tiny_store)
    tiny_store.purge(before="2026-09-02")
    assert tiny_store.runs["run_id"].tolist() == [last.run_id]


def test_an_unknown_account_is_told_and_changes_nothing(tiny_store: lk.Store) -> None:
    before, revision = facts(tiny_store.path), tiny_store._database.revision()
    with pytest.raises(NoSuchAccountError, match="found none of this id"):
        tiny_store.purge(account="C1")
    assert (facts(tiny_store.path), tiny_store._database.revision()) == (before, revision)


def test_purge_wants_an_account_or_a_time(tiny_store: lk.Store) -> None:
    for given in ({}, {"account": "c1", "before": "2026-09-01"}):
        with pytest.raises(UsageError, match="both or neither"):
            tiny_store.purge(**given)


def test_a_reader_that_keeps_the_log_from_being_emptied_is_told(tiny_store: lk.Store) -> None:
    reader = sqlite3.connect(tiny_store.path, isolation_level=None)
    reader.execute("begin")
    reader.execute("select count(*) from request").fetchone()
    tiny_store._database.connection.execute("pragma busy_timeout = 100")
    with pytest.raises(StoreBusyError, match="close readers and purge again"):
        purge_account(tiny_store._database, "c1")
    reader.close()
    assert tiny_store.counts["accounts"] == 11
    with pytest.raises(NoSuchAccountError, match="swept all the same"):
        purge_account(tiny_store._database, "c1")
    assert found_in(tiny_store.path.parent, ("key_c1",)) == set()


def test_the_command_tells_what_went_and_what_still_names_it(store: lk.Store, tmp_path: Path) -> None:
    elsewhere, logs = tmp_path / "elsewhere", store.path.parent / "export.csv"
    store.run.report(elsewhere)
    logs.write_text("account_id\n'c1-secret\nc1-secret-2\n", encoding="utf-8")
    words = ["purge", str(store.path), "--account", "c1-secret", "--reports", str(elsewhere)]
    outcome = CliRunner().invoke(main, words)
    assert outcome.exit_code == 0, outcome.output
    assert "8 request\n" in outcome.stdout
    assert f"report deleted, make it anew: linkage report {store.path} --out {elsewhere}" in outcome.stderr
    assert f"left as it is: {logs}" in outcome.stderr
    assert logs.exists()
    assert CliRunner().invoke(main, words[:4]).exit_code == 1


def test_of_a_link_to_a_store_the_folder_is_looked_through_that_the_store_lies_in(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "place", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    as_a_table = "account"  # so that the store's own bytes go on naming it
    rows = [{**row, "account_id": as_a_table} if row["account_id"] == "c1" else row for row in tiny_requests()]
    write(folder, rows, ACCOUNTS.replace("c1,org_1,", f"{as_a_table},org_1,"))
    links = [elsewhere / "link.txt", folder / "link.txt"]
    for link in links:
        link.symlink_to(folder / "s.txt")
    with lk.open_store(links[0]) as opened:
        opened.ingest(tmp_path / "requests.ndjson", accounts=tmp_path / "accounts.csv")
        lk.rebuild(opened).report(folder / "report")
        (elsewhere / "export.csv").write_text(f"{as_a_table}\n", encoding="utf-8")
        result = opened.purge(account=as_a_table)
    assert result.reports == (str(folder / "report"),)
    assert result.mentions == (str(elsewhere / "export.csv"),)
    assert as_a_table.encode() in (folder / "s.txt").read_bytes()


def test_a_report_that_is_found_and_named_is_deleted_once(
    store: lk.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = store.path.parent
    store.run.report(folder / "report")
    (folder / "latest").symlink_to("report")
    monkeypatch.chdir(folder)
    assert store.purge(account="c1-secret", reports=["report"]).reports == (str(folder / "report"),)
    assert not (folder / "report").exists()


def test_a_value_is_taken_out_where_it_stands_as_a_word() -> None:
    values = {"10.0.0.1", "agent/1 (x11)\tja3", "p1"}
    text = "of 4, 2 share address 10.0.0.1, 3 client agent/1 (x11); not 10.0.0.12 or p12; with p1."
    wanted = "of 4, 2 share address (purged), 3 client (purged); not 10.0.0.12 or p12; with (purged)."
    assert redact(text, values) == wanted


def test_a_value_that_ends_like_a_sentence_is_taken_out_too() -> None:
    values = {"c1.", "pm!", "a?:"}
    assert (
        redact("c1.: see c1., c1.. Not c1, but pm!.", values)
        == "(purged): see (purged), (purged). Not c1, but (purged)."
    )
    assert mentions("who is a?:?", values, phrases=())
    assert not mentions("who is a?", values, phrases=())


@pytest.mark.parametrize("name", ["c1-sécrét", "c1\u202e-secret", 'c1 "secret", one', "c1-<secret>"])
def test_a_name_is_found_in_files_of_every_kind_however_it_is_written_there(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "place"
    folder.mkdir()
    rows = [{**row, "account_id": name} if row["account_id"] == "c1" else row for row in tiny_requests()]
    quoted = name.replace('"', '""')
    write(folder, rows, ACCOUNTS.replace("c1,org_1", f'"{quoted}",org_1'))
    with lk.open_store(folder / "s.db") as opened:
        opened.ingest(tmp_path / "requests.ndjson", accounts=tmp_path / "accounts.csv")
        run = lk.rebuild(opened)
        run.report(folder / "report")
        written = [run.export(folder / f"graph.{form}", format=form) for form in ("json", "graphml", "gexf")]  # type: ignore[arg-type]
        written.append(folder / "members.csv")
        (folder / "members.csv").write_text(to_csv(run.members), encoding="utf-8")
        result = opened.purge(account=name)
    assert result.reports == (str(folder / "report"),)
    assert set(result.mentions) == {str(path) for path in written}
