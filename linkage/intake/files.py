"""A log file to batches of raw records: how it is packed and laid out, and what format it is in."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import tempfile
from collections.abc import Callable, Collection, Iterator
from os import PathLike
from typing import BinaryIO, Final, Literal, cast

from linkage.errors import FormatError, RecordError, SourceError
from linkage.intake import csv_records, json_columns, json_records, parquet_records, text_records
from linkage.intake.catalogue import AUTO, format_named, recognise, sampled_fields, shipped_mappings
from linkage.intake.formats import canonical
from linkage.intake.formats.base import Format, RecordKind
from linkage.intake.mapping import MATCHED_CHARS, Mapping
from linkage.intake.raw import BatchBuilder, ColumnBatch, RawBatch
from linkage.intake.trees import parse_object, parse_objects
from linkage.intake.unpack import Digest, Source
from linkage.settings import IngestSettings

Layout = Literal["json lines", "json documents", "csv", "parquet", "text", "empty"]
"""How records stand in a file."""

_SAMPLE_BYTES: Final = 1 << 20
_SAMPLE_RECORDS: Final = 50
_LOOKED_AT_LINES: Final = 50
_NO_VALUE: Final = b" \t\r\n[],"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_NOT_LOGS: Final = {
    b"PK\x03\x04": "a zip archive",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ\x00": "xz data",
    b"SQLite format 3\x00": "an SQLite database",
}


@dataclasses.dataclass(frozen=True)
class RawFile:
    """An opened log file: what it was taken for, and its records.

    Nothing of the records is in memory before ``batches`` is read, once, from start to end.
    """

    path: str
    format: Format
    layout: Layout
    packing: str
    """``plain``, ``gzip`` or ``zstd``."""
    size: int
    """Bytes on disk, what ``RawBatch.bytes_read`` counts towards."""
    batches: Iterator[RawBatch | ColumnBatch]
    digest: Callable[[], Digest]
    """Of its bytes on disk (:meth:`linkage.intake.unpack.Source.digest`); free once all batches were read."""

    @property
    def format_name(self) -> str:
        """The name of the format, as ``--format`` takes it."""
        return self.format.name

    @property
    def kind(self) -> RecordKind:
        """What the records are: ``requests`` or ``accounts``."""
        return self.format.kind

    @property
    def took_for(self) -> str:
        """What the file was taken for, in words: ``LiteLLM_SpendLogs (csv, gzip)``."""
        if self.layout == "empty":
            return "an empty file"
        packing = "" if self.packing == "plain" else f", {self.packing}"
        return f"{self.format.title} ({self.layout}{packing})"


def read_raw(
    path: str | PathLike[str],
    *,
    format_name: str = AUTO,
    kind: RecordKind | None = None,
    mapping: Mapping | None = None,
    settings: IngestSettings | None = None,
    as_columns: bool = False,
    marks: Collection[int] = (),
) -> RawFile:
    """A log file as batches of raw records.

    Packing and layout are told by the bytes, never by the file's name. A file that cannot be read to its end
    gives what came before; the rest is one rejected line with the reason.

    Parameters
    ----------
    path : a regular file.
    format_name : one of ``catalogue.format_names()``; ``auto`` recognises it by the fields of the first records.
    kind : what the caller wants, ``requests`` or ``accounts``; None takes either.
    mapping : a mapping file (``mapping.read_mapping``) that takes the place of a format.
    settings : limits of lines and batches; default ``IngestSettings()``.
    as_columns : give canonical request records in JSON lines as columns where that changes no outcome; several times
        as fast.
    marks : after how many bytes of the file its digest tells what they are.

    Raises
    ------
    SourceError : the path is missing, not a regular file, or cannot be read.
    FormatError : the file is in no known format, of the wrong kind, or not text.
    UsageError : no format has that name.
    """
    limits = settings or IngestSettings()
    mapping = mapping or shipped_mappings().get(format_name)
    chosen = mapping.format if mapping else None if format_name == AUTO else format_named(format_name)
    if chosen and kind not in (None, chosen.kind):
        raise FormatError(f"{path}: wanted {kind}; {chosen.name} holds {chosen.kind}. Choose another format")
    source = Source(path, settings=limits, marks=marks)
    sample, blocks = _look_at(source)
    if chosen is None and (mapping := _text_mapping(source, sample)):
        chosen = mapping.format
    layout = _layout_of(source, sample, mapping)
    if chosen is None:
        chosen = _recognise(source, sample, layout, kind)
    elif mapping is None or mapping is shipped_mappings().get(format_name):
        _refuse_other_format(source, sample, chosen)
    builder = BatchBuilder(limits, split=chosen.split, join=chosen.join() if chosen.join else None)
    if as_columns and layout == "json lines" and chosen is canonical.REQUESTS:
        columns = json_columns.read_json_columns(source, blocks, builder)
        return RawFile(str(path), chosen, layout, source.packing, source.size, columns, source.digest)
    batches = _batches(source, blocks, layout, builder, mapping)
    return RawFile(str(path), chosen, layout, source.packing, source.size, batches, source.digest)


def _look_at(source: Source) -> tuple[bytes, Iterator[bytes]]:
    """The first megabyte, more where the first record does not end in it, and all blocks again."""
    blocks, sample, wanted = source.blocks(), b"", _SAMPLE_BYTES
    while True:
        taken = [sample]
        while sum(map(len, taken)) < wanted and (block := next(blocks, b"")):
            taken.append(block)
        sample = b"".join(taken)
        if len(sample) < wanted or wanted > source.settings.line_bytes or not _goes_on(source, sample):
            return sample, itertools.chain([sample], blocks)
        wanted *= 2


def _goes_on(source: Source, sample: bytes) -> bool:
    """Whether no record ends in a sample that begins with a long one: a prompt may fill megabytes."""
    start = sample.lstrip()
    if not start.startswith((b"{", b"[")) or sample.count(b"\n") >= _LOOKED_AT_LINES:
        return False
    layout = _layout_of(source, sample)
    return layout != "empty" and not _sample_fields(sample, layout, source)


def _layout_of(source: Source, sample: bytes, mapping: Mapping | None = None) -> Layout:
    start = sample.lstrip()
    if not start:
        return "empty"
    if sample.startswith(_UTF16):
        raise FormatError(f"{source.path}: wanted UTF-8; found UTF-16. Convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW")
    for magic, what in _NOT_LOGS.items():
        if sample.startswith(magic):
            raise FormatError(
                f"{source.path}: wanted a log file, plain or packed by gzip or Zstandard; found {what}. "
                "Unpack or export it first"
            )
    if sample.startswith(parquet_records.MAGIC):
        return "parquet"
    if mapping and mapping.line_pattern:
        return "text"
    if json_records.TIME_AHEAD.match(start):
        return "json lines"
    if not start.startswith((b"{", b"[")):
        return "json lines" if _goes_on_as_json(source, sample) else "csv"
    is_open = start.startswith(b"[") or json_records.goes_on(start.partition(b"\n")[0])
    return "json documents" if is_open else "json lines"


def _goes_on_as_json(source: Source, sample: bytes) -> bool:
    """Whether most lines are JSON objects, though the first of all is none: logs are cut at any byte.

    No row of a CSV file reads so, since there the quotes of a quoted cell are doubled.
    """
    texts = [line.text or b"" for line in source.lines(iter([sample])) if line.text is None or line.text.strip()]
    lines = [json_records.object_text(text) for text in texts]
    likely = [line for line in lines if line.startswith(b"{")]
    first = likely[:_LOOKED_AT_LINES]
    return 2 * len(likely) > len(lines) and 2 * sum(map(_is_json_object, first)) > len(first)


def _is_json_object(text: bytes) -> bool:
    try:
        return bool(parse_object(text))
    except RecordError:
        return False


def _text_mapping(source: Source, sample: bytes) -> Mapping | None:
    """The shipped mapping for text whose pattern fits one of the lines looked at: a server says much when it starts."""
    if sample.lstrip().startswith(b"{") or _is_known_table(sample):
        return None
    for mapping in shipped_mappings().values():
        pattern = mapping.line_pattern
        if pattern and any(pattern.search(line) for line in _text_lines(source, sample)):
            return mapping
    return None


def _is_known_table(sample: bytes) -> bool:
    """Whether the first line is the header of a known format: a prompt in its cells may read like any log."""
    try:
        recognise([csv_records.header_of(sample, where="")], where="")
    except FormatError:
        return False
    return True


def _text_lines(source: Source, sample: bytes) -> Iterator[str]:
    for line in source.lines(iter([sample])):
        with contextlib.suppress(UnicodeDecodeError):
            yield text_records.plain_line((line.text or b"")[:MATCHED_CHARS])


def _recognise(source: Source, sample: bytes, layout: Layout, kind: RecordKind | None) -> Format:
    if layout == "empty" or not sample.strip(_NO_VALUE):
        return canonical.ACCOUNTS if kind == "accounts" else canonical.REQUESTS
    samples, longest = _samples(source, sample, layout), source.settings.line_bytes
    if not samples and len(sample) > longest and b"\n" not in sample[:longest]:
        raise FormatError(
            f"{source.path}: wanted lines of at most {longest:,} bytes; its first is longer. Raise [ingest] line_bytes"
        )
    return recognise(samples, where=str(source.path), kind=kind)


def _samples(source: Source, sample: bytes, layout: Layout) -> list[list[str]]:
    """The field names of each of the first records; of a table once, its columns."""
    where = str(source.path)
    if layout == "parquet":
        with _seekable(source, source.blocks()) as file:
            return [parquet_records.columns_of(file, where=where)]
    return [csv_records.header_of(sample, where=where)] if layout == "csv" else _sample_fields(sample, layout, source)


def _refuse_other_format(source: Source, sample: bytes, chosen: Format) -> None:
    """Raise ``FormatError`` where the records are of a format that is known, and not of the one that was named."""
    layout = _layout_of(source, sample)
    if layout == "empty":
        return
    mapping = _text_mapping(source, sample)
    samples: list[list[str]] = []
    if mapping is None:
        try:
            samples = _samples(source, sample, layout)
            other = recognise(samples, where=str(source.path))
        except FormatError:
            return
    else:
        other = mapping.format
    if other is not chosen and all(not chosen.marks or chosen.missing_marks(fields) for fields in samples):
        raise FormatError(
            f"{source.path}: wanted {chosen.title}, as --format {chosen.name} says; its fields are those of "
            f"{other.title}. Leave --format away, or say --format {other.name}"
        )


def _sample_fields(sample: bytes, layout: Layout, source: Source) -> list[list[str]]:
    if layout == "json documents":
        builder = BatchBuilder(source.settings)
        found = json_records.read_json_documents(source, iter([sample]), builder)
        records = [record for batch in found for record in batch.records]
        return [fields for record in records for fields in sampled_fields(record)][:_SAMPLE_RECORDS]
    fields: list[list[str]] = []
    for line in source.lines(iter([sample])):
        try:
            records = parse_objects(json_records.object_text(line.text or b""))
            fields += [found for record in records for found in sampled_fields(record)]
        except RecordError:
            continue
        if len(fields) >= _SAMPLE_RECORDS:
            break
    return fields[:_SAMPLE_RECORDS]  # one line may hold thousands


def _batches(
    source: Source, blocks: Iterator[bytes], layout: Layout, builder: BatchBuilder, mapping: Mapping | None
) -> Iterator[RawBatch]:
    if layout == "parquet":
        with _seekable(source, blocks) as file:
            yield from parquet_records.read_parquet_rows(source, file, builder)
    elif layout == "csv":
        yield from csv_records.read_csv_rows(source, blocks, builder)
    elif layout == "text" and mapping:
        yield from text_records.read_text_lines(source, blocks, builder, mapping=mapping)
    elif layout == "json documents":
        yield from json_records.read_json_documents(source, blocks, builder)
    else:
        yield from json_records.read_json_lines(source, blocks, builder)


def _seekable(source: Source, blocks: Iterator[bytes]) -> BinaryIO:
    """The unpacked file: itself where it is plain, else a temporary copy (Parquet is read from its end)."""
    if source.packing == "plain":
        return source.path.open("rb")
    copy = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    try:
        for block in blocks:
            copy.write(block)
        copy.seek(0)
    except OSError as error:
        copy.close()
        raise SourceError(
            f"{source.path}: wanted to unpack it to a temporary file; {error.strerror}. "
            "Free disk space, or point TMPDIR to a larger disk"
        ) from error
    return cast(BinaryIO, copy)
