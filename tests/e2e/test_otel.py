"""The real SDK: OpenTelemetry's own exporter writes the spans of an instrumented client, and they are read whole."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import linkage as lk
from linkage.intake.files import read_raw
from linkage.intake.records import check_requests

CLIENT = Path(__file__).with_name("otel_client.py")


def has(*names: str) -> bool:
    try:
        return all(importlib.util.find_spec(name) for name in names)
    except ModuleNotFoundError:
        return False


pytestmark = pytest.mark.skipif(
    not has("openai", "opentelemetry.instrumentation.openai_v2", "opentelemetry.exporter.otlp.json.file"),
    reason="the OpenTelemetry SDK, its JSON file exporter or its OpenAI instrumentation is missing",
)


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("otel") / "spans.jsonl"
    subprocess.run([sys.executable, str(CLIENT), str(path)], check=True, capture_output=True, timeout=120)
    return path


def test_every_call_is_one_request_with_what_its_server_span_knows(spans: Path) -> None:
    raw = read_raw(spans)
    assert raw.format_name == "otlp"
    (batch,) = raw.batches
    checked = check_requests(batch, raw.format)
    rows = sorted(checked.table.to_pylist(), key=lambda row: row["account_id"])
    assert [row["account_id"] for row in rows] == [f"acct_{number:04d}" for number in range(6)]
    assert [row["ip"] for row in rows] == [f"203.0.113.{number}" for number in range(6)]
    assert [row["status"] for row in rows] == [200] * 5 + [429]
    assert [row["output_tokens"] for row in rows] == [3] * 5 + [None]
    assert [row["request_id"] for row in rows[:5]] == [f"chatcmpl-{7 + number}" for number in range(5)]
    assert {row["params"] for row in rows} == {'{"temperature":0.5}'}
    assert {row["endpoint"] for row in rows} == {"/v1/chat/completions"}
    # This version of the instrumentation writes no messages on spans, whatever its switches say.
    assert {row["prompt"] for row in rows} == {None}
    assert all(row["latency_ms"] > 0 for row in rows)
    assert not checked.rejected


def test_they_are_loaded_like_any_other_log(spans: Path, tmp_path: Path) -> None:
    with lk.open_store(tmp_path / "s.db") as store:
        result = store.ingest(spans)
        assert (result.kept, result.set_aside) == (6, 0)
        assert store.ingest(spans).seen_before == 6
