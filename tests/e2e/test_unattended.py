"""A store that nobody watches: readers beside rebuilds, reruns, late records, an order to end.

``LINKAGE_LOOP_S`` says for how many seconds a reader and a rebuild run side by side (default 4).
"""

import hashlib
import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

import linkage as lk

LOOP_S = float(os.environ.get("LINKAGE_LOOP_S", "4"))
LEAST_REBUILDS = 5
"""However slow the machine is: fewer would be no loop."""

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["linkage.notebook", "linkage"])


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.is_file()}


def cli(*words: str | Path, timeout_s: float = 120) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "linkage", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)


def rebuild_for(path: Path, seconds: float, done: "multiprocessing.queues.Queue[int]") -> None:
    end, seed = time.monotonic() + seconds, 0
    with lk.open_store(path) as store:
        while seed < LEAST_REBUILDS or time.monotonic() < end:
            seed += 1
            lk.rebuild(store, seed=seed)
    done.put(seed)


def test_a_reader_beside_rebuilds_never_fails_and_never_sees_half_a_run(tiny_store: lk.Store) -> None:
    lk.rebuild(tiny_store)
    tiny_store.close()
    done = context.Queue()
    writer = context.Process(target=rebuild_for, args=(tiny_store.path, LOOP_S, done))
    writer.start()
    reads, seen = 0, set()
    while writer.is_alive():
        with lk.open_store(tiny_store.path, create=False) as store:
            with store._database.snapshot():
                run = store.run
                assert len(run.members) == run.counts["members"]
                assert len(run.clusters) == run.counts["clusters"]
                assert set(run.members["cluster_id"]) == set(run.clusters["cluster_id"])
            seen.add(run.run_id)
            reads += 1
    writer.join()
    assert writer.exitcode == 0
    assert done.get(timeout=60) >= LEAST_REBUILDS
    assert reads >= 5
    assert len(seen) >= 2


def test_a_rebuild_with_nothing_new_writes_nothing(tiny_store: lk.Store) -> None:
    lk.rebuild(tiny_store)
    tiny_store.close()
    path = tiny_store.path
    with sqlite3.connect(path) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()
    before = path.read_bytes()
    again = cli("rebuild", path)
    assert again.returncode == 0, again.stderr
    assert path.read_bytes() == before
    assert cli("runs", path, "--json").stdout.count('"run_id"') == 1


def test_late_records_end_in_the_state_of_records_in_order(tiny_logs: Path, tmp_path: Path) -> None:
    lines = (tiny_logs / "requests.ndjson").read_text(encoding="utf-8").splitlines(keepends=True)
    for day in (1, 2):
        own = [line for line in lines if json.loads(line)["timestamp"].startswith(f"2026-09-0{day}")]
        (tmp_path / f"day-{day}.ndjson").write_text("".join(own), encoding="utf-8")
    told = []
    for name, order in (("in-order", (1, 2)), ("late", (2, 1))):
        with lk.open_store(tmp_path / f"{name}.db") as store:
            for day in order:
                store.ingest(tmp_path / f"day-{day}.ndjson", accounts=tiny_logs / "accounts.csv")
                run = lk.rebuild(store)
            tables = (
                "request",
                "entity_use",
                "account_day",
                "account_hour",
                "item_day",
                "work_day",
                "coverage_day",
                "account",
            )
            connection = store._database.connection
            facts = {table: sorted(connection.execute(f"select * from {table}")) for table in tables}  # noqa: S608
            told.append((facts, run.run_id, run.members.drop(columns="cluster_id").to_csv()))
    assert told[0] == told[1]


@pytest.mark.parametrize("verb", ["rebuild", "ingest"])
def test_an_order_to_end_is_obeyed_at_once_with_code_143_and_the_next_run_finishes(
    verb: str, tiny_logs: Path, tmp_path: Path
) -> None:
    path = tmp_path / "s.db"
    with lk.open_store(path) as store:
        store.ingest(tiny_logs / "requests.ndjson", accounts=tiny_logs / "accounts.csv")
        run_id = lk.rebuild(store).run_id
    words = [sys.executable, "-m", "linkage", verb, str(path)]
    more = tmp_path / "more.ndjson"
    lines = (tiny_logs / "requests.ndjson").read_text(encoding="utf-8")
    more.write_text(
        "".join(lines.replace('"request_id": "r', f'"request_id": "{copy}-r') for copy in range(40)), encoding="utf-8"
    )
    process = subprocess.Popen([*words, *(["--seed", "9"] if verb == "rebuild" else [str(more)])])
    lock = tmp_path / "s.db.lock"
    while process.poll() is None and lock.read_text() != str(process.pid):
        time.sleep(0.01)
    process.terminate()
    assert process.wait(timeout=10) == -signal.SIGTERM  # a shell calls it 128 + 15 = 143
    with lk.open_store(path) as store:
        assert store._database.check_integrity() == []
        assert store.run.run_id == run_id
        assert store.ingest(more).failed == ()
        assert lk.rebuild(store).counts["requests"] == 64 * 41
