"""Second logs complete requests: CloudTrail those of Bedrock, API Management those of Azure OpenAI, in any order."""

from __future__ import annotations

import copy
import gzip
import itertools
import json
import random
import re
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from test_gateway_formats import ODD_VALUES, changed, paths_of

import linkage as lk
from linkage.cli import main
from linkage.errors import FormatError, MappingError, RejectedShareError
from linkage.intake.catalogue import recognise
from linkage.intake.files import read_raw
from linkage.intake.formats import apim_llm
from linkage.intake.mapping import mapping_from
from linkage.intake.records import CheckedCompanions, check_companions
from linkage.store.doctor import examine

Tables = dict[str, list[tuple[Any, ...]]]

LEDGER = {"source_file", "rejected", "input_state", "past_template"}
QUESTION = "Grade the essay about rivers and say in one line why it deserves that: number {}"

EVENT: dict[str, Any] = {
    "eventVersion": "1.09",
    "userIdentity": {"type": "AssumedRole", "arn": "arn:aws:sts::111122223333:assumed-role/gw/acct_0071"},
    "eventTime": "2026-11-24T05:52:28Z",
    "eventSource": "bedrock.amazonaws.com",
    "eventName": "Converse",
    "awsRegion": "us-east-1",
    "sourceIPAddress": "203.0.113.7",
    "userAgent": "Boto3/1.40.1 md/Botocore#1.40.1 lang/python#3.12.1",
    "requestParameters": {"modelId": "example.sonata-v1:0"},
    "responseElements": None,
    "requestID": "915a6a04-3f83-4c70-a277-7fbf7ea546b3",
    "eventID": "419e15ca-2097-4190-a233-678415ed9a4f",
    "eventType": "AwsApiCall",
    "tlsDetails": {"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256"},
}
OTHERS: tuple[dict[str, Any], ...] = (
    {**EVENT, "eventSource": "s3.amazonaws.com", "eventName": "GetObject", "requestID": "s3"},
    {**EVENT, "eventName": "ListFoundationModels", "requestID": "listed"},
    {**EVENT, "eventSource": "bedrock.amazonaws.com", "eventName": "CreateGuardrail", "requestID": "other"},
)

LLM_ROWS: tuple[dict[str, Any], ...] = (
    {
        "TimeGenerated": "2026-11-24T05:52:28.1040000Z",
        "CorrelationId": "9d3a6e98-fc11-48d0-82cf-4de065c1a1f8",
        "SequenceNumber": 0,
        "DeploymentName": "chat-prod",
        "ModelName": "sonata-large",
        "PromptTokens": 212,
        "CompletionTokens": 1490,
        "TotalTokens": 1702,
        "Type": "ApiManagementGatewayLlmLog",
    },
    {
        "TimeGenerated": "2026-11-24T05:52:28.1040000Z",
        "CorrelationId": "9d3a6e98-fc11-48d0-82cf-4de065c1a1f8",
        "SequenceNumber": 1,
        "PromptTokens": 0,
        "CompletionTokens": 0,
        "TotalTokens": 0,
        "RequestMessages": json.dumps(
            [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
        ),
    },
    {
        "TimeGenerated": "2026-11-24T05:52:28.1040000Z",
        "CorrelationId": "9d3a6e98-fc11-48d0-82cf-4de065c1a1f8",
        "SequenceNumber": 2,
        "PromptTokens": 0,
        "CompletionTokens": 0,
        "TotalTokens": 0,
        "ResponseMessages": json.dumps([{"role": "assistant", "content": "Because."}]),
    },
)


def write(path: Path, records: Iterable[Any]) -> Path:
    text = "".join(json.dumps(record) + "\n" for record in records).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def read(path: Path, **how: Any) -> CheckedCompanions:
    raw = read_raw(path, **how)
    (batch,) = raw.batches
    assert raw.kind == "companions"
    return check_companions(batch, raw.format)


def told(checked: CheckedCompanions) -> list[dict[str, Any]]:
    rows = [{name: value for name, value in row.items() if value is not None} for row in checked.table.to_pylist()]
    return [{**row, "timestamp": row["timestamp"].isoformat()} for row in rows]


def at(number: int) -> str:
    return f"2026-11-{20 + number // 24:02d}T{number % 24:02d}:15:{number % 60:02d}Z"


def bedrock(numbers: Iterable[int]) -> list[dict[str, Any]]:
    return [
        {
            "schemaType": "ModelInvocationLog",
            "timestamp": at(number),
            "identity": {"arn": f"arn:aws:sts::111122223333:assumed-role/gw/acct_{number % 5}"},
            "requestId": f"req-{number}",
            "operation": "Converse",
            "modelId": "example.sonata-v1:0",
            "input": {"inputBodyJson": {"messages": [{"role": "user", "content": QUESTION.format(number)}]}},
            "output": {"outputTokenCount": 7 + number},
        }
        for number in numbers
    ]


def events(numbers: Iterable[int]) -> list[dict[str, Any]]:
    return [
        {
            **EVENT,
            "eventTime": at(number),
            "requestID": f"req-{number}",
            "userIdentity": {"arn": f"arn:aws:sts::111122223333:assumed-role/gw/acct_{number % 5}"},
            "sourceIPAddress": f"203.0.113.{number % 7}",
            "userAgent": f"Boto3/1.{number % 3}",
        }
        for number in numbers
    ]


def trail(path: Path, numbers: Iterable[int]) -> Path:
    return write(path, [{"Records": [*events(numbers), *OTHERS]}])


def azure(numbers: Iterable[int]) -> list[dict[str, Any]]:
    return [
        {
            "callerIpAddress": "203.0.113.***",
            "category": "RequestResponse",
            "correlationId": f"corr-{number}",
            "durationMs": 800 + number,
            "operationName": "ChatCompletions_Create",
            "properties": json.dumps({"objectId": f"acct_{number % 5}", "modelName": "sonata-large"}),
            "resultSignature": "200",
            "time": at(number),
        }
        for number in numbers
    ]


def llm(numbers: Iterable[int]) -> list[dict[str, Any]]:
    rows = [copy.deepcopy(row) for number in numbers for row in LLM_ROWS for row in [{**row, "number": number}]]
    for row in rows:
        number = row.pop("number")
        row |= {"CorrelationId": f"corr-{number}", "TimeGenerated": at(number)}
        if "RequestMessages" in row:
            row["RequestMessages"] = json.dumps([{"role": "user", "content": QUESTION.format(number)}])
        if row.get("DeploymentName"):
            row |= {"PromptTokens": 40 + number, "CompletionTokens": 7 + number}
    return rows


def dump(path: Path, *, without: Sequence[str] = ()) -> Tables:
    """Every row of every table but the ledger of files; of templates not their text, which may differ."""
    with sqlite3.connect(path) as connection:
        names = [row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")]
        names = [name for name in names if name not in {*LEDGER, *without} and not name.startswith("sqlite_")]
        tables = {name: sorted(connection.execute(f"select * from {name}"), key=repr) for name in names}  # noqa: S608
        tables["template"] = sorted(connection.execute("select id, name, prompts from template"))
    connection.close()
    return tables


def load(path: Path, *nights: Sequence[Path], **how: Any) -> Tables:
    with lk.open_store(path) as store:
        for files in nights:
            result = store.ingest(*files, **how)
            assert not result.failed
    return dump(path)


def requests(path: Path, columns: str) -> list[tuple[Any, ...]]:
    """Columns of the stored requests in the order of time, ids as what they stand for."""
    with sqlite3.connect(path) as connection:
        names = dict(connection.execute("select id, value from entity"))
        connection.row_factory = sqlite3.Row
        rows = connection.execute("select * from request order by at_ms, key").fetchall()
    connection.close()
    of_names = ("ip_id", "ip_prefix_id", "client_id")
    return [tuple(names.get(row[name]) if name in of_names else row[name] for name in columns.split()) for row in rows]


def test_a_trail_tells_from_where_and_with_what_a_model_was_called(tmp_path: Path) -> None:
    checked = read(write(tmp_path / "trail.json.gz", [{"Records": [EVENT, *OTHERS]}]))
    assert told(checked) == [
        {
            "timestamp": "2026-11-24T05:52:28+00:00",
            "request_id": "915a6a04-3f83-4c70-a277-7fbf7ea546b3",
            "account_id": "arn:aws:sts::111122223333:assumed-role/gw/acct_0071",
            "ip": "203.0.113.7",
            "user_agent": "Boto3/1.40.1 md/Botocore#1.40.1 lang/python#3.12.1",
        }
    ]
    assert checked.notes == {
        ("record", "left out: an event of another service, or no request to a model"): 3,
    }
    assert not checked.rejected


@pytest.mark.parametrize("call", ["InvokeModel", "InvokeModelWithResponseStream", "Converse", "ConverseStream"])
def test_every_call_of_a_model_counts(call: str, tmp_path: Path) -> None:
    assert len(told(read(write(tmp_path / "trail", [{**EVENT, "eventName": call}])))) == 1


@pytest.mark.parametrize(
    "wrapped",
    [
        [{"Records": [EVENT]}],
        [EVENT],
        [{"logEvents": [{"message": json.dumps(EVENT)}]}],
        [{"@timestamp": "2026-11-24 05:52:28.000", "@message": json.dumps(EVENT)}],
    ],
)
def test_a_trail_is_known_however_it_was_exported(wrapped: list[Any], tmp_path: Path) -> None:
    path = write(tmp_path / "trail", wrapped)
    assert read_raw(path).format_name == "cloudtrail"
    assert [row["ip"] for row in told(read(path))] == ["203.0.113.7"]
    indented = tmp_path / "indented"
    indented.write_text(json.dumps(wrapped[0], indent=2), encoding="utf-8")
    assert [row["ip"] for row in told(read(indented))] == ["203.0.113.7"]


def test_a_trail_in_one_line_that_is_too_long_says_which_setting_lets_it_in(tmp_path: Path) -> None:
    padded = [{**event, "requestParameters": {"more": "x" * 2_000_000}} for event in events([1, 2])]
    path = write(tmp_path / "trail.json.gz", [{"Records": padded}])
    with lk.open_store(tmp_path / "s.db") as store:
        (file,) = store.ingest(path, settings={"ingest": {"line_bytes": 1_000_000}}).files
        assert "wanted lines of at most 1,000,000 bytes; its first is longer. Raise [ingest]" in str(file.error)
        assert store.ingest(path).kept == 2


def test_a_service_that_calls_is_nobodys_client(tmp_path: Path) -> None:
    named = {"sourceIPAddress": "athena.amazonaws.com", "userAgent": "athena.amazonaws.com"}
    checked = read(write(tmp_path / "trail", [{**EVENT, **named}]))
    assert set(told(checked)[0]) == {"timestamp", "request_id", "account_id"}
    assert [field for field, _ in checked.notes] == ["ip"]


def test_broken_events_are_set_aside_each_with_its_kind_and_the_rest_goes_on(tmp_path: Path) -> None:
    broken: list[Any] = [
        {**EVENT, "requestID": None},
        {**EVENT, "requestID": ["x"]},
        {**EVENT, "eventTime": 1795499548},
        {**EVENT, "eventSource": 5},
        {key: value for key, value in EVENT.items() if key != "eventName"},
        "no event",
        {**EVENT, "userIdentity": "me", "userAgent": {"name": "x"}, "sourceIPAddress": 7},
    ]
    checked = read(write(tmp_path / "trail", [EVENT, *broken[:5], broken[6], {"Records": [broken[5], EVENT]}]))
    assert [(line, reason.partition(";")[0]) for line, reason in checked.rejected] == [
        (2, "request_id is missing"),
        (3, "request_id: an id must be text"),
        (4, "timestamp: a bare number is no time: give ISO 8601 text, or the unit in a mapping file"),
        (5, "no CloudTrail event: eventSource or eventName is missing, or is no text"),
        (6, "no CloudTrail event: eventSource or eventName is missing, or is no text"),
        (8, "no CloudTrail event: eventSource or eventName is missing, or is no text"),
    ]
    assert [row.get("ip") for row in told(checked)] == ["203.0.113.7", None, "203.0.113.7"]
    assert {field for field, _ in checked.notes} == {"ip", "user_agent"}


def test_rows_of_one_request_are_put_together_in_whatever_order_they_stand(tmp_path: Path) -> None:
    wanted = [
        {
            "timestamp": "2026-11-24T05:52:28.104000+00:00",
            "request_id": "9d3a6e98-fc11-48d0-82cf-4de065c1a1f8",
            "prompt": "Be brief.\nWhy?",
            "system_prompt": "Be brief.",
            "input_tokens": 212,
            "output_tokens": 1490,
        }
    ]
    for number, rows in enumerate(itertools.permutations(LLM_ROWS)):
        assert told(read(write(tmp_path / f"rows-{number}", [*rows, *rows]))) == wanted
    table = tmp_path / "rows.csv"
    names = sorted({name for row in LLM_ROWS for name in row})
    lines = [names, *([str(row.get(name, "")).replace('"', '""') for name in names] for row in LLM_ROWS)]
    table.write_text("".join(",".join(f'"{cell}"' for cell in line) + "\n" for line in lines), encoding="utf-8")
    assert told(read(table)) == wanted


def test_messages_may_be_lists_and_may_go_on_in_the_next_row(tmp_path: Path) -> None:
    text = json.dumps([{"role": "user", "content": "one two three"}])
    pieces = [
        {**LLM_ROWS[1], "SequenceNumber": place, "RequestMessages": text[start : start + 20]}
        for place, start in enumerate(range(0, len(text), 20), start=1)
    ]
    lists = [
        {**LLM_ROWS[1], "SequenceNumber": place, "RequestMessages": [{"role": "user", "content": word}]}
        for place, word in enumerate(["one", "two"], start=1)
    ]
    assert len(pieces) == 3
    assert told(read(write(tmp_path / "pieces", pieces)))[0]["prompt"] == "one two three"
    assert told(read(write(tmp_path / "lists", lists)))[0]["prompt"] == "one\ntwo"


@pytest.mark.parametrize("missing", [0, 1])
def test_a_prompt_of_which_a_row_is_missing_or_that_was_cut_is_dropped_and_its_tokens_stay(
    missing: int, tmp_path: Path
) -> None:
    text = json.dumps([{"role": "user", "content": "one two three"}])
    pieces = [
        {**LLM_ROWS[1], "SequenceNumber": place + 1, "RequestMessages": text[20 * place : 20 * place + 20]}
        for place in range(3)
    ]
    del pieces[missing]
    for number, asked in enumerate([pieces, [{**LLM_ROWS[1], "RequestMessages": text[:30]}]]):
        checked = read(write(tmp_path / f"rows-{number}", [LLM_ROWS[0], *asked]))
        assert ("prompt" in told(checked)[0], told(checked)[0]["input_tokens"]) == (False, 212)
        assert checked.notes == {("prompt", "messages cut short, or not all of their rows in one file"): 1}


def test_tokens_on_rows_of_messages_are_none(tmp_path: Path) -> None:
    (row,) = told(read(write(tmp_path / "rows", LLM_ROWS[1:])))
    assert {"input_tokens", "output_tokens"} & set(row) == set()
    named = [{**each, "ModelName": "sonata", "SequenceNumber": 2 - each["SequenceNumber"]} for each in LLM_ROWS]
    (row,) = told(read(write(tmp_path / "named", named)))
    assert (row["input_tokens"], row["output_tokens"]) == (212, 1490)
    refused = {**LLM_ROWS[0], "PromptTokens": 0, "CompletionTokens": 0, "TotalTokens": 0}
    (row,) = told(read(write(tmp_path / "refused", [refused])))
    assert (row["input_tokens"], row["output_tokens"]) == (0, 0)


def test_broken_rows_are_set_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    broken = [
        {**LLM_ROWS[0], "CorrelationId": None},
        {**LLM_ROWS[0], "SequenceNumber": "first"},
        {**LLM_ROWS[0], "SequenceNumber": 1.5, "rows": 5},
        {**LLM_ROWS[0], "CorrelationId": "x", "TimeGenerated": "yesterday"},
        {**LLM_ROWS[0], "CorrelationId": "y", "PromptTokens": "many", "CompletionTokens": -1},
    ]
    checked = read(write(tmp_path / "rows", [*broken, *LLM_ROWS]))
    assert [line for line, _ in checked.rejected] == [1, 2, 3, 4]
    assert [reason.partition(" ")[0] for _, reason in checked.rejected] == [
        "CorrelationId",
        "SequenceNumber",
        "SequenceNumber",
        "timestamp:",
    ]
    assert [row.get("input_tokens") for row in told(checked)] == [None, 212]


def test_of_too_many_open_requests_the_oldest_are_given_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apim_llm, "REQUESTS_HELD", 2)
    rows = [{**row, "CorrelationId": f"c{number}"} for row in LLM_ROWS[:2] for number in range(4)]
    found = told(read(write(tmp_path / "rows", rows)))
    assert len(found) == 8
    halves = [{**row, "requestId": row["request_id"]} for row in found]
    assert {row["request_id"] for row in halves if "prompt" in row} == {f"c{number}" for number in range(4)}
    path, whole = tmp_path / "halves.db", tmp_path / "whole.db"
    for name, given in (("halves", rows), ("whole", sorted(rows, key=lambda row: str(row["CorrelationId"])))):
        logs = [{**each, "correlationId": f"c{number}"} for number, each in enumerate(azure(range(4)))]
        load(tmp_path / f"{name}.db", [write(tmp_path / name, given), write(tmp_path / f"{name}-requests", logs)])
    assert dump(path) == dump(whole)


def test_the_example_lines_in_the_documentation_meet_their_requests(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs/formats.md").read_text(encoding="utf-8")
    examples = dict(re.findall(r"\*\*([a-z-]+)\*\*[^\n]*(?:\n[^`\n*#][^\n]*)*\n*```json\n(.*?)\n```", text, re.DOTALL))
    for name, completed in (("cloudtrail", "bedrock"), ("apim-llm", "azure-openai")):
        with lk.open_store(tmp_path / f"{name}.db") as store:
            for each in (completed, name):
                (tmp_path / each).write_text(examples[each] + "\n", encoding="utf-8")
            result = store.ingest(tmp_path / completed, tmp_path / name)
            assert (result.met, result.waiting) == (1, 0)


@pytest.mark.parametrize("given", [{"Records": [EVENT, EVENT]}, *LLM_ROWS], ids=["trail", "tokens", "asked", "answer"])
def test_no_odd_value_breaks_the_reading_of_a_companion(given: dict[str, Any], tmp_path: Path) -> None:
    lines = [changed(given, path, value) for path in paths_of(given) for value in ODD_VALUES]
    path = write(tmp_path / "log", [given, *lines, given])
    with lk.open_store(tmp_path / "s.db") as store:
        name = "cloudtrail" if "Records" in given else "apim-llm"
        (file,) = store.ingest(path, format=name, settings={"ingest": {"rejected_share": 1.0}}).files
    assert file.error is None
    assert file.kept > 0


class Logs:
    """Files of both providers: requests 0 to 59, and what second logs tell of 20 to 69."""

    def __init__(self, folder: Path) -> None:
        self.bedrock = [write(folder / f"b{n}.json.gz", bedrock(range(30 * n, 30 * n + 30))) for n in range(2)]
        self.trail = [trail(folder / f"t{n}.json.gz", range(20 + 10 * n, 30 + 10 * n)) for n in range(5)]
        self.azure = [write(folder / f"a{n}.json", azure(range(30 * n, 30 * n + 30))) for n in range(2)]
        self.llm = [write(folder / f"l{n}.json", llm(range(20 + 10 * n, 30 + 10 * n))) for n in range(5)]

    @property
    def requests(self) -> list[Path]:
        return [*self.bedrock, *self.azure]

    @property
    def companions(self) -> list[Path]:
        return [*self.trail, *self.llm]


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    folder = tmp_path / "logs"
    folder.mkdir()
    return Logs(folder)


def test_any_order_on_one_night_or_on_several_gives_the_same_store(logs: Logs, tmp_path: Path) -> None:
    wanted = load(tmp_path / "wanted.db", [*logs.requests, *logs.companions])
    assert len(wanted["companion"]) == 100
    orders = {
        "companions first": [[*logs.companions, *logs.requests]],
        "two nights": [logs.requests, logs.companions],
        "two nights, companions first": [logs.companions, logs.requests],
        "one file a night": [[file] for file in random.Random(3).sample([*logs.requests, *logs.companions], 14)],
    }
    for name, nights in orders.items():
        assert load(tmp_path / f"{name}.db", *nights) == wanted, name


def test_what_is_completed_counts_as_if_one_log_had_told_all(logs: Logs, tmp_path: Path) -> None:
    whole = []
    for number, record in enumerate(bedrock(range(60))):
        given = events([number])[0] if number >= 20 else {}
        arn = record["identity"]["arn"]
        whole.append(
            {
                "timestamp": record["timestamp"],
                "request_id": record["requestId"],
                "account_id": arn,
                "api_key_id": arn.rpartition("/")[2],
                "model": record["modelId"],
                "endpoint": "Converse",
                "prompt": QUESTION.format(number),
                "output_tokens": 7 + number,
                "status": 200,
                "ip": given.get("sourceIPAddress"),
                "user_agent": given.get("userAgent"),
            }
        )
    for number, record in enumerate(azure(range(60))):
        more = {"prompt": QUESTION.format(number), "input_tokens": 40 + number, "output_tokens": 7 + number}
        whole.append(
            {
                "timestamp": record["time"],
                "request_id": record["correlationId"],
                "account_id": f"acct_{number % 5}",
                "ip": "203.0.113.***",
                "model": "sonata-large",
                "endpoint": "ChatCompletions_Create",
                "status": 200,
                "latency_ms": 800 + number,
                **(more if number >= 20 else {}),
            }
        )
    files = [write(tmp_path / f"whole{n}", whole[60 * n : 60 * n + 60]) for n in range(2)]
    with lk.open_store(tmp_path / "whole.db") as store:
        store.ingest(files[0], source="bedrock")
        store.ingest(files[1], source="azure-openai")
    wanted = dump(tmp_path / "whole.db", without=["request", "companion", "entity", "prompt"])
    asked = "key at_ms ip_id ip_prefix_id client_id prompt_id input_tokens output_tokens"
    for name, nights in (("late", [logs.requests, logs.companions]), ("early", [logs.companions, logs.requests])):
        path = tmp_path / f"{name}.db"
        load(path, *nights)
        found = dump(path, without=["request", "companion", "entity", "prompt"])
        assert found == wanted
        assert requests(path, asked) == requests(tmp_path / "whole.db", asked)


def test_a_first_load_of_one_file_takes_what_waited(logs: Logs, tmp_path: Path) -> None:
    one = write(tmp_path / "one.json", azure(range(60)))
    load(tmp_path / "first.db", logs.llm, [one])
    load(tmp_path / "later.db", [one], logs.llm)
    assert dump(tmp_path / "first.db") == dump(tmp_path / "later.db")
    assert requests(tmp_path / "first.db", "input_tokens output_tokens")[59] == (99, 66)


def test_large_files_are_read_by_a_process_beside_and_give_the_same(
    logs: Logs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [*logs.bedrock, *logs.trail, *logs.llm, *logs.azure]
    wanted = load(tmp_path / "one.db", files)
    monkeypatch.setattr("linkage.engines.local._BESIDE_BYTES", 1)
    assert load(tmp_path / "two.db", files) == wanted


def test_repeated_loads_change_nothing(logs: Logs, tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with lk.open_store(path) as store:
        first = store.ingest(*logs.requests, *logs.companions)
        before = dump(path)
        assert (first.kept, first.met, first.waiting, first.aged_out) == (220, 80, 20, 0)
        again = store.ingest(*logs.companions, *logs.requests)
        assert (again.kept, again.met, again.seen_before, again.waiting) == (0, 0, 220, 20)
        # The same records in other bytes: not even the ledger knows them.
        trails = write(tmp_path / "other.json", [{"Records": [*events(range(25, 45)), *events(range(25, 35))]}])
        rows = write(tmp_path / "other-rows.json", reversed(llm(range(25, 45))))
        other = store.ingest(trails, rows)
        assert (other.kept, other.seen_before, other.met) == (0, 50, 0)
        revision = store._database.revision()
        assert revision[0] == revision[1]
    assert dump(path) == before


def test_a_rebuild_sees_what_companions_told_and_nothing_else_is_new(logs: Logs, tmp_path: Path) -> None:
    with lk.open_store(tmp_path / "s.db") as store:
        store.ingest(*logs.requests)
        bare = lk.rebuild(store)
        store.ingest(*(trail(tmp_path / "strange.json", range(500, 520)),))
        assert lk.rebuild(store).run_id == bare.run_id  # what waits is no input
        store.ingest(*logs.companions)
        full = lk.rebuild(store)
        assert full.run_id != bare.run_id
        coverage = store.coverage.set_index("field")["present"]
        assert (coverage["client"], coverage["input_tokens"]) == (40, 40)
    with lk.open_store(tmp_path / "t.db") as other:
        other.ingest(*logs.companions, *logs.requests)
        assert lk.rebuild(other).run_id == full.run_id


def test_a_requests_own_values_stay(tmp_path: Path) -> None:
    own = {"timestamp": at(1), "account_id": "a", "request_id": "req-1", "ip": "198.51.100.9"}
    log = write(tmp_path / "own.json", [own])
    events_of_it = trail(tmp_path / "trail.json", [1])
    for name, nights in (("late", [[log], [events_of_it]]), ("early", [[events_of_it], [log]])):
        path = tmp_path / f"{name}.db"
        load(path, *nights, source="gateway")
        assert requests(path, "ip_id ip_prefix_id client_id") == [("198.51.100.9", "198.51.100.0/24", "Boto3/1.1")]
    assert dump(tmp_path / "late.db") == dump(tmp_path / "early.db")


def test_a_masked_address_is_an_address(tmp_path: Path) -> None:
    masked = {"timestamp": at(1), "account_id": "a", "request_id": "req-1", "ip": "198.51.100.***"}
    path = tmp_path / "s.db"
    load(path, [write(tmp_path / "own.json", [masked]), trail(tmp_path / "trail.json", [1])], source="gateway")
    assert requests(path, "ip_id ip_prefix_id") == [(None, "198.51.100.0/24")]


def test_records_and_companions_that_contradict_each_other_end_the_same_in_any_order(tmp_path: Path) -> None:
    one, other = bedrock([1])[0], {**bedrock([1])[0], "output": {"outputTokenCount": 99}}
    seen, moved = events([1])[0], {**events([1])[0], "sourceIPAddress": "192.0.2.77", "userAgent": "curl/8.1"}
    files = [
        write(tmp_path / f"{place}.json", [record])
        for place, record in enumerate([one, other, {"Records": [seen]}, {"Records": [moved]}])
    ]
    found = [
        load(tmp_path / f"{number}.db", *([file] for file in order))
        for number, order in enumerate(itertools.permutations(files))
    ]
    assert len(found) == 24
    assert all(each == found[0] for each in found)
    with lk.open_store(tmp_path / "s.db") as store:
        store.ingest(*files[:3])
        result = store.ingest(files[3])
        assert [file.conflicting for file in result.files] == [1]


SHARED: dict[str, list[Any]] = {
    "ip": ["203.0.113.1", "203.0.113.2", "198.51.100.***", None],
    "user_agent": ["curl/8", "Boto3/1", None],
    "prompt": ["tell me of one bird", "tell me of two birds", None],
    "input_tokens": [0, 5, None],
    "output_tokens": [3, 9, None],
}


@pytest.mark.parametrize("seed", range(8))
def test_whatever_requests_and_companions_tell_and_lack_the_order_of_loading_says_nothing(
    seed: int, tmp_path: Path
) -> None:
    mapping = tmp_path / "map.toml"
    fields = "".join(f'{name} = "{name}"\n' for name in ("timestamp", "request_id", "account_id", *SHARED))
    mapping.write_text(f'[file]\nkind = "companions"\ncompletes = "canonical"\n[fields]\n{fields}', encoding="utf-8")
    draw, given = random.Random(seed), []
    for how in [*[{}] * draw.randint(1, 4), *[{"map": mapping}] * draw.randint(1, 5)]:
        number = draw.randrange(3)
        own = {"timestamp": at(number), "request_id": f"r{number}", "account_id": f"a{number % 2}"}
        given.append((how, {**own, **{name: draw.choice(values) for name, values in SHARED.items()}}))
    found = []
    for turn in range(2):
        path = tmp_path / f"{turn}.db"
        with lk.open_store(path) as store:
            for place, (how, record) in enumerate(draw.sample(given, len(given))):
                assert not store.ingest(write(tmp_path / f"{turn}-{place}", [record]), **how).failed
        # A prompt that was taken first and then lost to another stays, and may be mined.
        mined = ("prompt", "prompt_template", "template", "entity", "prompt_day", "item_day", "work_day")
        tables = dump(path, without=mined)
        del tables["template"]
        found.append({**tables, "companion": [row[:10] for row in tables["companion"]]})
    assert found[0] == found[1]


def test_what_is_told_of_a_request_in_two_files_is_put_together(tmp_path: Path) -> None:
    log = write(tmp_path / "log.json", azure([1]))
    tokens, asked = (write(tmp_path / f"{n}.json", [llm([1])[n]]) for n in range(2))
    found = [
        load(tmp_path / f"{n}.db", *([file] for file in order))
        for n, order in enumerate(itertools.permutations([log, tokens, asked]))
    ]
    assert all(each == found[0] for each in found)
    assert requests(tmp_path / "0.db", "input_tokens output_tokens") == [(41, 8)]
    with lk.open_store(tmp_path / "s.db") as store:
        result = store.ingest(tokens, asked)
        assert [(file.kept, file.conflicting) for file in result.files] == [(1, 0), (1, 0)]


def test_a_request_that_comes_again_with_more_keeps_what_its_companion_told(tmp_path: Path) -> None:
    short = bedrock([1])[0]
    del short["input"]
    files = [
        write(tmp_path / "a.json", [short]),
        trail(tmp_path / "t.json", [1]),
        write(tmp_path / "b.json", bedrock([1])),
    ]
    for number, order in enumerate(itertools.permutations(files)):
        path = tmp_path / f"{number}.db"
        load(path, *([file] for file in order))
        assert requests(path, "ip_id client_id") == [("203.0.113.1", "Boto3/1.1")]
        with sqlite3.connect(path) as connection:
            used = connection.execute("select count(*) from entity_use join entity on id = entity_id where kind = 'ip'")
            assert used.fetchone() == (1,)
        connection.close()


@pytest.mark.parametrize("first", ["requests", "companions"])
def test_nothing_raw_is_stored_where_pseudonyms_are_asked_for(first: str, logs: Logs, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a secret of the tests, 32 bytes long")
    place = tmp_path / "place"
    place.mkdir()
    nights = [logs.requests, logs.companions]
    load(place / "s.db", *(nights if first == "requests" else reversed(nights)), pseudonymize=key)
    held = b"".join(path.read_bytes() for path in place.iterdir())
    assert [
        word
        for word in (b"203.0.113", b"Boto3", b"essay about rivers and say in one line why it deserves that: number 2")
        if word in held
    ] == []
    values = requests(place / "s.db", "ip_id ip_prefix_id client_id")
    assert {value[:3] for row in values for value in row if value} == {"ip-", "ip_", "cli"}
    assert len({row[0] for row in values if row[0]}) == 7
    assert len({row[1] for row in values if row[1]}) == 1  # the masked addresses of Azure are of the same prefix


@pytest.mark.parametrize("first", ["requests", "companions"])
@pytest.mark.parametrize("keeps", [False, True])
def test_prompts_are_kept_only_where_it_is_asked_for(keeps: bool, first: str, logs: Logs, tmp_path: Path) -> None:
    nights = [logs.azure, logs.llm]
    path = tmp_path / "s.db"
    load(path, *(nights if first == "requests" else reversed(nights)), keep_prompts=keeps)
    with sqlite3.connect(path) as connection:
        kept = connection.execute("select count(text), count(*) from prompt").fetchone()
        waiting = connection.execute("select count(text), count(features), count(*) from companion").fetchone()
    connection.close()
    assert kept == (40 if keeps else 0, 40)
    assert waiting == (10 if keeps else 0, 10, 50)


def test_templates_of_prompts_that_companions_told_read_well_on_one_night_in_either_order(
    logs: Logs, tmp_path: Path
) -> None:
    for name, files in (("late", [*logs.azure, *logs.llm]), ("early", [*logs.llm, *logs.azure])):
        with lk.open_store(tmp_path / f"{name}.db") as store:
            store.ingest(*files)
            assert store.templates["text"].tolist() == [
                "Grade the essay about rivers and say in one line why it deserves that: number <*>"
            ]


def companions_of(path: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("select at_ms, taken is null from companion order by at_ms").fetchall()
    connection.close()
    return rows


def test_what_waits_is_let_go_when_the_requests_are_so_far_ahead(tmp_path: Path) -> None:
    path, short = tmp_path / "s.db", {"ingest": {"companion_days": 1}}
    with lk.open_store(path) as store:
        result = store.ingest(trail(tmp_path / "t.json", range(0, 96)), settings=short)
        assert (result.waiting, result.aged_out) == (96, 0)  # no request has passed them
        result = store.ingest(write(tmp_path / "b.json", bedrock([60])), settings=short)
        assert (result.met, result.waiting, result.aged_out) == (1, 47, 48)  # those of the days before that request's
        assert store.ingest(trail(tmp_path / "u.json", [3]), settings=short).aged_out == 1
        assert store.ingest(write(tmp_path / "c.json", bedrock([3])), settings=short).met == 0
        findings = examine(store._database)
        found = findings.loc[findings["check"] == "companions", "found"].tolist()
        assert [words.split(" of ")[0] for words in found] == ["47 records", "49 records"]
    assert len(companions_of(path)) == 48
    assert "203.0.113.3" in str(dump(path)["entity"])
    patient = tmp_path / "patient.db"
    with lk.open_store(patient) as store:
        store.ingest(tmp_path / "t.json")
        assert store.ingest(tmp_path / "b.json").aged_out == 0
        assert store.ingest(tmp_path / "c.json").met == 1


def test_what_was_let_go_comes_back_when_it_may_wait_longer_and_not_after_a_purge(tmp_path: Path) -> None:
    files = trail(tmp_path / "t.json", range(0, 5)), write(tmp_path / "b.json", bedrock([90]))
    with lk.open_store(tmp_path / "s.db") as store:
        short, long = ({"ingest": {"companion_days": days}} for days in (1, 20))
        assert store.ingest(*files, settings=short).aged_out == 5
        again = store.ingest(files[0], settings=short)
        assert (again.kept, again.waiting, again.aged_out) == (0, 0, 0)  # known
        assert store.ingest(files[0], settings=long).waiting == 5
        assert store.ingest(files[0], settings=long).files[0].is_known
        store.purge(account="arn:aws:sts::111122223333:assumed-role/gw/acct_1")
        longer = store.ingest(files[0], settings={"ingest": {"companion_days": 90}})
        assert (longer.kept, longer.waiting) == (0, 4)


def test_what_is_let_go_leaves_no_address_behind(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    strange = {**events([2])[0], "sourceIPAddress": "198.51.100.200", "userAgent": "only-here/1"}
    with lk.open_store(path) as store:
        store.ingest(write(tmp_path / "t.json", [{"Records": [strange, *events([1, 60])]}]))
        assert "only-here" in str(dump(path)["entity"])
        store.ingest(write(tmp_path / "b.json", bedrock([1, 60])), settings={"ingest": {"companion_days": 1}})
    values = {row[2] for row in dump(path)["entity"]}
    assert {"203.0.113.1", "203.0.113.4"} <= values  # those of requests stay, though their companions are gone
    assert not {"198.51.100.200", "198.51.100.0/24", "only-here/1"} & values
    assert len(companions_of(path)) == 1


def test_of_too_many_that_wait_the_oldest_are_let_go(tmp_path: Path) -> None:
    with lk.open_store(tmp_path / "s.db") as store:
        few = {"ingest": {"companions_waiting": 10}}
        result = store.ingest(trail(tmp_path / "t.json", range(0, 40)), settings=few)
        assert (result.waiting, result.aged_out) == (10, 30)
        assert store.ingest(write(tmp_path / "b.json", bedrock(range(0, 40))), settings=few).met == 10
    assert [row[2] for row in requests(tmp_path / "s.db", "at_ms key ip_id")][:30] == [None] * 30


def test_one_request_of_a_wrong_clock_lets_nothing_go(tmp_path: Path) -> None:
    with lk.open_store(tmp_path / "s.db") as store:
        store.ingest(trail(tmp_path / "t.json", range(200, 210)))
        far = {**bedrock([1000])[0], "timestamp": "2098-01-01T00:00:00Z"}
        assert store.ingest(write(tmp_path / "b.json", [*bedrock(range(150)), far])).aged_out == 0
        assert store.ingest(write(tmp_path / "c.json", bedrock(range(200, 210)))).met == 10


def test_a_store_without_companions_is_as_it_was_and_one_with_them_is_purged_whole(logs: Logs, tmp_path: Path) -> None:
    arn = "arn:aws:sts::111122223333:assumed-role/gw/acct_{}"
    place = tmp_path / "place"
    place.mkdir()
    only = {**events([21])[0], "sourceIPAddress": "198.51.100.21", "userAgent": "only-mine/1"}
    waits = {**events([96])[0], "sourceIPAddress": "198.51.100.96", "userAgent": "mine-too/1"}
    assert only["userIdentity"]["arn"] == waits["userIdentity"]["arn"] == arn.format(1)
    special = write(tmp_path / "special.json", [{"Records": [only, waits]}])
    with lk.open_store(place / "s.db") as store:
        store.ingest(*logs.bedrock, special, logs.trail[1])
        assert store.purge(account=arn.format(1)).counts["companion"] == 4
        kept = [path.read_bytes() for path in place.iterdir()]
        for word in (b"only-mine", b"mine-too", b"198.51.100.21", b"198.51.100.96", arn.format(1).encode()):
            assert not any(word in held for held in kept), word
    others = write(
        tmp_path / "others.json", [each for each in bedrock(range(60)) if not each["identity"]["arn"].endswith("1")]
    )
    rest = write(
        tmp_path / "rest.json",
        [{"Records": [each for each in events(range(30, 40)) if not each["userIdentity"]["arn"].endswith("1")]}],
    )
    without = load(tmp_path / "without.db", [others, rest])
    found = dump(place / "s.db")
    for table in ("companion", "request", "entity", "entity_use", "account_day", "coverage_day"):
        assert found[table] == without[table], table


def test_an_account_that_only_waits_can_be_purged_and_one_that_is_silent_goes_on_waiting(tmp_path: Path) -> None:
    arn = "arn:aws:sts::111122223333:assumed-role/gw/acct_{}"
    with lk.open_store(tmp_path / "s.db") as store:
        store.ingest(write(tmp_path / "b.json", bedrock([1, 60])), trail(tmp_path / "t.json", [1, 2, 61]))
        assert store.purge(account=arn.format(2)).counts == {"companion": 1, "entity": 2}
        store.purge(before="2026-11-22")  # the first account has no request since
        assert store.ingest(write(tmp_path / "c.json", bedrock([61]))).met == 1


def test_a_companion_where_requests_are_wanted_is_told_how_to_load_it() -> None:
    with pytest.raises(FormatError, match="It completes the requests of bedrock: load both with linkage ingest"):
        recognise([list(EVENT)], where="trail.json", kind="requests")


def test_purge_before_a_day_takes_what_waited_from_before(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with lk.open_store(path) as store:
        store.ingest(write(tmp_path / "b.json", bedrock(range(0, 96, 2))), trail(tmp_path / "t.json", range(0, 96)))
        assert len(companions_of(path)) == 96
        store.purge(before="2026-11-22")
        assert len(companions_of(path)) == 48
        late = write(tmp_path / "late.json", bedrock(range(49, 96, 2)))
        assert store.ingest(late).met == 24  # what they name was left
    assert None not in {row[0] for row in requests(path, "ip_id")}


def test_a_file_of_which_too_much_is_broken_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    broken = write(tmp_path / "t.json", [events([1])[0], *[{**EVENT, "requestID": None}] * 3])
    with lk.open_store(path) as store:
        store.ingest(write(tmp_path / "b.json", bedrock([1])))
        (file,) = store.ingest(broken).files
        assert isinstance(file.error, RejectedShareError)
    assert companions_of(path) == []
    assert requests(path, "ip_id client_id") == [(None, None)]


def test_one_broken_event_among_those_of_other_services_is_set_aside(tmp_path: Path) -> None:
    with lk.open_store(tmp_path / "s.db") as store:
        (file,) = store.ingest(write(tmp_path / "t.json", [{"Records": [{**EVENT, "requestID": None}, *OTHERS]}])).files
        assert (file.error, file.set_aside) == (None, 1)


def test_a_log_and_its_companion_meet_under_the_same_source_only(tmp_path: Path) -> None:
    with lk.open_store(tmp_path / "s.db") as store:
        store.ingest(write(tmp_path / "b.json", bedrock([1])), source="east")
        assert store.ingest(trail(tmp_path / "t.json", [1])).waiting == 1
        again = trail(tmp_path / "u.json", [1])
        assert store.ingest(again, source="east").met == 1


def test_the_gateways_own_log_has_the_same_companion_by_the_mapping_in_the_documentation(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs/formats.md").read_text(encoding="utf-8")
    mapping = tmp_path / "apim-gateway.toml"
    mapping.write_text(text.partition("## Companion logs")[2].partition("```toml\n")[2].partition("```")[0])
    gateway = {
        "TimeGenerated": at(1),
        "CorrelationId": "corr-1",
        "ApimSubscriptionId": "acct_1",
        "CallerIpAddress": "198.51.100.9",
        "OperationId": "ChatCompletions_Create",
        "ResponseCode": 200,
        "TotalTime": 812,
    }
    path = tmp_path / "s.db"
    load(path, [write(tmp_path / "g.json", [gateway])], map=mapping, source="azure-openai")
    load(path, [write(tmp_path / "l.json", llm([1]))])
    assert requests(path, "ip_id status latency_ms input_tokens output_tokens") == [("198.51.100.9", 200, 812.0, 41, 8)]


def test_any_log_with_the_ids_of_requests_is_a_companion_by_a_mapping_file(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs/formats.md").read_text(encoding="utf-8")
    mapping = tmp_path / "edge.toml"
    mapping.write_text(text.partition("## Companion logs")[2].split("```toml\n")[2].partition("```")[0])
    edge = {"time": at(1), "request_id": "01JD", "client": "203.0.113.7", "agent": "curl/8.1", "ja4": "t13d_x"}
    log = {"id": "01JD", "created_at": at(1), "model": "sonata", "path": "v1/chat/completions", "tokens_in": 4}
    cloudflare = {**log, "tokens_out": 9, "metadata": json.dumps({"user": "acct_1"}), "status_code": 200, "duration": 1}
    path = tmp_path / "s.db"
    load(path, [write(tmp_path / "c.json", [cloudflare])])
    load(path, [write(tmp_path / "e.json", [edge, {**edge, "request_id": 5.5}])], map=mapping)
    assert requests(path, "ip_id client_id input_tokens") == [("203.0.113.7", "curl/8.1\tt13d_x", 4)]


@pytest.mark.parametrize(
    ("about", "fields", "fault"),
    [
        ({"kind": "companions"}, {"request_id": "id", "timestamp": "t"}, "go together"),
        ({"completes": "bedrock"}, {"account_id": "a", "timestamp": "t"}, "go together"),
        ({"kind": "companions", "completes": "x"}, {"timestamp": "t"}, "request_id is required"),
        ({"kind": "companions", "completes": "x"}, {"request_id": "i", "timestamp": "t", "model": "m"}, "no 'model'"),
    ],
)
def test_a_mapping_of_a_companion_says_what_is_wrong_with_it(
    about: dict[str, str], fields: dict[str, str], fault: str
) -> None:
    with pytest.raises(MappingError, match=fault):
        mapping_from({"file": about, "fields": fields}, name="edge.toml")


def test_the_command_line_tells_what_met_what_waits_and_many_files_at_once(logs: Logs, tmp_path: Path) -> None:
    store = str(tmp_path / "s.db")
    folder = tmp_path / "trail"
    folder.mkdir()
    for number in range(8):
        trail(folder / f"{number}.json.gz", range(5 * number, 5 * number + 5))
    result = CliRunner().invoke(main, ["ingest", store, str(folder)])
    assert result.exit_code == 0
    assert (
        "8 files: taken for AWS CloudTrail (json lines, gzip); 40 kept, 0 set aside, 0 seen before, 0 met"
        in result.stderr
    )
    assert "24 x record: left out: an event of another service, or no request to a model" in result.stderr
    assert "40 records of companion logs wait for the request they tell of" in result.stderr
    assert "companions: 40 wait for their request. Next: linkage doctor" in result.stderr
    result = CliRunner().invoke(main, ["ingest", store, str(logs.bedrock[0]), str(folder)])
    assert "30 kept, 0 set aside, 0 seen before, 30 completed by companions that had waited" in result.stderr
    assert "8 files were loaded before; nothing in them is new" in result.stderr
    assert "companions: 30 met their request, 10 wait for their request. Next: linkage rebuild" in result.stderr
    result = CliRunner().invoke(main, ["ingest", store, str(logs.bedrock[1]), "--json"])
    assert json.loads(result.stdout)["companions"] == {"met": 10, "waiting": 0, "aged_out": 0}
