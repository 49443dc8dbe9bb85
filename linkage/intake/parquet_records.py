"""Raw records from Parquet, one row group's batches at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from linkage.errors import FormatError
from linkage.intake.raw import BatchBuilder, RawBatch
from linkage.intake.unpack import Source, unreadable

MAGIC: Final = b"PAR1"
"""What a Parquet file begins and ends with."""

UNREADABLE: Final = (UnicodeDecodeError, OverflowError)
"""What :func:`row_records` raises where a value cannot be had."""

_ROWS_AT_ONCE: Final = 5_000
_CALENDAR_S: Final = (-62_135_596_800, 253_402_300_799)  # years 1 to 9999
_PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000}
_TEXT_OF_BYTES: Final = {pa.binary(): pa.string(), pa.large_binary(): pa.large_string()}


def columns_of(file: BinaryIO, *, where: str) -> list[str]:
    """The top-level column names of a Parquet file.

    Raises
    ------
    FormatError : not a whole Parquet file.
    """
    return [str(name) for name in _open(file, where=where).schema_arrow.names]


def _open(file: BinaryIO, *, where: str) -> Any:
    try:
        return pq.ParquetFile(file)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FormatError(
            f"{where}: wanted a whole Parquet file; its end cannot be read ({_first_line(error)}). "
            "It may still be written: load it again when it is complete"
        ) from error


def read_parquet_rows(source: Source, file: BinaryIO, builder: BatchBuilder) -> Iterator[RawBatch]:
    """Batches from a Parquet file; the number of a record is its row, from 1.

    Parameters
    ----------
    source : for its name and size.
    file : the whole file, seekable (a packed one must be unpacked first).
    builder : gathers the batches.

    Raises
    ------
    FormatError : not a whole Parquet file.
    SourceError : the rest cannot be read now.
    """
    table = _open(file, where=str(source.path))
    total, row = max(table.metadata.num_rows, 1), 0
    for group in range(table.num_row_groups):
        ended = row + table.metadata.row_group(group).num_rows
        try:
            for rows in table.iter_batches(batch_size=_ROWS_AT_ONCE, row_groups=[group]):
                row = _add_rows(rows, row, builder)
                if builder.is_full:
                    yield builder.take(bytes_read=source.size * row // total)
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno:  # Arrow's own, of damage, have no number
                raise unreadable(source.path, error) from error
            builder.reject(row + 1, f"damaged Parquet data up to row {ended}: {_first_line(error)}")
        row = ended
    builder.add_rest()
    if not builder.is_empty:
        yield builder.take(bytes_read=source.size)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:120]


def _add_rows(rows: Any, row: int, builder: BatchBuilder) -> int:
    size = rows.nbytes // max(rows.num_rows, 1)
    try:
        for record in row_records(rows):
            row += 1
            builder.add(row, record, size)
    except UNREADABLE:
        for at in range(row, row + rows.num_rows):
            _add_single(rows.slice(at - row, 1), at + 1, size, builder)
        row += rows.num_rows
    return row


def _add_single(rows: Any, row: int, size: int, builder: BatchBuilder) -> None:
    try:
        builder.add(row, row_records(rows)[0], size)
    except UNREADABLE as error:
        builder.reject(row, why_unreadable(error))


def why_unreadable(error: Exception) -> str:
    """The reason for setting a row aside that :func:`row_records` raised one of ``UNREADABLE`` for."""
    return "a date or time that no calendar has" if isinstance(error, OverflowError) else "not UTF-8 text"


def row_records(rows: Any) -> list[dict[str, Any]]:
    """The rows of an Arrow record batch as objects; a map, which Arrow gives as pairs, is an object as it is in JSON.

    Raises
    ------
    UnicodeDecodeError : a text that is not UTF-8.
    OverflowError : a date, or a time inside a struct, before the year 1 or after 9999.
    """
    records: list[dict[str, Any]] = _with_plain_types(rows).to_pylist()
    for field in rows.schema:
        if _holds_map(field.type):
            for record in records:
                record[field.name] = _with_objects(record[field.name], field.type)
    return records


def _holds_map(kind: Any) -> bool:
    if pa.types.is_struct(kind):
        return any(_holds_map(field.type) for field in kind)
    return pa.types.is_map(kind) or (_is_list(kind) and _holds_map(kind.value_type))


def _with_objects(value: Any, kind: Any) -> Any:
    if value is None or not _holds_map(kind):
        return value
    if pa.types.is_map(kind):
        return {key: _with_objects(inner, kind.item_type) for key, inner in value}
    if pa.types.is_struct(kind):
        return {field.name: _with_objects(value[field.name], field.type) for field in kind}
    return [_with_objects(inner, kind.value_type) for inner in value]


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _with_plain_types(rows: Any) -> Any:
    """The rows with every time column in microseconds (nanoseconds would come out as pandas objects) and bytes as text.

    ClickHouse and others write texts as bytes that nothing marks as text.
    """
    for index, field in enumerate(rows.schema):
        if pa.types.is_timestamp(field.type):
            wanted = pa.timestamp("us", tz="UTC" if field.type.tz else None)
            times = _within_calendar(rows.column(index)).cast(wanted, safe=False)
            rows = rows.set_column(index, field.name, times)
        elif pa.types.is_dictionary(field.type):
            rows = rows.set_column(index, field.name, rows.column(index).dictionary_decode())
        if rows.schema.field(index).type in _TEXT_OF_BYTES:
            text = rows.column(index).view(_TEXT_OF_BYTES[rows.schema.field(index).type])
            rows = rows.set_column(index, field.name, text)
    return rows


def _within_calendar(times: Any) -> Any:
    """The times, those that Python has no date for (the unit was mistaken) moved to its first or last second."""
    per_second = _PER_SECOND.get(times.type.unit)
    if per_second is None:  # nanoseconds end in 2262
        return times
    first, last = (pa.scalar(second * per_second, pa.int64()) for second in _CALENDAR_S)
    numbers = pc.min_element_wise(times.cast(pa.int64()), last, skip_nulls=False)
    return pc.max_element_wise(numbers, first, skip_nulls=False).cast(times.type)
