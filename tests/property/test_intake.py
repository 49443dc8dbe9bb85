"""Laws of intake: layout, order and split of a file change nothing, and no bytes make it fail."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage import terms
from linkage.errors import LinkageError
from linkage.intake.batches import ENTITY_KINDS, RequestBatch, request_batch
from linkage.intake.files import read_raw
from linkage.intake.formats import canonical
from linkage.intake.mapping import mapping_from
from linkage.intake.raw import ColumnBatch
from linkage.intake.records import check_requests
from linkage.intake.trees import follow, parse_object, parse_path
from linkage.intake.values import address_reader, read_address
from linkage.settings import IngestSettings

FEW = settings(max_examples=25, deadline=None, derandomize=True)
MANY = settings(max_examples=80, deadline=None, derandomize=True)

WORDS = st.sampled_from(["a", "007", "7", "1e5", "NaN", "é\u200b", "=x", "-", "None", "x,y", 'say "x"', ""])
MAYBE = st.none() | WORDS
RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "timestamp": st.sampled_from(["2026-11-24T05:52:28.104Z", "2026-11-24 05:52:28", "yesterday"]),
            "request_id": MAYBE,
            "account_id": WORDS,
            "ip": st.sampled_from([None, "203.0.113.7:80", "2001:db8::1", "203.0.113.***", "banana", "1.2.3"])
            | st.sampled_from(
                ["203.0.113.7", "198.51.100.255", "198.51.100.256", "127.0.0.1", "239.0.0.1", "224.0.0.9"]
            ),
            "api_key_id": st.sampled_from([None, "key_1", "key_2", "sk-key", "-"]),
            "user_agent": MAYBE,
            "prompt": MAYBE | st.text(alphabet=st.characters(blacklist_categories=("Cs",)), max_size=30),
            "input_tokens": st.sampled_from([None, 0, 7, -1]),
            "status": st.sampled_from([None, 200, 429, 7]),
            "latency_ms": st.sampled_from([None, 0.5, 8123.0]),
            "params": st.sampled_from([None, {"temperature": 0.7}, {"temperature": 1.0, "stop": ["x"]}]),
            "prompt_template": MAYBE,
        }
    ),
    max_size=8,
)


def ndjson(records: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def as_csv(records: Sequence[dict[str, Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(records[0]), lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow({k: json.dumps(v) if isinstance(v, dict) else v for k, v in record.items()})
    return out.getvalue().encode()


def as_parquet(records: Sequence[dict[str, Any]]) -> bytes:
    schema = {name: pa.string() for name in records[0]}
    schema |= {"input_tokens": pa.int64(), "status": pa.int32(), "latency_ms": pa.float64()}
    schema["params"] = pa.struct({"temperature": pa.float64(), "stop": pa.list_(pa.string())})
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(records), schema=pa.schema(schema)), out, row_group_size=3)
    return out.getvalue()


def load(data: bytes, *, batch_rows: int = 20_000, as_columns: bool = False) -> list[RequestBatch]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        path.write_bytes(data)
        limits = IngestSettings(batch_rows=batch_rows)
        raw = read_raw(path, format_name="canonical", settings=limits, as_columns=as_columns)
        return [request_batch(check_requests(batch, raw.format), source="gw") for batch in raw.batches]


def merged(batches: Sequence[RequestBatch]) -> dict[str, Any]:
    """What a store would hold: sets of rows, and for a prompt the least of what batches tell."""
    requests = sorted(str(row) for batch in batches for row in batch.requests.to_pylist())
    entities = {
        kind: {str(row) for batch in batches for row in batch.entities[kind].to_pylist()} for kind in ENTITY_KINDS
    }
    prompts: dict[int, tuple[str, str]] = {}
    for batch in batches:
        for row in batch.prompts.to_pylist():
            text, template = row["text"] or "", row["gateway_template"] or "\U0010ffff"
            held = prompts.get(row["id"], (text, template))
            prompts[row["id"]] = (min(held[0], text), min(held[1], template))
    coverage = {
        name: sum(batch.coverage["present"][at].as_py() for batch in batches)
        for at, name in enumerate(terms.REQUEST_FIELDS)
    }
    reasons = sorted(reason for batch in batches for reason in batch.rejected["reason"].to_pylist())
    return {"requests": requests, "entities": entities, "prompts": prompts, "coverage": coverage, "rejected": reasons}


def failure_of(call: Callable[[], object]) -> str:
    """The message of the failure that the tool announces; empty where the call succeeds."""
    try:
        call()
    except LinkageError as error:
        return str(error) or "a failure without a word"
    return ""


@FEW
@given(RECORDS)
def test_every_layout_and_packing_of_the_same_records_gives_the_same_facts(records: list[dict[str, Any]]) -> None:
    wanted = merged(load(ndjson(records)))
    assert merged(load(json.dumps(records).encode())) == wanted
    assert merged(load(json.dumps(records, indent=1, ensure_ascii=False).encode())) == wanted
    assert merged(load(gzip.compress(ndjson(records)))) == wanted
    assert merged(load(zstandard.ZstdCompressor().compress(ndjson(records)))) == wanted
    if records:
        assert merged(load(as_parquet(records))) == wanted
        assert merged(load(gzip.compress(as_parquet(records)))) == wanted
        if not any("\r" in (record["prompt"] or "") for record in records):
            assert merged(load(as_csv(records))) == wanted


@FEW
@given(RECORDS, st.randoms(use_true_random=False), st.integers(0, 8))
def test_order_and_split_of_the_records_change_nothing(records: list[dict[str, Any]], random: Any, cut: int) -> None:
    wanted = merged(load(ndjson(records)))
    shuffled = records[:]
    random.shuffle(shuffled)
    assert merged([*load(ndjson(shuffled[cut:])), *load(ndjson(shuffled[:cut]))]) == wanted


@MANY
@given(
    st.binary(max_size=400), st.sampled_from([b"", b"{", b"[", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"PAR1", b"a,b\n"])
)
def test_no_bytes_make_reading_fail_in_another_way_than_it_says(data: bytes, start: bytes) -> None:
    batches: list[RequestBatch] = []
    failure = failure_of(lambda: batches.extend(load(start + data)))
    assert "a failure without" not in failure
    assert all(reason for batch in batches for reason in batch.rejected["reason"].to_pylist())


@MANY
@given(st.binary(max_size=60), st.integers(0, 200))
def test_damage_to_one_line_costs_one_line(noise: bytes, at: int) -> None:
    line = json.dumps({"timestamp": "2026-11-24T05:52:28Z", "account_id": "a", "request_id": "r"}).encode()
    broken = (line[:at] + noise + line[at:]).replace(b"\n", b" ")
    batches = load(line + b"\n" + broken + b"\n" + line + b"\n")
    kept = sum(len(batch.requests) for batch in batches)
    aside = sum(len(batch.rejected) for batch in batches)
    assert kept >= 2
    assert kept + aside == 3


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@MANY
@given(st.fixed_dictionaries(dict.fromkeys(terms.REQUEST_FIELDS, JSON)))
def test_any_json_in_any_field_is_kept_dropped_or_set_aside(record: dict[str, Any]) -> None:
    for changed in (record, {**record, "timestamp": "2026-11-24T05:52:28Z", "account_id": "a"}):
        for batch in load(ndjson([changed])):
            assert len(batch.requests) + len(batch.rejected) == 1


@MANY
@given(st.dictionaries(st.text(min_size=1, max_size=5), JSON, max_size=4))
def test_parsed_objects_are_what_json_says(record: dict[str, Any]) -> None:
    text = json.dumps(record)
    if "NaN" in text or "Infinity" in text or "\\ud" in text:
        return
    assert parse_object(text.encode()).keys() == json.loads(text).keys()


@MANY
@given(JSON, st.text(alphabet='ab.[]0-1="', max_size=10))
def test_any_path_into_any_tree_gives_a_list_or_a_reason(tree: Any, path: str) -> None:
    failure = failure_of(lambda: follow(tree, parse_path(path)))
    assert not failure or "wanted a path" in failure


@MANY
@given(st.dictionaries(st.sampled_from(["file", "keep", "fields", "x"]), JSON, max_size=3))
def test_any_toml_is_a_mapping_or_a_list_of_faults(tables: dict[str, Any]) -> None:
    failure = failure_of(lambda: mapping_from(tables, name="m"))
    assert not failure or failure.startswith("m: ")


@MANY
@given(st.ip_addresses())
def test_addresses_are_read_once_and_for_all(address: Any) -> None:
    try:
        found = read_address(str(address))
    except LinkageError:
        assert (
            address.is_loopback
            or address.is_unspecified
            or address.is_multicast
            or address.is_link_local
            or address.version == 6
        )
    else:
        assert read_address(found) == found
        assert read_address(f"[{found}]:443") == found


@MANY
@given(st.text(max_size=30))
def test_no_text_makes_the_address_reader_fail_in_another_way(text: str) -> None:
    failure = failure_of(lambda: address_reader(1)(text))
    assert len(text) < 8 or text not in failure


ODD_VALUES = (
    WORDS
    | st.sampled_from(
        [None, 0, 7, -1, 1.5, 1e30, 200, 429, True, [], {}, ["a"], {"a": None}, {"temperature": 1, "stop": ["x", None]}]
    )
    | st.sampled_from(["2026-11-24T05:52:28Z", "2026-11-24T05:52:60Z", "1999-01-01T00:00:00Z", "2026-13-01T00:00:00Z"])
    | st.sampled_from(["203.0.113.7", "sk-secret", "4111111111111111", "a\0b", "a\nb", " ", "\u2003", "x" * 3000])
    | st.sampled_from([{"stop": "2026-11-24T05:52:28Z"}, {"tools": [{"a": 1}, {"b": 2}]}, {"temperature": 0.5}])
)
ODD_RECORDS = st.lists(
    st.dictionaries(st.sampled_from([*terms.REQUEST_FIELDS, "extra"]), ODD_VALUES, max_size=6).map(
        lambda odd: {"timestamp": "2026-11-24T05:52:28.104Z", "account_id": "a", **odd}
    ),
    min_size=1,
    max_size=6,
)
ODD_LINES = st.lists(
    st.sampled_from(
        [
            b'{"timestamp":"2026-11-24T05:52:28Z","account_id":"a","status":200}\n',
            b'{"timestamp":"2026-11-24T05:52:28Z","account_id":"a","account_id":"b"}\n',
            b'{"timestamp":"2026-11-24T05:52:28Z","account_id":"a","x":1,"x":2}\n',
            b'{"timestamp":"2026-11-24T05:52:28Z","account_id":"a","latency_ms":NaN}\n',
            b'{"timestamp":"2026-11-24T05:52:28Z","account_id":"a","x":-Infinity}\n',
            b'{"timestamp":"2026-11-24T05:52:28Z","account_id":"a","x":[[],[1,Inf]]}\n',
            b'{"timestamp":"2026-11-24T05:52:28Z","account_id":"a","params":{"t":[{"u":NaN}]}}\n',
            b'{"timestamp":"2026-11-24T05:52:28Z","account_id":"a"}{"timestamp":"2026-11-24T05:52:28Z"}\n',
            b'{"timestamp":"2026-11-24T05:52:28Z","account_id":"\xff"}\n',
            b'{"timestamp":"2026-11-24T05:52:28Z","account_id":"\\ud800"}\n',
            b' {"timestamp" : "2026-11-24T05:52:28Z","account_id":"a"} \r\n',
            b'\xef\xbb\xbf{"timestamp":"2026-11-24T05:52:28Z","account_id":"a"}\n',
            b'{"timestamp":"2026-11-24T05:52:28Z",\n',
            b"\n",
            b"[1]\n",
            b"null\n",
            b'{"timestamp":"2026-11-24T05:52:28Z","account_id":"' + b"x" * 2000 + b'"}\n',
            b'{"timestamp":"2026-11-24T05:52:28Z","account_id":"cut',
        ]
    ),
    min_size=1,
    max_size=6,
)


def outcome(data: bytes, *, as_columns: bool) -> dict[str, Any]:
    """All that a file's batches say, whatever the batches."""
    try:
        batches = load(data, as_columns=as_columns)
    except LinkageError as error:
        return {"failed": type(error)}
    notes: Counter[tuple[str, str]] = Counter()
    for batch in batches:
        for note in batch.notes.to_pylist():
            notes[note["field"], note["reason"]] += note["count"]
    lines = sorted(str(row) for batch in batches for row in batch.rejected.to_pylist())
    return {**merged(batches), "notes": notes, "lines": lines}


@MANY
@given(RECORDS | ODD_RECORDS)
def test_columns_and_single_values_are_read_alike(records: list[dict[str, Any]]) -> None:
    assert outcome(ndjson(records), as_columns=True) == outcome(ndjson(records), as_columns=False)


@MANY
@given(ODD_LINES)
def test_broken_lines_cost_only_themselves_in_columns_too(lines: list[bytes]) -> None:
    data = b"".join(lines)
    assert outcome(data, as_columns=True) == outcome(data, as_columns=False)


def test_well_formed_records_do_come_as_columns() -> None:
    record = {"timestamp": "2026-11-24T05:52:28.104Z", "account_id": "a", "params": {"temperature": 1, "n": None}}
    record |= {"prompt": "Which is not JSON: [NaN, Infinity]?"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        path.write_bytes(ndjson([record] * 3))
        (batch,) = read_raw(path, as_columns=True).batches
    assert isinstance(batch, ColumnBatch)
    assert batch.lines.tolist() == [1, 2, 3]


def test_a_file_of_like_lines_comes_in_whole_batches_and_not_in_crumbs(tmp_path: Path) -> None:
    path = tmp_path / "log"
    line = {"timestamp": "2026-11-24T05:52:28Z", "account_id": "a", "prompt": "x" * 2_000}
    path.write_bytes(ndjson([line]) * 10_000)
    batches = list(read_raw(path, settings=IngestSettings(batch_rows=2_000), as_columns=True).batches)
    sizes = [len(batch.lines) for batch in batches]
    assert sum(sizes) == 10_000
    assert min(sizes[1:-1]) >= 1_400  # a block of the file less than 2,000


def test_columns_come_in_batches_of_the_size_that_is_set(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(ndjson([{"timestamp": "2026-11-24T05:52:28Z", "account_id": f"a{at}"} for at in range(250)]))
    batches = list(read_raw(path, settings=IngestSettings(batch_rows=100), as_columns=True).batches)
    assert [batch.lines.tolist() for batch in batches] == [
        list(range(1, 101)),
        list(range(101, 201)),
        list(range(201, 251)),
    ]
    named = [check_requests(batch, canonical.REQUESTS).table["account_id"].to_pylist() for batch in batches]
    assert [account for part in named for account in part] == [f"a{at}" for at in range(250)]
