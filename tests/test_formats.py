"""Which format a record is in, and what the LiteLLM formats make of it. Records were composed for these tests."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from test_companions import EVENT, LLM_ROWS
from test_gateway_formats import EXAMPLES as GATEWAY_EXAMPLES

from linkage.errors import FormatError, UsageError
from linkage.intake.catalogue import format_named, format_names, known_formats, recognise
from linkage.intake.files import read_raw
from linkage.intake.records import CheckedAccounts, CheckedRequests, check_accounts, check_requests

KEY = "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b"

STANDARD: dict[str, Any] = {
    "id": "chatcmpl-71",
    "trace_id": "tr-1",
    "call_type": "acompletion",
    "status": "success",
    "prompt_tokens": 212,
    "completion_tokens": 1490,
    "startTime": 1795499548.104,
    "endTime": 1795499556.227,
    "response_time": 0.796,
    "model": "example/sonata-large",
    "model_group": "sonata-large",
    "metadata": {
        "user_api_key_hash": KEY,
        "user_api_key_org_id": "org_2",
        "user_api_key_team_id": "team_5",
        "user_api_key_user_id": "acct_0071",
        "requester_ip_address": "203.0.113.7",
    },
    "request_tags": ["User-Agent: openai-python", "User-Agent: openai-python/2.9.0"],
    "end_user": "claimed-by-caller",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Solve: 17 * 23"},
    ],
    "error_information": None,
    "model_parameters": {"temperature": 0.7, "stream": True, "user": "anyone"},
}

SPEND: dict[str, Any] = {
    "request_id": "chatcmpl-71",
    "call_type": "acompletion",
    "api_key": KEY,
    "prompt_tokens": 212,
    "completion_tokens": 1490,
    "startTime": "2026-11-24T05:52:28.104Z",
    "endTime": "2026-11-24T05:52:36.227Z",
    "request_duration_ms": 8123,
    "model": "example/sonata-large",
    "model_group": "",
    "custom_llm_provider": "example",
    "user": "acct_0071",
    "metadata": {"user_api_key_alias": "prod-3"},
    "request_tags": ["User-Agent: openai-python/2.9.0"],
    "team_id": "team_5",
    "organization_id": "org_2",
    "end_user": "",
    "requester_ip_address": "203.0.113.7",
    "messages": {},
    "status": "success",
    "proxy_server_request": {},
}


def write_lines(path: Path, *records: Any) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def write_csv(path: Path, *records: dict[str, Any]) -> Path:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(records[0]))
    writer.writeheader()
    for record in records:
        texts = {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in record.items()}
        writer.writerow(texts)
    path.write_text(out.getvalue(), encoding="utf-8")
    return path


def load_requests(path: Path, **how: Any) -> CheckedRequests:
    raw = read_raw(path, kind="requests", **how)
    (batch,) = raw.batches
    return check_requests(batch, raw.format)


def load_accounts(path: Path) -> CheckedAccounts:
    raw = read_raw(path, kind="accounts")
    (batch,) = raw.batches
    return check_accounts(batch, raw.format)


def load_row(path: Path, **how: Any) -> dict[str, Any]:
    (row,) = load_requests(path, **how).table.to_pylist()
    return {**row, "timestamp": row["timestamp"].isoformat()}


def test_standard_logging_payload_gives_every_field_it_carries(tmp_path: Path) -> None:
    assert load_row(write_lines(tmp_path / "log", STANDARD)) == {
        "timestamp": "2026-11-24T05:52:28.104000+00:00",
        "request_id": "chatcmpl-71",
        "account_id": "acct_0071",
        "api_key_id": KEY,
        "ip": "203.0.113.7",
        "payment_method": None,
        "user_agent": "openai-python/2.9.0",
        "tls_fingerprint": None,
        "model": "sonata-large",
        "endpoint": "acompletion",
        "prompt": "Be brief.\nSolve: 17 * 23",
        "input_tokens": 212,
        "output_tokens": 1490,
        "status": 200,
        "latency_ms": 8123.0,
        "organization_id": "org_2",
        "prompt_template": None,
        "params": '{"stream":true,"temperature":0.7}',
        "system_prompt": "Be brief.",
        "end_user": "claimed-by-caller",
        "forwarded_for": None,
    }


@pytest.mark.parametrize(
    ("error", "status"),
    [({"error_code": "429"}, 429), ({"error_code": ""}, 0), (None, 0), ({"error_code": "weird"}, 0)],
)
def test_failure_has_the_error_code_as_its_status(tmp_path: Path, error: Any, status: int) -> None:
    record = {**STANDARD, "status": "failure", "error_information": error}
    assert load_row(write_lines(tmp_path / "log", record))["status"] == status


def test_key_without_owner_bills_its_team_then_itself_but_never_the_claimed_end_user(tmp_path: Path) -> None:
    team = {**STANDARD, "metadata": {**STANDARD["metadata"], "user_api_key_user_id": None}}
    alone = {**STANDARD, "metadata": {"user_api_key_hash": KEY}}
    nobody = {**STANDARD, "metadata": {}}
    checked = load_requests(write_lines(tmp_path / "log", team, alone, nobody))
    assert checked.table["account_id"].to_pylist() == ["team_5", KEY]
    assert [line for line, _ in checked.rejected] == [3]


def test_keys_that_whoever_runs_the_proxy_made_are_not_one_account(tmp_path: Path) -> None:
    admin, other = "default_user_id", KEY[::-1]
    standard = [
        {**STANDARD, "metadata": {"user_api_key_user_id": admin, "user_api_key_hash": key, **team}}
        for key, team in ((KEY, {}), (other, {}), (KEY, {"user_api_key_team_id": "team_5"}))
    ]
    spend = [
        {**SPEND, "user": admin, "metadata": {"user_api_key_user_id": admin}, "api_key": key, "team_id": team}
        for key, team in ((KEY, ""), (other, ""), (KEY, "team_5"), ("litellm_proxy_master_key", ""))
    ]
    owned = [KEY, other, "team_5"]
    assert load_requests(write_lines(tmp_path / "standard", *standard)).table["account_id"].to_pylist() == owned
    accounts = load_requests(write_lines(tmp_path / "spend", *spend)).table["account_id"].to_pylist()
    assert accounts == [*owned, "litellm_proxy_master_key"]
    keys = [
        {"token": key, "key_alias": "prod", "user_id": admin, "team_id": team}
        for key, team in ((KEY, ""), (other, None), (KEY, "team_5"))
    ]
    assert load_accounts(write_lines(tmp_path / "keys", *keys)).table["account_id"].to_pylist() == owned


def test_spendlogs_agree_between_json_array_and_csv_export(tmp_path: Path) -> None:
    bodies = [SPEND, {**SPEND, "request_id": "b", "messages": [{"role": "user", "content": 'say "a,\nb"'}]}]
    array = tmp_path / "array"
    array.write_text(json.dumps(bodies, indent=2))
    lines = load_requests(write_lines(tmp_path / "lines", *bodies))
    assert load_requests(array).table == lines.table
    assert load_requests(write_csv(tmp_path / "csv", *bodies)).table == lines.table
    assert lines.table["prompt"].to_pylist() == [None, 'say "a,\nb"']
    assert lines.table["model"].to_pylist() == ["sonata-large"] * 2
    assert lines.table["latency_ms"].to_pylist() == [8123.0] * 2


def test_spendlogs_take_prompt_and_parameters_from_the_kept_request(tmp_path: Path) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}], "temperature": 0, "metadata": {"x": 1}}
    row = load_row(write_lines(tmp_path / "log", {**SPEND, "proxy_server_request": {"body": body}}))
    assert (row["prompt"], row["params"]) == ("hi", '{"temperature":0}')


def test_spendlogs_without_zone_are_utc_and_need_no_note(tmp_path: Path) -> None:
    record = {**SPEND, "startTime": "2026-11-24 05:52:28.104", "endTime": "2026-11-24 05:52:29.104"}
    checked = load_requests(write_csv(tmp_path / "csv", {**record, "request_duration_ms": ""}))
    assert checked.table["timestamp"][0].as_py().isoformat() == "2026-11-24T05:52:28.104000+00:00"
    assert checked.table["latency_ms"].to_pylist() == [1000.0]
    assert not checked.notes


@pytest.mark.parametrize(
    ("model", "provider", "wanted"),
    [
        ("example/sonata", "example", "sonata"),
        ("meta/llama", "together", "meta/llama"),
        ("router/meta/llama", "router", "meta/llama"),
        ("example/sonata", None, "sonata"),
        ("sonata", None, "sonata"),
    ],
)
def test_model_loses_only_its_provider(tmp_path: Path, model: str, provider: str | None, wanted: str) -> None:
    record = {**SPEND, "model": model, "custom_llm_provider": provider}
    assert load_row(write_lines(tmp_path / "log", record))["model"] == wanted


def test_litellm_tables_are_account_records(tmp_path: Path) -> None:
    owner = {
        "user_id": "acct_0071",
        "user_email": "Ann@Mail.Example.ORG",
        "organization_id": "org_2",
        "created_at": "2026-11-01 09:14:02.000",
        "user_role": "internal_user",
    }
    key = {"token": KEY, "key_alias": "prod", "user_id": "acct_0071", "team_id": "", "organization_id": "org_2"}
    (row,) = load_accounts(write_csv(tmp_path / "users.csv", owner)).table.to_pylist()
    assert row["created_at"].isoformat() == "2026-11-01T09:14:02+00:00"
    assert (row["account_id"], row["organization_id"]) == ("acct_0071", "org_2")
    assert row["email_domain"] == "mail.example.org"
    (row,) = load_accounts(write_lines(tmp_path / "keys", key)).table.to_pylist()
    assert (row["account_id"], row["organization_id"], row["created_at"]) == ("acct_0071", "org_2", None)


def test_a_mail_address_never_passes_as_a_whole(tmp_path: Path) -> None:
    record = {"account_id": "a", "email_domain": "ann.smith@example.org", "plan": "free"}
    checked = load_accounts(write_lines(tmp_path / "accounts", record))
    assert checked.table["email_domain"].to_pylist() == ["example.org"]


def test_every_format_is_known_by_its_own_example(tmp_path: Path) -> None:
    examples = {
        "canonical": {"timestamp": "2026-11-24T05:52:28Z", "account_id": "a", "plan": "x"},
        "canonical-accounts": {"account_id": "a", "plan": "x"},
        "litellm-standard": STANDARD,
        "litellm-spendlogs": SPEND,
        "kong-consumers": {"id": "c", "custom_id": "a", "username": None, "created_at": 1674035962, "tags": None},
        "litellm-users": {"user_id": "a", "user_email": "a@b.example"},
        "cloudtrail": EVENT,
        "apim-llm": LLM_ROWS[0],
        "litellm-keys": {"token": KEY, "user_id": "a", "key_alias": "x"},
    }
    assert set(examples) | set(GATEWAY_EXAMPLES) == {form.name for form in known_formats()}
    assert format_names()[0] == "auto"
    for name, record in examples.items():
        fitting = [form.name for form in known_formats() if form.marks and not form.missing_marks(record)]
        assert fitting == [name]
        raw = read_raw(write_lines(tmp_path / name, record))
        assert raw.format_name == name


def test_half_unknown_records_do_not_hide_the_format() -> None:
    samples = [["timestamp", "account_id"], ["timestamp", "account_id"], ["message"]]
    assert recognise(samples, where="log").name == "canonical"
    with pytest.raises(FormatError):
        recognise([*samples, ["message"], ["message"]], where="log")


def test_refusal_names_the_fields_found_the_nearest_format_and_what_to_do() -> None:
    with pytest.raises(FormatError) as failure:
        recognise([["ts", "account_id", "ip"]], where="requests.jsonl", kind="requests")
    message = str(failure.value)
    assert message.startswith("requests.jsonl: wanted request records")
    assert "Found fields: account_id, ip, ts" in message
    assert "nearest is canonical, which misses timestamp" in message
    assert "--map" in message


def test_unknown_account_records_are_told_what_helps_them() -> None:
    with pytest.raises(FormatError, match="Give it without --accounts, and say where the fields are with --map"):
        recognise([["id", "since"]], where="accounts.csv", kind="accounts")


def test_account_records_among_logs_are_told_apart() -> None:
    with pytest.raises(FormatError, match="Pass it with --accounts"):
        recognise([["account_id", "plan"]], where="a.csv", kind="requests")
    with pytest.raises(FormatError, match="Pass it without --accounts"):
        recognise([["account_id", "timestamp"]], where="a.csv", kind="accounts")


def test_unknown_format_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"found 'litelm'\. Names: auto, canonical"):
        format_named("litelm")
