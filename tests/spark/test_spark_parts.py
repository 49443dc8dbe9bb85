"""The pure functions of the Spark engine, without Spark."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage.engines.local import Reading
from linkage.engines.spark import parts
from linkage.engines.spark.folder import FACTS, TABLES, Manifest, digest_text, is_incidence, manifest_from, row_digest
from linkage.engines.spark.incidence import read_declared
from linkage.engines.spark.merging import _distinct_names, day_ids, distinct_names, keep_least, least_prompts
from linkage.engines.spark.mining import EXAMPLE, first_examples, known_texts, tell_templates, undescribed
from linkage.engines.spark.parts import PACKED, bucket_of, pack, split, unpack, whole_parts
from linkage.engines.spark.reading import PARSED, TEXT, LineStream
from linkage.errors import SourceError
from linkage.intake.entities import entity_id
from linkage.settings import Settings

PAIRS = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 3)), max_size=30)


def requests_of(pairs: list[tuple[int, int]]) -> Any:
    """Requests by key and content; everything else follows from the content."""
    columns = {field.name: pa.nulls(len(pairs), field.type) for field in FACTS["request"]}
    columns |= {"key": pa.array([key for key, _ in pairs], pa.int64())}
    columns |= {"content": pa.array([content for _, content in pairs], pa.int64())}
    columns |= {name: pa.array([0] * len(pairs), pa.int64()) for name in ("repeats", "conflicts")}
    return pa.table(columns)


@settings(deadline=None)
@given(PAIRS, st.integers(0, 30))
def test_requests_kept_in_parts_are_those_kept_at_once(pairs: list[tuple[int, int]], cut: int) -> None:
    whole = keep_least(requests_of(pairs))
    halves = pa.concat_tables([keep_least(requests_of(pairs[:cut])), keep_least(requests_of(pairs[cut:]))])
    assert keep_least(halves).to_pydict() == whole.to_pydict()
    assert whole["key"].to_pylist() == sorted({key for key, _ in pairs})
    for row in whole.select(["key", "content", "repeats", "conflicts"]).to_pylist():
        contents = [content for key, content in pairs if key == row["key"]]
        same = contents.count(min(contents))
        assert (row["content"], row["repeats"], row["conflicts"]) == (min(contents), same - 1, len(contents) - same)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**63 - 1), st.text(max_size=3)), max_size=40), st.integers(1, 9))
def test_packed_tables_come_back_whole_and_by_bucket(rows: list[tuple[int, str]], buckets: int) -> None:
    ids = np.array([number for number, _ in rows], np.int64)
    table = pa.table([ids, [text for _, text in rows]], schema=TEXT)
    packed = list(pack(split("text", table, ids=ids, buckets=buckets), PARSED))
    assert [batch.schema for batch in packed] == [PACKED] * len(packed)
    told = list(unpack(packed, PARSED))
    assert Counter((row["id"], row["value"]) for _, _, part in told for row in part.to_pylist()) == Counter(rows)
    assert sum(row["rows"] for batch in packed for row in batch.to_pylist()) == len(rows)
    assert [bucket for _, bucket, _ in told] == sorted({int(each) for each in bucket_of(ids, buckets)})
    for _, bucket, part in told:
        assert set(bucket_of(np.asarray(part["id"].to_numpy()), buckets).tolist()) == {bucket}


def test_large_tables_leave_a_worker_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_BATCH_BYTES", 1_000)
    table = pa.table([np.arange(100), [f"text {number}" for number in range(100)]], schema=TEXT)
    batches = list(pack((("text", 0, table) for _ in range(9)), PARSED))
    assert len(batches) > 3
    (whole,) = whole_parts(unpack(batches, PARSED))
    assert whole[:2] == ("text", 0)
    assert whole[2].equals(pa.concat_tables([table] * 9))
    assert list(pack([("text", 0, table.slice(100))], PARSED)) == []


@settings(deadline=None)
@given(PAIRS, st.integers(0, 30))
def test_examples_picked_in_parts_are_those_picked_at_once(pairs: list[tuple[int, int]], cut: int) -> None:
    distinct = sorted({(prompt, template) for prompt, (_, template) in enumerate(pairs)})
    table = pa.table([[template for _, template in distinct], [prompt for prompt, _ in distinct]], schema=EXAMPLE)
    split_up = pa.concat_tables([first_examples(table.slice(0, cut)), first_examples(table.slice(cut))])
    found = first_examples(split_up).to_pylist()
    assert found == first_examples(table).to_pylist()
    for template in {template for _, template in distinct}:
        prompts = sorted(prompt for prompt, other in distinct if other == template)[:6]
        assert [row["prompt_id"] for row in found if row["template_id"] == template] == prompts


def test_prompts_are_distinct_with_the_least_name_and_names_with_one_id_are_told() -> None:
    rows = {"id": [2, 1, 2, 2], "gateway_template": [None, None, "b", "a"], "features": [b"x", b"y", b"x", b"x"]}
    prompts = least_prompts(pa.table(rows, schema=FACTS["prompt"]))
    assert prompts.to_pydict() == {"id": [1, 2], "gateway_template": [None, "a"], "features": [b"y", b"x"]}
    names = pa.table({"id": [1, 1, 1], "kind": ["ip", "ip", "ip"], "value": ["a", "a", "b"]})
    assert distinct_names([names, names])["value"].to_pylist() == ["a", "b"]
    made = _distinct_names(names, 0, 1)
    (collision,) = [table for part, _, table in made if part == "collision"]
    assert collision["id"].to_pylist() == [1]


def test_an_account_and_a_day_fall_into_one_bucket_and_its_days_into_several() -> None:
    day = 86_400_000
    accounts, times = np.full(60, 2**62 + 5), np.arange(60) * day // 2 + 1_788_220_800_000
    buckets = bucket_of(day_ids(accounts, times), 8).reshape(30, 2)
    assert np.array_equal(buckets[:, 0], buckets[:, 1])
    assert len(set(buckets[:, 0].tolist())) > 3


@settings(deadline=None)  # compiles at first use
@given(st.permutations(range(6)), st.integers(0, 6))
def test_a_digest_depends_on_rows_alone(order: list[int], cut: int) -> None:
    rows = pa.table(
        {
            "id": [1, 2, 3, 4, 5, 5],
            "text": ["a", "b", None, "", "a", "a"],
            "share": [0.5, None, 0.0, -1.0, 2.5, 2.5],
            "blob": pa.array([b"\xff", b"", None, b"x", b"x", b"x"], pa.binary()),
        }
    )
    moved = rows.take(order)
    total = row_digest(moved.slice(0, cut)) + row_digest(moved.slice(cut))
    assert digest_text(total) == digest_text(row_digest(rows))
    for name, value in (("id", 9), ("text", "c"), ("share", 0.25), ("blob", b"y")):
        column = pa.array([value, *rows[name].to_pylist()[1:]], rows[name].type)
        assert row_digest(rows.set_column(rows.column_names.index(name), name, column)) != row_digest(rows)


def test_lines_come_out_of_batches_as_out_of_a_file() -> None:
    batches = [pa.record_batch({"value": pa.array(values, pa.binary())}) for values in ([b"a", b"\xff"], [b""], [b"c"])]
    stream = LineStream(batches, settings=Settings())
    assert b"".join(stream.blocks()) == b"a\n\xff\n\nc\n"
    assert [line.text for line in stream.lines()] == [b"a", b"\xff", b"", b"c"]


def test_a_template_that_is_described_and_one_of_the_gateway_stay_as_they_read() -> None:
    named = entity_id("gateway_template", "greet")
    counts = {5: 3, 8: 4, named: 2}
    known = known_texts({5: ("Tell me of <*>", 1)}, named=["greet"])
    wanting = undescribed(counts, known=known)
    assert wanting == [8]
    texts = {8: ["Say hello to Ann", "Say hello to Bob"]}
    table = tell_templates(counts, known=known, examples=texts, wanting=wanting, settings=Settings().templates)
    assert table.schema == TABLES["template"]
    told = {row["id"]: (row["text"], row["slots"], row["prompts"]) for row in table.to_pylist()}
    assert told[5] == ("Tell me of <*>", 1, 3)
    assert told[8] == ("Say hello to <*>", 1, 4)
    assert told[named] == ("(the gateway's template greet)", 0, 2)


def test_account_records_are_read_where_the_driver_is(tmp_path: Path) -> None:
    path = tmp_path / "accounts.csv"
    path.write_text("account_id,email_domain,created_at\na,one.example,2026-09-01\nb,two.example,never\n,x,\n")
    told = read_declared([str(path)], how=Reading(), settings=Settings())
    assert told.records["account_id"].to_pylist() == [entity_id("account", "a"), entity_id("account", "b")]
    assert set(told.entities["value"].to_pylist()) == {"a", "b", "one.example", "two.example"}
    assert [(reason, count) for _, reason, count in told.rejected] == [("account_id is missing", 1)]
    assert sum(told.notes.values()) == 1


def test_a_manifest_reads_as_it_was_written(tmp_path: Path) -> None:
    made = Manifest(
        inputs=({"path": "a", "took_for": "x"},),
        includes=("f" * 64,),
        kept=3,
        seen_before=1,
        conflicting=0,
        rejected=(("a", "broken JSON", 2),),
        notes={"ip: no address": 1},
        rows={"account": 1},
        digests={"account": digest_text(2**64 + 5)},
    )
    assert manifest_from(made.to_json(), where="here") == made
    assert repr(made) == "Incidence: 3 kept, 2 set aside, 1 seen before"
    with pytest.raises(SourceError, match=r"here: wanted .* version 3; found version 4"):
        manifest_from(made.to_json().replace('"version": 3', '"version": 4'), where="here")
    assert not is_incidence(tmp_path)
    assert np.uint64(5) == int(made.digests["account"], 16)


def test_without_java_the_tests_that_need_it_are_skipped_and_say_so(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    environment = {name: value for name, value in os.environ.items() if name != "JAVA_HOME"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n0", "tests/spark/test_spark_graph.py"]
    told = subprocess.run(
        command, cwd=root, env={**environment, "PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout
    assert "4 skipped" in told.stdout
    assert "no Java runtime: install default-jre-headless" in told.stdout
