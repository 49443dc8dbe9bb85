"""The same logs as other versions, exporters and shippers write them. Records were composed for these tests."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_formats import SPEND, STANDARD, write_csv
from test_gateway_formats import (
    AZURE,
    CLOUDFLARE,
    ENVOY,
    GENAI,
    HELICONE,
    KONG,
    LANGFUSE,
    PORTKEY,
    SERVER,
    VLLM,
    WANTED,
    load,
    rows,
    traces,
    write,
)

from linkage.intake.files import read_raw
from linkage.intake.mapping import read_mapping
from linkage.intake.records import check_accounts

START = dt.datetime(2026, 11, 24, 5, 52, 28, 104000)
END = dt.datetime(2026, 11, 24, 5, 52, 36, 227000)
BARE = VLLM.partition(" ")[2]


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


AZURE_COLUMNS: dict[str, Any] = {
    "TimeGenerated": "2026-11-24T05:52:28.104Z",
    "Category": "RequestResponse",
    "CallerIPAddress": "203.0.113.***",
    "CorrelationId": "9d3a6e98",
    "DurationMs": 8123,
    "OperationName": "ChatCompletions_Create",
    "ResultSignature": "200",
    "properties_s": AZURE["properties"],
    "_ResourceId": "/subscriptions/0/ai-1",
}


def test_azure_columns_of_log_analytics_are_the_same_records(tmp_path: Path) -> None:
    audit = {**AZURE_COLUMNS, "Category": "Audit"}
    assert rows(load(write(tmp_path / "log", audit, AZURE_COLUMNS))) == [WANTED["azure-openai"]]
    assert rows(load(write_csv(tmp_path / "csv", audit, AZURE_COLUMNS))) == [WANTED["azure-openai"]]
    deployed = json.dumps({"objectId": "", "modelDeploymentName": "chat-prod"})
    (row,) = rows(load(write(tmp_path / "log", {**AZURE_COLUMNS, "properties_s": deployed})))
    assert (row["account_id"], row["model"]) == ("/subscriptions/0/ai-1", "chat-prod")


@pytest.mark.parametrize(
    ("level", "message", "status"),
    [
        ("ERROR", "", 0),
        ("ERROR", "Error code: 429 - {'error': {'message': 'slow down'}}", 429),
        ("ERROR", "litellm.RateLimitError: after 500 retries", 0),
        ("WARNING", "", 200),
        ("DEFAULT", "", 200),
        (None, None, None),
    ],
)
def test_langfuse_status_is_what_is_told_and_never_made_up(
    tmp_path: Path, level: str | None, message: str | None, status: int | None
) -> None:
    record = {**LANGFUSE, "level": level, "status_message": message}
    told = {name: value for name, value in record.items() if value is not None}
    (row,) = rows(load(write(tmp_path / "log", told)))
    assert row.get("status") == status


@pytest.mark.parametrize(
    ("example", "code", "flag"),
    [(PORTKEY, "response_status_code", "is_success"), (CLOUDFLARE, "status_code", "success")],
)
def test_success_stands_in_for_a_status_that_was_not_exported(
    tmp_path: Path, example: dict[str, Any], code: str, flag: str
) -> None:
    bare = {name: value for name, value in example.items() if name != code}
    records = ({**bare, flag: True}, {**bare, flag: False}, {**bare, flag: False, code: 429})
    assert [row["status"] for row in rows(load(write(tmp_path / "log", *records)))] == [200, 0, 429]


def test_helicones_own_codes_are_failures_without_a_status(tmp_path: Path) -> None:
    records = [{**HELICONE, "request_id": str(code), "response_status": code} for code in (-1, -3, -4, -2, 429)]
    checked = load(write(tmp_path / "log", *records))
    assert [row.get("status") for row in rows(checked)] == [0, 0, 0, None, 429]
    assert sum(checked.notes.values()) == 1


@pytest.mark.parametrize(
    ("line", "address"),
    [
        (f"2026-11-24T05:52:28.104123456Z stdout F {BARE}", "203.0.113.7"),
        (f"2026-11-24T05:52:28Z (APIServer pid=12) {BARE}", "203.0.113.7"),
        (f"2026-11-24T05:52:28+0000 host vllm[812]: {BARE}", "203.0.113.7"),
        (f"2026-11-24T05:52:28Z {BARE}".replace("203.0.113.7:64484", "2001:db8::1:8000"), "2001:db8::1"),
        (f"2026-11-24T05:52:28Z {BARE}".replace("203.0.113.7:64484", "[2001:db8::1]:8000"), "2001:db8::1"),
        (f"2026-11-24T05:52:28Z {BARE}".replace("203.0.113.7:64484", "203.0.113.7"), "203.0.113.7"),
        (f"2026-11-24T05:52:28Z {BARE}".replace("INFO:", "\x1b[32mINFO\x1b[0m:"), "203.0.113.7"),
    ],
)
def test_uvicorn_lines_are_read_behind_what_shippers_put_before_them(tmp_path: Path, line: str, address: str) -> None:
    starting = [f"2026-11-24T05:52:27Z INFO 11-24 05:52:27 [worker.py:{number}] loading" for number in range(200)]
    path = write(tmp_path / "log", *starting, line)
    assert read_raw(path).format_name == "vllm"
    (row,) = rows(load(path))
    assert (row["account_id"], row["ip"]) == (address, address)


def test_a_prompt_that_litellm_withholds_is_absent_wherever_it_was_logged(tmp_path: Path) -> None:
    withheld = [{"role": "user", "content": "redacted-by-litellm"}]
    for record in ({**STANDARD, "messages": withheld}, {**LANGFUSE, "input": "redacted-by-litellm"}):
        (row,) = rows(load(write(tmp_path / "log", record)))
        assert "prompt" not in row


def test_a_raw_key_that_stands_for_its_account_is_never_stored(tmp_path: Path) -> None:
    standard = {**STANDARD, "metadata": {"user_api_key_hash": "sk-1234"}}
    spend = {**SPEND, "api_key": "sk-1234", "user": "", "team_id": ""}
    for record in (standard, spend):
        (row,) = rows(load(write(tmp_path / "log", record)))
        assert row["account_id"] == row["api_key_id"] == hashlib.sha256(b"sk-1234").hexdigest()
    raw = read_raw(write(tmp_path / "keys", {"token": "sk-1234", "user_id": None, "key_alias": "x"}))
    (batch,) = raw.batches
    (owner,) = check_accounts(batch, raw.format).table.to_pylist()
    assert owner["account_id"] == hashlib.sha256(b"sk-1234").hexdigest()


@pytest.mark.parametrize(
    ("text", "prompt"),
    [("null", None), ('"why?"', "why?"), ('[{"role":"user","content":"hi"}]', "hi"), ("plain", "plain")],
)
def test_messages_of_spendlogs_are_json_also_as_text(tmp_path: Path, text: str, prompt: str | None) -> None:
    (row,) = rows(load(write_csv(tmp_path / "csv", {**SPEND, "messages": text})))
    assert row.get("prompt") == prompt


def test_an_endpoint_is_a_path_and_holds_no_query(tmp_path: Path) -> None:
    uri = "/v1beta/models/sonata:generateContent?key=AIza-never-stored"
    server = {**SERVER, "attributes": [{"key": "user.id", "value": {"stringValue": "a"}}]}
    server["attributes"].append({"key": "http.target", "value": {"stringValue": uri}})
    plain = {"timestamp": "2026-11-24T05:52:28Z", "account_id": "a", "endpoint": uri}
    for record in (
        {**KONG, "request": {**KONG["request"], "uri": uri}},
        {**ENVOY, "x-envoy-origin-path": uri},
        traces(server, GENAI),
        plain,
    ):
        (row,) = rows(load(write(tmp_path / "log", record)))
        assert row["endpoint"] == "/v1beta/models/sonata:generateContent"
