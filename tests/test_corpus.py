"""The corpus of odd inputs: each has its documented outcome, the same one on every way into the store."""

import csv
import gzip
import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from corpus import CORPUS, GOOD, GOOD_LINE, Odd

import linkage as lk
from linkage.intake.files import read_raw
from linkage.intake.formats import canonical
from linkage.intake.records import check_requests
from linkage.settings import IngestSettings

SETTINGS = IngestSettings(line_bytes=1_000_000)
Told = tuple[dict[tuple[str, str], int], list[tuple[int, str]], list[dict[str, Any]]]


def told(path: Path, *, as_columns: bool = False) -> Told:
    """Notes, lines set aside with their reasons, and what was kept of the fields that are there."""
    notes: Counter[tuple[str, str]] = Counter()
    rejected, rows = [], []
    for batch in read_raw(path, format_name="canonical", settings=SETTINGS, as_columns=as_columns).batches:
        checked = check_requests(batch, canonical.REQUESTS, settings=SETTINGS)
        notes += checked.notes
        rejected += [(line.line, line.reason) for line in checked.rejected]
        rows += checked.table.to_pylist()
    return dict(notes), rejected, [{name: value for name, value in row.items() if value is not None} for row in rows]


def as_record(odd: Odd) -> dict[str, Any] | None:
    if isinstance(odd.given, bytes):
        return None
    return {name: value for name, value in {**GOOD, **odd.given}.items() if value is not ...}


def as_lines(odd: Odd) -> bytes:
    record = as_record(odd)
    line = odd.given if record is None else json.dumps(record, ensure_ascii=False).encode()
    assert isinstance(line, bytes)
    return GOOD_LINE + b"\n" + line + b"\n" + GOOD_LINE + b"\n"


def as_array(record: dict[str, Any]) -> bytes:
    return json.dumps([GOOD, record, GOOD]).encode()


def as_csv(record: dict[str, Any]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list({**GOOD, **record}), lineterminator="\n")
    writer.writeheader()
    writer.writerows([GOOD, record, GOOD])
    return text.getvalue().encode()


def as_parquet(record: dict[str, Any]) -> bytes:
    columns = {name: [GOOD.get(name), record.get(name), GOOD.get(name)] for name in {**GOOD, **record}}
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def test_the_corpus_is_large_and_its_names_are_told_apart() -> None:
    assert len(CORPUS) >= 80
    assert len({odd.name for odd in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize("odd", CORPUS, ids=[odd.name for odd in CORPUS])
def test_every_odd_input_has_its_documented_outcome(odd: Odd, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(as_lines(odd))
    notes, rejected, rows = told(path)
    reasons = [reason for _, reason in rejected]
    assert rows[0] == rows[-1] == {**GOOD, "timestamp": rows[0]["timestamp"]}, "its neighbours are as they were"
    assert len(rows) == (2 if odd.outcome in ("set aside", "ignored") else 3)
    assert reasons == ([odd.reason] if odd.outcome == "set aside" else [])
    assert [line for line, _ in rejected] == ([2] if odd.outcome == "set aside" else [])
    noted = {f"{field}: {reason}": count for (field, reason), count in notes.items()}
    assert noted == ({odd.reason: 1} if odd.outcome in ("repaired", "dropped") else {})
    if odd.outcome in ("repaired", "dropped"):
        field = odd.reason.partition(":")[0]
        assert (field in rows[1]) == (odd.outcome == "repaired")


@pytest.mark.parametrize("odd", CORPUS, ids=[odd.name for odd in CORPUS])
def test_every_way_in_gives_the_same_outcome(odd: Odd, tmp_path: Path) -> None:
    def way(data: bytes, *, as_columns: bool = False) -> Told:
        path = tmp_path / "log"
        path.write_bytes(data)
        return told(path, as_columns=as_columns)

    lines = as_lines(odd)
    wanted = way(lines)
    packings: tuple[Callable[[bytes], bytes], ...] = (bytes, gzip.compress, zstandard.ZstdCompressor().compress)
    for pack in packings:
        assert way(pack(lines), as_columns=True) == wanted
    record = as_record(odd)
    if record is None:
        return
    without_lines = (wanted[0], [reason for _, reason in wanted[1]], wanted[2])
    others = [as_array(record)]
    if all(isinstance(value, str) for value in record.values()):
        others += [as_csv(record), as_parquet(record)]
    for data in others:
        notes, rejected, rows = way(data)
        assert (notes, [reason for _, reason in rejected], rows) == without_lines


def test_the_whole_corpus_in_one_file_loses_no_good_record(tmp_path: Path) -> None:
    path = tmp_path / "corpus.ndjson"
    lines = [as_lines(odd).split(b"\n")[1] for odd in CORPUS]
    good = [json.dumps({**GOOD, "account_id": f"good-{place}"}).encode() for place in range(len(lines))]
    path.write_bytes(b"".join(one + b"\n" + other + b"\n" for one, other in zip(good, lines, strict=True)))
    settings = tmp_path / "settings.toml"
    settings.write_text("[ingest]\nline_bytes = 1_000_000\n")
    with lk.open_store(tmp_path / "s.db") as store:
        [file] = store.ingest(path, settings=settings).files
        aside = sum(odd.outcome == "set aside" for odd in CORPUS)
        assert file.set_aside == aside
        whole = 2 * len(CORPUS) - aside - sum(odd.outcome == "ignored" for odd in CORPUS)
        assert file.kept + file.seen_before == whole  # without request ids, what reads the same is the same request
        connection = store._database.connection
        [[found]] = connection.execute("select count(*) from account where value glob 'good-*'")
        assert found == len(CORPUS)
        assert store._database.check_integrity() == []
