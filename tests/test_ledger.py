"""Rebuilds are remembered, compared and measured."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import linkage as lk
from linkage.cli import main
from linkage.errors import ClusterError, NoRunError, OutputFileError
from linkage.notebook.ledger import write_metrics


def run_cli(*words: str | Path) -> tuple[int, str, str]:
    outcome = CliRunner().invoke(main, [str(word) for word in words])
    return outcome.exit_code, outcome.stdout, outcome.stderr


def test_every_run_and_failure_is_remembered_and_nothing_new_is_not(tiny_store: lk.Store, tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("[run]\nkeep_runs = 1\n")
    ticks = iter(range(1_000_000, 9_000_000, 500))
    first = lk.rebuild(tiny_store, settings=settings, clock=lambda: next(ticks))
    lk.rebuild(tiny_store, settings=settings)
    with pytest.raises(ClusterError):
        lk.rebuild(tiny_store, as_of="2020-01-01")
    second = lk.rebuild(tiny_store, settings=settings, seed=1)
    ledger = tiny_store.ledger
    assert ledger["run_id"].fillna("").tolist() == [first.run_id, "", second.run_id]
    assert ledger["exit_code"].tolist() == [0, 1, 0]
    assert ledger["requests"].tolist() == [64, 0, 64]
    assert ledger["kept"].tolist() == [False, False, True]
    assert ledger["published"].tolist() == [False, False, True]
    assert ledger["duration_s"].iloc[0] > 1
    assert ledger["duration_s"].isna().tolist() == [False, True, True]
    assert "found none" in ledger["error"].iloc[1]
    assert ledger["slowest"].iloc[0] in {"read", "evidence", "links", "communities", "null searches", "publish"}
    assert tiny_store.ledger["settings_digest"].nunique() == 2


def test_a_rebuild_that_failed_is_the_first_thing_told_in_the_morning(tiny_store: lk.Store) -> None:
    with pytest.raises(ClusterError):
        lk.rebuild(tiny_store, as_of="2020-01-01")
    findings = tiny_store.examine()
    assert findings["level"].iloc[0] == "problem"
    assert "failed with exit code 1: " in findings.set_index("check").loc["last rebuild", "found"]
    code, told, _ = run_cli("runs", tiny_store.path)
    assert code == 0
    assert "found none" in " ".join(told.split())
    lk.rebuild(tiny_store)
    assert "last rebuild" not in set(tiny_store.examine()["check"])
    with pytest.raises(ClusterError):
        lk.rebuild(tiny_store, as_of="2020-01-01")  # by hand, with nothing waiting: no reason for an alarm
    assert tiny_store.examine().set_index("check").loc["last rebuild", "level"] == "note"


def test_a_rebuild_that_ends_before_its_first_step_is_told_in_words_and_remembered(
    tiny_store: lk.Store, tmp_path: Path
) -> None:
    lk.open_store(tmp_path / "empty.db").close()
    code, _, words = run_cli("rebuild", tmp_path / "empty.db")
    assert (code, "the store has none. Load logs with: linkage ingest" in words) == (1, True), words
    small, figures = tmp_path / "settings.toml", tmp_path / "linkage.prom"
    small.write_text("[run]\nmemory_mb = 100\n")
    code, _, words = run_cli("rebuild", tiny_store.path, "--settings", small, "--metrics", figures)
    assert (code, "memory_mb = 100" in words) == (1, True), words
    assert tiny_store.ledger[["exit_code", "slowest"]].to_numpy().tolist() == [[1, ""]]
    assert "linkage_rebuild_exit_code 1\n" in figures.read_text()


def test_two_runs_are_compared(tiny_store: lk.Store) -> None:
    one = lk.rebuild(tiny_store, as_of="2026-09-02")
    other = lk.rebuild(tiny_store)
    tiny_store.purge(account="c2")
    found = tiny_store.diff(one.run_id, other.run_id)
    differing = found.inputs.set_index("what")
    assert differing.loc["requests"].tolist() == ["32", "64"]
    assert "seed" not in differing.index
    same = tiny_store.diff(other.run_id, other.run_id)
    assert (len(same.inputs), len(same.clusters), len(same.members)) == (0, 0, 0)
    with pytest.raises(NoRunError, match="kept are"):
        tiny_store.diff("r-none", other.run_id)


def test_accounts_that_came_went_and_moved_are_told(tiny_store: lk.Store) -> None:
    before = lk.rebuild(tiny_store)
    after = lk.rebuild(tiny_store, seed=1)
    database = tiny_store._database
    ids = dict(database.connection.execute("select value, id from account"))
    change = "update membership set {} where run_id = ? and account_id = ?"
    for what, account in (("cluster_id = 'c-other'", "c1"), ("tier = 'review'", "c2")):
        database.connection.execute(change.format(what), (after.run_id, ids[account]))
    gone = "delete from membership where run_id = ? and account_id = ?"
    database.connection.execute(gone, (after.run_id, ids["c3"]))
    database.connection.execute(gone, (before.run_id, ids["c4"]))
    moves = tiny_store.diff(before.run_id, after.run_id).members
    assert dict(zip(moves["account_id"], moves["change"], strict=True)) == {
        "c1": "moved",
        "c2": "tier",
        "c3": "went",
        "c4": "came",
    }


def test_the_commands_list_and_compare(tiny_store: lk.Store) -> None:
    path = tiny_store.path
    assert run_cli("rebuild", path, "--as-of", "2026-09-02")[0] == 0
    assert run_cli("rebuild", path)[0] == 0
    code, out, _ = run_cli("runs", path, "--format", "json")
    assert code == 0
    rows = json.loads(out)
    assert [row["requests"] for row in rows] == [32, 64]
    assert all(row["duration_s"] > 0 for row in rows)
    code, out, words = run_cli("diff", path, rows[0]["run_id"], rows[1]["run_id"])
    assert code == 0
    assert "requests" in out
    assert words.startswith("RunDiff r-2026")
    assert run_cli("diff", path, "r-none", rows[1]["run_id"])[0] == 1


def test_figures_are_written_when_it_works_and_when_it_fails(tiny_store: lk.Store, tmp_path: Path) -> None:
    figures = tmp_path / "linkage.prom"
    assert run_cli("ingest", tiny_store.path, tmp_path / "gone.ndjson")[0] == 74
    assert run_cli("rebuild", tiny_store.path, "--metrics", figures)[0] == 0
    lines = dict(line.rsplit(" ", 1) for line in figures.read_text().splitlines() if not line.startswith("#"))
    assert lines["linkage_rebuild_exit_code"] == "0"
    assert lines["linkage_failed_files"] == "1"
    assert lines["linkage_run_requests"] == "64"
    assert lines["linkage_run_as_of_timestamp_seconds"] == "1788393600"
    assert lines['linkage_run_clusters_of_tier{tier="watch"}'] == "1"
    assert lines['linkage_run_anomalies{check="volume"}'] == "0"
    assert float(lines["linkage_rebuild_duration_seconds"]) > 0
    assert run_cli("rebuild", tiny_store.path, "--as-of", "2020-01-01", "--metrics", figures)[0] == 1
    assert "linkage_rebuild_exit_code 1\n" in figures.read_text()
    assert "linkage_run_requests 64\n" in figures.read_text()
    assert run_cli("rebuild", tmp_path / "none.db", "--metrics", figures)[0] == 74
    assert "linkage_rebuild_exit_code 74\n" in figures.read_text()
    assert [path.name for path in tmp_path.glob("*.prom*")] == ["linkage.prom"]


def test_figures_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    with pytest.raises(OutputFileError, match="wanted to write 0 bytes"):
        write_metrics(tmp_path / "no" / "x.prom", "")


def test_words_come_as_json_lines_when_asked(tiny_store: lk.Store) -> None:
    code, _, words = run_cli("--log-format", "json", "rebuild", tiny_store.path)
    assert code == 0
    lines = [json.loads(line) for line in words.splitlines()]
    assert [line["step"] for line in lines if "step" in line][:2] == ["read", "evidence"]
    assert all({"time", "level", "message"} <= set(line) for line in lines)
    _, _, words = run_cli("--log-format", "json", "rebuild", tiny_store.path, "--as-of", "2020-01-01")
    last = json.loads(words.splitlines()[-1])
    assert (last["level"], last["exit_code"]) == ("error", 1)
