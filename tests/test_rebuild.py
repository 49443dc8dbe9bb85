"""One rebuild: all or nothing, the same answer twice, the last run stays when it fails."""

import multiprocessing
import sqlite3
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from tiny_world import tiny_requests

import linkage as lk
from linkage import rebuild as rebuild_function
from linkage.errors import ClusterError, NoRunError, StoreBusyError, UsageError
from linkage.store.lock import writer_lock

RUN_TABLES = (
    "run",
    "published",
    "cluster",
    "membership",
    "run_value",
    "link",
    "shared_value",
    "template_use",
    "statement",
    "event",
)


def run_rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with sqlite3.connect(path) as connection:
        rows = {name: connection.execute(f"select * from {name}").fetchall() for name in RUN_TABLES}  # noqa: S608
    connection.close()
    return rows


def test_the_name_rebuild_is_the_function_whatever_was_imported_before() -> None:
    code = "import linkage.rebuild, linkage as lk; lk.open_store; assert callable(lk.rebuild), lk.rebuild"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert rebuild_function is lk.rebuild


def test_a_rebuild_with_nothing_new_writes_nothing(tiny_store: lk.Store) -> None:
    first = lk.rebuild(tiny_store)
    before = run_rows(tiny_store.path)
    again = lk.rebuild(tiny_store)
    assert again.run_id == first.run_id
    assert run_rows(tiny_store.path) == before
    assert len(before["run"]) == 1


def test_another_seed_window_or_setting_makes_another_run(tiny_store: lk.Store) -> None:
    settings = lk.Settings()
    runs = [
        lk.rebuild(tiny_store),
        lk.rebuild(tiny_store, seed=1),
        lk.rebuild(tiny_store, window="2d"),
        lk.rebuild(tiny_store, as_of="2026-09-02"),
        lk.rebuild(tiny_store, settings=settings),
    ]
    assert len({run.run_id for run in runs[:4]}) == 4
    assert runs[4].run_id == runs[0].run_id


def test_a_window_begins_at_midnight_and_ends_at_as_of(tiny_store: lk.Store) -> None:
    first_day = lk.rebuild(tiny_store, as_of="2026-09-02T00:00Z")
    assert first_day.counts["requests"] == 32
    assert first_day.as_of == pd.Timestamp("2026-09-02", tz="UTC")
    inside = lk.rebuild(tiny_store, as_of="2026-09-02T12:00Z", window="2d")
    assert inside.counts["requests"] == 56  # of day two, the two turns of all at 8 and 11 o'clock
    assert inside.as_of == pd.Timestamp("2026-09-02T12:00Z")
    assert inside.since == pd.Timestamp("2026-09-01T00:00Z")
    assert inside.info["window_days"] == 2
    everything = lk.rebuild(tiny_store)
    assert (everything.counts["requests"], everything.as_of) == (64, pd.Timestamp("2026-09-03", tz="UTC"))
    assert lk.rebuild(tiny_store, window=1).counts["requests"] == 32


def test_a_store_without_requests_in_the_window_is_told(tiny_store: lk.Store, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="between 2020-01-02 and 2020-04-01; found none"):
        lk.rebuild(tiny_store, as_of="2020-04-01")
    with lk.open_store(tmp_path / "empty.db") as empty, pytest.raises(ClusterError, match="the store has none"):
        lk.rebuild(empty)
    with pytest.raises(NoRunError, match="linkage rebuild"):
        _ = tiny_store.run


@pytest.mark.parametrize("window", ["0d", "-3", "month", ""])
def test_a_window_that_cannot_be_read_is_told(tiny_store: lk.Store, window: str) -> None:
    with pytest.raises(UsageError, match="such as 30d"):
        lk.rebuild(tiny_store, window=window)


def test_a_time_that_cannot_be_read_is_told(tiny_store: lk.Store) -> None:
    with pytest.raises(UsageError, match="wanted a time such as"):
        lk.rebuild(tiny_store, as_of="last tuesday")


def test_a_failed_rebuild_leaves_the_last_run(tiny_store: lk.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = lk.rebuild(tiny_store)
    before = run_rows(tiny_store.path)

    def fail(*_given: object, **_named: object) -> None:
        raise MemoryError

    monkeypatch.setattr("linkage.store.runs._add_tables", fail)
    with pytest.raises(MemoryError):
        lk.rebuild(tiny_store, seed=9)
    assert run_rows(tiny_store.path) == before
    assert tiny_store.run.run_id == run.run_id


def test_a_second_writer_is_refused(tiny_store: lk.Store) -> None:
    with writer_lock(tiny_store.path), pytest.raises(StoreBusyError, match="is writing"):
        lk.rebuild(tiny_store)


def test_old_runs_beyond_the_setting_go(tiny_store: lk.Store, tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("[run]\nkeep_runs = 2\n")
    runs = [lk.rebuild(tiny_store, seed=seed, settings=settings) for seed in range(4)]
    assert tiny_store.runs["run_id"].tolist() == [run.run_id for run in runs[2:]]


def test_the_order_of_loading_changes_no_run(tiny_logs: Path, tmp_path: Path) -> None:
    lines = (tiny_logs / "requests.ndjson").read_text().splitlines()
    reversed_logs = tmp_path / "reversed.ndjson"
    reversed_logs.write_text("\n".join(lines[::-1]) + "\n")
    tables = []
    for name, logs in (("a.db", tiny_logs / "requests.ndjson"), ("b.db", reversed_logs)):
        with lk.open_store(tmp_path / name) as store:
            store.ingest(logs, accounts=tiny_logs / "accounts.csv")
            run = lk.rebuild(store)
            tables.append((run.run_id, run.members.to_csv(), pd.DataFrame(run.clusters).to_csv()))
    assert tables[0] == tables[1]
    assert len(tiny_requests()) == len(lines)


SNAPSHOT = """
import sys, linkage as lk
with lk.open_store(sys.argv[1]) as store:
    store.ingest(sys.argv[2], accounts=sys.argv[3])
    run = lk.rebuild(store)
    print(run.run_id); print(run.members.to_csv()); print(run.clusters.to_csv())
    for cluster_id in run.clusters["cluster_id"]:
        print(run.clusters[cluster_id].why()); print(run.clusters[cluster_id].evidence.to_csv())
"""


def test_the_answer_does_not_depend_on_the_hash_seed(planted_world: Path, tmp_path: Path) -> None:
    logs, accounts = planted_world / "requests.ndjson.gz", planted_world / "accounts.csv"
    outcomes = [
        subprocess.run(
            [sys.executable, "-c", SNAPSHOT, str(tmp_path / f"{seed}.db"), str(logs), str(accounts)],
            env={"PYTHONHASHSEED": seed, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "4242")
    ]
    assert outcomes[0] == outcomes[1]
    assert b"c-" in outcomes[0]


def read_in_a_loop(path: Path, seconds: float, failures: "multiprocessing.Queue[str]") -> None:
    import time

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with lk.open_store(path, create=False) as store:
            run = store.run
            if len(run.members) != run.counts["members"] or len(run.clusters) != run.counts["clusters"]:
                failures.put(repr(run))


def test_a_reader_never_sees_half_a_run(tiny_store: lk.Store) -> None:
    lk.rebuild(tiny_store)
    failures: multiprocessing.Queue[str] = multiprocessing.get_context("spawn").Queue()
    reader = multiprocessing.get_context("spawn").Process(target=read_in_a_loop, args=(tiny_store.path, 4.0, failures))
    reader.start()
    seed = 0
    while reader.is_alive():
        seed += 1
        lk.rebuild(tiny_store, seed=seed)
    reader.join()
    assert reader.exitcode == 0
    assert failures.empty()
    assert seed > 3
