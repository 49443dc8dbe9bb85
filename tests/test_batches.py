"""Facts of a batch: ids, keys and prompts that merge with any other batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from linkage import terms
from linkage.intake.batches import ENTITY_KINDS, AccountBatch, RequestBatch, account_batch, request_batch
from linkage.intake.entities import Pseudonymizer, entity_id
from linkage.intake.files import read_raw
from linkage.intake.formats import canonical
from linkage.intake.raw import RawBatch, Rejected
from linkage.intake.records import check_accounts, check_requests

SHARED_LOG = Path(__file__).parents[2] / "shared/data/litellm-standard-logging.jsonl.gz"

FULL: dict[str, Any] = {
    "timestamp": "2026-11-24T05:52:28.104999Z",
    "request_id": "r1",
    "account_id": "acct_0071",
    "api_key_id": "key_1",
    "ip": "2001:db8:1:2::9",
    "payment_method": "pm_1",
    "user_agent": "ua",
    "tls_fingerprint": "ja4",
    "model": "sonata",
    "endpoint": "/v1/chat",
    "prompt": "Name a bird.",
    "input_tokens": 0,
    "output_tokens": 5,
    "status": 200,
    "latency_ms": 1.5,
    "organization_id": "org_2",
    "prompt_template": "greet@3",
    "params": {"temperature": 0.7},
    "end_user": "u1",
    "forwarded_for": "192.0.2.1, 203.0.113.7",
}
BARE: dict[str, Any] = {"timestamp": "2026-11-24T05:52:28Z", "account_id": "acct_0072"}


def make(*records: dict[str, Any], source: str = "gw", key: bytes | None = None) -> RequestBatch:
    raw = RawBatch(list(range(1, len(records) + 1)), list(records), [Rejected(9, "why")], 0)
    pseudonymizer = Pseudonymizer(key) if key else None
    return request_batch(check_requests(raw, canonical.REQUESTS), source=source, pseudonymizer=pseudonymizer)


def make_accounts(*records: dict[str, Any]) -> AccountBatch:
    raw = RawBatch(list(range(1, len(records) + 1)), list(records), [], 0)
    return account_batch(check_accounts(raw, canonical.ACCOUNTS))


def rows(table: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table.to_pylist()
    return found


def test_every_field_lands_in_its_column() -> None:
    batch = make(FULL)
    (row,) = rows(batch.requests)
    named = {
        "account_id": ("account", "acct_0071"),
        "api_key_id": ("api_key", "key_1"),
        "organization_id": ("organization", "org_2"),
        "ip_id": ("ip", "2001:db8:1:2::/64"),
        "ip_prefix_id": ("ip_prefix", "2001:db8:1::/48"),
        "payment_id": ("payment", "pm_1"),
        "client_id": ("client", "ua\tja4"),
        "model_id": ("model", "sonata"),
        "endpoint_id": ("endpoint", "/v1/chat"),
        "contract_id": ("contract", '{"temperature":0.7}'),
        "end_user_id": ("end_user", "u1"),
        "forwarded_id": ("forwarded", "192.0.2.1"),
    }
    for column, (kind, value) in named.items():
        assert row[column] == entity_id(kind, value), column
        assert [(e["id"], e["value"]) for e in rows(batch.entities[kind])] == [(entity_id(kind, value), value)]
    assert (row["at_ms"], row["input_tokens"], row["output_tokens"]) == (1795499548104, 0, 5)
    assert (row["status"], row["latency_ms"]) == (200, 1.5)
    assert row["key"] == entity_id("request", "gw\0r1")
    (prompt,) = rows(batch.prompts)
    assert (prompt["id"], prompt["text"], prompt["gateway_template"]) == (row["prompt_id"], "Name a bird.", "greet@3")
    assert len(prompt["features"]) > 16


def test_absent_fields_are_null_and_tables_keep_their_shape() -> None:
    full, bare, empty = make(FULL), make(BARE), make()
    assert full.requests.schema == bare.requests.schema == empty.requests.schema
    assert full.prompts.schema == bare.prompts.schema == empty.prompts.schema
    (row,) = rows(bare.requests)
    given = {"key", "content", "account_id", "at_ms"}
    assert {name for name, value in row.items() if value is not None} == given
    for kind in ENTITY_KINDS:
        assert full.entities[kind].schema == bare.entities[kind].schema == empty.entities[kind].schema
    assert len(empty.requests) == len(empty.prompts) == 0


def test_same_id_from_one_source_is_one_request_and_from_two_it_is_not() -> None:
    first, other = make(FULL, FULL), make(FULL, source="other")
    keys, contents = first.requests["key"].to_pylist(), first.requests["content"].to_pylist()
    assert keys[0] == keys[1] != other.requests["key"][0].as_py()
    assert contents[0] == contents[1] == other.requests["content"][0].as_py()


@pytest.mark.parametrize("field", [name for name in FULL if name != "system_prompt"])
def test_content_tells_a_repeat_from_a_record_that_contradicts_it(field: str) -> None:
    changed = {
        "timestamp": "2026-11-24T05:52:28.104998Z",
        "ip": "203.0.113.7",
        "params": {"temperature": 0.8},
        "input_tokens": None,
        "output_tokens": 6,
        "status": 429,
        "latency_ms": 1.25,
        "prompt": "Name a fish.",
        # The template at the gateway is a fact of the prompt, told with it and not part of the record's hash.
        "prompt_template": "greet@3",
    }.get(field, "other")
    contents = make(FULL, {**FULL, field: changed}).requests["content"].to_pylist()
    assert (contents[0] != contents[1]) == (field != "prompt_template")


def test_record_without_id_is_known_by_its_whole_content() -> None:
    batch = make(BARE, BARE, {**BARE, "status": 200}, {**BARE, "status": 0})
    keys = batch.requests["key"].to_pylist()
    assert keys == batch.requests["content"].to_pylist()
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_masked_address_is_a_prefix_and_never_an_address() -> None:
    batch = make({**BARE, "ip": "203.0.113.***"}, {**BARE, "ip": "203.0.113.7"})
    masked, whole = rows(batch.requests)
    assert masked["ip_id"] is None
    assert masked["ip_prefix_id"] == whole["ip_prefix_id"] == entity_id("ip_prefix", "203.0.113.0/24")
    assert rows(batch.entities["ip"]) == [{"id": whole["ip_id"], "value": "203.0.113.7"}]


def test_prompts_that_normalise_alike_are_one_and_the_least_text_stands_for_them() -> None:
    texts = ["name a BIRD!", "Name a bird.", "Name a fish."]
    batch = make(*({**BARE, "prompt": text} for text in texts))
    ids = batch.requests["prompt_id"].to_pylist()
    assert ids[0] == ids[1] != ids[2]
    assert sorted(batch.prompts["text"].to_pylist()) == ["Name a bird.", "Name a fish."]
    assert batch.prompts["id"].to_pylist() == sorted(set(ids))


def test_gateway_template_alone_makes_a_prompt_and_the_least_wins_beside_a_text() -> None:
    batch = make(
        {**BARE, "prompt_template": "b"},
        {**BARE, "prompt": "Name a bird.", "prompt_template": "z"},
        {**BARE, "prompt": "Name a bird.", "prompt_template": "y"},
        {**BARE, "prompt": "?!"},
    )
    ids = batch.requests["prompt_id"].to_pylist()
    assert ids[0] == entity_id("gateway_template", "b")
    assert ids[1] == ids[2]
    assert ids[3] is None
    by_id = {row["id"]: row for row in rows(batch.prompts)}
    assert (by_id[ids[0]]["text"], by_id[ids[0]]["gateway_template"]) == (None, "b")
    assert (by_id[ids[1]]["text"], by_id[ids[1]]["gateway_template"]) == ("Name a bird.", "y")
    assert all(isinstance(row["features"], bytes) for row in by_id.values())


def test_coverage_notes_and_rejected_lines_are_counted() -> None:
    batch = make(FULL, BARE, {**BARE, "ip": "x"}, {**BARE, "ip": "y"}, {"timestamp": 5})
    coverage = {row["field"]: (row["present"], row["total"]) for row in rows(batch.coverage)}
    assert list(coverage) == list(terms.REQUEST_FIELDS)
    assert coverage["account_id"] == (4, 4)
    assert coverage["ip"] == coverage["status"] == (1, 4)
    assert rows(batch.notes) == [{"field": "ip", "reason": "not an address", "count": 2}]
    assert batch.rejected["line"].to_pylist() == [5, 9]


def test_pseudonymised_batch_holds_no_private_value_and_links_the_same() -> None:
    records = [FULL, {**FULL, "request_id": "r2", "ip": "2001:db8:1:3::1"}, {**BARE, "ip": "203.0.113.7"}]
    plain, hidden = make(*records), make(*records, key=b"k" * 32)
    dump = "".join(str(hidden.entities[kind].to_pylist()) for kind in ENTITY_KINDS)
    for value in ("2001:db8", "203.0.113", "pm_1", "ua\\t", "ja4"):
        assert value not in dump
    assert "acct_0071" in dump
    for column in ("ip_id", "ip_prefix_id", "payment_id", "client_id"):
        ranks = []
        for batch in (plain, hidden):
            values = batch.requests[column].to_pylist()
            ranks.append([values.index(value) for value in values])
        assert ranks[0] == ranks[1]
        assert plain.requests[column] != hidden.requests[column]


def test_account_records_become_ids_and_times() -> None:
    record = {
        "account_id": "acct_0071",
        "organization_id": "org_2",
        "created_at": "2026-11-01T09:14:02Z",
        "email_domain": "example.org",
        "payment_method": "pm_1",
        "country": "DE",
        "plan": "payg",
    }
    batch = make_accounts(record, record, {**record, "plan": "team"}, {"account_id": "b", "plan": "x"})
    first, again, other, bare = rows(batch.accounts)
    assert first == again
    assert first["content"] != other["content"]
    assert first["account_id"] == entity_id("account", "acct_0071")
    assert first["email_domain_id"] == entity_id("email_domain", "example.org")
    assert (first["created_ms"], first["country"], first["plan"]) == (1793524442000, "DE", "payg")
    assert (bare["organization_id"], bare["created_ms"]) == (None, None)
    assert batch.accounts.schema == make_accounts().accounts.schema
    assert sorted(batch.entities) == ["account", "email_domain", "organization", "payment"]


def test_types_are_the_ones_that_stores_rely_on() -> None:
    schema = make(FULL).requests.schema
    floats = {name for name in schema.names if schema.field(name).type == pa.float64()}
    assert floats == {"latency_ms"}
    assert all(schema.field(name).type == pa.int64() for name in schema.names if name not in floats)


@pytest.mark.skipif(not SHARED_LOG.exists(), reason="the development data is not on this machine")
def test_real_litellm_log_is_read_whole() -> None:
    raw = read_raw(SHARED_LOG)
    (batch,) = raw.batches
    made = request_batch(check_requests(batch, raw.format), source="gw")
    assert raw.format_name == "litellm-standard"
    assert (len(made.requests), len(made.rejected), len(made.notes)) == (3268, 0, 0)
    assert len(made.entities["account"]) == 194
    statuses = made.requests["status"].to_pylist()
    assert {code: statuses.count(code) for code in set(statuses)} == {200: 2729, 400: 513, 429: 26}
