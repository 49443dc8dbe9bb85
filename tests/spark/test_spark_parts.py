"""The pure functions of the Spark engine, without Spark."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage.engines.local import Reading
from linkage.engines.spark.folder import FACTS, TABLES, Manifest, digest_text, is_incidence, manifest_from, row_digest
from linkage.engines.spark.incidence import read_declared
from linkage.engines.spark.merging import ROLLED_ROWS, keep_least
from linkage.engines.spark.mining import known_texts, tell_templates, undescribed
from linkage.engines.spark.parts import as_part, whole_groups
from linkage.engines.spark.reading import LineStream
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


@given(PAIRS, st.integers(0, 30))
def test_requests_kept_in_parts_are_those_kept_at_once(pairs: list[tuple[int, int]], cut: int) -> None:
    whole = keep_least(requests_of(pairs))
    parts = pa.concat_tables([keep_least(requests_of(pairs[:cut])), keep_least(requests_of(pairs[cut:]))])
    assert keep_least(parts).to_pydict() == whole.to_pydict()
    assert whole["key"].to_pylist() == sorted({key for key, _ in pairs})
    for row in whole.select(["key", "content", "repeats", "conflicts"]).to_pylist():
        contents = [content for key, content in pairs if key == row["key"]]
        same = contents.count(min(contents))
        assert (row["content"], row["repeats"], row["conflicts"]) == (min(contents), same - 1, len(contents) - same)


@given(st.lists(st.integers(0, 5), max_size=40).map(sorted), st.integers(1, 7), st.integers(1, 20))
def test_groups_stay_whole_and_nothing_is_lost(keys: list[int], size: int, rows: int) -> None:
    batches = [pa.record_batch({"key": keys[start : start + size]}) for start in range(0, len(keys), size)]
    tables = [table["key"].to_pylist() for table in whole_groups(batches, keys=["key"], rows=rows)]
    assert [key for table in tables for key in table] == keys
    assert all(before[-1] < after[0] for before, after in itertools.pairwise(tables))


def test_rows_of_a_part_have_null_in_the_columns_of_the_others() -> None:
    table = pa.table({"account_id": [1], "hour": [7], "request_count": [3], "limited_count": [0]})
    (batch,) = as_part("account_hour", table, ROLLED_ROWS)
    (row,) = batch.to_pylist()
    told = {name: value for name, value in row.items() if value is not None}
    assert told == {"part": "account_hour", "account_id": 1, "hour": 7, "request_count": 3, "limited_count": 0}
    assert list(as_part("account_hour", table.slice(1), ROLLED_ROWS)) == []


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
    with pytest.raises(SourceError, match=r"here: wanted .* version 2; found version 3"):
        manifest_from(made.to_json().replace('"version": 2', '"version": 3'), where="here")
    assert not is_incidence(tmp_path)
    assert np.uint64(5) == int(made.digests["account"], 16)
