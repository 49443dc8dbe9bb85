"""Logs by any path Spark can read to packed facts: the local engine's own functions, mapped over lines or rows."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from linkage.engines.local import Reading
from linkage.engines.spark.folder import FACTS
from linkage.engines.spark.merging import ENTITY, distinct_names, keep_least, least_prompts
from linkage.engines.spark.parts import PACKED, Told, gathered, pack, split
from linkage.engines.spark.session import map_batches
from linkage.errors import FormatError, RecordError
from linkage.intake.batches import RequestBatch, request_batch
from linkage.intake.catalogue import AUTO, format_named, recognise, sampled_fields, shipped_mappings
from linkage.intake.formats import canonical
from linkage.intake.formats.base import Format
from linkage.intake.json_columns import read_json_columns
from linkage.intake.json_records import goes_on, object_text, read_json_lines
from linkage.intake.mapping import Mapping as FieldMapping
from linkage.intake.parquet_records import UNREADABLE, row_records, why_unreadable
from linkage.intake.raw import BatchBuilder, ColumnBatch, RawBatch
from linkage.intake.records import check_requests
from linkage.intake.text_records import read_text_lines
from linkage.intake.trees import parse_objects
from linkage.intake.unpack import Source, behind_hole
from linkage.settings import Settings

Layout = Literal["json lines", "text", "parquet"]

_SAMPLE_LINES: Final = 50
_PARQUET: Final = "PAR1"
_ROWS_AT_ONCE: Final = 5_000

TEXT: Final = pa.schema([("id", pa.int64()), ("value", pa.string())])
"""Words of prompts, only until templates are described."""

COUNT: Final = pa.schema([("what", pa.string()), ("input", pa.int64()), ("value", pa.string()), ("count", pa.int64())])
"""Usable records (``read``), lines set aside (``rejected``, by reason) and values dropped or repaired (``note``)."""

PARSED: Final[Mapping[str, Any]] = {
    "request": FACTS["request"],
    "prompt": FACTS["prompt"],
    "entity": ENTITY,
    "text": TEXT,
    "count": COUNT,
}
"""What comes of parsing, by part."""

_HELD_ROWS: Final = 100_000  # requests of a task that are packed at once: fewer, fuller packets
_HELD_BYTES: Final = 128_000_000


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
                lines = batch.column(0).slice(start, _ROWS_AT_ONCE)
                yield pc.binary_join(pa.ListArray.from_arrays([0, len(lines)], lines), b"\n")[0].as_py() + b"\n"


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
    first = next((line for line in map(_bytes, lines) if line), b"{}")
    if not first.startswith(b"{") or goes_on(first):
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
            for record in parse_objects(_bytes(line)):
                yield from sampled_fields(record)
        except RecordError:
            continue


def _bytes(line: str) -> bytes:
    return object_text(behind_hole(line.encode("utf-8", "surrogatepass")))


def _usable(form: Format, path: str) -> Format:
    if form.kind == "companions":
        raise FormatError(
            f"{path}: wanted request records; {form.name} completes those of {form.completes}: load both with linkage "
            "ingest"
        )
    if form.kind != "requests":
        raise FormatError(f"{path}: wanted request records; {form.name} holds {form.kind}. Pass it with --accounts")
    if form.join is not None:
        raise FormatError(
            f"{path}: wanted a format with whole records on each line; {form.name} spreads one over several lines, "
            "which may lie with different workers. Load it with linkage ingest"
        )
    return form


def parse_input(
    spark: SparkSession, given: LogInput, *, number: int, buckets: int, reading: Reading, settings: Settings
) -> DataFrame:
    """The facts of one input, packed, as ``PARSED`` has them; reads it once when the frame is written.

    Parameters
    ----------
    number : of the input, to tell what was set aside where.
    buckets : that ids are spread over.
    """
    known = given.mapping or given.format.name  # a format's functions are found by name where the work is done
    tell = functools.partial(_facts, form=known, reading=reading, settings=settings)
    read = _row_map if given.layout == "parquet" else _line_map

    def parse(batches: Iterator[Any]) -> Iterator[Any]:
        found = map(tell, read(batches, settings, known))
        yield from pack(_hold(found, number=number, buckets=buckets), PARSED)

    return map_batches(_frame_of(spark, given), parse, PACKED)


def input_bytes(spark: SparkSession, given: LogInput) -> int:
    """How large the files of an input are, by Spark's own estimate."""
    plan: Any = _frame_of(spark, given)
    return int(plan._jdf.queryExecution().optimizedPlan().stats().sizeInBytes())


def _frame_of(spark: SparkSession, given: LogInput) -> DataFrame:
    if given.layout == "parquet":
        return spark.read.parquet(given.path)
    return spark.read.option("lineSep", "\n").text(given.path).select(sf.col("value").cast("binary").alias("value"))


def _form_of(known: str | FieldMapping) -> Format:
    return format_named(known) if isinstance(known, str) else known.format


def _line_map(
    batches: Iterator[Any], settings: Settings, known: str | FieldMapping
) -> Iterator[RawBatch | ColumnBatch]:
    lines, form = LineStream(batches, settings=settings), _form_of(known)
    builder = BatchBuilder(settings.ingest, split=form.split)
    if not isinstance(known, str) and known.line_pattern:
        yield from read_text_lines(lines, lines.blocks(), builder, mapping=known)
    elif form is canonical.REQUESTS:
        yield from read_json_columns(lines, lines.blocks(), builder)
    else:
        yield from read_json_lines(lines, lines.blocks(), builder)


def _row_map(batches: Iterator[Any], settings: Settings, known: str | FieldMapping) -> Iterator[RawBatch]:
    builder = BatchBuilder(settings.ingest, split=_form_of(known).split)
    for batch in batches:
        for start in range(0, len(batch), _ROWS_AT_ONCE):
            _add_rows(batch.slice(start, _ROWS_AT_ONCE), builder)
            if builder.is_full:
                yield builder.take(bytes_read=0)
    if not builder.is_empty:
        yield builder.take(bytes_read=0)


def _add_rows(batch: Any, builder: BatchBuilder) -> None:
    """Rows as records; one that cannot be read is set aside."""
    size = batch.nbytes // max(len(batch), 1)
    try:
        for record in row_records(batch):
            builder.add(1, record, size)
    except UNREADABLE as error:
        for row in range(len(batch)) if len(batch) > 1 else ():
            _add_rows(batch.slice(row, 1), builder)
        if len(batch) == 1:
            builder.reject(1, why_unreadable(error))


def _facts(
    raw: RawBatch | ColumnBatch, *, form: str | FieldMapping, reading: Reading, settings: Settings
) -> RequestBatch:
    """Checked, identified and hashed: the facts of a batch."""
    known = _form_of(form)
    checked = check_requests(raw, known, settings=settings.ingest)
    return request_batch(checked, source=reading.source or known.name, pseudonymizer=reading.pseudonymizer)


def _hold(batches: Iterable[RequestBatch], *, number: int, buckets: int) -> Iterator[Told]:
    """What some batches at a time say, without what they repeat."""
    held: list[RequestBatch] = []
    rows = size = 0
    for batch in batches:
        held.append(batch)
        rows, size = rows + len(batch.requests), size + batch.requests.nbytes + batch.prompts.nbytes
        if rows >= _HELD_ROWS or size >= _HELD_BYTES:
            yield from _facts_of(held, number, buckets)
            held, rows, size = [], 0, 0
    if held:
        yield from _facts_of(held, number, buckets)


def _facts_of(batches: Sequence[RequestBatch], number: int, buckets: int) -> Iterator[Told]:
    requests = pa.concat_tables([batch.requests for batch in batches])
    none = pa.array(np.zeros(len(requests), np.int64))
    kept = keep_least(requests.append_column("repeats", none).append_column("conflicts", none))
    yield from split("request", kept, ids=_ids(kept, "key"), buckets=buckets)
    prompts = pa.concat_tables([batch.prompts for batch in batches])
    distinct = least_prompts(prompts)
    yield from split("prompt", distinct, ids=_ids(distinct, "id"), buckets=buckets)
    texts = prompts.select(["id", "text"]).filter(prompts["text"].is_valid())
    texts = texts.take(pc.sort_indices(texts, [("id", "ascending"), ("text", "ascending")]))
    texts = texts.take(pa.array(np.unique(_ids(texts, "id"), return_index=True)[1])).rename_columns(TEXT.names)
    yield from split("text", texts, ids=_ids(texts, "id"), buckets=buckets)
    entities = distinct_names(table for batch in batches for table in _names_of(batch))
    yield from split("entity", entities, ids=_ids(entities, "id"), buckets=buckets)
    yield gathered(
        "count", pa.concat_tables(list(itertools.chain.from_iterable(_counts(each, number) for each in batches)))
    )


def _ids(table: Any, name: str) -> Any:
    return np.asarray(table[name].to_numpy())


def _names_of(batch: RequestBatch) -> Iterator[Any]:
    for kind, table in batch.entities.items():
        yield pa.table({"id": table["id"], "kind": [kind] * len(table), "value": table["value"]}, schema=ENTITY)


def _counts(batch: RequestBatch, number: int) -> Iterator[Any]:
    counted = batch.rejected.group_by("reason").aggregate([([], "count_all")])
    notes = [f"{note['field']}: {note['reason']}" for note in batch.notes.to_pylist()]
    for what, values, counts in (
        ("read", [None], [len(batch.requests)]),
        ("rejected", counted["reason"], counted["count_all"]),
        ("note", notes, batch.notes["count"]),
    ):
        size = len(values)
        yield pa.table(
            {"what": [what] * size, "input": [number] * size, "value": values, "count": counts}, schema=COUNT
        )
