"""Logs of gateways and observability tools: what each becomes. Records were composed for these tests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import linkage as lk
from linkage.errors import RejectedShareError
from linkage.intake.catalogue import known_formats, shipped_mappings
from linkage.intake.files import read_raw
from linkage.intake.records import CheckedRequests, check_requests
from linkage.settings import IngestSettings

TIME = "2026-11-24T05:52:28.104000+00:00"
QUESTION = [{"role": "user", "content": "Solve: 17 * 23"}]

BEDROCK: dict[str, Any] = {
    "schemaType": "ModelInvocationLog",
    "timestamp": "2026-11-24T05:52:28.104Z",
    "accountId": "111122223333",
    "identity": {"arn": "arn:aws:sts::111122223333:assumed-role/gw/acct_0071"},
    "requestId": "915a6a04",
    "operation": "Converse",
    "modelId": "arn:aws:bedrock:us-east-1::foundation-model/example.sonata-large-v1:0",
    "input": {
        "inputBodyJson": {
            "system": [{"text": "Be brief."}],
            "messages": [{"role": "user", "content": [{"text": "Solve: 17 * 23"}]}],
            "inferenceConfig": {"maxTokens": 512, "temperature": 0.5},
        },
        "inputTokenCount": 212,
    },
    "output": {"outputBodyJson": {"metrics": {"latencyMs": 8123}}, "outputTokenCount": 1490},
    "requestMetadata": {"tenant": "claimed"},
}

KONG: dict[str, Any] = {
    "client_ip": "203.0.113.7",
    "started_at": 1795499548104,
    "upstream_uri": "/v1/upstream",
    "request": {
        "id": "9ec9264a",
        "uri": "/v1/chat/completions",
        "headers": {"user-agent": "openai-python/2.9.0", "authorization": "Bearer sk-never-stored"},
    },
    "response": {"status": 200},
    "latencies": {"request": 8123, "kong": 12},
    "consumer": {"id": "ae974d6c", "username": "acme", "custom_id": "acct_0071"},
    "authenticated_entity": {"id": "c62c1455"},
    "ai": {
        "proxy": {
            "meta": {"request_model": "sonata-large"},
            "usage": {"prompt_tokens": 212, "completion_tokens": 1490},
            "payload": {"request": json.dumps({"messages": QUESTION, "temperature": 0.5})},
        }
    },
}

ENVOY: dict[str, Any] = {
    "start_time": "2026-11-24T05:52:28.104Z",
    "account_id": "acct_0071",
    "downstream_remote_address": "198.51.100.2:64484",
    "x-forwarded-for": "192.0.2.1, 203.0.113.7",
    "duration": "8123",
    "gen_ai.request.model": "sonata-large",
    "gen_ai.usage.input_tokens": "212",
    "gen_ai.usage.output_tokens": 1490,
    "response_code": 200,
    "user-agent": "openai-python/2.9.0",
    "x-envoy-origin-path": "/v1/chat/completions",
    "x-request-id": "83b63da3",
}

AZURE: dict[str, Any] = {
    "callerIpAddress": "203.0.113.***",
    "category": "RequestResponse",
    "correlationId": "9d3a6e98",
    "durationMs": 8123,
    "operationName": "ChatCompletions_Create",
    "properties": json.dumps({"objectId": "acct_0071", "modelName": "sonata-large", "requestLength": 941}),
    "resourceId": "/SUBSCRIPTIONS/0/AI-1",
    "resultSignature": "200",
    "time": "2026-11-24T05:52:28.1040000Z",
}

CLOUDFLARE: dict[str, Any] = {
    "id": "01JDEX",
    "created_at": "2026-11-24T05:52:28.104Z",
    "duration": 8123,
    "model": "sonata-large",
    "path": "v1/chat/completions",
    "tokens_in": 212,
    "tokens_out": 1490,
    "metadata": json.dumps({"user": "acct_0071", "team": 5}),
    "status_code": 200,
}

LANGFUSE: dict[str, Any] = {
    "id": "obs-1",
    "trace_id": "tr-1",
    "type": "GENERATION",
    "start_time": "2026-11-24 05:52:28.104000",
    "end_time": "2026-11-24 05:52:36.227000",
    "name": "chat",
    "level": "DEFAULT",
    "input": json.dumps(QUESTION),
    "provided_model_name": "sonata-large",
    "model_parameters": json.dumps({"temperature": 0.5}),
    "usage_details": {"input": 212, "output": 1490},
    "latency": 8.123,
    "user_id": "acct_0071",
}

HELICONE: dict[str, Any] = {
    "request_id": "rq-1",
    "request_created_at": "2026-11-24T05:52:28.104Z",
    "request_body": {"model": "sonata-large", "messages": QUESTION, "temperature": 0.5},
    "request_path": "https://api.example.com/v1/chat/completions?beta=1",
    "request_user_id": "acct_0071",
    "request_model": "sonata-large",
    "response_status": 200,
    "delay_ms": 8123,
    "prompt_tokens": 212,
    "completion_tokens": 1490,
    "country_code": "DE",
}

PORTKEY: dict[str, Any] = {
    "id": "pk-1",
    "created_at": "2026-11-24T05:52:28.104Z",
    "request": {
        "headers": {"user-agent": "openai-python/2.9.0"},
        "body": {"messages": QUESTION, "temperature": 0.5},
    },
    "ai_model": "sonata-large",
    "req_units": 212,
    "res_units": 1490,
    "request_url": "https://api.example.com/v1/chat/completions",
    "response_time": 8123,
    "response_status_code": 200,
    "metadata": {"_user": "acct_0071"},
}

VLLM = '2026-11-24T05:52:28.104Z INFO:     203.0.113.7:64484 - "POST /v1/chat/completions HTTP/1.1" 200 OK'


def attributes(**values: Any) -> list[dict[str, Any]]:
    kinds = {str: "stringValue", int: "intValue", float: "doubleValue"}
    return [
        {"key": key, "value": {kinds[type(value)]: str(value) if isinstance(value, int) else value}}
        for key, value in values.items()
    ]


def span(name: str, parent: str, kind: int, *, trace: str = "t1", **values: Any) -> dict[str, Any]:
    return {
        "traceId": trace,
        "spanId": name,
        "parentSpanId": parent,
        "kind": kind,
        "startTimeUnixNano": "1795499548104000123",
        "endTimeUnixNano": "1795499556227000123",
        "attributes": attributes(**values),
        "status": {},
    }


SERVER = span(
    "s1",
    "",
    2,
    **{
        "client.address": "203.0.113.7",
        "user_agent.original": "openai-python/2.9.0",
        "http.response.status_code": 200,
        "url.path": "/v1/chat/completions",
        "user.id": "acct_0071",
    },
)
GENAI = span(
    "s2",
    "s1",
    3,
    **{
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "sonata-large",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.response.id": "chatcmpl-71",
        "gen_ai.usage.input_tokens": 212,
        "gen_ai.usage.output_tokens": 1490,
        "gen_ai.input.messages": json.dumps(
            [{"role": "user", "parts": [{"type": "text", "content": "Solve: 17 * 23"}]}]
        ),
        "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Be brief."}]),
    },
)


def traces(*spans: dict[str, Any]) -> dict[str, Any]:
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": list(spans)}]}]}


def write(path: Path, *records: Any) -> Path:
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def load(path: Path, *, trusted_proxies: int = 0, **how: Any) -> CheckedRequests:
    settings = IngestSettings(trusted_proxies=trusted_proxies)
    raw = read_raw(path, kind="requests", settings=settings, as_columns=True, **how)
    (batch,) = raw.batches
    return check_requests(batch, raw.format, settings=settings)


def rows(checked: CheckedRequests) -> list[dict[str, Any]]:
    """What the records carry, absent fields left out."""
    found = checked.table.to_pylist()
    return [
        {**{k: v for k, v in row.items() if v is not None}, "timestamp": row["timestamp"].isoformat()} for row in found
    ]


EXAMPLES: dict[str, Any] = {
    "otlp": traces(SERVER, GENAI),
    "bedrock": BEDROCK,
    "kong": KONG,
    "envoy": ENVOY,
    "azure-openai": AZURE,
    "cloudflare-ai-gateway": CLOUDFLARE,
    "langfuse": LANGFUSE,
    "helicone": HELICONE,
    "portkey": PORTKEY,
    "vllm": VLLM,
}

COMMON = {
    "timestamp": TIME,
    "account_id": "acct_0071",
    "model": "sonata-large",
    "input_tokens": 212,
    "output_tokens": 1490,
    "status": 200,
    "latency_ms": 8123.0,
    "endpoint": "/v1/chat/completions",
}
ASKED = {"prompt": "Solve: 17 * 23", "params": '{"temperature":0.5}'}

WANTED: dict[str, dict[str, Any]] = {
    "otlp": {
        **COMMON,
        "request_id": "chatcmpl-71",
        "ip": "203.0.113.7",
        "user_agent": "openai-python/2.9.0",
        "prompt": "Be brief.\nSolve: 17 * 23",
        "system_prompt": "Be brief.",
        "params": '{"temperature":0.5}',
    },
    "bedrock": {
        **COMMON,
        "request_id": "915a6a04",
        "account_id": "arn:aws:sts::111122223333:assumed-role/gw/acct_0071",
        "api_key_id": "acct_0071",
        "model": "example.sonata-large-v1:0",
        "endpoint": "Converse",
        "prompt": "Be brief.\nSolve: 17 * 23",
        "system_prompt": "Be brief.",
        "params": '{"max_tokens":512,"temperature":0.5}',
        "end_user": "claimed",
    },
    "kong": {
        **COMMON,
        **ASKED,
        "request_id": "9ec9264a",
        "api_key_id": "c62c1455",
        "ip": "203.0.113.7",
        "user_agent": "openai-python/2.9.0",
    },
    "envoy": {
        **COMMON,
        "request_id": "83b63da3",
        "ip": "198.51.100.2",
        "user_agent": "openai-python/2.9.0",
        "forwarded_for": "192.0.2.1",
    },
    "azure-openai": {
        "timestamp": TIME,
        "request_id": "9d3a6e98",
        "account_id": "acct_0071",
        "ip": "203.0.113.0/24",
        "model": "sonata-large",
        "endpoint": "ChatCompletions_Create",
        "status": 200,
        "latency_ms": 8123.0,
    },
    "cloudflare-ai-gateway": {**COMMON, "request_id": "01JDEX", "endpoint": "v1/chat/completions"},
    "langfuse": {**COMMON, **ASKED, "request_id": "obs-1", "endpoint": "chat"},
    "helicone": {**COMMON, **ASKED, "request_id": "rq-1"},
    "portkey": {**COMMON, **ASKED, "request_id": "pk-1", "user_agent": "openai-python/2.9.0"},
    "vllm": {
        "timestamp": TIME,
        "account_id": "203.0.113.7",
        "ip": "203.0.113.7",
        "endpoint": "/v1/chat/completions",
        "status": 200,
    },
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_format_gives_every_field_it_carries(tmp_path: Path, name: str) -> None:
    checked = load(write(tmp_path / "log", EXAMPLES[name]))
    assert rows(checked) == [WANTED[name]]
    assert not checked.rejected


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_format_is_recognised_and_taken_for_no_other(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "log", *[EXAMPLES[name]] * 3)
    assert read_raw(path).format_name == name
    assert read_raw(path, format_name=name).format_name == name
    if isinstance(EXAMPLES[name], dict):
        marked = [form for form in known_formats() if form.marks]
        assert [form.name for form in marked if not form.missing_marks(EXAMPLES[name])] == [name]


def test_every_shipped_mapping_has_an_example_here() -> None:
    assert {name for name, each in shipped_mappings().items() if each.format.kind == "requests"} <= set(EXAMPLES)


@pytest.mark.parametrize(("name", "wrapper"), [("azure-openai", "records"), ("cloudflare-ai-gateway", "result")])
def test_an_export_may_wrap_its_records_or_not(tmp_path: Path, name: str, wrapper: str) -> None:
    inner = EXAMPLES[name]
    path = write(tmp_path / "log", {wrapper: [inner, inner]}, {wrapper: []}, inner)
    assert read_raw(path).format_name == name
    assert rows(load(path)) == [WANTED[name]] * 3


def test_bedrock_records_may_be_texts_in_a_cloudwatch_export(tmp_path: Path) -> None:
    event = {"id": "1", "timestamp": 1795499548104, "message": json.dumps(BEDROCK)}
    for record, many in (({"logEvents": [event, event]}, 2), (event, 1)):
        path = write(tmp_path / "log", record)
        assert read_raw(path).format_name == "bedrock"
        assert rows(load(path)) == [WANTED["bedrock"]] * many


@pytest.mark.parametrize(
    ("error", "status"), [("ThrottlingException", 429), ("ValidationException", 0), ("503", 503), (None, 200)]
)
def test_bedrock_errors_are_statuses(tmp_path: Path, error: str | None, status: int) -> None:
    (row,) = rows(load(write(tmp_path / "log", {**BEDROCK, "errorCode": error})))
    assert row["status"] == status


@pytest.mark.parametrize(
    ("body", "prompt"),
    [
        ({"prompt": "Hi there."}, "Hi there."),
        ({"inputText": "Hi there."}, "Hi there."),
        ({"message": "Hi there."}, "Hi there."),
        ({"system": "Be brief.", "messages": [{"role": "user", "content": "Hi."}]}, "Be brief.\nHi."),
    ],
)
def test_bedrock_bodies_have_the_shape_of_their_provider(tmp_path: Path, body: Any, prompt: str) -> None:
    record = {**BEDROCK, "input": {"inputBodyJson": body}}
    (row,) = rows(load(write(tmp_path / "log", record)))
    assert row["prompt"] == prompt


def test_bedrock_takes_the_duration_from_the_chunks_of_a_stream(tmp_path: Path) -> None:
    chunks = [{"contentBlockDelta": {}}, {"metrics": {"latencyMs": 7}}]
    (row,) = rows(load(write(tmp_path / "log", {**BEDROCK, "output": {"outputBodyJson": chunks}})))
    assert row["latency_ms"] == 7


def test_kong_names_older_and_newer_are_read_and_credentials_are_not(tmp_path: Path) -> None:
    older = {
        **KONG,
        "consumer": {"id": "ae974d6c", "username": "acme"},
        "ai": {
            "ai-proxy": {"meta": {"request_model": "sonata"}, "usage": {"prompt_token": 5, "completion_token": 6}},
            "payload": {"request": json.dumps({"messages": QUESTION})},
        },
    }
    (row,) = rows(load(write(tmp_path / "log", older)))
    assert (row["account_id"], row["input_tokens"], row["output_tokens"]) == ("ae974d6c", 5, 6)
    assert row["prompt"] == "Solve: 17 * 23"
    assert "sk-never" not in str(row)


def test_kong_requests_to_no_model_are_left_out_with_a_note(tmp_path: Path) -> None:
    plain = {key: value for key, value in KONG.items() if key != "ai"}
    checked = load(write(tmp_path / "log", plain, KONG))
    assert len(rows(checked)) == 1
    assert sum(checked.notes.values()) == 1


@pytest.mark.parametrize(("proxies", "ip"), [(0, "198.51.100.2"), (1, "203.0.113.7"), (2, "192.0.2.1")])
def test_envoy_trusts_the_peer_and_as_many_hops_as_are_told(tmp_path: Path, proxies: int, ip: str) -> None:
    (row,) = rows(load(write(tmp_path / "log", ENVOY), trusted_proxies=proxies))
    assert row["ip"] == ip


def test_envoy_with_fewer_hops_than_proxies_names_no_client(tmp_path: Path) -> None:
    record = {**ENVOY, "x-forwarded-for": None}
    checked = load(write(tmp_path / "log", record), trusted_proxies=2)
    assert "ip" not in rows(checked)[0]
    assert checked.notes[("ip", "a list of forwarded addresses shorter than trusted_proxies")] == 1


def test_envoy_without_an_account_is_set_aside_not_guessed(tmp_path: Path) -> None:
    record = {key: value for key, value in ENVOY.items() if key != "account_id"}
    ((line, reason),) = load(write(tmp_path / "log", record)).rejected
    assert line == 1
    assert reason.startswith("account_id is missing; ")


def test_azure_key_authentication_bills_the_resource(tmp_path: Path) -> None:
    record = {**AZURE, "properties": json.dumps({"objectId": ""})}
    (row,) = rows(load(write(tmp_path / "log", record)))
    assert row["account_id"] == "/SUBSCRIPTIONS/0/AI-1"


def test_langfuse_spans_that_are_no_requests_are_left_out(tmp_path: Path) -> None:
    other = {**LANGFUSE, "type": "SPAN"}
    failed = {**LANGFUSE, "level": "ERROR"}
    assert [row["status"] for row in rows(load(write(tmp_path / "log", other, failed, LANGFUSE)))] == [0, 200]


def test_uvicorn_lines_are_found_among_others_and_need_a_time(tmp_path: Path) -> None:
    bare = VLLM.partition(" ")[2]
    health = VLLM.replace("POST /v1/chat/completions", "GET /health")
    checked = load(write(tmp_path / "log", "INFO 11-24 05:52:27 engine.py:1] started", health, bare, VLLM))
    assert rows(checked) == [WANTED["vllm"]]
    assert checked.rejected == [(3, "timestamp is missing; looked for in time")]


SPAN_ORDERS = [[SERVER, GENAI], [GENAI, SERVER]]


@pytest.mark.parametrize("spans", SPAN_ORDERS)
def test_spans_of_a_trace_are_joined_in_any_order_and_over_lines(tmp_path: Path, spans: list[Any]) -> None:
    path = write(tmp_path / "log", *(traces(each) for each in spans))
    assert rows(load(path)) == [WANTED["otlp"]]


@pytest.mark.parametrize("turn", range(4))
def test_behind_an_edge_gateway_the_outermost_server_knows_the_client(tmp_path: Path, turn: int) -> None:
    hop = span("s3", "s1", 3)
    inner = span("s4", "s3", 2, **{"client.address": "198.51.100.9"})
    spans = [SERVER, hop, inner, {**GENAI, "parentSpanId": "s4"}]
    path = write(tmp_path / "log", *(traces(each) for each in (*spans[turn:], *spans[:turn])))
    assert rows(load(path)) == [WANTED["otlp"]]


def test_a_trace_that_began_at_the_client_is_joined_at_the_end_of_the_file(tmp_path: Path) -> None:
    remote = {**SERVER, "parentSpanId": "not-here"}
    other = span("x2", "x1", 3, trace="t2", **{"gen_ai.request.model": "sonata-large"})
    checked = load(write(tmp_path / "log", traces(GENAI), traces(other), traces(remote)))
    assert rows(checked) == [WANTED["otlp"]]
    assert [line for line, _ in checked.rejected] == [2]


def test_spans_in_parquet_are_joined_and_one_that_waits_to_the_end_is_set_aside(tmp_path: Path) -> None:
    def without_empty(value: Any) -> Any:  # Parquet has no column for an object without members
        if isinstance(value, dict):
            return {key: without_empty(inner) for key, inner in value.items() if inner != {}}
        return [without_empty(inner) for inner in value] if isinstance(value, list) else value

    def loaded(*spans: dict[str, Any]) -> CheckedRequests:
        pq.write_table(pa.Table.from_pylist([without_empty(traces(*spans))]), tmp_path / "log")
        return load(tmp_path / "log")

    assert rows(loaded(SERVER, GENAI)) == [WANTED["otlp"]]
    alone = loaded(GENAI)
    assert rows(alone) == []
    assert [line for line, _ in alone.rejected] == [1]


def test_two_requests_of_one_trace_are_two_and_tool_spans_are_none(tmp_path: Path) -> None:
    second = {**GENAI, "spanId": "s5"}
    tool = span("s6", "s1", 1, **{"gen_ai.operation.name": "execute_tool"})
    assert len(rows(load(write(tmp_path / "log", traces(tool, GENAI, second, SERVER))))) == 2


def test_names_of_older_conventions_are_read(tmp_path: Path) -> None:
    server = span(
        "s1",
        "",
        2,
        **{"http.client_ip": "203.0.113.7", "http.user_agent": "ua/1", "http.status_code": 429, "enduser.id": "a"},
    )
    genai = span(
        "s2",
        "s1",
        3,
        **{
            "gen_ai.system": "example",
            "gen_ai.request.model": "sonata-large",
            "gen_ai.usage.prompt_tokens": 5,
            "gen_ai.usage.completion_tokens": 6,
        },
    )
    genai["events"] = [
        {"name": "gen_ai.user.message", "attributes": attributes(content="Solve: 17 * 23")},
        {"name": "gen_ai.choice", "attributes": attributes(content="391")},
    ]
    (row,) = rows(load(write(tmp_path / "log", traces(server, genai))))
    assert (row["ip"], row["user_agent"], row["status"], row["account_id"]) == ("203.0.113.7", "ua/1", 429, "a")
    assert (row["input_tokens"], row["output_tokens"], row["prompt"]) == (5, 6, "Solve: 17 * 23")
    assert row["request_id"] == "t1-s2"


def test_a_failed_span_has_the_error_as_its_status(tmp_path: Path) -> None:
    server = {**SERVER, "attributes": attributes(**{"user.id": "a"})}
    failed = {**GENAI, "status": {"code": 2}}
    limited = {**GENAI, "attributes": [*GENAI["attributes"], *attributes(**{"error.type": "429"})]}
    for genai, status in ((failed, 0), (limited, 429), (GENAI, 200)):
        assert rows(load(write(tmp_path / "log", traces(server, genai))))[0]["status"] == status


def test_inference_events_among_logs_are_requests(tmp_path: Path) -> None:
    entry = {
        "timeUnixNano": "1795499548104000123",
        "eventName": "gen_ai.client.inference.operation.details",
        "traceId": "t1",
        "spanId": "s2",
        "attributes": attributes(**{"gen_ai.request.model": "sonata-large", "user.id": "acct_0071"}),
    }
    other = {**entry, "eventName": "gen_ai.evaluation.result"}
    record = {"resourceLogs": [{"scopeLogs": [{"logRecords": [entry, other]}]}]}
    (row,) = rows(load(write(tmp_path / "log", record)))
    assert (row["timestamp"], row["account_id"], row["model"]) == (TIME, "acct_0071", "sonata-large")


def test_a_file_whose_records_name_no_account_is_refused_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "log", *[traces(GENAI)] * 4)
    with lk.open_store(tmp_path / "s.db") as store:
        (result,) = store.ingest(path).files
    assert isinstance(result.error, RejectedShareError)
    assert "account_id is missing" in str(result.error)


def test_the_example_lines_in_the_documentation_are_in_the_format_they_stand_for(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs/formats.md").read_text(encoding="utf-8")
    section = text.partition("## Formats by example")[2].partition("## Companion logs")[0]
    found = re.findall(r"\*\*([a-z-]+)\*\*.*?```(?:json|text)\n(.*?)\n```", section, re.DOTALL)
    assert [name for name, _ in found] == ["canonical", *EXAMPLES]
    for name, line in found:
        path = write(tmp_path / name, line)
        assert read_raw(path).format_name == name
        (row,) = rows(load(path))
        assert "acct_0071" in row["account_id"] or name == "vllm"


ODD_VALUES: tuple[Any, ...] = (
    *(None, 5, -1.5, True, 10**30, "x", "", '{"a": 1}', "[1]"),
    *([], {}, [None], [5], ["x"], [[[]]], [{"key": 5}], {"a": None}, {"key": "k"}, {"values": 5}, {"spans": 5}),
)


def paths_of(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where every value below the top of a tree stands."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in pairs:
        yield (*path, key)
        yield from paths_of(value, (*path, key))


def changed(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[path[0]] = changed(copy[path[0]], path[1:], value)
    return copy


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "vllm"])
def test_any_value_anywhere_is_kept_dropped_or_set_aside(tmp_path: Path, name: str) -> None:
    odd = [changed(EXAMPLES[name], path, value) for path in paths_of(EXAMPLES[name]) for value in ODD_VALUES]
    raw = read_raw(write(tmp_path / "log", *odd), format_name=name)
    for batch in raw.batches:
        checked = check_requests(batch, raw.format)
        told = len(checked.table) + len(checked.rejected) + checked.notes[("record", raw.format.left_out)]
        assert told >= (1 if name == "otlp" else len(odd) // 2)
