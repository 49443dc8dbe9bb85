"""Files as they come: packed, cut short, broken, mixed, huge; what is kept and why the rest is not."""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from linkage.errors import FormatError, SourceError, UsageError
from linkage.intake.files import RawFile, read_raw
from linkage.intake.json_records import CUT_SHORT
from linkage.intake.mapping import read_mapping
from linkage.intake.parquet_records import read_parquet_rows
from linkage.intake.raw import BatchBuilder, RawBatch
from linkage.intake.unpack import Source
from linkage.settings import IngestSettings

BASE = {"timestamp": "2026-11-24T05:52:28Z", "account_id": "a"}
GOOD = json.dumps(BASE).encode()
HEADER = b"timestamp,account_id,prompt\n"


def write(tmp_path: Path, data: bytes, name: str = "log") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def read_all(path: Path, **how: object) -> tuple[RawFile, RawBatch]:
    """The file, and all its batches as one."""
    raw = read_raw(path, **how)  # type: ignore[arg-type]
    batches = list(raw.batches)
    whole = RawBatch([], [], [], batches[-1].bytes_read if batches else 0)
    for batch in batches:
        whole.lines.extend(batch.lines)
        whole.records.extend(batch.records)
        whole.rejected.extend(batch.rejected)
    return raw, whole


def numbered(count: int) -> bytes:
    return b"".join(json.dumps({**BASE, "request_id": f"r{row}"}).encode() + b"\n" for row in range(count))


@pytest.mark.parametrize(
    ("packing", "pack"),
    [
        ("plain", lambda data: data),
        ("gzip", gzip.compress),
        ("zstd", zstandard.ZstdCompressor().compress),
        ("gzip", lambda data: gzip.compress(data[:500], mtime=0) + gzip.compress(data[500:], mtime=0) + b"\0" * 512),
        ("zstd", lambda data: b"".join(map(zstandard.ZstdCompressor().compress, (data[:500], data[500:])))),
    ],
)
def test_packing_is_told_by_bytes_not_by_name(tmp_path: Path, packing: str, pack: object) -> None:
    data = numbered(100)
    path = write(tmp_path, pack(data), "log.csv")  # type: ignore[operator]
    raw, whole = read_all(path)
    assert (raw.packing, raw.layout, raw.format_name) == (packing, "json lines", "canonical")
    assert [record["request_id"] for record in whole.records] == [f"r{row}" for row in range(100)]
    assert whole.lines == list(range(1, 101))
    assert (whole.rejected, whole.bytes_read, raw.size) == ([], path.stat().st_size, path.stat().st_size)


@pytest.mark.parametrize(
    ("lines", "line_pattern"),
    [
        ([HEADER, b"2026-11-24T05:52:28Z,a,one\n", b'2026-11-24T05:52:29Z,b,"two\n', b'lines"\n'], ""),
        ([GOOD + b"\n", GOOD.replace(b"28Z", b"29Z") + b"\n"], ""),
        ([b"2026-11-24T05:52:28Z a\n", b"2026-11-24T05:52:29Z b\n"], r"^(?P<time>\S+) (?P<account>\S+)$"),
    ],
    ids=["csv", "json lines", "text"],
)
def test_a_hole_before_a_line_changes_nothing_and_one_without_a_line_is_set_aside(
    lines: list[bytes], line_pattern: str, tmp_path: Path
) -> None:
    """A machine that lost power leaves NUL bytes behind the last line that it wrote."""
    fields = "[fields]\ntimestamp = 'time'\naccount_id = 'account'\n"
    (tmp_path / "map.toml").write_text(f"[file]\nline = '{line_pattern}'\n{fields}", encoding="utf-8")
    mapping = read_mapping(tmp_path / "map.toml") if line_pattern else None
    _, whole = read_all(write(tmp_path, b"".join(lines)), mapping=mapping)
    _, holed = read_all(write(tmp_path, bytes(7).join([b"", *lines, b""])), mapping=mapping)
    assert len(whole.records) == 2
    assert (holed.records, holed.lines) == (whole.records, whole.lines)
    assert holed.rejected == [(len(lines) + 1, CUT_SHORT)]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
@pytest.mark.parametrize("how", ["cut", "garbled"])
def test_broken_off_packing_gives_what_came_before(tmp_path: Path, pack: object, how: str) -> None:
    noise = random.Random(5)
    rows = b"".join(json.dumps({**BASE, "noise": noise.randbytes(300).hex()}).encode() + b"\n" for _ in range(6000))
    packed = bytearray(pack(rows))  # type: ignore[operator]
    half = len(packed) // 2
    if how == "cut":
        del packed[half:]
    else:
        packed[half:] = noise.randbytes(len(packed) - half)
    _, whole = read_all(write(tmp_path, bytes(packed)))
    assert 1000 < len(whole.records) < 6000
    reason = whole.rejected[-1].reason
    assert ("cut short; the rest is missing" in reason) == (how == "cut")
    assert ("damaged" in reason) == (how == "garbled")


def test_decompression_bomb_is_not_unpacked(tmp_path: Path) -> None:
    packed = gzip.compress(GOOD + b"\n" + b" " * 60_000_000, compresslevel=1, mtime=0)
    settings = IngestSettings(unpacked_ratio=20)
    _, whole = read_all(write(tmp_path, packed), settings=settings)
    assert len(whole.records) == 1
    assert "more than 20 times its size" in whole.rejected[-1].reason
    _, whole = read_all(write(tmp_path, packed), settings=IngestSettings(unpacked_ratio=1000))
    assert [line.reason for line in whole.rejected] == ["a line longer than 16000000 bytes"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"timestamp":', "broken JSON: unexpected end of data"),
        (b'{"timestamp": NaN, "account_id": "a"}', "NaN or Infinity, which JSON does not have"),
        (b'{"a": -Infinity}', "NaN or Infinity, which JSON does not have"),
        (b'{"a": "\\ud800"}', "half of a surrogate pair in a text"),
        (b'{"a": "\\udc00x"}', "half of a surrogate pair in a text"),
        (b'{"a": "\xff\xfe"}', "not UTF-8 text"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8 text"),
        (b'{"a": 1, "a": 2}', "a key twice in one object"),
        (b'{"a": 1, "a" : 2}', "a key twice in one object"),
        (b'{"x": {"b": 1, "b": 2}}', "a key twice in one object"),
        (b"[" * 3000, "JSON nested deeper than 64"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "JSON nested deeper than 64"),
        (b"[1, 2]", "a JSON value that is not an object"),
        (b"7", "a JSON value that is not an object"),
        (b'"text"', "a JSON value that is not an object"),
        (b"null", "a JSON value that is not an object"),
        (b'{"a": 1e999}', "broken JSON: number is infinity when parsed as double"),
        (b'{"a": "b\x00c"}', "broken JSON: unexpected control character in string"),
        (b"{'a': 1}", "broken JSON: unexpected character"),
        (b"Nov 24 host app: started", "broken JSON: unexpected character"),
    ],
)
def test_unreadable_line_is_set_aside_and_the_rest_goes_on(tmp_path: Path, line: bytes, reason: str) -> None:
    _, whole = read_all(write(tmp_path, GOOD + b"\n" + line + b"\n" + GOOD + b"\n"))
    assert whole.records == [BASE, BASE]
    assert whole.lines == [1, 3]
    ((number, found),) = whole.rejected
    assert number == 2
    assert found.startswith(reason)


@pytest.mark.parametrize(
    "line",
    [
        b'tamp": "2026-11-24T05:52:28Z", "account_id": "a"}',
        b"# written by the gateway",
        b"Nov 24 host app: started, with timestamp,account_id",
        b"timestamp,account_id",
        b"\x00\x00\x00",
        b"\xff\xfa",
        b"7",
    ],
)
@pytest.mark.parametrize("format_name", ["auto", "canonical"])
def test_a_first_line_that_is_no_json_costs_only_itself(tmp_path: Path, line: bytes, format_name: str) -> None:
    path = write(tmp_path, b"\n" + line + b"\n" + numbered(3))
    raw, whole = read_all(path, format_name=format_name)
    assert raw.layout == "json lines"
    assert ([record["request_id"] for record in whole.records], whole.lines) == (["r0", "r1", "r2"], [3, 4, 5])
    assert [number for number, _ in whole.rejected] == [2]


def test_what_a_server_says_as_it_starts_costs_only_its_own_lines(tmp_path: Path) -> None:
    raw, whole = read_all(write(tmp_path, b"server: loading\n" * 60 + numbered(70)))
    assert (raw.layout, len(whole.records), len(whole.rejected)) == ("json lines", 70, 60)


def test_json_in_the_cells_of_a_table_is_no_json_line(tmp_path: Path) -> None:
    prompt = "".join(json.dumps({"item": row}) + "\n" for row in range(60)).replace('"', '""').encode()
    raw, whole = read_all(write(tmp_path, HEADER + b'2026-11-24T05:52:28Z,a,"' + prompt + b'"\n'))
    assert (raw.layout, len(whole.records), whole.rejected) == ("csv", 1, [])


@pytest.mark.parametrize(
    "line",
    [
        b'\xef\xbb\xbf{"timestamp": "2026-11-24T05:52:28Z", "account_id": "a"}',
        b'  {"timestamp": "2026-11-24T05:52:28Z", "account_id": "a"}\t\r',
        b'{"timestamp" : "2026-11-24T05:52:28Z" ,\t"account_id"\t:"a"}',
    ],
)
def test_harmless_forms_of_a_line_are_read(tmp_path: Path, line: bytes) -> None:
    _, whole = read_all(write(tmp_path, GOOD + b"\r\n\r\n \n" + line + b"\n"))
    assert whole.records == [BASE, BASE]
    assert (whole.lines, whole.rejected) == ([1, 4], [])


def test_text_that_looks_like_repeated_keys_is_kept(tmp_path: Path) -> None:
    record = {**BASE, "prompt": 'write {"a": 1, "a": 2} and "": ":x"', "params": {"account_id": ":y"}}
    _, whole = read_all(write(tmp_path, json.dumps(record).encode() + b"\n"))
    assert whole.records == [record]


def test_line_separators_inside_text_do_not_end_a_line(tmp_path: Path) -> None:
    record = {**BASE, "prompt": "a\u2028b\u2029c\u0085d\x0b\x0c"}
    _, whole = read_all(write(tmp_path, json.dumps(record, ensure_ascii=False).encode() + b"\n" + GOOD))
    assert whole.records == [record, BASE]


def test_half_written_last_line_says_so(tmp_path: Path) -> None:
    _, whole = read_all(write(tmp_path, GOOD + b"\n" + GOOD[:-9]))
    assert (len(whole.records), whole.rejected) == (1, [(2, CUT_SHORT)])
    _, whole = read_all(write(tmp_path, GOOD + b"\n" + GOOD))
    assert (len(whole.records), whole.rejected) == (2, [])


@pytest.mark.parametrize(
    "row", [b"2026-11-24T05:5", b'2026-11-24T05:52:28Z,a,"half of a pro', b"2026-11-24T05:52:28Z,a"]
)
def test_half_written_last_row_says_so(tmp_path: Path, row: bytes) -> None:
    first = b'2026-11-24T05:52:28Z,a,"a\nprompt"'
    _, whole = read_all(write(tmp_path, HEADER + first + b"\n" + row))
    assert (len(whole.records), whole.rejected) == (1, [(4, CUT_SHORT)])
    _, whole = read_all(write(tmp_path, HEADER + first + b"\n" + first))
    assert (len(whole.records), whole.rejected) == (2, [])


def test_over_long_line_is_set_aside_without_being_held(tmp_path: Path) -> None:
    data = GOOD + b"\n" + b'{"prompt": "' + b"x" * 5_000_000 + b'"}\n' + GOOD + b"\n"
    settings = IngestSettings(line_bytes=10_000)
    _, whole = read_all(write(tmp_path, data), settings=settings)
    assert whole.records == [BASE, BASE]
    assert whole.rejected == [(2, "a line longer than 10000 bytes")]
    _, whole = read_all(write(tmp_path, data))
    assert len(whole.records) == 3


def test_batches_are_bounded_by_rows_and_by_bytes(tmp_path: Path) -> None:
    path = write(tmp_path, numbered(1000))
    rows = [len(batch.records) for batch in read_raw(path, settings=IngestSettings(batch_rows=300)).batches]
    assert rows == [300, 300, 300, 100]
    sizes = [len(batch.records) for batch in read_raw(path, settings=IngestSettings(batch_bytes=10_000)).batches]
    assert sum(sizes) == 1000
    assert 8 <= len(sizes) <= 9


@pytest.mark.parametrize("text", ["[%s, %s]", "[\n%s,\n%s\n]\n", "[%s]\n[%s]", "[%s][%s]", " [ %s ,%s ] "])
def test_arrays_of_records_are_read_in_any_layout(tmp_path: Path, text: str) -> None:
    raw, whole = read_all(write(tmp_path, (text % (GOOD.decode(), GOOD.decode())).encode()))
    assert raw.layout == "json documents"
    assert (whole.records, whole.lines, whole.rejected) == ([BASE, BASE], [1, 2], [])


def test_indented_objects_in_a_row_are_read(tmp_path: Path) -> None:
    text = json.dumps(BASE, indent=2) + "\n" + json.dumps(BASE, indent=2)
    _, whole = read_all(write(tmp_path, text.encode()))
    assert whole.records == [BASE, BASE]


def test_array_goes_on_behind_a_bad_record_and_tells_where_it_breaks_off(tmp_path: Path) -> None:
    middle = b'{"a": NaN}, 7, {"a": 1, "a": 2}, {"a": "\xff"}'
    data = b"[" + GOOD + b"," + middle + b"," + GOOD
    _, whole = read_all(write(tmp_path, data + b"]"))
    assert whole.lines == [1, 6]
    assert [line for line, _ in whole.rejected] == [2, 3, 4, 5]
    _, whole = read_all(write(tmp_path, data))
    assert whole.rejected[-1] == (7, "the array is not closed: the file is cut short")
    _, whole = read_all(write(tmp_path, b"[" + GOOD + b',{"a": '))
    assert whole.rejected == [(2, "broken JSON: the rest of the file could not be read")]
    assert whole.records == [BASE]


def test_arrays_on_lines_go_on_with_the_next_line_behind_broken_json(tmp_path: Path) -> None:
    data = b"[" + GOOD + b"]\n[" + GOOD + b',{"torn": "tex[' + GOOD + b"]\n[" + GOOD + b"," + GOOD + b"]\n"
    _, whole = read_all(write(tmp_path, data))
    assert whole.lines == [1, 2, 4, 5]
    assert whole.rejected == [(3, "broken JSON")]


def test_array_larger_than_a_block_is_cut_right(tmp_path: Path) -> None:
    records = [{**BASE, "prompt": "é" * (row % 700), "request_id": str(row)} for row in range(6000)]
    _, whole = read_all(write(tmp_path, json.dumps(records, ensure_ascii=False).encode()))
    assert whole.records == records


def test_many_broken_lines_among_indented_objects_cost_only_themselves(tmp_path: Path) -> None:
    indented = json.dumps(BASE, indent=1).encode()
    _, whole = read_all(write(tmp_path, indented + b"\n" + b"{\n" * 100_000 + indented + b"\n"))
    assert whole.records == [BASE, BASE]
    assert len(whole.rejected) == 100_000


def test_deep_array_is_refused_without_a_crash(tmp_path: Path) -> None:
    data = b"[" + GOOD + b',{"a":' + b"[" * 200_000
    _, whole = read_all(write(tmp_path, data))
    assert whole.records == [BASE]
    assert whole.rejected == [(2, "JSON nested too deeply: the rest of the file could not be read")]


def test_csv_values_stay_text_and_may_span_lines(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbf" + HEADER + b'2026-11-24T05:52:28Z,007,"say ""x"",\r\nthen \xe2\x80\xa8"\r\n' + b"t,1e5,\n"
    raw, whole = read_all(write(tmp_path, data))
    assert (raw.layout, raw.format_name) == ("csv", "canonical")
    assert [record["account_id"] for record in whole.records] == ["007", "1e5"]
    assert whole.records[0]["prompt"] == 'say "x",\r\nthen \u2028'
    assert whole.lines == [3, 4]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_are_told_by_the_header(tmp_path: Path, delimiter: str) -> None:
    data = HEADER.replace(b",", delimiter.encode()) + f"t{delimiter}a{delimiter}x, y\n".encode()
    _, whole = read_all(write(tmp_path, data))
    assert whole.records == [{"timestamp": "t", "account_id": "a", "prompt": "x, y"}]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"t,a\n", "a row with more or fewer values than the header has names"),
        (b"t,a,b,c\n", "a row with more or fewer values than the header has names"),
        (b"t,a,\xff\n", "not UTF-8 text"),
        (b't,a,"x"y\n', "broken CSV: ',' expected after '\"'"),
    ],
)
def test_bad_csv_row_is_set_aside_and_the_rest_goes_on(tmp_path: Path, row: bytes, reason: str) -> None:
    _, whole = read_all(write(tmp_path, HEADER + row + b"\nt,b,x\n"))
    assert [record["account_id"] for record in whole.records] == ["b"]
    assert whole.rejected == [(2, reason)]


def test_unclosed_csv_quote_is_told(tmp_path: Path) -> None:
    _, whole = read_all(write(tmp_path, HEADER + b't,a,x\nt,b,"never closed\nt,c,x\n'))
    assert len(whole.records) == 1
    assert whole.rejected == [(4, "broken CSV: unexpected end of data")]


@pytest.mark.parametrize(
    "header", [b"account_id,account_id,timestamp", b",".join(b"c%d" % n for n in range(20_000)), b'"unclosed']
)
def test_unusable_csv_header_refuses_the_file(tmp_path: Path, header: bytes) -> None:
    with pytest.raises(FormatError, match=r"wanted a CSV header|wanted log records"):
        read_all(write(tmp_path, header + b"\n1,2,3\n"))


def test_header_of_a_million_columns_is_refused_fast(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="found more than 10000"):
        read_all(write(tmp_path, b",".join([b"c"] * 1_000_000) + b"\n"))


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf", gzip.compress(b"", mtime=0)])
def test_empty_file_is_no_failure(tmp_path: Path, data: bytes) -> None:
    raw, whole = read_all(write(tmp_path, data))
    assert (raw.took_for, whole.records, whole.rejected) == ("an empty file", [], [])


@pytest.mark.parametrize("data", [b"[]", b"[\n]\n", b"[ ]\n[]"])
def test_an_array_of_nothing_is_no_failure(tmp_path: Path, data: bytes) -> None:
    raw, whole = read_all(write(tmp_path, data))
    assert (raw.format_name, whole.records, whole.rejected) == ("canonical", [], [])


@pytest.mark.parametrize("size", [1_500_000, 9_000_000])
@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("is_array", [False, True])
def test_a_first_record_longer_than_what_is_looked_at_first_is_known(
    tmp_path: Path, size: int, indent: int | None, is_array: bool
) -> None:
    long = {**BASE, "prompt": "x y " * (size // 4)}
    records = (
        json.dumps([long, BASE], indent=indent) if is_array else json.dumps(long, indent=indent) + "\n" + GOOD.decode()
    )
    raw, whole = read_all(write(tmp_path, records.encode()))
    assert (raw.format_name, whole.records, whole.rejected) == ("canonical", [long, BASE], [])


def test_paths_that_are_no_files_are_refused_with_what_to_do(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path, words in [
        (tmp_path, "found a directory. Name the files in it"),
        (tmp_path / "fifo", "found a FIFO, socket or device. Write its data to a file first"),
        (tmp_path / "nothing", "No such file or directory. Check the path"),
        (tmp_path / "n\0l", "Check the path"),
    ]:
        with pytest.raises(SourceError, match=words) as failure:
            read_raw(path)
        assert failure.value.exit_code == 74


def test_utf16_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"found UTF-16\. Convert it: iconv"):
        read_raw(write(tmp_path, GOOD.decode().encode("utf-16")))


@pytest.mark.parametrize("magic", [b"PK\x03\x04", b"BZh91AY", b"\xfd7zXZ\x00", b"SQLite format 3\x00"])
def test_archives_and_databases_are_refused_by_name(tmp_path: Path, magic: bytes) -> None:
    with pytest.raises(FormatError, match=r"found (a zip|bzip2|xz|an SQLite).*\. Unpack or export it first"):
        read_raw(write(tmp_path, magic + bytes(100)))


def test_field_names_reach_messages_without_escape_codes(tmp_path: Path) -> None:
    with pytest.raises(FormatError) as failure:
        read_raw(write(tmp_path, json.dumps({"\x1b[31mred": 1, "x" * 500: 2}).encode()))
    assert "?[31mred" in str(failure.value)
    assert "x" * 61 not in str(failure.value)


def test_latin1_line_is_set_aside_between_utf8_lines(tmp_path: Path) -> None:
    latin = json.dumps({**BASE, "prompt": "naïve"}, ensure_ascii=False).encode("latin-1")
    _, whole = read_all(write(tmp_path, GOOD + b"\n" + latin + b"\n" + GOOD + b"\n"))
    assert (whole.lines, whole.rejected) == ([1, 3], [(2, "not UTF-8 text")])


def test_named_format_reads_what_auto_refuses(tmp_path: Path) -> None:
    path = write(tmp_path, b'{"account_id": "a"}\n')
    with pytest.raises(FormatError):
        read_raw(path)
    assert read_all(path, format_name="canonical")[1].records == [{"account_id": "a"}]
    with pytest.raises(UsageError):
        read_raw(path, format_name="none")
    with pytest.raises(FormatError, match="canonical holds requests"):
        read_raw(path, format_name="canonical", kind="accounts")


def test_file_says_what_it_was_taken_for(tmp_path: Path) -> None:
    raw = read_raw(write(tmp_path, gzip.compress(GOOD + b"\n", mtime=0)))
    assert raw.took_for == "canonical request records (json lines, gzip)"
    assert raw.kind == "requests"


class Failing(io.FileIO):
    """A file whose middle cannot be read."""

    def read(self, size: int = -1) -> bytes:
        if self.tell() < 1_000:
            raise OSError(errno.EIO, "Input/output error")
        return super().read(size)


def test_a_parquet_file_that_cannot_be_read_now_is_not_taken_for_a_damaged_one(tmp_path: Path) -> None:
    rows = [{**BASE, "request_id": f"r{number}-{random.Random(number).random()}"} for number in range(5_000)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "log")
    limits = IngestSettings()
    found = read_parquet_rows(
        Source(tmp_path / "log", settings=limits), Failing(tmp_path / "log"), BatchBuilder(limits)
    )
    with pytest.raises(SourceError, match="log: wanted to read it to its end; Input/output error"):
        list(found)
