"""Logs by any path Spark can read to facts of batches: the local engine's own functions, mapped over lines or rows."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from linkage.engines.local import Reading
from linkage.engines.spark.parts import BatchMap, as_part, union_of
from linkage.engines.spark.session import map_batches
from linkage.errors import FormatError, RecordError
from linkage.intake.batches import REQUEST_TYPES, RequestBatch, request_batch
from linkage.intake.catalogue import AUTO, format_named, recognise, sampled_fields, shipped_mappings
from linkage.intake.formats import canonical
from linkage.intake.formats.base import Format
from linkage.intake.json_columns import read_json_columns
from linkage.intake.json_records import read_json_lines
from linkage.intake.mapping import Mapping as FieldMapping
from linkage.intake.raw import BatchBuilder, ColumnBatch, RawBatch
from linkage.intake.records import check_requests
from linkage.intake.text_records import read_text_lines
from linkage.intake.trees import parse_object
from linkage.intake.unpack import Source
from linkage.settings import Settings

Layout = Literal["json lines", "text", "parquet"]

_SAMPLE_LINES: Final = 50
_PARQUET: Final = "PAR1"
_ROWS_AT_ONCE: Final = 5_000

PARSED: Final[Mapping[str, Any]] = {
    "request": pa.schema(list(REQUEST_TYPES.items())),
    "entity": pa.schema([("id", pa.int64()), ("kind", pa.string()), ("value", pa.string())]),
    "prompt": pa.schema([("id", pa.int64()), ("gateway_template", pa.string()), ("features", pa.binary())]),
    "text": pa.schema([("id", pa.int64()), ("value", pa.string())]),
    "read": pa.schema([("input", pa.int64()), ("count", pa.int64())]),
    "rejected": pa.schema([("input", pa.int64()), ("value", pa.string()), ("count", pa.int64())]),
    "note": pa.schema([("kind", pa.string()), ("value", pa.string()), ("count", pa.int64())]),
}
"""What comes of parsing, by part. ``text`` holds the words of prompts, only until templates are described; ``read``
counts usable records, ``rejected`` and ``note`` reasons."""

PARSED_ROWS: Final = union_of(PARSED)
"""The parts in one schema, as they leave the map."""


@dataclasses.dataclass(frozen=True)
class LogInput:
    """One input and how it is read."""

    path: str
    layout: Layout
    format: Format
    mapping: FieldMapping | None

    @property
    def took_for(self) -> str:
        """What the input was taken for, in words: ``canonical requests (json lines)``."""
        return f"{self.format.title} ({self.layout})"


class LineStream(Source):
    """Lines out of Spark's batches in the place of a file, for the readers of intake.

    Parameters
    ----------
    batches : Arrow record batches of one binary column, a line each, without line ends.
    settings : limits of lines and batches.
    """

    def __init__(self, batches: Iterable[Any], *, settings: Settings) -> None:
        self.path = Path("lines")
        self.settings = settings.ingest
        self.packing = "plain"
        self.size = self.position = 0
        self.fault = ""
        self._batches = batches

    def blocks(self) -> Iterator[bytes]:
        """The lines of some rows at a time, each line ended."""
        for batch in self._batches:
            for start in range(0, len(batch), _ROWS_AT_ONCE):
                yield b"".join(line + b"\n" for line in batch.column(0).slice(start, _ROWS_AT_ONCE).to_pylist())


def recognise_input(spark: SparkSession, path: str, *, reading: Reading) -> LogInput:
    """What an input is and how it is read, from its first lines.

    Parameters
    ----------
    path : files or folders of one format, by any path Spark can read.

    Raises
    ------
    FormatError : a format or layout that needs a whole file at once, or one that is not known.
    UsageError : no format has that name.
    """
    lines = [row[0] for row in spark.read.option("lineSep", "\n").text(path).head(_SAMPLE_LINES)]
    name = reading.format_name
    mapping = reading.mapping or shipped_mappings().get(name)
    chosen = mapping.format if mapping else None if name == AUTO else format_named(name)
    if lines and lines[0].startswith(_PARQUET):
        columns = spark.read.parquet(path).columns
        return LogInput(
            path, "parquet", _usable(chosen or recognise([columns], where=path, kind="requests"), path), mapping
        )
    if mapping and mapping.line_pattern:
        return LogInput(path, "text", _usable(mapping.format, path), mapping)
    first = next((line.strip() for line in lines if line.strip()), "{}")
    if not first.startswith("{") or first == "{":
        raise FormatError(
            f"{path}: wanted JSON lines, Parquet, or text with --map or --format; found another layout. Load CSV and "
            "JSON that spans lines with linkage ingest, or convert it to JSON lines first"
        )
    fields = list(_fields_of(lines)) or [["timestamp", "account_id"]]
    return LogInput(
        path, "json lines", _usable(chosen or recognise(fields, where=path, kind="requests"), path), mapping
    )


def _fields_of(lines: Iterable[str]) -> Iterator[list[str]]:
    for line in lines:
        try:
            yield from sampled_fields(parse_object(line.encode("utf-8", "surrogatepass").strip()))
        except RecordError:
            continue


def _usable(form: Format, path: str) -> Format:
    if form.kind != "requests":
        raise FormatError(f"{path}: wanted request records; {form.name} holds {form.kind}. Pass it with --accounts")
    if form.join is not None:
        raise FormatError(
            f"{path}: wanted a format with whole records on each line; {form.name} spreads one over several lines, "
            "which may lie with different workers. Load it with linkage ingest"
        )
    return form


def parse_input(
    spark: SparkSession, given: LogInput, *, number: int, reading: Reading, settings: Settings
) -> DataFrame:
    """The facts of one input as rows of ``PARSED_ROWS``; reads it once when the frame is written.

    Parameters
    ----------
    number : of the input, to tell what was set aside where.
    """
    known = given.mapping or given.format.name  # a format's functions are found by name where the work is done
    tell = functools.partial(_facts, number=number, form=known, reading=reading, settings=settings)
    if given.layout == "parquet":
        return map_batches(spark.read.parquet(given.path), _row_map(tell, settings, known), PARSED_ROWS)
    lines = spark.read.option("lineSep", "\n").text(given.path).select(sf.col("value").cast("binary").alias("value"))
    return map_batches(lines, _line_map(tell, settings, known), PARSED_ROWS)


def _form_of(known: str | FieldMapping) -> Format:
    return format_named(known) if isinstance(known, str) else known.format


def _line_map(tell: Any, settings: Settings, known: str | FieldMapping) -> BatchMap:
    def parse(batches: Iterator[Any]) -> Iterator[Any]:
        lines, form = LineStream(batches, settings=settings), _form_of(known)
        builder = BatchBuilder(settings.ingest, split=form.split)
        found: Iterator[RawBatch | ColumnBatch]
        if not isinstance(known, str) and known.line_pattern:
            found = read_text_lines(lines, lines.blocks(), builder, mapping=known)
        elif form is canonical.REQUESTS:
            found = read_json_columns(lines, lines.blocks(), builder)
        else:
            found = read_json_lines(lines, lines.blocks(), builder)
        for raw in found:
            yield from tell(raw)

    return parse


def _row_map(tell: Any, settings: Settings, known: str | FieldMapping) -> BatchMap:
    def parse(batches: Iterator[Any]) -> Iterator[Any]:
        builder = BatchBuilder(settings.ingest, split=_form_of(known).split)
        for batch in batches:
            for start in range(0, len(batch), _ROWS_AT_ONCE):
                _add_rows(batch.slice(start, _ROWS_AT_ONCE), builder)
                if builder.is_full:
                    yield from tell(builder.take(bytes_read=0))
        if not builder.is_empty:
            yield from tell(builder.take(bytes_read=0))

    return parse


def _add_rows(batch: Any, builder: BatchBuilder) -> None:
    """Rows as records; one that is not UTF-8 text is set aside."""
    size = batch.nbytes // max(len(batch), 1)
    try:
        for record in batch.to_pylist():
            builder.add(1, record, size)
    except UnicodeDecodeError:
        for row in range(len(batch)) if len(batch) > 1 else ():
            _add_rows(batch.slice(row, 1), builder)
        if len(batch) == 1:
            builder.reject(1, "not UTF-8 text")


def _facts(
    raw: RawBatch | ColumnBatch, *, number: int, form: str | FieldMapping, reading: Reading, settings: Settings
) -> Iterator[Any]:
    """Checked, identified and hashed: the facts of a batch, part by part."""
    known = _form_of(form)
    checked = check_requests(raw, known, settings=settings.ingest)
    batch = request_batch(checked, source=reading.source or known.name, pseudonymizer=reading.pseudonymizer)
    for part, table in _tables_of(batch, number):
        yield from as_part(part, table, PARSED_ROWS)


def _tables_of(batch: RequestBatch, number: int) -> Iterator[tuple[str, Any]]:
    yield "request", batch.requests
    for kind, table in sorted(batch.entities.items()):
        yield "entity", pa.table({"id": table["id"], "kind": [kind] * len(table), "value": table["value"]})
    prompts = batch.prompts
    yield "prompt", prompts.select(["id", "gateway_template", "features"])
    texts = prompts.filter(prompts["text"].is_valid())
    yield "text", pa.table({"id": texts["id"], "value": texts["text"]})
    yield "read", pa.table({"input": [number], "count": [len(batch.requests)]})
    counted = batch.rejected.group_by("reason").aggregate([([], "count_all")])
    yield (
        "rejected",
        pa.table({"input": [number] * len(counted), "value": counted["reason"], "count": counted["count_all"]}),
    )
    notes = batch.notes
    yield "note", pa.table({"kind": notes["field"], "value": notes["reason"], "count": notes["count"]})
