"""Mapping files: what they can say, on records of gateways nobody wrote a format for, and what they refuse."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from linkage.errors import MappingError, RecordError
from linkage.intake.files import read_raw
from linkage.intake.json_records import CUT_SHORT
from linkage.intake.mapping import mapping_from, read_mapping
from linkage.intake.records import CheckedRequests, check_requests
from linkage.intake.trees import follow, parse_path

MICROS = 1795499548104000


def load(tmp_path: Path, toml: str, data: str) -> CheckedRequests:
    (tmp_path / "map.toml").write_text(toml, encoding="utf-8")
    (tmp_path / "log").write_text(data, encoding="utf-8")
    raw = read_raw(tmp_path / "log", mapping=read_mapping(tmp_path / "map.toml"))
    (batch,) = raw.batches
    return check_requests(batch, raw.format)


def load_row(tmp_path: Path, toml: str, record: Any) -> dict[str, Any]:
    (row,) = load(tmp_path, toml, json.dumps(record) + "\n").table.to_pylist()
    return {name: value for name, value in row.items() if value is not None and name != "timestamp"}


def convert(fields: dict[str, Any], record: Any, **tables: Any) -> Any:
    whole = {"timestamp": {"value": "2026-11-24T05:52:28Z"}, "account_id": {"value": "a"}, **fields}
    made = mapping_from({"fields": whole, **tables}, name="m").format.convert(record)
    return made and {name: made[name] for name in fields}


AZURE = """
[file]
name = "azure-openai"
records = "records[]"

[keep]
category = "RequestResponse"

[fields]
timestamp = "time"
request_id = "correlationId"
account_id = { first = ["properties.objectId", "identity.claims.appid"] }
ip = "callerIpAddress"
model = { first = ["properties.modelName", "properties.modelDeploymentName"] }
endpoint = "operationName"
status = "resultSignature"
latency_ms = { between = ["properties.requestTime", "properties.responseTime"], time = "ticks" }
"""


def test_wrapped_records_with_json_in_text_and_ticks(tmp_path: Path) -> None:
    properties = {
        "requestTime": 639310963481040000,
        "responseTime": 639310963562270000,
        "objectId": "acct_0071",
        "modelName": "sonata-large",
    }
    record = {
        "time": "2026-11-24T05:52:28.1040000Z",
        "category": "RequestResponse",
        "correlationId": "c-1",
        "callerIpAddress": "203.0.113.***",
        "operationName": "ChatCompletions_Create",
        "properties": json.dumps(properties),
        "resultSignature": "200",
    }
    other = {**record, "category": "Audit"}
    checked = load(tmp_path, AZURE, json.dumps({"records": [record, other]}) + "\n")
    (row,) = checked.table.to_pylist()
    assert row["timestamp"].isoformat() == "2026-11-24T05:52:28.104000+00:00"
    assert (row["account_id"], row["model"], row["status"]) == ("acct_0071", "sonata-large", 200)
    assert row["ip"] == "203.0.113.0/24"
    assert row["latency_ms"] == pytest.approx(8123.0)
    assert dict(checked.notes) == {("record", "left out by [keep] of map.toml (category)"): 1}


def test_nested_body_headers_and_first_present_alternative(tmp_path: Path) -> None:
    toml = """
    [fields]
    timestamp = { path = "created_at", time = "ms" }
    account_id = { first = ["metadata._user", "metadata.team"] }
    user_agent = 'request.headers."user-agent"'
    prompt = "request.body"
    params = "request.body"
    status = { path = "is_success", values = { true = 200 }, otherwise = 0 }
    latency_ms = { path = "response_time", unit = "s" }
    endpoint = { path = "request.url", match = "^https?://[^/]+(/[^?]*)" }
    ip = { path = "forwarded", hop = 2 }
    payment_method = { value = "pm_7" }
    """
    body = {"system": "Be brief.", "messages": [{"role": "user", "content": "hi"}], "temperature": 0.5}
    record = {
        "created_at": "1795499548104",
        "metadata": {"_user": "", "team": 5},
        "request": {
            "url": "https://api.example.com/v1/chat?key=1",
            "headers": {"user-agent": "curl/8"},
            "body": json.dumps(body),
        },
        "is_success": False,
        "response_time": 8.123,
        "forwarded": "6.6.6.6, 203.0.113.7, 10.0.0.1",
    }
    assert load_row(tmp_path, toml, record) == {
        "account_id": "5",
        "user_agent": "curl/8",
        "prompt": "Be brief.\nhi",
        "system_prompt": "Be brief.",
        "params": '{"temperature":0.5}',
        "status": 0,
        "latency_ms": 8123.0,
        "endpoint": "/v1/chat",
        "ip": "203.0.113.7",
        "payment_method": "pm_7",
    }


def test_attribute_lists_are_reached_by_their_key(tmp_path: Path) -> None:
    toml = """
    [file]
    records = "resourceSpans[].scopeSpans[].spans[]"
    [fields]
    timestamp = { path = "startTimeUnixNano", time = "ns" }
    account_id = "attributes[key=user.id].value.stringValue"
    input_tokens = "attributes[key=gen_ai.usage.input_tokens].value.intValue"
    """
    span = {
        "startTimeUnixNano": "1795499548104000123",
        "attributes": [
            {"key": "user.id", "value": {"stringValue": "acct_0071"}},
            {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "212"}},
        ],
    }
    line = {"resourceSpans": [{"scopeSpans": [{"spans": [span, {**span, "attributes": []}]}]}]}
    checked = load(tmp_path, toml, json.dumps(line) + "\n")
    assert checked.table["timestamp"].cast("int64").to_pylist() == [MICROS]
    assert checked.table["input_tokens"].to_pylist() == [212]
    assert checked.rejected == [
        (1, "account_id is missing; looked for in attributes[key=user.id].value.stringValue"),
    ]


TEXT = r"""
[file]
name = "access-lines"
line = '^(?P<time>\S+) INFO: +(?P<peer>\S+) - "(?P<method>\w+) (?P<path>\S+) HTTP/[\d.]+" (?P<status>\d{3})'
other_lines = "OTHER"

[fields]
timestamp = "time"
account_id = { value = "one-box" }
ip = "peer"
endpoint = "path"
status = "status"
"""


@pytest.mark.parametrize(("other", "rejected"), [("skip", []), ("reject", [2])])
def test_text_lines_are_read_by_a_pattern(tmp_path: Path, other: str, rejected: list[int]) -> None:
    good = '2026-11-24T05:52:28Z INFO:     203.0.113.7:64484 - "POST /v1/chat/completions HTTP/1.1" 200 OK\n'
    checked = load(tmp_path, TEXT.replace("OTHER", other), good + "Started server process [1]\n" + good)
    assert checked.table["ip"].to_pylist() == ["203.0.113.7"] * 2
    assert checked.table["status"].to_pylist() == [200, 200]
    assert [line for line, _ in checked.rejected] == rejected


@pytest.mark.parametrize("other", ["skip", "reject"])
def test_a_line_of_text_that_is_still_being_written_is_no_record(tmp_path: Path, other: str) -> None:
    toml = TEXT.replace("OTHER", other)
    line = '2026-11-24T05:52:28Z INFO:     203.0.113.7:64484 - "POST /v1/chat/completions HTTP/1.1" 200 OK\n'
    for end in (-1, -4):  # the pattern fits both
        checked = load(tmp_path, toml, line + line[:end])
        assert (len(checked.table), checked.rejected) == (1, [(2, CUT_SHORT)])
    assert [line for line, _ in load(tmp_path, toml, line + line[:40]).rejected] == ([2] if other == "reject" else [])


def test_csv_columns_are_paths_too(tmp_path: Path) -> None:
    toml = '[fields]\ntimestamp = { path = "when", zone = "+02:00" }\naccount_id = \'"user.id"\'\n'
    checked = load(tmp_path, toml, "when,user.id\n2026-11-24 07:52:28.104,007\n2026-11-24 07:52:60,8\n")
    last_of_minute = MICROS - 28_104_000 + 59_999_999
    assert checked.table["timestamp"].cast("int64").to_pylist() == [MICROS, last_of_minute]
    assert checked.table["account_id"].to_pylist() == ["007", "8"]
    assert not checked.notes


@pytest.mark.parametrize(
    ("unit", "value"),
    [
        ("s", 1795499548.104),
        ("ms", 1795499548104),
        ("us", 1795499548104000),
        ("ns", 1795499548104000999),
        ("ns", "1795499548104000999"),
        ("ticks", 639310963481040000),
        ("iso", "2026-11-24T05:52:28.104Z"),
        ("s", "2026-11-24T05:52:28.104Z"),
    ],
)
def test_epoch_numbers_are_read_in_the_unit_that_is_named(tmp_path: Path, unit: str, value: Any) -> None:
    toml = f'[fields]\ntimestamp = {{ path = "t", time = "{unit}" }}\naccount_id = "a"\n'
    checked = load(tmp_path, toml, json.dumps({"t": value, "a": "x"}) + "\n")
    assert checked.table["timestamp"].cast("int64").to_pylist() == [MICROS]


def test_mistaken_time_unit_is_refused_not_guessed(tmp_path: Path) -> None:
    toml = '[fields]\ntimestamp = { path = "t", time = "s" }\naccount_id = "a"\n'
    checked = load(tmp_path, toml, json.dumps({"t": 1795499548104, "a": "x"}) + "\n")
    assert len(checked.table) == 0
    assert "outside the years 2015 to 2099" in checked.rejected[0].reason


def test_durations_are_scaled_by_their_unit() -> None:
    for unit, value in [("ns", 5e9), ("us", "5000000"), ("ms", 5000), ("s", 5), ("min", 1 / 12)]:
        made = convert({"latency_ms": {"path": "d", "unit": unit}}, {"d": value})
        assert made["latency_ms"] == pytest.approx(5000)
    assert convert({"latency_ms": {"path": "d", "unit": "s"}}, {"d": "soon"}) == {"latency_ms": "soon"}


def test_value_tables_leave_other_values_alone_unless_told() -> None:
    table = {"path": "level", "values": {"ERROR": 0, "DEFAULT": 200}}
    assert convert({"status": table}, {"level": "ERROR"}) == {"status": 0}
    assert convert({"status": table}, {"level": "503"}) == {"status": "503"}
    assert convert({"status": {**table, "otherwise": 200}}, {"level": "WARN"}) == {"status": 200}
    assert convert({"status": {**table, "otherwise": 200}}, {}) == {"status": 200}


def test_paths_that_lead_nowhere_give_nothing() -> None:
    tree = {"a": [{"b": 1}, {"b": 2}], "text": "plain"}
    for path, found in [
        ("a[].b", [1, 2]),
        ("a[-1].b", [2]),
        ("a[5].b", []),
        ("a.b", []),
        ("text.b", []),
        ("text[0]", []),
        ("a[b=1]", []),
        ("none", []),
    ]:
        assert follow(tree, parse_path(path)) == found


def test_a_rule_gives_way_to_another_where_it_finds_nothing() -> None:
    status = {"path": "text", "match": r"code (\d+)", "else": {"path": "ok", "values": {"true": 200, "false": 0}}}
    for record, found in (
        ({"text": "code 429", "ok": False}, 429),
        ({"text": "no", "ok": False}, 0),
        ({"ok": True}, 200),
    ):
        made = convert({"status": status}, record)
        assert str(made["status"]) == str(found)
    late = {"path": "at", "time": "s", "else": {"path": "began", "time": "ms"}}
    assert convert({"timestamp": late}, {"began": 1795499548104}) == {"timestamp": MICROS}
    took = {"between": ["a", "b"], "else": {"path": "s", "unit": "s"}}
    assert convert({"latency_ms": took}, {"s": 2}) == {"latency_ms": 2000}


def test_records_are_kept_by_any_of_several_fields() -> None:
    keep = {"kind": {"first": ["kind", "Kind"], "is": ["chat", True]}}
    for record, is_kept in (({"kind": "chat"}, True), ({"Kind": True}, True), ({"Kind": "x"}, False), ({}, False)):
        assert (convert({"model": "m"}, record, keep=keep) is not None) == is_kept
    for wrong in ({"first": [], "is": ["x"]}, {"first": ["a"]}, {"is": ["x"]}, {"first": "a", "is": 1, "what": 2}):
        with pytest.raises(MappingError, match="keep"):
            convert({"model": "m"}, {}, keep={"kind": wrong})


def test_all_faults_of_a_mapping_come_in_one_error() -> None:
    tables = {
        "file": {"kind": "people", "line": "(", "colour": 1},
        "fields": {
            "timestamp": {"path": "t", "time": "fortnights"},
            "ip": {"path": "a[", "first": ["b"]},
            "user": "x",
            "model": 7,
            "endpoint": "a..b",
            "latency_ms": {"between": ["a"], "unit": "s"},
            "request_id": {"path": "x", "hop": 0, "zone": "Mars", "values": 3},
            "status": {"between": ["a", "b"], "unit": "s", "otherwise": 0, "else": {"path": "c", "colour": 1}},
            "prompt": {"value": "x", "match": "y"},
        },
        "keep": 3,
        "extra": {},
    }
    with pytest.raises(MappingError) as failure:
        mapping_from(tables, name="my.toml")
    message = str(failure.value)
    assert all(line.startswith("my.toml: ") for line in message.splitlines())
    for words in (
        "[fields]: account_id is required",
        "no 'extra'. Known: file, keep, fields",
        "no 'colour'",
        "kind must be one of requests, accounts, companions; found 'people'",
        "[file] line: wanted a regular expression",
        "time must be one of iso, s, ms, us, ns, ticks; found 'fortnights'",
        "[fields] ip: wanted exactly one of path, first, value and between",
        "no 'user'",
        "[fields] model: wanted a path or a table; found 7",
        "unreadable from character 2",
        "between wants two paths",
        "hop wants how many entries",
        "zone wants UTC or an offset",
        "values wants a table",
        "[keep]: wanted a table",
        "[fields] status: unit does nothing beside between",
        "[fields] status: otherwise says what becomes of values",
        "[fields] status else: no 'colour'",
        "[fields] prompt: match does nothing beside value",
    ):
        assert words in message, words


@pytest.mark.parametrize("text", ["not toml [", "", "\udc80"])
def test_unreadable_mapping_file_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "map.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(MappingError):
        read_mapping(tmp_path / "map.toml")
    with pytest.raises(MappingError, match="No such file"):
        read_mapping(tmp_path / "none.toml")


def test_mappings_that_say_the_same_have_one_digest() -> None:
    fields = {"fields": {"timestamp": "t", "account_id": "a"}}
    one, two = mapping_from(fields, name="m"), mapping_from(dict(fields), name="m")
    other = mapping_from({"fields": {"timestamp": "t", "account_id": "b"}}, name="m")
    assert repr(one) == repr(two) != repr(other)


def test_account_records_can_be_mapped(tmp_path: Path) -> None:
    mapping = mapping_from({"file": {"kind": "accounts"}, "fields": {"account_id": "id"}}, name="m")
    (tmp_path / "log").write_text('{"id": "a"}\n')
    assert read_raw(tmp_path / "log", kind="accounts", mapping=mapping).kind == "accounts"


def test_reasons_of_broken_json_never_quote_the_line() -> None:
    from linkage.intake.trees import parse_object

    with pytest.raises(RecordError) as failure:
        parse_object(b'{"ip": "203.0.113.7", "x": secret}')
    assert "203" not in str(failure.value)
    assert "secret" not in str(failure.value)


def test_examples_in_the_documentation_are_mappings_that_work() -> None:
    page = (Path(__file__).parents[1] / "docs/formats.md").read_text(encoding="utf-8")
    examples = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", page, re.DOTALL)]
    *_, acme, lines = (mapping_from(tables, name="doc") for tables in examples)
    body = {"messages": [{"role": "user", "content": "hi"}], "model": "sonata", "seed": 1}
    event = {
        "type": "chat",
        "received_at": 1795499548104,
        "auth": {"team": "t1"},
        "headers": {"x-forwarded-for": "6.6.6.6, 203.0.113.7"},
        "tags": ["prod", "User-Agent: curl/8"],
        "body": json.dumps(body),
        "ok": True,
        "took": 2,
    }
    assert acme.format.split is not None
    (record,) = acme.format.split({"events": [event]})
    made = acme.format.convert(record)
    assert made is not None
    assert (made["timestamp"], made["account_id"], made["ip"]) == (MICROS, "t1", "203.0.113.7")
    assert (made["user_agent"], made["model"], made["prompt"]) == ("curl/8", "sonata", "hi")
    assert (made["status"], made["latency_ms"]) == (200, 2000)
    assert acme.format.convert({**event, "type": "embedding"}) is None
    line = '2026-11-24T07:52:28.104 203.0.113.7:99 "POST /v1/chat HTTP/1.1" 200 acct=007'
    assert lines.line_pattern is not None
    match = lines.line_pattern.search(line)
    assert match is not None
    made = lines.format.convert(match.groupdict())
    assert made is not None
    assert (made["timestamp"], made["account_id"], made["endpoint"]) == (MICROS, "007", "/v1/chat")
