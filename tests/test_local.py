"""Ingest: the same records give the same store, and bad files leave nothing behind."""

import errno
import gzip
import hashlib
import json
import os
import random
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_world import tiny_requests

import linkage as lk
from linkage.engines import names
from linkage.engines.local import ingest_files
from linkage.engines.progress import COUNTING, INDEXING, INGEST_STAGES
from linkage.engines.reading import Checked, read_checked_log
from linkage.engines.rejected import RejectedLines
from linkage.errors import FormatError, MappingError, RejectedShareError, SourceError, UsageError
from linkage.intake.json_records import CUT_SHORT
from linkage.intake.unpack import Source
from linkage.settings import IngestSettings, Settings, TemplateSettings
from linkage.store import facts
from linkage.store.statements import BUMP_REVISION, FORGET_TEMPLATES
from linkage.store.store import Database

LEDGER = {"source_file", "failed_file", "rejected", "input_state", "past_template"}


def dump(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table but the ledger of files and past templates, in a fixed order."""
    with sqlite3.connect(path) as connection:
        names = [
            row[0]
            for row in connection.execute("select name from sqlite_master where type = 'table' order by name")
            if row[0] not in LEDGER and not row[0].startswith("sqlite_")
        ]
        rows = {name: sorted(connection.execute(f"select * from {name}"), key=repr) for name in names}  # noqa: S608
    connection.close()
    return rows


def load(path: Path, *batches: list[Path], accounts: Path | None = None) -> dict[str, list[tuple[object, ...]]]:
    with lk.open_store(path) as store:
        for files in batches:
            store.ingest(*files, accounts=[accounts] if accounts else [])
    return dump(path)


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_what_is_loaded_twice_is_stored_once(tiny_store: lk.Store, tiny_logs: Path) -> None:
    before = dump(tiny_store.path)
    again = tiny_store.ingest(tiny_logs / "requests.ndjson", accounts=tiny_logs / "accounts.csv")
    assert (again.kept, again.set_aside, again.seen_before) == (0, 0, 64 + 12)
    assert dump(tiny_store.path) == before


def ledger(path: Path) -> list[str]:
    with Database(path) as database:
        return [digest for (digest,) in database.connection.execute("select sha256 from source_file order by id")]


def test_the_ledger_has_the_digest_of_the_bytes_that_were_read_whatever_the_layout(
    tiny_logs: Path, tmp_path: Path
) -> None:
    lines = (tiny_logs / "requests.ndjson").read_bytes()
    (tmp_path / "a.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "b.gz").write_bytes(gzip.compress(lines * 2)[:-50])  # cut short: the rest is not read, and is counted
    (tmp_path / "c.json").write_bytes(b"[" + b",".join(lines.splitlines()) + b"]")
    pq.write_table(pa.Table.from_pylist(tiny_requests()), tmp_path / "d.parquet")
    numbers = random.Random(5).choices(range(10**9), k=300_000)
    long = {"timestamp": ["2026-03-02T00:00:00Z"], "account_id": ["a"], "prompt": [" ".join(map(str, numbers))]}
    table = pa.BufferOutputStream()
    pq.write_table(pa.table(long), table)
    (tmp_path / "e.gz").write_bytes(gzip.compress(table.getvalue().to_pybytes()))
    files = [tiny_logs / "requests.ndjson", *sorted(tmp_path.iterdir()), tiny_logs / "accounts.csv"]
    load(tmp_path / "s.db", files)
    assert ledger(tmp_path / "s.db") == [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def test_a_file_of_a_new_size_is_read_once(tiny_logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, packed = [], Source._packed

    def counted(source: Source, file: BinaryIO) -> Iterator[bytes]:
        for block in packed(source, file):
            read.append(len(block))
            yield block

    monkeypatch.setattr(Source, "_packed", counted)
    load(tmp_path / "s.db", [tiny_logs / "requests.ndjson"])
    assert sum(read) == (tiny_logs / "requests.ndjson").stat().st_size


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_log_that_is_written_to_while_it_is_read_is_known_at_the_next_run(
    pack: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half, rest = (
        pack("".join(json.dumps(row) + "\n" for row in rows).encode())
        for rows in (tiny_requests()[:30], tiny_requests()[30:])
    )
    log, packed = tmp_path / "log", Source._packed
    log.write_bytes(half)

    def grown(source: Source, file: BinaryIO) -> Iterator[bytes]:
        for block in packed(source, file):
            log.write_bytes(half + rest)
            yield block

    with lk.open_store(tmp_path / "s.db") as store:
        with monkeypatch.context() as patched:
            patched.setattr(Source, "_packed", grown)
            first = store.ingest(log)
        sizes = store.query("source_files")["size"].tolist()
        second = store.ingest(log)
    assert (first.kept, second.kept, second.seen_before, second.failed) == (64, 0, 64, ())
    assert sizes == [len(half + rest)]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_that_could_not_be_read_to_its_end_once_is_loaded_whole_the_next_time(
    pack: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, packed = tmp_path / "log", Source._packed
    log.write_bytes(pack("".join(json.dumps(row) + "\n" for row in tiny_requests()).encode()))

    def stopped(source: Source, file: BinaryIO) -> Iterator[bytes]:
        for block in packed(source, file):
            yield block[: len(block) // 2]
            raise OSError(errno.EIO, "Input/output error")

    with lk.open_store(tmp_path / "s.db") as store:
        with monkeypatch.context() as patched:
            patched.setattr(Source, "_packed", stopped)
            [failed] = store.ingest(log).failed
        assert "wanted to read it to its end; Input/output error. Nothing of it was stored" in str(failed.error)
        assert (store.counts["requests"], store.examine()["level"].tolist().count("problem")) == (0, 2)
        again = store.ingest(log)
    assert (again.kept, again.set_aside, again.failed) == (64, 0, ())


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_holes_in_a_log_cost_no_record(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """Of a program that writes on where it was after its log was truncated, and of a machine that lost power."""
    lines = [json.dumps(row).encode() + b"\n" for row in tiny_requests()]
    (tmp_path / "log").write_bytes(pack(b"".join([bytes(3_000_000), *lines[:30], bytes(5_000), *lines[30:], bytes(9)])))
    with lk.open_store(tmp_path / "s.db") as store:
        result = store.ingest(tmp_path / "log")
        assert (result.kept, result.failed) == (64, ())
        assert set_aside(store) == [(65, CUT_SHORT)]
        (tmp_path / "hole").write_bytes(pack(bytes(2_000)))
        assert store.ingest(tmp_path / "hole").files[0].took_for == "an empty file"


def test_bytes_that_the_ledger_has_under_another_size_are_entered_once(tiny_store: lk.Store, tiny_logs: Path) -> None:
    with tiny_store._database.transaction("shorten") as connection:  # as a log that grew left it once
        connection.execute("update source_file set size = size - 1")
    before = tiny_store.query("source_files")
    again = tiny_store.ingest(tiny_logs / "requests.ndjson", accounts=tiny_logs / "accounts.csv")
    assert (again.kept, again.seen_before, again.failed) == (0, 64 + 12, ())
    assert tiny_store.query("source_files").equals(before.assign(size=before["size"] + 1))


def test_a_first_load_and_its_mining_write_pages_once_and_a_later_one_writes_a_log(
    tiny_logs: Path, tmp_path: Path
) -> None:
    rows = tiny_requests()
    first, second = write(tmp_path / "a.ndjson", rows[:40]), write(tmp_path / "b.ndjson", rows[40:])
    kept = dict[str, set[str]]()
    with Database(tmp_path / "s.db") as database:

        def look(name: str, *_: int) -> None:
            journal = database.connection.execute("pragma journal_mode").fetchone()[0]
            kept.setdefault(journal, set()).add(name)

        for file in (first, second):
            ingest_files(database, [file], progress=look)
    assert kept == {"delete": {str(first), *INGEST_STAGES}, "wal": {str(second), *INGEST_STAGES} - {INDEXING}}


def test_pages_that_loading_left_are_let_go_before_mining(tiny_logs: Path, tmp_path: Path) -> None:
    with Database(tmp_path / "s.db") as database:
        said = list[str]()
        database.connection.set_trace_callback(said.append)
        ingest_files(database, [tiny_logs / "requests.ndjson"])
    assert said.count("begin immediate") == 1, "what is new in a transaction is not copied into its journal"
    forgets = said.index(FORGET_TEMPLATES[-1])
    assert "savepoint part" not in said, "with one, pages that statements change are copied to a file"
    assert said.index(BUMP_REVISION) < said.index("pragma shrink_memory") < forgets < said.index("commit")


def test_order_and_split_of_files_change_nothing(tiny_logs: Path, tmp_path: Path) -> None:
    rows = tiny_requests()
    whole = write(tmp_path / "whole.ndjson", rows)
    odd, even = write(tmp_path / "odd.ndjson", rows[1::2]), write(tmp_path / "even.ndjson", rows[::2])
    backward = write(tmp_path / "backward.ndjson", rows[::-1])
    overlap = write(tmp_path / "overlap.ndjson", rows[10:40])
    accounts = tiny_logs / "accounts.csv"
    wanted = load(tmp_path / "1.db", [whole], accounts=accounts)
    assert load(tmp_path / "2.db", [odd, even], accounts=accounts) == wanted
    assert load(tmp_path / "3.db", [even], [odd], [overlap], accounts=accounts) == wanted
    assert load(tmp_path / "4.db", [backward], accounts=accounts) == wanted
    assert len(wanted["request"]) == 64


def test_of_two_records_with_one_id_the_same_one_stays_in_any_order(tmp_path: Path) -> None:
    row = tiny_requests()[0]
    other = {**row, "output_tokens": 5, "timestamp": "2026-09-05T00:00:00Z", "account_id": "p1", "status": 429}
    first, second = write(tmp_path / "a.ndjson", [row]), write(tmp_path / "b.ndjson", [other])
    one = load(tmp_path / "1.db", [first], [second])
    two = load(tmp_path / "2.db", [second], [first])
    both = load(tmp_path / "3.db", [write(tmp_path / "c.ndjson", [row, other])])
    facts = ("request", "entity_use", "account_day", "account_hour", "coverage_day", "prompt_day")
    assert [one[name] for name in facts] == [two[name] for name in facts]
    assert [one[name] for name in facts] == [both[name] for name in facts]
    assert len(one["request"]) == len(one["account_day"]) == 1


def test_conflicts_are_counted(tmp_path: Path) -> None:
    row = tiny_requests()[0]
    files = [write(tmp_path / "a.ndjson", [row]), write(tmp_path / "b.ndjson", [{**row, "output_tokens": 5}])]
    with lk.open_store(tmp_path / "s.db") as store:
        results = store.ingest(*files).files
    assert [(result.kept, result.conflicting) for result in results] == [(1, 0), (0, 1)]


def test_rollups_add_up_to_the_requests(tiny_store: lk.Store) -> None:
    rows = dump(tiny_store.path)
    assert sum(row[2] for row in rows["account_day"]) == len(rows["request"]) == 64
    assert sum(row[2] for row in rows["account_hour"]) == 64
    linked = tiny_store.query("account_conduct", since_day=0, until_day=30_000).set_index("account_id").loc["c1"]
    assert (linked["request_count"], linked["active_days"], linked["limited_count"]) == (8, 2, 1)


def test_prompt_text_is_kept_only_when_asked_for(tiny_logs: Path, tmp_path: Path) -> None:
    for keep, name in ((False, "plain.db"), (True, "kept.db")):
        with lk.open_store(tmp_path / name) as store:
            store.ingest(tiny_logs / "requests.ndjson", keep_prompts=keep)
            counts = store._database.connection.execute("select count(text), count(*) from prompt").fetchone()
        assert counts == ((counts[1], counts[1]) if keep else (0, counts[1]))
    assert b"granite" in (tiny_logs / "requests.ndjson").read_bytes()
    for file in tmp_path.glob("plain.db*"):
        assert b"granite" not in file.read_bytes(), "what fills a slot is no part of a template"


def test_a_bad_line_is_set_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    rows = [json.dumps(row) for row in tiny_requests()]
    rows[3] = '{"timestamp": "2026-09-01T00:00:00Z", "account_id":'
    rows[7] = json.dumps({"timestamp": "yesterday", "account_id": "c1"})
    path = tmp_path / "requests.ndjson"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    with lk.open_store(tmp_path / "s.db") as store:
        result = store.ingest(path)
        rejected = store.rejected
    assert (result.kept, result.set_aside) == (62, 2)
    assert rejected["line"].tolist() == [4, 8]
    assert rejected["path"].tolist() == [str(path)] * 2
    assert all(rejected["reason"].str.len() > 10)


def set_aside(store: lk.Store) -> list[tuple[int, str]]:
    return list(zip(store.rejected["line"], store.rejected["reason"], strict=True))


LOW, HIGH = (Settings(ingest=IngestSettings(line_bytes=size)) for size in (1_000, 2_000))


@pytest.mark.parametrize("beside_bytes", [1, 100_000_000])
@pytest.mark.parametrize("layout", ["lines", "csv", "gzip"])
def test_lines_that_a_setting_kept_out_come_in_once_it_is_raised(
    layout: str, beside_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("linkage.engines.local._BESIDE_BYTES", beside_bytes)
    rows = [{**row, "prompt": "x" * (1_500 if at in (3, 7) else 5)} for at, row in enumerate(tiny_requests())]
    log = write_as(layout, tmp_path / "log", rows)
    with lk.open_store(tmp_path / "s.db") as store:
        low = store.ingest(log, settings=LOW)
        assert (low.kept, low.set_aside) == (62, 2)
        assert [line for line, _ in set_aside(store)] == ([5, 9] if layout == "csv" else [4, 8])
        again = store.ingest(log, settings=LOW)
        assert (again.kept, again.set_aside, again.seen_before) == (0, 0, 62)
        high = store.ingest(log, settings=HIGH)
        assert (high.kept, high.set_aside, high.seen_before, set_aside(store)) == (2, 0, 62, [])
        last = [store.ingest(log, settings=limits) for limits in (LOW, HIGH, None)]
        assert [(result.kept, result.set_aside, result.seen_before) for result in last] == [(0, 0, 64)] * 3
        assert (set_aside(store), len(store.query("source_files"))) == ([], 2)
    assert dump(tmp_path / "s.db") == load(tmp_path / "whole.db", [write_as(layout, tmp_path / "log", rows)])


def write_as(layout: str, path: Path, rows: list[dict[str, object]]) -> Path:
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    if layout == "csv":
        cells = ("timestamp", "request_id", "account_id", "prompt", "model")
        lines = "".join(",".join(str(row[name]) for name in cells) + "\n" for row in rows)
        lines = ",".join(cells) + "\n" + lines
    data = lines.encode()
    path.write_bytes(gzip.compress(data, mtime=0) if layout == "gzip" else data)
    return path


def test_the_rest_of_a_file_that_unpacked_to_too_much_comes_in_once_that_is_allowed(tmp_path: Path) -> None:
    rows = [{**row, "prompt": "x" * 200_000} for row in tiny_requests()]
    log = write_as("gzip", tmp_path / "log", rows)
    low, high = (Settings(ingest=IngestSettings(unpacked_ratio=ratio)) for ratio in (4, 1_000))
    with lk.open_store(tmp_path / "s.db") as store:
        first, second = store.ingest(log, settings=low), store.ingest(log, settings=high)
        assert (first.set_aside, second.set_aside, set_aside(store)) == (2, 0, [])  # a line that is cut, and the rest
        assert 0 < first.kept == second.seen_before < 64 == first.kept + second.kept


@pytest.mark.parametrize("beside_bytes", [1, 100_000_000])
@pytest.mark.parametrize("name", ["log", "log.1", "log.2.gz"])
def test_what_was_set_aside_of_a_log_is_told_of_the_longest_of_it(
    name: str, beside_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("linkage.engines.local._BESIDE_BYTES", beside_bytes)
    rows = [json.dumps(row) + "\n" for row in tiny_requests()]
    whole, log = "".join([*rows[:5], "{broken\n", *rows[5:]]), tmp_path / "log"
    other = write(tmp_path / "other", [*tiny_requests(), {"account_id": "c1"}])
    told = []
    with lk.open_store(tmp_path / "s.db") as store:
        store.ingest(other)
        kept_by_other = set_aside(store)
        for size in (len(whole) // 3, len(whole) // 2, len(whole)):
            log.write_text(whole[:size])
            if size == len(whole):
                log.rename(tmp_path / name)
                log = tmp_path / name
                log.write_bytes(gzip.compress(log.read_bytes()) if name.endswith(".gz") else log.read_bytes())
            store.ingest(log)
            told.append([line for line, _ in set_aside(store) if (line, _) not in kept_by_other])
        assert (len(told[0]), len(told[1]), told[2]) == (2, 2, [6])
        assert store.rejected["path"].tolist() == [str(log), str(other)]
        assert store.query("source_files")["set_aside"].tolist() in ([2, 2, 1, 1], [1, 2, 2, 1], [2, 1, 2, 1])


def test_a_log_and_what_it_was_before_may_be_loaded_together(tmp_path: Path) -> None:
    rows = [json.dumps(row) + "\n" for row in tiny_requests()]
    (tmp_path / "a.1").write_text("".join(rows[:5])[:-10])
    (tmp_path / "a.2").write_text("".join(rows[:25])[:-10])
    (tmp_path / "a.3").write_text("".join(rows))
    with lk.open_store(tmp_path / "s.db") as store:
        assert store.ingest(tmp_path / "a.1", tmp_path / "a.2").set_aside == 2
        assert [line for line, _ in set_aside(store)] == [25]
        assert store.ingest(*(tmp_path / f"a.{number}" for number in (1, 2, 3))).set_aside == 0
        assert set_aside(store) == []


def test_a_log_cut_short_and_another_that_took_its_name_are_both_told(tmp_path: Path) -> None:
    rows = [json.dumps(row) + "\n" for row in tiny_requests()]
    log = tmp_path / "log"
    with lk.open_store(tmp_path / "s.db") as store:
        log.write_text("".join(rows[:5])[:-10])
        store.ingest(log)
        log.write_text("".join(rows[20:60])[:-10])
        store.ingest(log)
        assert [line for line, _ in set_aside(store)] == [5, 40]


def test_a_file_that_is_mostly_rejected_leaves_nothing(tmp_path: Path) -> None:
    rows = [json.dumps(row) for row in tiny_requests()[:4]] + ["{broken"] * 6
    path = tmp_path / "requests.ndjson"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    with lk.open_store(tmp_path / "s.db") as store:
        result = store.ingest(path)
        assert isinstance(result.files[0].error, RejectedShareError)
        assert "60%" in str(result.files[0].error)
        assert store.counts["requests"] == store.counts["set_aside"] == 0


def test_lines_that_are_set_aside_take_little_memory_until_they_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def noted(lines: RejectedLines, table: Any) -> None:
        add(lines, table)
        sizes.append((lines.nbytes, len(lines)))

    add = RejectedLines.add
    monkeypatch.setattr(RejectedLines, "add", noted)
    lines = [json.dumps(row) for row in tiny_requests()]
    path = tmp_path / "requests.ndjson"
    path.write_text("\n".join(line for line in lines for _ in range(2)).replace("{", "{{", 60) + "\n")
    with lk.open_store(tmp_path / "s.db") as store:
        result = store.ingest(path, settings=Settings(ingest=IngestSettings(batch_rows=100)))
        assert (result.set_aside, len(set_aside(store))) == (60, 60)
        assert sum(result.files[0].reasons.values()) == 60
    assert sizes[-1] == (60 * 12, 60)


def test_a_bad_file_does_not_stop_the_others(tiny_logs: Path, tmp_path: Path) -> None:
    unknown = tmp_path / "unknown.jsonl"
    unknown.write_text('{"who": 1, "what": 2}\n', encoding="utf-8")
    with lk.open_store(tmp_path / "s.db") as store:
        result = store.ingest(tmp_path / "missing.ndjson", unknown, tiny_logs / "requests.ndjson")
    assert [type(file.error) for file in result.files] == [SourceError, FormatError, type(None)]
    assert result.kept == 64
    assert "who" in str(result.files[1].error)


def test_a_folder_stands_for_its_files(tmp_path: Path) -> None:
    rows = tiny_requests()
    folder = tmp_path / "drop"
    folder.mkdir()
    write(folder / "1.ndjson", rows[:30])
    (folder / "2.ndjson.gz").write_bytes(gzip.compress("".join(json.dumps(r) + "\n" for r in rows[30:]).encode()))
    (folder / ".partial").write_text("half a li")
    with lk.open_store(tmp_path / "s.db") as store:
        assert store.ingest(folder).kept == 64
        assert store.ingest(folder).seen_before == 64


def test_a_store_that_lies_among_the_logs_is_no_log(tmp_path: Path) -> None:
    write(tmp_path / "r.ndjson", tiny_requests())
    (tmp_path / "link").symlink_to(tmp_path)
    with lk.open_store(tmp_path / "s.db") as store:
        for files in ([tmp_path], sorted(tmp_path.iterdir()), [tmp_path / "link"]):
            result = store.ingest(*files)
            assert {Path(file.path).name for file in result.files} == {"r.ndjson"}
            assert "the store lies among the files: it was left out" in result.remarks
        assert store.query("failed_files").empty


def test_a_call_that_cannot_be_carried_out_is_refused_before_anything_is_read(tiny_logs: Path, tmp_path: Path) -> None:
    with lk.open_store(tmp_path / "s.db") as store:
        with pytest.raises(UsageError, match="litellm"):
            store.ingest(tiny_logs / "requests.ndjson", format="kafka")
        with pytest.raises(MappingError, match=r"missing\.toml"):
            store.ingest(tiny_logs / "requests.ndjson", map=tmp_path / "missing.toml")
        assert store.counts["requests"] == 0


def test_pseudonyms_keep_raw_values_out_and_links_in(tiny_logs: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("0123456789abcdef0123456789abcdef")
    with lk.open_store(tmp_path / "s.db") as store:
        store.ingest(tiny_logs / "requests.ndjson", accounts=tiny_logs / "accounts.csv", pseudonymize=key)
        uses = store.query("account_uses", since_day=0, until_day=30_000)
    assert (tmp_path / "s.db").stat().st_size > 0
    raw = (tmp_path / "s.db").read_bytes()
    for value in (b"198.51.100.7", b"card_x", b"mail.example", b"batch-client"):
        assert value not in raw
    cards = uses[uses["kind"] == "payment"].groupby("value")["account_id"].agg(list).tolist()
    assert ["c1", "c2"] in cards
    prefixes = uses[uses["kind"] == "ip_prefix"].groupby("value")["account_id"].agg(list).tolist()
    assert ["c1", "c2", "c3", "c4"] in prefixes


def test_what_callers_claim_is_stored_apart(tmp_path: Path) -> None:
    rows = [
        {**row, "ip": f"198.51.100.{at}", "forwarded_for": "192.0.2.1", "end_user": "same"}
        for at, row in enumerate(tiny_requests())
    ]
    with lk.open_store(tmp_path / "s.db") as store:
        store.ingest(write(tmp_path / "requests.ndjson", rows))
        uses = store.query("account_uses", since_day=0, until_day=30_000)
    claimed = uses[uses["kind"].isin(["forwarded", "end_user"])]
    assert set(claimed["value"]) == {"192.0.2.1", "same"}
    assert "192.0.2.1" not in set(uses.loc[uses["kind"] == "ip", "value"])


def test_repeats_within_a_file_are_counted_like_repeats_of_another(tmp_path: Path) -> None:
    row = tiny_requests()[0]
    greater = {**row, "output_tokens": 5}
    path = write(tmp_path / "a.ndjson", [row, row, greater, row])
    with lk.open_store(tmp_path / "s.db") as store:
        (result,) = store.ingest(path).files
        assert store.counts["requests"] == 1
    assert (result.kept, result.seen_before + result.conflicting) == (1, 3)


def test_a_record_replaced_in_a_later_batch_of_its_file_is_counted_once(tmp_path: Path) -> None:
    row = tiny_requests()[0]
    rows = [{**row, "request_id": f"r{at}"} for at in range(130)]
    twins = [{**row, "request_id": f"r{at}", "account_id": "other", "status": 429} for at in range(130)]
    settings = lk.Settings(ingest=IngestSettings(batch_rows=100))
    dumps = []
    for name, order in (("1", [*rows, *twins]), ("2", [*twins, *rows])):
        with lk.open_store(tmp_path / f"{name}.db") as store:
            store.ingest(write(tmp_path / f"{name}.ndjson", order), settings=settings)
        dumps.append(dump(tmp_path / f"{name}.db"))
    facts = (
        "request",
        "entity_use",
        "account_day",
        "account_hour",
        "coverage_day",
        "prompt_day",
        "item_day",
        "work_day",
    )
    assert [dumps[0][name] for name in facts] == [dumps[1][name] for name in facts]
    assert sum(day[2] for day in dumps[0]["account_day"]) == len(dumps[0]["request"]) == 130
    accounts = {request[2] for request in dumps[0]["request"]}
    assert len(accounts) == 2, "which of the two stays depends on a hash: both kinds are replaced"


def test_memory_bounds_the_pages_and_the_counts_that_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "many.ndjson"
    log.write_text(
        "".join(
            f'{{"timestamp": "2026-09-01T00:00:0{row % 7}Z", "account_id": "a{row}", "ip": "192.0.2.{row % 250}", '
            f'"request_id": "r{row}"}}\n'
            for row in range(70_000)
        )
    )
    later = tmp_path / "later.ndjson"
    later.write_text('{"timestamp": "2026-09-02T00:00:00Z", "account_id": "a1", "request_id": "later"}\n')
    written: dict[int, list[tuple[int, int]]] = {}
    add = facts.add_rollup

    def noted(connection: facts.Connection, table: str, rows: Any) -> None:
        if table == "account_day":
            cache = connection.execute("pragma cache_size").fetchone()[0]
            written[memory].append((len(rows), cache))
        add(connection, table, rows)

    monkeypatch.setattr(facts, "add_rollup", noted)
    for memory, pages in ((30, 8), (1_200, 512)):
        written[memory] = []
        settings = Settings(ingest=IngestSettings(memory_mb=memory))
        with Database(tmp_path / f"{memory}.db") as database:
            ingest_files(database, [log], settings=settings)
            assert database.connection.execute("pragma cache_size").fetchone()[0] == -256 * 1024
            assert database.connection.execute("select sum(request_count) from account_day").fetchone()[0] == 70_000
            first, written[memory] = written[memory], []
            assert {cache for _, cache in first} == {-min(32, pages) * 1024}
            assert sum(rows for rows, _ in first) == 70_000
            ingest_files(database, [later], settings=settings)
            assert written[memory] == [(1, -pages * 1024)]


def test_templates_of_more_prompts_than_are_learned_from_read_alike_in_any_order(tmp_path: Path) -> None:
    texts = [f"Write a short poem about the city number {n} and its river, please." for n in range(300)]
    texts += [f"Which of these is the odd one out: item {n}, pear, plum?" for n in range(200, 500)]
    rows = [
        f'{{"timestamp": "2026-09-01T00:00:00Z", "account_id": "a", "request_id": "{n}", "prompt": "{text}"}}\n'
        for n, text in enumerate(texts)
    ]
    settings = Settings(ingest=IngestSettings(batch_rows=100), templates=TemplateSettings(learn_prompts=100))
    found = []
    for name, order in (("forth", rows), ("back", rows[::-1])):
        log = tmp_path / f"{name}.ndjson"
        log.write_text("".join(order))
        with Database(tmp_path / f"{name}.db") as database:
            ingest_files(database, [log], settings=settings)
            found.append(database.query("templates").to_dict("records"))
    assert found[0] == found[1]
    assert len(found[0]) == 2


def test_what_follows_from_templates_is_the_same_in_parts_of_any_size(
    tiny_logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = load(tmp_path / "whole.db", [tiny_logs / "requests.ndjson"])
    monkeypatch.setattr("linkage.engines.waiting._WHOLE_ROWS", 7)
    monkeypatch.setattr("linkage.intake.mining._GROWTH_ROWS", 2)
    assert wanted["prompt_day"]
    assert wanted["item_day"]
    assert load(tmp_path / "parts.db", [tiny_logs / "requests.ndjson"]) == wanted


def test_only_the_lowest_prompts_are_read_to_learn_from(tiny_store: lk.Store) -> None:
    with tiny_store._database.transaction("look") as connection:
        ids = sorted(row[0] for row in connection.execute("select id from prompt"))
        last = facts.last_of_lowest(connection, 5)
        read = [each for block in facts.prompt_blocks(connection, last_id=last) for each in block.ids]
        assert facts.last_of_lowest(connection, len(ids) + 1) == 2**63 - 1
    assert last == ids[4]
    assert sorted(read) == ids[:5]


@pytest.mark.parametrize("is_asked", [True, False])
def test_templates_that_gateways_name_stay_with_their_prompts(
    is_asked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{**row, "prompt_template": f"t{place}" if place % 3 else None} for place, row in enumerate(tiny_requests())]
    if not is_asked:
        monkeypatch.setattr(facts, "find_asked", lambda _connection: None)
    monkeypatch.setattr(facts, "_BLOCK_ROWS", 7)
    with Database(tmp_path / "named.db") as database:
        ingest_files(database, [write(tmp_path / "named.ndjson", rows)], settings=Settings())
        wanted = database.connection.execute(
            "select id, features, gateway_template from prompt order by rowid"
        ).fetchall()
        blocks = list(facts.prompt_blocks(database.connection))
    assert len(blocks) > 3
    read = []
    for block in blocks:
        names = block.gateway_templates or [None] * len(block.ids)
        blobs = [bytes(block.features[a:b]) for a, b in zip(block.places, block.places[1:], strict=False)]
        read += zip(block.ids.tolist(), blobs, names, strict=True)
    assert read == wanted
    assert {bool(name) for _, _, name in wanted} == {True, False}


@pytest.mark.parametrize("is_split", [False, True])
def test_progress_is_told_of_files_and_of_every_stage(is_split: bool, tmp_path: Path) -> None:
    rows = tiny_requests()
    parts = [rows[:40], rows[40:]] if is_split else [rows]
    files = [write(tmp_path / f"{number}.ndjson", part) for number, part in enumerate(parts)]
    told: dict[str, list[tuple[int, int]]] = {}
    with Database(tmp_path / "told.db") as database:

        def tell(name: str, done: int, size: int) -> None:
            assert threading.current_thread() is threading.main_thread()
            told.setdefault(name, []).append((done, size))

        ingest_files(database, [*files, tmp_path / "none.ndjson"], progress=tell)
        assert list(told) == [*map(str, files), *INGEST_STAGES]
        for name, steps in told.items():
            done = [each for each, _ in steps]
            assert done[0] == 0
            assert name == COUNTING or done == sorted(done)
            assert steps[-1][0] == steps[-1][1] > 0
        told.clear()
        ingest_files(database, files, progress=tell)
    assert told == {str(file): [(0, file.stat().st_size), (file.stat().st_size,) * 2] for file in files}


def test_a_template_that_has_but_another_id_keeps_its_text(tiny_store: lk.Store, tmp_path: Path) -> None:
    connection = tiny_store._database.connection
    template_id, name = connection.execute("select id, name from template order by prompts desc").fetchone()
    renamed = (
        "update template set id = 4711, name = 't-4711', text = 'as it was told <*>' where id = ?",
        "update prompt_template set template_id = 4711 where template_id = ?",
    )
    for statement in renamed:
        assert connection.execute(statement, (template_id,)).rowcount > 0
    more = {**tiny_requests()[0], "request_id": "more", "prompt": "quite another thing"}
    tiny_store.ingest(write(tmp_path / "more.ndjson", [more]))
    told = tiny_store.templates.set_index("template_id")["text"]
    assert told[name] == "as it was told <*>"
    assert "t-4711" not in told


def test_a_template_whose_run_died_before_mining_is_described_from_later_prompts(
    tiny_logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tiny_requests()
    early, late = write(tmp_path / "early.ndjson", rows[::2]), write(tmp_path / "late.ndjson", rows[1::2])
    with monkeypatch.context() as patched, lk.open_store(tmp_path / "s.db") as store:
        # A first load is stored with its templates or not at all.
        store.ingest(write(tmp_path / "first.ndjson", [{**rows[0], "request_id": "first", "prompt": None}]))
        patched.setattr("linkage.engines.local.mine_store", die)
        with pytest.raises(KeyboardInterrupt):
            store.ingest(early)
    with lk.open_store(tmp_path / "s.db") as store:
        store.ingest(early)
        lost = store.templates
        store.ingest(late)
        healed = store.templates
    whole = load(tmp_path / "whole.db", [early, late])
    assert len(lost)
    assert lost["text"].str.contains("no longer at hand").all()
    assert not healed["text"].str.contains("no longer at hand").any()
    assert set(healed["template_id"]) == {row[1] for row in whole["template"]}


def die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def read_then_die(**how: Any) -> Iterator[Checked]:
    """In a process of its own: the first batch, and then as if memory ran out."""
    yield next(read_checked_log(**how))
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_reads_beside_changes_nothing(
    tiny_logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tiny_requests()
    log = write(tmp_path / "log.ndjson", [*rows, {"account_id": 7}, *rows[:20], {**rows[0], "status": 429}])
    accounts = tiny_logs / "accounts.csv"
    wanted = load(tmp_path / "here.db", [log], accounts=accounts)
    monkeypatch.setattr("linkage.engines.local._BESIDE_BYTES", 1)
    assert load(tmp_path / "beside.db", [log], accounts=accounts) == wanted
    with lk.open_store(tmp_path / "bad.db") as store:
        result = store.ingest(write(tmp_path / "bad.ndjson", [{**rows[0], "timestamp": "never"}] * 10 + rows[:1]), log)
    assert isinstance(result.files[0].error, RejectedShareError)
    assert (result.files[1].kept, result.files[1].set_aside, result.files[1].seen_before) == (64, 1, 19)


def test_a_batch_from_beside_is_let_go_when_it_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"timestamp": f"2026-03-02T0{n // 3_600}:00:00Z", "account_id": f"a{n}", "prompt": f"{n} {'x' * (n // 2)}"}
        for n in range(7_200)
    ]
    monkeypatch.setattr("linkage.engines.local._BESIDE_BYTES", 1)
    log, held = write(tmp_path / "log.ndjson", rows), list[int]()
    with lk.open_store(tmp_path / "s.db") as store:
        store.ingest(
            log,
            settings=Settings(ingest=IngestSettings(batch_rows=100)),
            progress=lambda *_: held.append(pa.total_allocated_bytes()),
        )
    assert len(held) > 70
    assert max(held) - held[0] < log.stat().st_size / 4  # a few batches; all of them would be more than the file


def test_a_reading_process_that_dies_leaves_the_last_good_state_and_the_other_files_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tiny_requests()
    first, second = write(tmp_path / "first.ndjson", rows[:30]), write(tmp_path / "second.ndjson", rows[30:])
    before = load(tmp_path / "s.db", [first])
    monkeypatch.setattr("linkage.engines.local._BESIDE_BYTES", 1)
    with monkeypatch.context() as patched, lk.open_store(tmp_path / "s.db") as store:
        patched.setattr("linkage.engines.local.read_checked_log", read_then_die)
        result = store.ingest(second)
    assert isinstance(result.files[0].error, SourceError)
    assert "second.ndjson: wanted its records from a process beside this one" in str(result.files[0].error)
    assert dump(tmp_path / "s.db") == before
    assert load(tmp_path / "s.db", [second]) == load(tmp_path / "whole.db", [first, second])


def test_indexes_are_as_before_whether_a_first_load_ends_well_or_not(
    tiny_logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tiny_logs / "requests.ndjson"
    with Database(tmp_path / "s.db") as database:
        wanted = indexes(database)
        with monkeypatch.context() as patched:
            patched.setattr("linkage.engines.load.facts.lay_other_indexes", die)
            with pytest.raises(KeyboardInterrupt):
                ingest_files(database, [log])
        assert indexes(database) == wanted
        ingest_files(database, [log])
        assert indexes(database) == wanted
    monkeypatch.undo()
    with Database(tmp_path / "other.db") as database:
        ingest_files(database, [log])
        assert indexes(database) == wanted
    with Database(tmp_path / "late.db") as database:
        with monkeypatch.context() as patched:
            patched.setattr("linkage.engines.local.mine_store", die)
            with pytest.raises(KeyboardInterrupt):
                ingest_files(database, [log])
        assert indexes(database) == wanted
    assert dump(tmp_path / "s.db") == dump(tmp_path / "other.db")


def test_a_first_load_whose_ids_outgrow_their_memory_goes_on_with_indexes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{**row, "request_id": f"{row['request_id']}-{copy}"} for copy in range(4) for row in tiny_requests()]
    log = write(tmp_path / "log.ndjson", [*rows, *rows[:80], {**rows[0], "status": 429}])
    settings = Settings(ingest=IngestSettings(batch_rows=100, batch_bytes=10_000))
    found = []
    for part, name in ((3, "first.db"), (10**9, "indexed.db")):
        monkeypatch.setattr("linkage.engines.load._KNOWN_PART", part)
        with Database(tmp_path / name) as database:
            [result] = ingest_files(database, [log], settings=settings)
            assert (result.kept, result.seen_before) == (256, 80)
            assert result.conflicting == 1
        found.append(dump(tmp_path / name))
    assert found[0] == found[1]


@pytest.mark.parametrize("memory_mb", [30, 1_200])
def test_entities_that_wait_are_stored_like_those_written_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory_mb: int
) -> None:
    rows = [{**row, "user_agent": f"agent {at % 50}"} for at, row in enumerate(tiny_requests())]
    log = write(tmp_path / "log.ndjson", rows)
    settings = Settings(ingest=IngestSettings(memory_mb=memory_mb, batch_rows=100, batch_bytes=10_000))
    wanted = load(tmp_path / "at-once.db", [log])
    monkeypatch.setattr("linkage.engines.names._NEAR_ENTITIES", 20)
    with Database(tmp_path / "late.db") as database:
        ingest_files(database, [log], settings=settings)
    assert len(wanted["entity"]) > 50
    assert dump(tmp_path / "late.db") == wanted


@pytest.mark.parametrize("memory_mb", [30, 1_200])
def test_names_of_a_first_load_wait_for_its_account_records(
    tiny_logs: Path, tmp_path: Path, memory_mb: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, accounts = tiny_logs / "requests.ndjson", tiny_logs / "accounts.csv"
    wanted = load(tmp_path / "apart.db", [log], [accounts])
    calls = []
    add = names.add_entities
    monkeypatch.setattr(names, "add_entities", lambda *given: (calls.append(given), add(*given)))
    settings = Settings(ingest=IngestSettings(memory_mb=memory_mb))
    with Database(tmp_path / "together.db") as database:
        before = indexes(database)
        ingest_files(database, [log], accounts=[accounts], settings=settings)
        assert indexes(database) == before
    assert dump(tmp_path / "together.db") == wanted
    assert len(calls) == 1


def indexes(database: Database) -> list[tuple[str, str]]:
    return sorted(database.connection.execute("select name, sql from sqlite_master where type = 'index'"), key=repr)


def test_accounts_with_several_records_are_counted_once_for_each_field(tmp_path: Path) -> None:
    records: list[dict[str, object]] = [
        {"account_id": "a", "email_domain": "a.org", "plan": "free"},
        {"account_id": "a", "email_domain": "b.org", "country": "DE"},
        {"account_id": "a", "plan": "team"},
        {"account_id": "b", "country": "FR"},
        {"account_id": "c"},
    ]
    with lk.open_store(tmp_path / "s.db") as store:
        log = write(tmp_path / "requests.ndjson", tiny_requests()[:1])
        found = store.ingest(log, accounts=write(tmp_path / "accounts.ndjson", records)).coverage
    of_accounts = found[found["source"] == "accounts"].set_index("field")["present"]
    assert of_accounts.to_dict() == {
        "account_record": 3,
        "country": 2,
        "created_at": 0,
        "email_domain": 1,
        "organization_id": 0,
        "payment_method": 0,
        "plan": 1,
    }
    assert set(found.loc[found["source"] == "accounts", "total"]) == {4}


def test_a_field_that_nothing_could_carry_has_no_share(tmp_path: Path) -> None:
    with lk.open_store(tmp_path / "s.db") as store:
        assert store.coverage["share"].isna().tolist() == [True] * len(store.coverage) != []
        registration = store.evidence.set_index("family").loc["registration"]
    assert (registration["possible"], registration["share"]) == (False, 0.0)
