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
    BEDROCK,
    CLOUDFLARE,
    ENVOY,
    EXAMPLES,
    GENAI,
    HELICONE,
    KONG,
    LANGFUSE,
    PORTKEY,
    QUESTION,
    SERVER,
    VLLM,
    WANTED,
    attributes,
    load,
    rows,
    traces,
    write,
)

import linkage as lk
from linkage.errors import FormatError
from linkage.intake.files import read_raw
from linkage.intake.mapping import read_mapping
from linkage.intake.records import check_accounts
from linkage.settings import IngestSettings

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


@pytest.mark.parametrize(
    ("unit", "seconds"), [("s", 1_795_499_548_104), ("ms", 2**54), ("us", 2**41), ("us", -(2**41))]
)
def test_typed_times_that_no_calendar_has_are_set_aside_alone(tmp_path: Path, unit: str, seconds: int) -> None:
    per_second = {"s": 1, "ms": 1_000, "us": 1_000_000}[unit]
    good = 1_795_499_548 * per_second
    times = pa.array([good, max(-(2**63), min(seconds * per_second, 2**63 - 1)), good], pa.timestamp(unit, tz="UTC"))
    pq.write_table(pa.table({"timestamp": times, "account_id": ["a", "b", "c"]}), tmp_path / "log", version="2.6")
    checked = load(tmp_path / "log")
    assert [row["account_id"] for row in rows(checked)] == ["a", "c"]
    assert checked.rejected == [(2, "timestamp: a time outside the years 2015 to 2099; the unit may be another")]


def test_a_typed_date_that_no_calendar_has_sets_its_row_aside(tmp_path: Path) -> None:
    records = {"timestamp": ["2026-11-24T05:52:28Z"] * 2, "account_id": ["a", "b"]}
    pq.write_table(pa.table({**records, "day": pa.array([2**31 - 1, 20_000], pa.date32())}), tmp_path / "log")
    checked = load(tmp_path / "log")
    assert [row["account_id"] for row in rows(checked)] == ["b"]
    assert checked.rejected == [(1, "a date or time that no calendar has")]


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


EDGE = "203.0.113.7:64484"


@pytest.mark.parametrize(
    ("forwarded", "peer", "proxies", "ip", "claimed"),
    [
        ("203.0.113.7", EDGE, 0, "203.0.113.7", None),
        ("192.0.2.1, 203.0.113.7", EDGE, 0, "203.0.113.7", "192.0.2.1"),
        ("192.0.2.1,203.0.113.7,10.0.0.1", "10.0.0.1:5000", 1, "203.0.113.7", "192.0.2.1"),
        ("192.0.2.1,203.0.113.7,10.0.0.2,10.0.0.1", "10.0.0.1:5000", 2, "203.0.113.7", "192.0.2.1"),
        ("192.0.2.1,203.0.113.7", "10.0.0.1:5000", 1, "203.0.113.7", "192.0.2.1"),
        ("192.0.2.1,203.0.113.7,10.0.0.1", "203.0.113.7:0", 1, "203.0.113.7", "192.0.2.1"),
        ("2001:db8::1", "[2001:db8::1]:5000", 0, "2001:db8::1", None),
        (None, EDGE, 0, "203.0.113.7", None),
        ("-", EDGE, 0, "203.0.113.7", None),
        ("192.0.2.1", None, 0, None, "192.0.2.1"),
    ],
)
def test_envoy_counts_its_peer_once_and_its_own_trust_counts(
    tmp_path: Path, forwarded: str | None, peer: str | None, proxies: int, ip: str | None, claimed: str | None
) -> None:
    record = {**ENVOY, "x-forwarded-for": forwarded, "downstream_remote_address": peer}
    (row,) = rows(load(write(tmp_path / "log", record), trusted_proxies=proxies))
    assert (row.get("ip"), row.get("forwarded_for")) == (ip, claimed)


def test_kong_takes_the_plugin_that_answered_not_one_that_asked_for_itself(tmp_path: Path) -> None:
    other = {"meta": {"request_model": "guard"}, "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    record = {**KONG, "ai": {"ai-aws-guardrails": other, "ai-request-transformer": other, **KONG["ai"]}}
    assert rows(load(write(tmp_path / "log", record))) == [WANTED["kong"]]


@pytest.mark.parametrize("gathered", [False, True])
def test_kong_may_gather_its_records_in_arrays_among_lines(tmp_path: Path, gathered: bool) -> None:
    lines = [KONG, [KONG, KONG], '{"half', [KONG]]
    path = write(tmp_path / "log", *(lines[1:] if gathered else lines))
    checked = load(path)
    assert rows(checked) == [WANTED["kong"]] * (3 if gathered else 4)
    assert len(checked.rejected) == 1


BEDROCK_TEXT = json.dumps(BEDROCK)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"events": [{"timestamp": 1, "message": BEDROCK_TEXT}], "nextForwardToken": "f/1"}, indent=2),
        json.dumps([{"@timestamp": "2026-11-24 05:52:28.104", "@message": BEDROCK_TEXT}]),
        f"2026-11-24T05:52:28.104Z {BEDROCK_TEXT}\n",
        json.dumps({"logGroup": "g", "logEvents": [{"id": "1", "message": BEDROCK_TEXT}]}),
    ],
)
def test_bedrock_records_are_read_out_of_every_export_of_cloudwatch(tmp_path: Path, text: str) -> None:
    (tmp_path / "log").write_text(text, encoding="utf-8")
    assert rows(load(tmp_path / "log")) == [WANTED["bedrock"]]


@pytest.mark.parametrize(
    "chunk",
    [
        {"metadata": {"metrics": {"latencyMs": 812}, "usage": {}}},
        {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"invocationLatency": 812, "firstByteLatency": 9}},
    ],
)
def test_bedrock_streams_tell_their_latency_in_the_last_chunk(tmp_path: Path, chunk: dict[str, Any]) -> None:
    (row,) = rows(load(write(tmp_path / "log", {**BEDROCK, "output": {"outputBodyJson": [{"x": 1}, chunk]}})))
    assert row["latency_ms"] == 812


def test_a_word_for_success_is_no_failure_of_bedrock(tmp_path: Path) -> None:
    (row,) = rows(load(write(tmp_path / "log", {**BEDROCK, "status": "success"})))
    assert row["status"] == 200


def test_a_wrapper_may_begin_on_a_line_of_its_own(tmp_path: Path) -> None:
    text = json.dumps(AZURE)
    (tmp_path / "log").write_text(f'{{"records":[\n{text},\n{text}\n]}}\n', encoding="utf-8")
    assert rows(load(tmp_path / "log")) == [WANTED["azure-openai"]] * 2


def test_a_record_with_a_field_called_like_a_wrapper_is_still_a_record(tmp_path: Path) -> None:
    record = {"timestamp": "2026-11-24T05:52:28Z", "account_id": "a", "events": [{"x": 1}], "message": '{"y": 1}'}
    assert read_raw(write(tmp_path / "log", record)).format_name == "canonical"


def logged(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": list(entries)}]}]}


EVENT = {
    "timeUnixNano": "1795499548104000123",
    "eventName": "gen_ai.client.inference.operation.details",
    "attributes": attributes(
        **{
            "gen_ai.request.model": "sonata-large",
            "user.id": "acct_0071",
            "client.address": "203.0.113.7",
            "user_agent.original": "openai-python/2.9.0",
        }
    ),
}


def test_events_outside_of_spans_are_as_many_requests_with_what_they_say_of_the_client(tmp_path: Path) -> None:
    later = {**EVENT, "timeUnixNano": "1795499549104000123", "traceId": "", "spanId": ""}
    path = write(tmp_path / "log", logged(EVENT, later))
    found = rows(load(path))
    assert [(row["ip"], row["user_agent"]) for row in found] == [("203.0.113.7", "openai-python/2.9.0")] * 2
    assert not any("request_id" in row for row in found)
    with lk.open_store(tmp_path / "s.db") as store:
        assert store.ingest(path).kept == 2


@pytest.mark.parametrize("unknown", ["0", 0, None])
def test_an_event_without_a_time_of_its_own_has_the_time_it_was_observed_at(tmp_path: Path, unknown: object) -> None:
    event = {**EVENT, "timeUnixNano": unknown, "observedTimeUnixNano": "1795499549104000123"}
    (row,) = rows(load(write(tmp_path / "log", logged(event))))
    assert row["timestamp"] == "2026-11-24T05:52:29.104000+00:00"
    checked = load(write(tmp_path / "log", logged({**event, "observedTimeUnixNano": "0"})))
    assert checked.rejected == [(1, "timestamp is missing")]


@pytest.mark.parametrize("backwards", [False, True])
def test_a_server_span_that_knows_the_model_is_a_request_unless_one_below_it_is(
    tmp_path: Path, backwards: bool
) -> None:
    both = {**SERVER, "attributes": SERVER["attributes"] + GENAI["attributes"]}
    inner = {**GENAI, "kind": 2}
    for spans in ([both], [both, GENAI], [both, inner], [SERVER, inner], [both, {**inner, "spanId": "s4"}, GENAI]):
        lines = [traces(span) for span in (reversed(spans) if backwards else spans)]
        wanted = 2 if len(spans) == 3 else 1
        assert rows(load(write(tmp_path / "log", *lines))) == [WANTED["otlp"]] * wanted


@pytest.mark.parametrize(("operation", "many"), [("responses", 1), ("invoke_agent", 0), ("execute_tool", 0), (None, 1)])
def test_operations_around_requests_are_none_and_others_that_name_a_model_are(
    tmp_path: Path, operation: str | None, many: int
) -> None:
    named = attributes(**{"gen_ai.operation.name": operation}) if operation else []
    rest = [pair for pair in GENAI["attributes"] if pair["key"] != "gen_ai.operation.name"]
    checked = load(write(tmp_path / "log", traces(SERVER, {**GENAI, "attributes": named + rest})))
    assert rows(checked) == [WANTED["otlp"]] * many
    assert sum(checked.notes.values()) == 1 - many


ASKED = ("gen_ai.input.messages", "gen_ai.system_instructions")
PLAIN = [pair for pair in GENAI["attributes"] if pair["key"] not in ASKED]


@pytest.mark.parametrize(
    "told",
    [
        {
            "attributes": attributes(
                **{
                    "gen_ai.prompt.0.role": "system",
                    "gen_ai.prompt.0.content": "Be brief.",
                    "gen_ai.prompt.1.role": "user",
                    "gen_ai.prompt.1.content": json.dumps([{"type": "text", "text": "Solve: 17 * 23"}]),
                    "gen_ai.completion.0.content": "391",
                }
            )
        },
        {
            "events": [
                {
                    "name": "gen_ai.content.prompt",
                    "attributes": attributes(
                        **{"gen_ai.prompt": json.dumps([{"role": "system", "content": "Be brief."}, *QUESTION])}
                    ),
                },
                {"name": "gen_ai.content.completion", "attributes": attributes(**{"gen_ai.completion": "391"})},
            ]
        },
    ],
)
def test_prompts_in_the_names_of_older_instrumentations_are_read(tmp_path: Path, told: dict[str, Any]) -> None:
    genai = {**GENAI, **told, "attributes": PLAIN + told.get("attributes", [])}
    assert rows(load(write(tmp_path / "log", traces(SERVER, genai)))) == [WANTED["otlp"]]


def test_what_is_no_request_to_a_model_is_counted_by_trace(tmp_path: Path) -> None:
    health = {**SERVER, "traceId": "t2", "spanId": "h1"}
    query = {**SERVER, "traceId": "t2", "spanId": "h2", "parentSpanId": "h1", "kind": 3}
    said = {**EVENT, "eventName": "gen_ai.user.message"}
    checked = load(write(tmp_path / "log", traces(SERVER, health), logged(said), traces(query, GENAI)))
    assert rows(checked) == [WANTED["otlp"]]
    assert checked.notes == {("record", "left out: no request to a model in it"): 2}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_file_of_another_format_than_was_named_is_refused_with_its_own(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "log", *[EXAMPLES[name]] * 3)
    for other in (*EXAMPLES, "canonical", "litellm-standard", "litellm-users"):
        if other != name:
            with pytest.raises(FormatError, match=f"as --format {other} says.*say --format {name}"):
                read_raw(path, format_name=other)


def test_records_of_no_known_format_are_read_as_the_one_that_was_named(tmp_path: Path) -> None:
    trimmed = {name: value for name, value in KONG.items() if name not in ("latencies", "upstream_uri")}
    with pytest.raises(FormatError, match="nearest is kong"):
        read_raw(write(tmp_path / "log", trimmed))
    (row,) = rows(load(tmp_path / "log", format_name="kong"))
    assert row["account_id"] == "acct_0071"
    assert read_raw(write(tmp_path / "empty"), format_name="kong").layout == "empty"


@pytest.mark.parametrize(
    ("name", "record", "place"),
    [
        ("envoy", {**ENVOY, "account_id": None}, "account_id, which no documented field holds"),
        ("otlp", traces(GENAI), "user.id, enduser.id, enduser.pseudo.id of the span"),
        ("langfuse", {**LANGFUSE, "user_id": ""}, "user_id"),
        ("portkey", {**PORTKEY, "metadata": {}}, "metadata._user"),
        ("cloudflare-ai-gateway", {**CLOUDFLARE, "metadata": None}, "metadata.account_id, metadata.account, "),
        ("bedrock", {**BEDROCK, "identity": None}, "identity.arn"),
        ("kong", {**KONG, "consumer": None, "authenticated_entity": None}, "consumer.custom_id, consumer.id"),
        ("litellm-standard", {**STANDARD, "metadata": {}}, "metadata.user_api_key_user_id"),
        ("litellm-spendlogs", {**SPEND, "user": "", "team_id": "", "api_key": ""}, "user, metadata."),
    ],
)
def test_a_record_without_an_account_says_where_it_was_looked_for(
    tmp_path: Path, name: str, record: dict[str, Any], place: str
) -> None:
    path = write(tmp_path / "log", record)
    assert read_raw(path).format_name == name
    ((_, reason),) = load(path).rejected
    assert reason.startswith(f"account_id is missing; looked for in {place}")


def test_kong_consumers_are_the_accounts_of_its_logs(tmp_path: Path) -> None:
    named = {"id": "ae974d6c", "custom_id": "acct_0071", "username": "acme", "created_at": 1674035962, "tags": None}
    plain = {"id": "bf", "custom_id": None, "username": "other", "created_at": 1674035962, "tags": ["x"]}
    (tmp_path / "log").write_text(json.dumps({"data": [named, plain], "next": None}, indent=2), encoding="utf-8")
    raw = read_raw(tmp_path / "log", kind="accounts")
    (batch,) = raw.batches
    found = check_accounts(batch, raw.format).table.to_pylist()
    assert [row["account_id"] for row in found] == ["acct_0071", "bf"]
    assert {row["created_at"].isoformat() for row in found} == {"2023-01-18T09:59:22+00:00"}
    (request,) = rows(load(write(tmp_path / "requests", KONG)))
    assert request["account_id"] == "acct_0071"


@pytest.mark.parametrize(("proxies", "ip"), [(0, None), (1, "203.0.113.7"), (2, "192.0.2.1")])
def test_a_forwarded_list_of_litellm_is_kept_as_a_claim(tmp_path: Path, proxies: int, ip: str | None) -> None:
    told = "192.0.2.1, 203.0.113.7"
    for record in (
        {**STANDARD, "metadata": {**STANDARD["metadata"], "requester_ip_address": told}},
        {**SPEND, "requester_ip_address": told},
    ):
        (row,) = rows(load(write(tmp_path / "log", record), trusted_proxies=proxies))
        assert (row.get("ip"), row["forwarded_for"]) == (ip, "192.0.2.1")
    (row,) = rows(load(write(tmp_path / "log", STANDARD)))
    assert "forwarded_for" not in row


def test_a_wrapper_too_long_to_hold_says_how_long_it_may_be(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(json.dumps({"records": [AZURE] * 3_000}, indent=1), encoding="utf-8")
    raw = read_raw(tmp_path / "log", format_name="azure-openai", settings=IngestSettings(line_bytes=2_000))
    rejected = [reason for batch in raw.batches for _, reason in batch.rejected]
    assert rejected[0].startswith("broken JSON, or a value longer than 2000 bytes")


def test_fields_that_were_not_exported_are_taken_from_where_else_they_stand(tmp_path: Path) -> None:
    bare = {name: value for name, value in LANGFUSE.items() if name != "name"}
    assert rows(load(write(tmp_path / "log", bare))) == [{**WANTED["langfuse"], "endpoint": "GENERATION"}]
    bare = {name: value for name, value in PORTKEY.items() if name != "request_url"}
    bare["request"] = {**PORTKEY["request"], "url": PORTKEY["request_url"]}
    assert rows(load(write(tmp_path / "log", bare))) == [WANTED["portkey"]]


def test_an_address_in_the_metadata_of_langfuse_is_a_claim(tmp_path: Path) -> None:
    record = {**LANGFUSE, "metadata": json.dumps({"client_ip": "203.0.113.7"})}
    assert rows(load(write(tmp_path / "log", record))) == [{**WANTED["langfuse"], "forwarded_for": "203.0.113.7"}]


def test_a_prompt_that_reads_like_an_access_log_does_not_make_its_table_one(tmp_path: Path) -> None:
    asked = json.dumps([{"role": "user", "content": "Explain this."}])
    record = {**SPEND, "request_id": "b", "end_user": f"x\n{VLLM}\ny", "messages": asked}
    path = write_csv(tmp_path / "csv", SPEND, record)
    assert read_raw(path).format_name == "litellm-spendlogs"
