"""Values of records: read strictly, repaired with a note, dropped with a note, or their record set aside."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from linkage import terms
from linkage.intake.contracts import read_contract
from linkage.intake.formats import canonical
from linkage.intake.prompts import flatten_messages
from linkage.intake.raw import RawBatch, Rejected
from linkage.intake.records import (
    ACCOUNT_TYPES,
    REQUEST_TYPES,
    CheckedAccounts,
    CheckedRequests,
    check_accounts,
    check_requests,
)
from linkage.settings import IngestSettings

TIME = "2026-11-24T05:52:28Z"


def check(*records: dict[str, Any], **limits: int) -> CheckedRequests:
    whole = [{"timestamp": TIME, "account_id": "a", **record} for record in records]
    raw = RawBatch(list(range(1, len(whole) + 1)), whole, [], 0)
    return check_requests(raw, canonical.REQUESTS, settings=IngestSettings(**limits))


def check_people(*records: dict[str, Any]) -> CheckedAccounts:
    return check_accounts(RawBatch(list(range(1, len(records) + 1)), list(records), [], 0), canonical.ACCOUNTS)


def read(field: str, value: Any, **limits: int) -> tuple[Any, str | None]:
    """The canonical value of a field, and the reason of its note or rejection."""
    checked = check({field: value}, **limits)
    reasons = [reason for _, reason in checked.notes] + [line.reason for line in checked.rejected]
    kept = checked.table[field].to_pylist()
    return (kept[0] if kept else None), (reasons[0] if reasons else None)


def test_checked_records_have_the_canonical_fields_and_types() -> None:
    for checked in (check(), check({"prompt": "x"})):
        assert checked.table.column_names == list(terms.REQUEST_FIELDS)
        assert dict(zip(checked.table.column_names, checked.table.schema.types, strict=True)) == REQUEST_TYPES
    people = check_people()
    assert people.table.column_names == list(terms.ACCOUNT_FIELDS)
    assert dict(zip(people.table.column_names, people.table.schema.types, strict=True)) == ACCOUNT_TYPES


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-11-24T05:52:28Z", "05:52:28"),
        ("2026-11-24T05:52:28.1Z", "05:52:28.100000"),
        ("2026-11-24T05:52:28.123456789Z", "05:52:28.123456"),
        ("2026-11-24T05:52:28,104Z", "05:52:28.104000"),
        ("2026-11-24t05:52:28z", "05:52:28"),
        ("2026-11-24 05:52:28 UTC", "05:52:28"),
        ("2026-11-24T07:52:28+02:00", "05:52:28"),
        ("2026-11-24T07:52:28+0200", "05:52:28"),
        ("2026-11-24 07:52:28.5+02", "05:52:28.500000"),
        ("2026-11-23T20:52:28-09:00", "05:52:28"),
    ],
)
def test_iso_times_are_read_in_every_common_form(text: str, wanted: str) -> None:
    moment, note = read("timestamp", text)
    assert (moment.isoformat(), note) == (f"2026-11-24T{wanted}+00:00", None)


@pytest.mark.parametrize(
    ("text", "wanted", "note"),
    [
        ("2026-11-24T05:52:28", "2026-11-24T05:52:28+00:00", "time without a zone, read as UTC"),
        (
            "2016-12-31T23:59:60Z",
            "2016-12-31T23:59:59.999999+00:00",
            "leap second, read as the last microsecond before it",
        ),
    ],
)
def test_repaired_times_are_noted(text: str, wanted: str, note: str) -> None:
    moment, found = read("timestamp", text)
    assert (moment.isoformat(), found) == (wanted, note)


@pytest.mark.parametrize(
    "value",
    [
        1795499548,
        1795499548104,
        1795499548104000,
        1795499548.104,
        "1795499548",
        "1712011234567",
        "20261124T055228Z",
        "2026-11-24",
        "2026-W48-2T05:52:28Z",
        "2026-11-24T05:52",
        "2026-11-24T05:52:28+99:00",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-11-24T24:00:01Z",
        "2026-11-24T05:52:61Z",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59Z",
        "2014-12-31T23:59:59Z",
        "2100-01-01T00:00:00Z",
        "٢٠٢٦-11-24T05:52:28Z",
        "now",
        True,
        ["2026-11-24T05:52:28Z"],
        "",
        None,
        {},
    ],
)
def test_time_that_is_not_certain_sets_its_record_aside(value: Any) -> None:
    checked = check({"timestamp": value}, {})
    assert len(checked.table) == 1
    assert checked.lines.to_pylist() == [2]
    (rejected,) = checked.rejected
    assert rejected.line == 1
    assert rejected.reason.startswith("timestamp")


@pytest.mark.parametrize("value", ["007", "7", "1e5", "NaN", "0", "null", " a ", "acct\u200b1", "\u202eacct", "é"])
def test_ids_stay_the_text_they_are(value: str) -> None:
    assert read("account_id", value) == (value, None)


def test_whole_numbers_as_ids_become_digits_and_say_so() -> None:
    assert read("account_id", 7) == ("7", "a number, kept as its digits")
    assert read("api_key_id", 2**63) == (str(2**63), "a number, kept as its digits")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (1e5, "account_id: an id must be text; found a number"),
        (True, "account_id: an id must be text; found a truth value"),
        (["a"], "account_id: an id must be text; found a list"),
        ({"id": "a"}, "account_id: an id must be text; found a object"),
        ("a\0b", "account_id: a control character inside an id"),
        ("a\nb", "account_id: a control character inside an id"),
        ("x" * 1001, "account_id: an id longer than 1000 characters"),
        ("", "account_id is missing"),
        ("-", "account_id is missing"),
        ("None", "account_id is missing"),
        ("  ", "account_id is missing"),
        (None, "account_id is missing"),
        (float("nan"), "account_id is missing"),
    ],
)
def test_unusable_account_sets_its_record_aside(value: Any, reason: str) -> None:
    checked = check({"account_id": value})
    assert checked.rejected == [(1, reason)]


def test_unusable_optional_field_costs_only_itself() -> None:
    checked = check({"request_id": ["x"], "ip": "banana", "status": "teapot", "model": "m"}, {"ip": "x"})
    assert checked.table["model"].to_pylist() == ["m", None]
    assert checked.table["ip"].to_pylist() == [None, None]
    assert checked.notes == {
        ("request_id", "an id must be text; found a list"): 1,
        ("ip", "not an address"): 2,
        ("status", "not an HTTP status, success or failure"): 1,
    }


def test_rows_set_aside_leave_no_notes_and_move_no_other_row() -> None:
    bad = {"account_id": None, "ip": "banana", "prompt": "lost"}
    checked = check({"prompt": "one"}, bad, {"prompt": "three"}, {"timestamp": 5, "prompt": "lost"})
    assert checked.table["prompt"].to_pylist() == ["one", "three"]
    assert checked.lines.to_pylist() == [1, 3]
    assert [line for line, _ in checked.rejected] == [2, 4]
    assert not checked.notes


def test_mixed_types_in_one_column_do_not_blur() -> None:
    checked = check(*({"input_tokens": value} for value in (1, True, 1.0, "1", 0, False, "0", [1])))
    assert checked.table["input_tokens"].to_pylist() == [1, None, 1, 1, 0, None, 0, None]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 203.0.113.7 ", "203.0.113.7"),
        ("203.0.113.7:64484", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("[::ffff:203.0.113.7]:443", "203.0.113.7"),
        ("::FFFF:cb00:7107", "203.0.113.7"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:db8::1%eth0", "2001:db8::1"),
        ("100.64.0.9", "100.64.0.9"),
        ("10.0.0.9", "10.0.0.9"),
        ("203.0.113.***", "203.0.113.0/24"),
        ("203.0.113.xxx", "203.0.113.0/24"),
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("203.0.113.9/32", "203.0.113.9"),
        ("2001:db8:1::/48", "2001:db8:1::/48"),
        ("2001:db8:1:2::/64", "2001:db8:1:2::"),
        ("unknown", None),
        ("-", None),
        ("", None),
    ],
)
def test_addresses_have_one_canonical_form(value: str, wanted: str | None) -> None:
    assert read("ip", value) == (wanted, None)


@pytest.mark.parametrize(
    "value",
    [
        3405803783,
        "3405803783",
        "0xCB007107",
        "203.0.113",
        "203.0.113.07",
        "203.0.113.256",
        "999.0.113.***",
        "203.0.113.7.8",
        "203.0.***.***",
        "203.0.112.0/20",
        "203.0.113.7/x",
        "1:2:3:4:5:6:7:8:9",
        "example.org",
        "0.0.0.0",  # noqa: S104 (an address in a log, nothing listens)
        "127.0.0.1",
        "::1",
        "::",
        "fe80::1%eth0",
        "224.0.0.1",
        "1" * 100,
        True,
        "203.0.113.7, 10.0.0.1",
    ],
)
def test_what_is_no_client_address_is_dropped_with_a_note(value: Any) -> None:
    found, note = read("ip", value)
    assert found is None
    assert note


def test_trusted_proxies_choose_the_hop_that_callers_cannot_write() -> None:
    listed = "6.6.6.6, 203.0.113.7, 198.51.100.1"
    assert read("ip", listed, trusted_proxies=1)[0] == "198.51.100.1"
    assert read("ip", listed, trusted_proxies=2)[0] == "203.0.113.7"
    assert read("ip", listed, trusted_proxies=4) == (
        None,
        "a list of forwarded addresses shorter than trusted_proxies",
    )


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(0, 0), (212, 212), ("212", 212), (212.0, 212), ("212.0", 212), (" 7 ", 7), ("", None), ("-", None)],
)
def test_counts_are_read_from_numbers_and_digits(value: Any, wanted: int | None) -> None:
    assert read("input_tokens", value) == (wanted, None)


@pytest.mark.parametrize(
    "value", [-1, "-1", 1.5, "1e5", "1,000", "0x10", 10**9, 1e300, "9" * 30, "9" * 5000, True, [], [1], "٣", "inf"]
)
def test_counts_that_cannot_be_are_dropped(value: Any) -> None:
    found, note = read("output_tokens", value)
    assert found is None
    assert note or value == []


def test_largest_count_is_a_setting() -> None:
    assert read("input_tokens", 5000, tokens_per_request=1000) == (None, "a count above 1000")
    assert read("input_tokens", 5000)[0] == 5000


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(200, 200), ("429", 429), (0, 0), ("success", 200), ("Failure", 0), (503.0, 503), (None, None)],
)
def test_statuses_are_http_codes(value: Any, wanted: int | None) -> None:
    assert read("status", value) == (wanted, None)


@pytest.mark.parametrize("value", [1, 99, 600, -200, 200.5, True, "200 OK", "ok!", [200]])
def test_other_statuses_are_dropped(value: Any) -> None:
    assert read("status", value) == (None, "not an HTTP status, success or failure")


@pytest.mark.parametrize(("value", "wanted"), [(8123, 8123.0), ("0.5", 0.5), (0, 0.0), (1e9, 1e9)])
def test_latency_is_milliseconds(value: Any, wanted: float) -> None:
    assert read("latency_ms", value) == (wanted, None)


@pytest.mark.parametrize("value", [-1, 1e10, "fast", True, "1e3"])
def test_latency_that_cannot_be_is_dropped(value: Any) -> None:
    assert read("latency_ms", value)[0] is None


def test_card_numbers_and_raw_keys_never_get_through() -> None:
    for number in ("4111111111111111", "4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005"):
        assert read("payment_method", number) == (
            None,
            "looks like a card number: give the processor's token or fingerprint",
        )
    assert read("payment_method", "4111111111111112")[0] == "4111111111111112"
    assert (
        read("api_key_id", "Bearer sk-1234")[0]
        == read("api_key_id", "bearer  sk-1234")[0]
        == read("api_key_id", "sk-1234")[0]
    )
    hashed, note = read("api_key_id", "sk-1234")
    assert hashed == "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b"
    assert note == "a raw key, replaced by its SHA-256"


def test_user_agent_is_one_line_of_bounded_length() -> None:
    assert read("user_agent", "a\tb\r\n  c\0")[0] == "a b c"
    assert read("user_agent", "x" * 2001) == (None, "text longer than 2000 characters")
    assert read("user_agent", "x" * 2001, user_agent_chars=3000)[0] == "x" * 2001
    assert read("model", "m" * 50, id_chars=20)[0] is None


def test_prompt_keeps_every_character_but_nul() -> None:
    text = "a\u200b\u202e\u2028\ufeff😀" * 3
    assert read("prompt", text) == (text, None)
    assert read("prompt", "a\0b") == ("a\ufffdb", "NUL characters, replaced by U+FFFD")
    assert read("prompt", 7) == (None, "must be text; found a number")


def test_prompt_begins_with_the_system_text_once() -> None:
    checked = check(
        {"prompt": "hi", "system_prompt": "Be brief."},
        {"prompt": "Be brief.\nhi", "system_prompt": "Be brief."},
        {"system_prompt": "Be brief."},
        {"prompt": "hi"},
        {"prompt": [{"role": "user", "content": "hi"}, {"role": "system", "content": "Be brief."}]},
    )
    whole = "Be brief.\nhi"
    assert checked.table["prompt"].to_pylist() == [whole, whole, "Be brief.", "hi", whole]


IMAGE = {"type": "image_url", "image_url": {}}
CALL = {"function": {"name": "f", "arguments": '{"x": 1}'}}
USE = {"type": "tool_use", "name": "f", "input": {"b": 1, "a": 2}}
RESULT = {"type": "tool_result", "content": [{"text": "done"}]}
CONVERSE = {"system": [{"text": "S"}], "messages": [{"role": "user", "content": [{"text": "converse"}]}]}

TOOL_USE = {"toolUse": {"toolUseId": "1", "name": "f", "input": {"b": 1, "a": 2}}}
TOOL_RESULT = {"toolResult": {"toolUseId": "1", "content": [{"text": "done"}, {"json": {"x": 1}}]}}
GUARDED = {"guardContent": {"text": {"text": "guarded"}}}
BLOB = {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "aGk="}
GEMINI = {
    "systemInstruction": {"parts": [{"text": "S"}]},
    "contents": [
        {"role": "user", "parts": [{"text": "see"}, {"inlineData": {"mimeType": "image/png", "data": "aGk="}}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"x": 1}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": "done"}}}]},
    ],
}
RESPONSES = {
    "instructions": "S",
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "why"}]},
        {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "1"},
        {"type": "function_call_output", "call_id": "1", "output": "done"},
    ],
}

MESSAGES: list[tuple[Any, str | None]] = [
    ([{"role": "user", "content": [{"text": "see"}, {"image": {"format": "png"}}]}], "see\n<image>"),
    ([{"role": "assistant", "content": [TOOL_USE]}], 'f({"a":2,"b":1})'),
    ([{"role": "user", "content": [TOOL_RESULT, {"cachePoint": {"type": "default"}}, GUARDED]}], "done\nguarded"),
    ([{"role": "user", "parts": [BLOB, {"type": "uri", "modality": "video", "uri": "x"}]}], "<image>\n<video>"),
    ([{"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "response": "done"}]}], "done"),
    ([{"role": "user", "content": [{"type": "text", "text": None}]}], None),
    (GEMINI, 'S\nsee\n<image>\nf({"x":1})\ndone'),
    (RESPONSES, "S\nwhy\nf({})\ndone"),
    ([{"role": "user", "content": "redacted-by-litellm"}], None),
    ({"instructions": "redacted-by-litellm", "input": "redacted-by-litellm"}, None),
    ("plain", "plain"),
    (["one", "two"], "one\ntwo"),
    ([{"role": "user", "content": [{"type": "text", "text": "see"}, IMAGE]}], "see\n<image>"),
    ([{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}], "<audio>"),
    ([{"role": "assistant", "tool_calls": [CALL]}], 'f({"x": 1})'),
    ([{"role": "assistant", "content": [USE]}], 'f({"a":2,"b":1})'),
    ([{"role": "user", "content": [RESULT]}], "done"),
    ([{"role": "user", "parts": [{"type": "text", "content": "otel"}]}], "otel"),
    (CONVERSE, "S\nconverse"),
    ({"prompt": "old style"}, "old style"),
    ({"input": ["a", "b"]}, "a\nb"),
    ([{"role": "user", "content": None}], None),
    ([{"role": "user"}], None),
    ([], None),
    ({}, None),
    (None, None),
    (7, None),
    ([[[["deep"]]], 7, None, {"role": 3, "content": {"text": "odd"}}], "deep\nodd"),
]


@pytest.mark.parametrize(("messages", "text"), MESSAGES)
def test_messages_flatten_to_their_text_in_order(messages: Any, text: str | None) -> None:
    assert flatten_messages(messages).text == text


def test_contract_is_the_same_text_whoever_logged_it() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "x": "y" * 300}}}
    base = {"temperature": 0.7, "max_tokens": 1024, "stop": ["\n"], "tools": [tool]}
    text = read_contract(base)
    assert text == read_contract({**dict(reversed(base.items())), "seed": 1, "user": "u", "top_p": None})
    written = json.dumps({"tools": [tool], "stop": ["\n"], "max_tokens": 1024.0, "temperature": 0.7}, indent=1)
    assert text == read_contract(written)
    assert text != read_contract({**base, "temperature": 0.8})
    assert text is not None
    assert '"tools":"blake2b:' in text
    assert read_contract({"seed": 1}) is None


@pytest.mark.parametrize("params", ["not json", 7, ["x"], '"text"'])
def test_parameters_of_another_shape_are_dropped(params: Any) -> None:
    assert read("params", params) == (None, "parameters must be an object or its JSON text")


def test_typed_parquet_times_and_gaps_are_read() -> None:
    moment = datetime(2026, 11, 24, 5, 52, 28, tzinfo=UTC)
    checked = check({"timestamp": moment, "input_tokens": 7.0}, {"timestamp": moment, "input_tokens": float("nan")})
    assert checked.table["timestamp"].to_pylist() == [moment, moment]
    assert checked.table["input_tokens"].to_pylist() == [7, None]
    assert not checked.notes


def test_account_records_are_checked_the_same_way() -> None:
    checked = check_people(
        {"account_id": "007", "created_at": "2026-11-01", "email_domain": "ann@BÜCHER.example.", "country": "DE"},
        {"account_id": "", "plan": "x"},
        {"account_id": "b", "created_at": 5, "email_domain": "..", "payment_method": "4111111111111111"},
    )
    assert checked.table.to_pylist() == [
        {
            "account_id": "007",
            "organization_id": None,
            "created_at": datetime(2026, 11, 1, tzinfo=UTC),
            "email_domain": "xn--bcher-kva.example",
            "payment_method": None,
            "country": "DE",
            "plan": None,
        },
        dict.fromkeys(terms.ACCOUNT_FIELDS) | {"account_id": "b"},
    ]
    assert checked.rejected == [Rejected(2, "account_id is missing")]
    assert [field for field, _ in sorted(checked.notes)] == ["created_at", "email_domain", "payment_method"]


def test_notes_never_quote_a_value() -> None:
    private = "203.0.113.7777"
    checked = check(dict.fromkeys(("ip", "status", "latency_ms", "input_tokens", "params"), private))
    assert len(checked.notes) == 5
    assert not any(private in reason for _, reason in checked.notes)


def test_nothing_in_gives_empty_tables_of_the_same_shape() -> None:
    nothing: Sequence[dict[str, Any]] = ()
    checked = check(*nothing)
    assert (len(checked.table), len(checked.lines)) == (0, 0)
    assert checked.lines.type == pa.int64()
