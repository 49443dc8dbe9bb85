"""The same logs as other versions, exporters and shippers write them. Records were composed for these tests."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from test_formats import SPEND, STANDARD
from test_gateway_formats import LANGFUSE, WANTED, load, rows, write

from linkage.intake.mapping import read_mapping

START = dt.datetime(2026, 11, 24, 5, 52, 28, 104000)
END = dt.datetime(2026, 11, 24, 5, 52, 36, 227000)


def write_parquet(path: Path, record: dict[str, Any], **columns: Any) -> Path:
    """One row; objects as JSON text but for the columns given as Arrow arrays."""
    texts = {name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in record.items()}
    pq.write_table(pa.table({**{name: [value] for name, value in texts.items()}, **columns}), path)
    return path


def test_parquet_maps_are_objects_and_its_bytes_are_texts(tmp_path: Path) -> None:
    usage = pa.array([[("input", 212), ("output", 1490)]], pa.map_(pa.string(), pa.int64()))
    typed = {"start_time": pa.array([START]), "end_time": pa.array([END]), "id": pa.array([b"obs-1"], pa.binary())}
    path = write_parquet(tmp_path / "log", LANGFUSE, usage_details=usage, **typed)
    assert rows(load(path)) == [WANTED["langfuse"]]


def test_maps_inside_parquet_structs_and_lists_are_objects_too(tmp_path: Path) -> None:
    kind = pa.list_(pa.struct([("role", pa.string()), ("said", pa.map_(pa.string(), pa.string()))]))
    told = pa.array([[{"role": "user", "said": [("text", "Hi."), ("lang", "en")]}, None]], kind)
    path = write_parquet(tmp_path / "log", {"who": "a", "when": "2026-11-24T05:52:28Z"}, told=told)
    (tmp_path / "map.toml").write_text(
        '[fields]\ntimestamp = "when"\naccount_id = "who"\nprompt = "told[].said.text"\n', encoding="utf-8"
    )
    (row,) = rows(load(path, mapping=read_mapping(tmp_path / "map.toml")))
    assert row["prompt"] == "Hi."


def test_bytes_of_parquet_that_are_no_text_set_their_row_aside(tmp_path: Path) -> None:
    records = {"timestamp": ["2026-11-24T05:52:28Z"] * 2, "account_id": pa.array([b"\xff", b"a"], pa.binary())}
    pq.write_table(pa.table(records), tmp_path / "log")
    checked = load(tmp_path / "log")
    assert [row["account_id"] for row in rows(checked)] == ["a"]
    assert checked.rejected == [(1, "not UTF-8 text")]


def test_typed_times_of_parquet_give_spendlogs_their_latency(tmp_path: Path) -> None:
    record = {**SPEND, "request_duration_ms": None}
    path = write_parquet(tmp_path / "log", record, startTime=pa.array([START]), endTime=pa.array([END]))
    (row,) = rows(load(path))
    assert row["latency_ms"] == 8123.0


def test_a_typed_time_without_a_zone_is_in_the_zone_of_the_mapping(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "log", {"who": "a"}, when=pa.array([START]))
    (tmp_path / "map.toml").write_text(
        '[fields]\ntimestamp = { path = "when", zone = "+02:00" }\naccount_id = "who"\n', encoding="utf-8"
    )
    (row,) = rows(load(path, mapping=read_mapping(tmp_path / "map.toml")))
    assert row["timestamp"] == "2026-11-24T03:52:28.104000+00:00"


def test_epoch_seconds_of_litellm_may_be_text(tmp_path: Path) -> None:
    record = {**STANDARD, "startTime": "1795499548.104", "endTime": "1795499556.227"}
    (row,) = rows(load(write(tmp_path / "log", record)))
    assert (row["timestamp"], row["latency_ms"]) == ("2026-11-24T05:52:28.104000+00:00", 8123.0)
