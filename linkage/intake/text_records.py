"""Raw records from text logs: the named groups of a pattern, line by line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from linkage.intake.json_records import CUT_SHORT
from linkage.intake.mapping import MATCHED_CHARS, Mapping
from linkage.intake.raw import BatchBuilder, RawBatch
from linkage.intake.unpack import Line, Source

_COLOURS: Final = re.compile(rb"\x1b\[[0-9;]*m")
"""What a program writes to a terminal, and a container runtime keeps."""


def read_text_lines(
    source: Source, blocks: Iterator[bytes], builder: BatchBuilder, *, mapping: Mapping
) -> Iterator[RawBatch]:
    """Batches from a text log; a record is the named groups of the mapping's ``line`` pattern.

    Parameters
    ----------
    source : where the bytes come from.
    blocks : all bytes of it.
    builder : gathers the batches.
    mapping : has a ``line_pattern``.
    """
    line = Line(0, b"", True)
    for line in source.lines(blocks):
        _add_line(line, builder, mapping)
        if builder.is_full:
            yield builder.take(bytes_read=source.position)
    yield from builder.rest(line=line.number + 1, fault=source.fault, bytes_read=source.position)


def _add_line(line: Line, builder: BatchBuilder, mapping: Mapping) -> None:
    if line.text is None or len(line.text) > MATCHED_CHARS:
        builder.reject(line.number, f"a line longer than {MATCHED_CHARS} bytes")
        return
    try:
        text = plain_line(line.text)
    except UnicodeDecodeError:
        builder.reject(line.number, "not UTF-8 text")
        return
    match = mapping.line_pattern.search(text) if mapping.line_pattern and text else None
    if match and line.is_ended:
        builder.add(line.number, match.groupdict(), len(text))
    elif match or (text and not mapping.skips_other_lines):
        # A pattern may fit what is there of a line that is being written, and find half an account in it.
        builder.reject(line.number, "the line pattern does not match" if line.is_ended else CUT_SHORT)


def plain_line(text: bytes) -> str:
    """A line as text, without blanks around it and colours in it; raises UnicodeDecodeError where it is not UTF-8."""
    return _COLOURS.sub(b"", text).decode("utf-8").strip()
