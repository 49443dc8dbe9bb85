"""Canonical JSON lines as columns: a strict columnar parser for what is well formed, the slow reader for the rest.

A chunk of lines is taken as columns only where both readers give the same outcome; anything else in a chunk (a
broken line, a number for an id, a key twice) sends that chunk, and only it, through the slow reader.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from linkage import terms
from linkage.intake.json_records import add_lines, read_json_lines
from linkage.intake.raw import BatchBuilder, ColumnBatch, RawBatch
from linkage.intake.trees import MAX_DEPTH
from linkage.intake.unpack import BLOCK_BYTES, Source

_FIRST_LINE_BYTES: Final = 400  # until lines were seen
_SPREAD: Final = 16  # possible codes for each row: more are rather sorted than ticked off
_SEARCHED_BYTES: Final = 1 << 18
_PARSED_BYTES: Final = 1 << 22  # at once; a line longer than this is left to the slow reader
_NUMBERS: Final = {
    "input_tokens": pa.int64(),
    "output_tokens": pa.int64(),
    "status": pa.int64(),
    "latency_ms": pa.float64(),
}
_SCHEMA: Final = pa.schema({name: _NUMBERS.get(name, pa.string()) for name in terms.REQUEST_FIELDS if name != "params"})


class _Chunk(NamedTuple):
    text: bytes
    """Whole lines."""
    ends: npt.NDArray[np.int64]
    """Where the line ends are."""
    rest: bytes
    """What was read behind them."""


def read_json_columns(
    source: Source, blocks: Iterator[bytes], builder: BatchBuilder
) -> Iterator[RawBatch | ColumnBatch]:
    """Batches of canonical request records from a file with one JSON object a line.

    Parameters
    ----------
    source : where the bytes come from.
    blocks : all bytes of it.
    builder : gathers what the slow reader reads; empty between batches.
    """
    number = 1
    rest = b""
    for chunk in _chunks(source, blocks):
        rest, lines = chunk.rest, len(chunk.ends)
        if len(rest) > source.settings.line_bytes:
            # One endless line: the slow reader drops it piece by piece.
            blocks = itertools.chain([chunk.text + rest], blocks)
            yield from read_json_lines(source, blocks, builder, first=number)
            return
        table = _parse(chunk, longest=source.settings.line_bytes)
        if table is not None and not len(table):
            continue
        if table is not None:
            rows = source.settings.batch_rows
            for start in range(0, lines, rows):
                part = table.slice(start, rows)
                yield ColumnBatch(np.arange(len(part)) + number + start, part, source.position)
        else:
            yield from add_lines(source, iter([chunk.text]), builder, first=number)
            if not builder.is_empty:
                yield builder.take(bytes_read=source.position)
        number += lines
    yield from read_json_lines(source, iter([rest]), builder, first=number)


def _chunks(source: Source, blocks: Iterator[bytes]) -> Iterator[_Chunk]:
    """Chunks of whole lines, about as many as a batch may have."""
    limits = source.settings
    parts: list[bytes] = []
    per_line = float(_FIRST_LINE_BYTES)
    for block in blocks:
        parts.append(block)
        held = sum(map(len, parts))
        # A few lines more than a batch may have would be a batch of their own: rather a block less.
        wanted = min(limits.batch_bytes, limits.batch_rows * per_line) - BLOCK_BYTES
        if held < wanted and held <= limits.line_bytes:
            continue
        chunk = _cut(parts)
        parts = [chunk.rest]
        if chunk.text:
            per_line = len(chunk.text) / len(chunk.ends)
        if chunk.text or len(chunk.rest) > limits.line_bytes:
            yield chunk
    yield _cut(parts)


def _cut(parts: list[bytes]) -> _Chunk:
    """The whole lines of a text in parts, and what is behind the last line end."""
    for at in reversed(range(len(parts))):
        end = parts[at].rfind(b"\n") + 1
        if end:
            text = b"".join([*parts[:at], parts[at][:end]])
            return _Chunk(text, _line_ends(text), b"".join([parts[at][end:], *parts[at + 1 :]]))
    return _Chunk(b"", np.zeros(0, np.int64), b"".join(parts))


def _line_ends(text: bytes) -> npt.NDArray[np.int64]:
    """Where the line ends of a text are; looked for in pieces that the processor's cache holds."""
    marks = np.frombuffer(text, np.uint8)
    starts = range(0, len(marks), _SEARCHED_BYTES)
    found = [np.flatnonzero(marks[start : start + _SEARCHED_BYTES] == ord("\n")) + start for start in starts]
    return np.concatenate([np.zeros(0, np.int64), *found])


def _parse(chunk: _Chunk, *, longest: int) -> Any:
    """The lines as a table of the canonical fields; None where the slow reader must look at them."""
    if not len(chunk.ends):
        return pa.table({})
    try:
        # All of it: a name, or a value of no known field, must not be read otherwise than line by line.
        _utf8(chunk.text)
        table = pj.read_json(
            pa.BufferReader(chunk.text),
            read_options=pj.ReadOptions(use_threads=False, block_size=_PARSED_BYTES),
            parse_options=pj.ParseOptions(explicit_schema=_SCHEMA, unexpected_field_behavior="infer"),
        )
        # One object a line: then every line begins and ends with its braces.
        if len(table) != len(chunk.ends) or not _are_objects(chunk, longest) or not all(map(_is_exact, table.schema)):
            return None
        if not all(_is_finite(part) for column in table.columns for part in column.chunks):
            return None
        table = table.select([name for name in terms.REQUEST_FIELDS if name in table.column_names])
        table.validate(full=True)
    except pa.ArrowInvalid:
        return None
    return table.combine_chunks()


def _utf8(chunk: bytes) -> None:
    """Raise ``ArrowInvalid`` where a text is not UTF-8; without a copy."""
    ends = pa.py_buffer(np.array([0, len(chunk)], np.int64))
    pa.Array.from_buffers(pa.large_string(), 1, [None, ends, pa.py_buffer(chunk)]).validate(full=True)


def _are_objects(chunk: _Chunk, longest: int) -> bool:
    """Whether every line begins and ends with braces and none is longer than allowed."""
    text, ends = np.frombuffer(chunk.text, np.uint8), chunk.ends
    starts = np.append(0, ends[:-1] + 1)
    is_braced = (text[starts] == ord("{")).all() and (text[ends - 1] == ord("}")).all()
    return bool(is_braced and (ends - starts).max() <= longest)


def _is_exact(field: Any) -> bool:
    """Whether the parser kept a field as it came: no text taken for a time, no record nested too deeply."""
    kind = field.type
    if field.name == "params" and not (pa.types.is_struct(kind) or pa.types.is_string(kind) or pa.types.is_null(kind)):
        return False
    return _depth(kind) < MAX_DEPTH and not (field.name == "params" and _holds_time(kind))


def _is_finite(values: Any) -> bool:
    """Whether no number is NaN or infinite: the parser reads both, and JSON has neither."""
    kind = values.type
    if pa.types.is_struct(kind):
        return all(_is_finite(values.field(at)) for at in range(kind.num_fields))
    if pa.types.is_list(kind):
        return _is_finite(values.values)
    return not pa.types.is_floating(kind) or pc.all(pc.is_finite(values)).as_py() is not False


def _holds_time(kind: Any) -> bool:
    if pa.types.is_struct(kind):
        return any(_holds_time(field.type) for field in kind)
    return _holds_time(kind.value_type) if pa.types.is_list(kind) else bool(pa.types.is_timestamp(kind))


def _depth(kind: Any) -> int:
    if pa.types.is_struct(kind):
        return 1 + max((_depth(field.type) for field in kind), default=0)
    return 1 + _depth(kind.value_type) if pa.types.is_list(kind) else 0


def contract_codes(params: Any) -> tuple[Any, Any]:
    """Equal parameter objects of a struct column under one code.

    Parameters
    ----------
    params : Arrow struct array.

    Returns
    -------
    Codes (one per row, from 0) and, for each code, a row that has it.
    """
    codes, count = np.asarray(params.is_valid().to_numpy(zero_copy_only=False), dtype=np.int64), 2
    for child in params.flatten():
        told = child.drop_null()
        if pa.types.is_nested(child.type):
            told = pa.array([repr(value) for value in told.to_pylist()], type=pa.string())
        encoded = told.dictionary_encode()
        inner = np.zeros(len(child), np.int64)
        inner[np.asarray(child.is_valid().to_numpy(zero_copy_only=False))] = encoded.indices.to_numpy() + 1
        values = len(encoded.dictionary) + 1
        codes, count = _close_gaps(codes * values + inner, count * values)
    codes, count = _close_gaps(codes, count)
    rows = np.empty(count, np.int64)
    rows[codes] = np.arange(len(codes))
    return codes, rows


def _close_gaps(codes: npt.NDArray[np.int64], limit: int) -> tuple[npt.NDArray[np.int64], int]:
    """Codes below a limit, numbered anew from 0 in their order, and how many there are; sorted only if they are few."""
    if limit > _SPREAD * len(codes):
        found, codes = np.unique(codes, return_inverse=True)
        return codes, len(found)
    is_used = np.zeros(limit, np.bool_)
    is_used[codes] = True
    places = np.cumsum(is_used)
    return places[codes] - 1, int(places[-1]) if limit else 0
