"""Raw records from CSV: a header row of field names, every value text until it is checked."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from typing import Final

from linkage.errors import FormatError
from linkage.intake.formats.base import shown_name
from linkage.intake.json_records import CUT_SHORT
from linkage.intake.raw import BatchBuilder, RawBatch
from linkage.intake.unpack import Source

MAX_COLUMNS: Final = 10_000
"""A table wider than this is no log."""

_DELIMITERS: Final = (",", ";", "\t")
_SURROGATES: Final = "surrogateescape"


def header_of(sample: bytes, *, where: str) -> list[str]:
    """The column names of a CSV file; its delimiter (``,``, ``;`` or tab) is the one the header has most of.

    Raises
    ------
    FormatError : no header, a name twice, or more than ten thousand columns.
    """
    line = sample.partition(b"\n")[0].decode("utf-8", "replace").strip("\r")
    names = _split_header(line)
    is_wide = len(names) > MAX_COLUMNS
    repeated = [] if is_wide else sorted(name for name, count in Counter(names).items() if count > 1)
    if is_wide or repeated or not any(names):
        found = ", ".join(map(shown_name, repeated[:5])) + " more than once" if repeated else "none"
        found = f"more than {MAX_COLUMNS}" if is_wide else found
        raise FormatError(
            f"{where}: wanted a CSV header of at most {MAX_COLUMNS} different names; found {found}. "
            "Give the file a header row, or say with --map how its lines read"
        )
    return names


def _split_header(line: str) -> list[str]:
    try:
        return [name.strip() for name in next(csv.reader([line], delimiter=delimiter_of(line)), [])]
    except csv.Error:
        return []


def delimiter_of(header: str) -> str:
    """The delimiter that a header row uses; a comma where it has none."""
    return max(_DELIMITERS, key=header.count)


def read_csv_rows(source: Source, blocks: Iterator[bytes], builder: BatchBuilder) -> Iterator[RawBatch]:
    """Batches from a CSV file; a quoted value may span lines, and the row counts as its last line.

    Parameters
    ----------
    source : where the bytes come from.
    blocks : all bytes of it.
    builder : gathers the batches.

    Raises
    ------
    FormatError : the header cannot be used (see :func:`header_of`).
    """
    feed = _Feed(source, blocks)
    lines = iter(feed)
    header_line = next(lines, "")
    names = header_of(header_line.encode("utf-8", _SURROGATES), where=str(source.path))
    # The limit is the module's, not the reader's: it is only ever raised, so that others keep theirs.
    csv.field_size_limit(max(csv.field_size_limit(), source.settings.line_bytes))
    rows = csv.reader(lines, delimiter=delimiter_of(header_line), strict=True)
    while True:
        try:
            values = next(rows, None)
        except csv.Error as error:
            builder.reject(feed.number, f"broken CSV: {error}" if feed.is_ended else CUT_SHORT)
        else:
            if values is None:
                break
            _add_row(values, names, feed, builder)
        if builder.is_full:
            yield builder.take(bytes_read=source.position)
    if source.fault:
        builder.reject(feed.number + 1, source.fault)
    builder.add_rest()
    if not builder.is_empty:
        yield builder.take(bytes_read=source.position)


class _Feed:
    """Lines of a CSV file as text; remembers what was wrong with the lines of the row being read."""

    def __init__(self, source: Source, blocks: Iterator[bytes]) -> None:
        self.number = 0
        self.is_ended = True
        """Whether the line has its line end, which only the last of a file may lack."""
        self.fault = ""
        self.size = 0
        self._longest = source.settings.line_bytes
        self._lines = source.lines(blocks)

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self.number, self.is_ended = line.number, line.is_ended
            if line.text is None:
                self.fault = f"a line longer than {self._longest} bytes"
                yield "\n"
                continue
            self.size += len(line.text)
            text = line.text.decode("utf-8", _SURROGATES)
            if not text.isascii() and any("\udc80" <= mark <= "\udcff" for mark in text):
                self.fault = "not UTF-8 text"
            yield text + "\n"

    def end_row(self) -> tuple[str, int]:
        """What was wrong with the row (empty: nothing) and how many bytes it took; begins the next row."""
        ended = (self.fault, self.size)
        self.fault, self.size = "", 0
        return ended


def _add_row(values: list[str], names: list[str], feed: _Feed, builder: BatchBuilder) -> None:
    fault, size = feed.end_row()
    if fault:
        builder.reject(feed.number, fault)
    elif not values:
        return
    elif len(values) != len(names):
        why = "a row with more or fewer values than the header has names"
        builder.reject(feed.number, why if feed.is_ended else CUT_SHORT)
    else:
        builder.add(feed.number, dict(zip(names, values, strict=True)), size)
