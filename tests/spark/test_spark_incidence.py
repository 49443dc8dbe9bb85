"""What the Spark engine makes of logs, and what a store makes of that, beside the local engine."""

import gzip
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.json as pj
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from py4j.protocol import Py4JError

import linkage as lk
from linkage.cli import main
from linkage.engines.spark import following, incidence, merging, mining, reading
from linkage.engines.spark.folder import MANIFEST, TABLES, Manifest, read_manifest
from linkage.engines.spark.session import Place, make_session, map_batches, tuned
from linkage.errors import FormatError, RejectedShareError, SourceError, UsageError
from linkage.outputs.tables import to_csv

Made = tuple[Path, Manifest]


def rows_of(path: Path) -> dict[str, list[str]]:
    """All that a rebuild reads, table by table, sorted."""
    with sqlite3.connect(path) as connection:
        return {name: sorted(map(repr, connection.execute(f"select * from {name}"))) for name in TABLES}  # noqa: S608


def untexted(path: Path) -> dict[str, list[str]]:
    """The same without how templates read and the families that follows from: a folder does not know which template a
    prompt had the day before, so one that has but another id is described anew."""
    told = {name: rows for name, rows in rows_of(path).items() if name not in ("template", "entity")}
    with sqlite3.connect(path) as connection:
        templates = connection.execute("select id, name, prompts from template order by id").fetchall()
        entities = connection.execute("select id, kind, value from entity where kind <> 'template_family' order by id")
        return {**told, "template": list(map(repr, templates)), "entity": list(map(repr, entities))}


def taken(folder: Path, path: Path) -> Path:
    """The file of a store that took a folder in."""
    with lk.open_store(path) as store:
        result = store.ingest(folder)
        assert not result.failed, result.failed
    return path


def write_lines(path: Path, records: list[dict[str, Any] | str]) -> Path:
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogateescape")
    return path


def request(number: int, **more: Any) -> dict[str, Any]:
    minute = f"{number // 60 % 24:02d}:{number % 60:02d}"
    return {
        "timestamp": f"2026-09-0{1 + number // 1440 % 3}T{minute}:00Z",
        "request_id": f"r{number}",
        "account_id": f"a{number % 20}",
        "ip": f"203.0.113.{number % 7}",
        "prompt": f"Tell me three facts about the city number {number % 500} today, please.",
        "status": 429 if number % 11 == 0 else 200,
        "input_tokens": number % 90,
        **({"prompt_template": f"gateway-{number % 3}"} if number % 13 == 0 else {}),
        **more,
    }


def test_a_store_that_took_the_folder_has_the_tables_the_local_engine_makes(
    made: Made, local_path: Path, tmp_path: Path
) -> None:
    folder, manifest = made
    ours, theirs = rows_of(taken(folder, tmp_path / "taken.db")), rows_of(local_path)
    assert ours == theirs
    assert len(ours["item_day"]) > 100
    assert len(ours["template"]) > 50
    assert {name: manifest.rows[name] for name in ("account", "account_day")} == {
        name: len(theirs[name]) for name in ("account", "account_day")
    }


def test_a_rebuild_gives_the_same_run_and_the_same_members(made: Made, local_path: Path, tmp_path: Path) -> None:
    with lk.open_store(taken(made[0], tmp_path / "taken.db")) as ours, lk.open_store(local_path) as theirs:
        run = lk.rebuild(ours)
        assert run.run_id == theirs.run.run_id
        assert to_csv(run.members) == to_csv(theirs.run.members)
        assert len(run.members) > 10
        assert ours.counts["requests"] == theirs.counts["requests"] == made[1].kept


def test_the_same_folder_twice_changes_nothing(made: Made, tmp_path: Path) -> None:
    path = taken(made[0], tmp_path / "taken.db")
    with lk.open_store(path) as store:
        before = (rows_of(path), store._database.revision())
        again = store.ingest(made[0])
        assert (again.kept, again.seen_before) == (0, made[1].kept)
        assert (rows_of(path), store._database.revision()) == before
        assert store.files["kind"].tolist() == ["incidence"]


def test_two_days_join_in_a_folder_built_upon_the_first_and_no_other_way(
    spark: Any, world: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    early = lk.spark.incidence(spark, world / "early.ndjson", out=first, accounts=world / "accounts.csv")
    # What both have counts once: the second log holds the first one's last line again.
    last = (world / "early.ndjson").read_bytes().splitlines(keepends=True)[-1]
    (tmp_path / "late.ndjson").write_bytes(last + (world / "late.ndjson").read_bytes())
    both = lk.spark.incidence(spark, [first, tmp_path / "late.ndjson"], out=second)
    assert both.includes == (early.digest,)
    assert both.seen_before == 1
    with lk.open_store(tmp_path / "local.db") as store:
        store.ingest(world / "early.ndjson", accounts=world / "accounts.csv")
        store.ingest(tmp_path / "late.ndjson")
    path = taken(second, taken(first, tmp_path / "taken.db"))
    assert untexted(path) == untexted(tmp_path / "local.db")
    with lk.open_store(path) as store:
        (refused,) = store.ingest(world_of_its_own(first, tmp_path)).failed
        assert "Make one of both" in str(refused.error)
        assert store.ingest(first).seen_before == early.kept  # it is in there already
    assert untexted(path) == untexted(tmp_path / "local.db")


def world_of_its_own(folder: Path, tmp_path: Path) -> Path:
    """A folder that says it holds something else."""
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    told = json.loads((other / MANIFEST).read_text())
    told["digests"]["account"] = "0" * 16
    (other / MANIFEST).write_text(json.dumps(told))
    return other


def test_a_task_that_fails_or_dies_and_runs_again_changes_nothing(
    spark: Any, world: Path, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(dies: bool) -> Any:
        def map_with_failures(frame: Any, function: Any, schema: Any) -> Any:
            def fails_once(batches: Iterator[Any]) -> Iterator[Any]:
                from pyspark import TaskContext

                context = TaskContext.get()
                for number, batch in enumerate(function(batches)):
                    yield batch
                    if context.attemptNumber() == 0 and context.partitionId() == 0 and number == 0:
                        if dies:
                            os.kill(os.getpid(), signal.SIGKILL)
                        raise RuntimeError("the first attempt is lost half way")

            return map_batches(frame, fails_once, schema)

        return map_with_failures

    for room, dies in ((following, True), (merging, False), (mining, False), (reading, True)):
        monkeypatch.setattr(room, "map_batches", failing(dies))
    again = lk.spark.incidence(spark, world / "all.ndjson", out=tmp_path / "again", accounts=world / "accounts.csv")
    assert (again.digest, again.rows) == (made[1].digest, made[1].rows)


def test_a_worker_that_dies_every_time_is_told_with_what_to_do(
    spark: Any, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def map_to_death(frame: Any, function: Any, schema: Any) -> Any:
        def dies(batches: Iterator[Any]) -> Iterator[Any]:
            yield from function(batches)
            os.kill(os.getpid(), signal.SIGKILL)

        return map_batches(frame, dies, schema)

    monkeypatch.setattr(reading, "map_batches", map_to_death)
    with pytest.raises(SourceError, match=r"killed in every attempt.* about 1 GB a core"):
        lk.spark.incidence(spark, world / "early.ndjson", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_skewed_keys_repeats_and_contradictions_end_as_in_the_local_engine(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incidence, "_BUCKET_BYTES", 20_000)  # about 20 buckets
    monkeypatch.setattr(mining, "_SAMPLE_ROWS", 40)  # the sample comes in several parts
    settings = {"templates": {"learn_prompts": 120}}  # of about 300
    records: list[dict[str, Any] | str] = [
        request(number, **({"ip": "198.51.100.1", "prompt": "Say hi."} if number % 2 else {})) for number in range(900)
    ]
    records += [request(1, ip="198.51.100.1", prompt="Say hi.")] * 300  # one request again and again
    records += [request(5, ip=f"192.0.2.{number}") for number in range(40)]  # one that contradicts itself
    records += [request(number, prompt=None, prompt_template="bare") for number in range(900, 910)]
    records += [request(6, request_id=None), "{broken", "", '{"timestamp": "2026-09-01T00:00:00Z"}', '{"a": "\udcff"}']
    logs = write_lines(tmp_path / "skewed.ndjson", records)
    manifest = lk.spark.incidence(spark, logs, out=tmp_path / "folder", settings=settings)
    with lk.open_store(tmp_path / "local.db") as store:
        local = store.ingest(logs, settings=settings)
    assert manifest.rows["prompt"] > 250
    assert rows_of(taken(tmp_path / "folder", tmp_path / "taken.db")) == rows_of(tmp_path / "local.db")
    (file,) = local.files
    assert (manifest.kept, manifest.set_aside, manifest.conflicting) == (file.kept, file.set_aside, file.conflicting)
    assert manifest.seen_before == file.seen_before == 300
    assert [reason for _, reason, _ in manifest.rejected] == sorted(reason for _, reason, _ in manifest.rejected)


def test_parquet_and_gzip_hold_the_records_that_plain_lines_hold(spark: Any, tmp_path: Path) -> None:
    lines = write_lines(tmp_path / "some.ndjson", [request(number) for number in range(200)])
    (tmp_path / "some.ndjson.gz").write_bytes(gzip.compress(lines.read_bytes()))
    pq.write_table(pj.read_json(lines), tmp_path / "some.parquet")
    inputs = [tmp_path / "some.parquet", tmp_path / "some.ndjson.gz"]
    manifest = lk.spark.incidence(spark, inputs, out=tmp_path / "folder")
    assert (manifest.kept, manifest.seen_before, manifest.conflicting) == (200, 200, 0)
    assert [told["took_for"].rpartition(" (")[2] for told in manifest.inputs] == ["parquet)", "json lines)"]
    with lk.open_store(tmp_path / "local.db") as store:
        store.ingest(lines)
    assert rows_of(taken(tmp_path / "folder", tmp_path / "taken.db")) == rows_of(tmp_path / "local.db")


def test_what_cannot_be_used_leaves_nothing_behind(spark: Any, made: Made, tmp_path: Path) -> None:
    def refused(kind: type[Exception], words: str, name: str, **more: Any) -> None:
        with pytest.raises(kind, match=words):
            lk.spark.incidence(spark, tmp_path / name, out=tmp_path / "out", **more)
        assert not (tmp_path / "out").exists()

    write_lines(tmp_path / "bad.ndjson", [request(1), *(["{broken"] * 9)])
    (tmp_path / "some.csv").write_text("timestamp,account_id\n2026-09-01,a\n")
    refused(RejectedShareError, "found 90%", "bad.ndjson")
    refused(FormatError, "found another layout", "some.csv")
    refused(SourceError, "Spark", "missing.ndjson")
    with pytest.raises(UsageError, match="wanted a new folder"):
        lk.spark.incidence(spark, tmp_path / "bad.ndjson", out=made[0])
    assert read_manifest(made[0]) == made[1]


def test_a_damaged_or_unfinished_folder_is_refused_and_the_store_is_as_before(made: Made, tmp_path: Path) -> None:
    path = taken(made[0], tmp_path / "taken.db")
    before = rows_of(path)
    torn = tmp_path / "torn"
    shutil.copytree(made[0], torn)
    told = json.loads((torn / MANIFEST).read_text())
    told["includes"], told["rows"]["account"] = [made[1].digest], 1
    told["digests"]["account"] = "0" * 16
    (torn / MANIFEST).write_text(json.dumps(told))
    with lk.open_store(path) as store:
        (file,) = store.ingest(torn).failed
    assert "wanted 1 rows of account" in str(file.error)
    assert rows_of(path) == before
    (torn / MANIFEST).write_text("{}")
    with pytest.raises(
        SourceError, match="wanted the manifest of an incidence folder, version 3; found something else"
    ):
        read_manifest(torn)


def test_what_needs_requests_is_refused_with_what_to_do_instead(made: Made, world: Path, tmp_path: Path) -> None:
    path = taken(made[0], tmp_path / "taken.db")
    with lk.open_store(path) as store:
        with pytest.raises(UsageError, match="Build upon that folder"):
            store.ingest(world / "late.ndjson")
        with pytest.raises(UsageError, match="alone"):
            store.ingest(made[0], world / "late.ndjson")
        with pytest.raises(UsageError, match="fill a new store"):
            store.purge(account="nobody")
        with pytest.raises(UsageError, match="at midnight"):
            lk.rebuild(store, as_of="2026-09-03T12:00Z")
    with lk.open_store(tmp_path / "other.db") as store:
        store.ingest(world / "late.ndjson")
        (file,) = store.ingest(made[0]).failed
    assert "name a new store" in str(file.error)


def test_the_command_writes_a_folder_that_ingest_takes(spark: Any, tmp_path: Path) -> None:
    logs = write_lines(tmp_path / "some.ndjson", [*(request(number) for number in range(60)), "{broken"])
    runner = CliRunner()
    made = runner.invoke(main, ["ingest-spark", "local[2, 4]", str(logs), "--out", str(tmp_path / "out")])
    assert made.exit_code == 0, made.output
    assert "1 lines set aside: broken JSON" in made.stderr
    assert "Incidence: 60 kept, 1 set aside, 0 seen before" in made.stderr
    assert "20 account\n" in made.stdout
    took = runner.invoke(main, ["ingest", str(tmp_path / "logs.db"), str(tmp_path / "out")])
    assert took.exit_code == 0, took.output
    assert "60 kept, 1 set aside" in took.stderr


def session_alone(**environment: str) -> subprocess.CompletedProcess[str]:
    """What a process of its own says that starts a session and tells the most memory it may take, in MB."""
    code = """
from linkage.engines.spark.session import make_session
from linkage.errors import UsageError
try:
    print(make_session("local[1]")._jvm.java.lang.Runtime.getRuntime().maxMemory() // 1_000_000)
except UsageError as error:
    print(error)
"""
    told = {**os.environ, "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC", **environment}
    return subprocess.run([sys.executable, "-c", code], env=told, capture_output=True, text=True, check=False)


def test_without_java_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"wanted a Java runtime, 17 or later.* Install one"):
        make_session("local[2]")


def test_a_java_that_does_not_start_is_told(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "bin" / "java").chmod(0o755)
    told = session_alone(JAVA_HOME=str(tmp_path))
    assert "wanted Spark at local[1]; " in told.stdout, told.stderr
    assert "that Java is 17 or later" in told.stdout


@pytest.mark.usefixtures("spark")  # skipped without Java
def test_the_heap_is_what_the_environment_says() -> None:
    told = session_alone(SPARK_DRIVER_MEMORY="700m")
    assert 600 < int(told.stdout.splitlines()[-1]) < 740, told.stderr


def test_a_spark_that_ended_is_told_with_how_to_give_it_memory(spark: Any, tmp_path: Path) -> None:
    def refused(error: Exception, words: str) -> None:
        with pytest.raises(SourceError, match=words), tuned(spark):
            raise error

    before = spark.conf.get("spark.sql.execution.arrow.maxRecordsPerBatch")
    refused(ConnectionRefusedError(111, "Connection refused"), "Spark itself ended.* SPARK_DRIVER_MEMORY=4g")
    refused(Py4JError("java.lang.OutOfMemoryError: Java heap space"), "heap space.* SPARK_DRIVER_MEMORY=4g")
    refused(Py4JError("an exchange with no known cause"), "Check paths, rights and disk space")
    assert spark.conf.get("spark.sql.execution.arrow.maxRecordsPerBatch") == before
    place = Place(spark, str(tmp_path / "out"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "half").write_text("written")

    def gone(name: str = "") -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    place.delete = gone  # type: ignore[method-assign]
    place.give_up()
    assert not (tmp_path / "out").exists()
