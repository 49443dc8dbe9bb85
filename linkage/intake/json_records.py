"""Raw records from JSON: one object a line, or objects and arrays that span lines."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Generator, Iterator
from typing import Final

from linkage.errors import RecordError
from linkage.intake.raw import BatchBuilder, RawBatch
from linkage.intake.trees import parse_object, parse_objects
from linkage.intake.unpack import Line, Source

CUT_SHORT: Final = "the last line is cut short: load the file again when it is complete"
"""Reason for a last line without its line end that cannot be read: it is still being written, or was lost."""

TIME_AHEAD: Final = re.compile(rb"^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d) +(?=\{)")
_BETWEEN: Final = re.compile(r"[\s,\[\]]*")
_SURROGATES: Final = "surrogateescape"
_BEHIND_CHARS: Final = 1 << 12
"""No more than these are kept of what was read: behind a fault Python counts the lines of all that stands before it."""


def read_json_lines(
    source: Source, blocks: Iterator[bytes], builder: BatchBuilder, *, first: int = 1
) -> Iterator[RawBatch]:
    """Batches from a file with one JSON object a line; blank lines do not count.

    Parameters
    ----------
    source : where the bytes come from.
    blocks : all bytes of it.
    builder : gathers the batches.
    first : the number of the first line.
    """
    last = yield from add_lines(source, blocks, builder, first=first)
    yield from builder.rest(line=last + 1, fault=source.fault, bytes_read=source.position)


def add_lines(
    source: Source, blocks: Iterator[bytes], builder: BatchBuilder, *, first: int
) -> Generator[RawBatch, None, int]:
    """Read lines into the builder, and hand out its batches as they fill; returns the number of the last line.

    Parameters
    ----------
    source, blocks, builder, first : as for :func:`read_json_lines`, but that the blocks may be a part of the file.
    """
    line = Line(first - 1, b"", True)
    for line in source.lines(blocks, first=first):
        if line.text is None:
            builder.reject(line.number, f"a line longer than {source.settings.line_bytes} bytes")
        else:
            _add_objects(line, object_text(line.text), builder)
        if builder.is_full:
            yield builder.take(bytes_read=source.position)
    return line.number


def _add_objects(line: Line, text: bytes, builder: BatchBuilder) -> None:
    """Add the objects of a line, or set it aside with the reason; a blank one has none."""
    if not text:
        return
    try:
        records = parse_objects(text)
        for record in records:
            builder.add(line.number, record, len(text) // len(records))
    except RecordError as error:
        builder.reject(line.number, str(error) if line.is_ended else CUT_SHORT)


def object_text(text: bytes) -> bytes:
    """The JSON of a line: CloudWatch and container runtimes put a time before it."""
    text = text.strip()
    return text if text.startswith(b"{") else TIME_AHEAD.sub(b"", text, count=1)


def goes_on(line: bytes) -> bool:
    """Whether an object goes on with the next line: pretty JSON, or a wrapper around one record a line."""
    return line.strip().endswith((b"{", b"[", b",", b":"))


def read_json_documents(source: Source, blocks: Iterator[bytes], builder: BatchBuilder) -> Iterator[RawBatch]:
    """Batches from JSON values that span lines: an array of objects, arrays in a row, or indented objects.

    The number of a record counts from 1. Behind a value that is not JSON, reading goes on with the next line, as
    it would in a file of JSON lines.
    """
    number = 0
    scanner = _Scanner(source, blocks)
    for text in scanner.values():
        number += 1
        try:
            if text is None:
                raise RecordError(scanner.fault)
            builder.add(number, parse_object(text), len(text))
        except RecordError as error:
            builder.reject(number, str(error))
        if builder.is_full:
            yield builder.take(bytes_read=source.position)
    fault = source.fault or ("the array is not closed: the file is cut short" if scanner.is_open else "")
    yield from builder.rest(line=number + 1, fault=fault, bytes_read=source.position)


class _Scanner:
    """Cuts a stream of JSON into the values at its top level, arrays opened; holds one value at a time."""

    def __init__(self, source: Source, blocks: Iterator[bytes]) -> None:
        self.fault = ""
        """Why the last value could not be read."""
        self._longest = source.settings.line_bytes
        self._blocks = blocks
        self._to_text = codecs.getincrementaldecoder("utf-8")(_SURROGATES)
        self._decoder = json.JSONDecoder()
        self._text = ""
        self._at = 0
        self._depth = 0
        self._is_torn = False

    @property
    def is_open(self) -> bool:
        """Whether an array still waits for its end; after a broken value that cannot be told."""
        return self._depth > 0 and not self._is_torn

    def values(self) -> Iterator[bytes | None]:
        """Each value as its bytes; None, with ``fault`` set, for what is no value."""
        while self._skip_between():
            end = self._end_of_value()
            if end is None:
                self._is_torn = True
                if not self._skip_line():
                    self.fault += ": the rest of the file could not be read"
                yield None
            else:
                start, self._at = self._at, end
                yield self._text[start:end].encode("utf-8", _SURROGATES)

    def _skip_line(self) -> bool:
        """Move behind the end of this line; False where the file has no other."""
        if self._at > _BEHIND_CHARS:
            self._text, self._at = self._text[self._at :], 0
        while (end := self._text.find("\n", self._at)) < 0:
            self._at = len(self._text)
            if not self._grow():
                return False
        self._at = end + 1
        return True

    def _skip_between(self) -> bool:
        """Move to the next value; False at the end of the file."""
        while True:
            match = _BETWEEN.match(self._text, self._at)
            marks = match.group() if match else ""
            self._depth += marks.count("[") - marks.count("]")
            self._at += len(marks)
            if self._at < len(self._text):
                return True
            if not self._grow():
                return False

    def _end_of_value(self) -> int | None:
        """Where the value that starts here ends; None, with ``fault`` set, where it cannot be told."""
        while True:
            try:
                end = self._decoder.raw_decode(self._text, self._at)[1]
                # A bare number at the end of what is held may go on in the next block.
                if end < len(self._text) or not self._grow():
                    return end
            except RecursionError:
                self.fault = "JSON nested too deeply"
                return None
            except ValueError:
                is_too_long = len(self._text) - self._at > self._longest
                if is_too_long or not self._grow():
                    why = f", or a value longer than {self._longest} bytes" if is_too_long else ""
                    self.fault = f"broken JSON{why}"
                    return None

    def _grow(self) -> bool:
        """Drop what was read and hold at least twice as much, so that few blocks are parsed more than once.

        False where there is no more: then nothing is moved, or a file of broken lines would be copied for each of them.
        """
        parts: list[str] = []
        held, more = len(self._text) - self._at, 0
        while more <= held and (block := next(self._blocks, None)) is not None:
            parts.append(self._to_text.decode(block))
            more += len(parts[-1])
        if more:
            self._text, self._at = "".join([self._text[self._at :], *parts]), 0
        return more > 0
