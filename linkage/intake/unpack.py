"""Bytes and lines of a log file, whatever packs it: plain, gzip or Zstandard, told by their first bytes.

A file that breaks off gives what came before; :attr:`Source.fault` then says why the rest is missing. One that cannot
be read now is another matter, and an error.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import zlib
from collections.abc import Collection, Iterator
from os import PathLike
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import zstandard

from linkage.errors import LinkageError, SourceError
from linkage.settings import IngestSettings

BLOCK_BYTES: Final = 1 << 20
"""Most bytes handed on at once: bounds memory under any packing ratio."""

BOM: Final = b"\xef\xbb\xbf"

_HOLE: Final = re.compile(rb"\s*\0+")
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + low, 0x2A, 0x4D, 0x18]) for low in range(16)))
# One block of Zstandard unpacks to at most 128 KiB from 4 bytes: small bites bound what one call returns.
_ZSTD_BITE: Final = 512
_RATIO_FLOOR_BYTES: Final = 1 << 20


class _BrokenOffError(LinkageError):
    """The rest of a packed file cannot be read."""


class Line(NamedTuple):
    """One line of a file."""

    number: int
    """From 1."""
    text: bytes | None
    """Without its line end and a hole before it; None where it was longer than the settings allow."""
    is_ended: bool
    """Whether a line end follows; False only for the last line."""


class Digest(NamedTuple):
    """What tells the bytes of a file from any others."""

    sha256: str
    """Hexadecimal."""
    size: int
    """How many bytes it was made of: a file that is written to meanwhile is longer than it was when it was opened."""
    beginnings: frozenset[str]
    """SHA-256 of its first bytes up to each of the marks that were asked for, packed and unpacked."""


class Source:
    """A log file to read once from start to end.

    Attributes
    ----------
    path : the file.
    packing : ``plain``, ``gzip`` or ``zstd``.
    size : bytes on disk.
    position : bytes on disk read so far, for progress.
    fault : why the file broke off; empty while it did not.
    """

    def __init__(self, path: str | PathLike[str], *, settings: IngestSettings, marks: Collection[int] = ()) -> None:
        """Open nothing yet, but make sure that the path is a file that can be read.

        Parameters
        ----------
        marks : after how many bytes its digest tells what they are (``Digest.beginnings``).

        Raises
        ------
        SourceError : missing, a directory, a FIFO or device, or not readable.
        """
        self.path = Path(path)
        self.settings = settings
        self.position = 0
        self.fault = ""
        self._digest: Digest | None = None
        self._marks = marks
        self._unpacked: _Hasher | None = None
        self.size = _regular_size(self.path)
        with _open(self.path) as file:
            start = file.read(8)
        self.packing = _packing_of(start)
        if marks and self.packing != "plain":
            self._unpacked = _Hasher(marks)

    def blocks(self) -> Iterator[bytes]:
        """Unpacked bytes, at most about a megabyte at once; a UTF-8 byte order mark at the start is dropped.

        So are NUL bytes there: a program that goes on writing where it was, after its log was truncated, leaves a hole.

        Raises
        ------
        SourceError : the rest cannot be read now. What came before is not the file: taken for it, the rest would be
            missing for good once the disk or network is well again.
        """
        held, unpacked, is_first = b"", 0, True
        try:
            for block in self._unpack():
                unpacked += len(block)
                if self._unpacked:
                    self._unpacked.add(block)
                self._refuse_bomb(unpacked)
                if is_first and len(held := (held + block).lstrip(b"\0")) < len(BOM):
                    continue
                yield held.removeprefix(BOM) if is_first else block
                is_first = False
        except _BrokenOffError as error:
            self.fault = str(error)
        except SourceError:
            raise
        except OSError as error:
            raise unreadable(self.path, error) from error
        if is_first and held.removeprefix(BOM):
            yield held.removeprefix(BOM)

    def digest(self) -> Digest:
        """Of the bytes on disk: of those that were read, where they were read to their end.

        Raises
        ------
        SourceError : they cannot be read now.
        """
        if self._digest is not None:
            unpacked = self._unpacked.digest().beginnings if self._unpacked else frozenset()
            return self._digest._replace(beginnings=self._digest.beginnings | unpacked)
        hasher = _Hasher(self._marks)
        with _open(self.path) as file:
            try:
                while block := file.read(BLOCK_BYTES):
                    hasher.add(block)
            except OSError as error:
                raise unreadable(self.path, error) from error
        return hasher.digest()

    def lines(self, blocks: Iterator[bytes] | None = None, *, first: int = 1) -> Iterator[Line]:
        """Lines ended by a line feed alone (U+2028 and the like are text); a carriage return before it stays.

        Parameters
        ----------
        blocks : the bytes to split, where some were taken to look at; default: all of the file.
        first : the number of the first line.
        """
        longest = self.settings.line_bytes
        number, rest, is_too_long = first, b"", False
        for block in self.blocks() if blocks is None else blocks:
            parts = block.split(b"\n")
            for part in parts[:-1]:
                text = rest + part
                is_too_long = is_too_long or len(text) > longest
                yield Line(number, None if is_too_long else behind_hole(text), True)
                number, rest, is_too_long = number + 1, b"", False
            # What is beyond the limit is not kept, so that one endless line cannot fill the memory.
            is_too_long = is_too_long or len(rest) + len(parts[-1]) > longest
            rest = b"" if is_too_long else rest + parts[-1]
        if rest or is_too_long:
            yield Line(number, None if is_too_long else behind_hole(rest), False)

    def _unpack(self) -> Iterator[bytes]:
        with _open(self.path) as file:
            packed = self._packed(file)
            if self.packing == "gzip":
                yield from _gunzip(packed)
            elif self.packing == "zstd":
                yield from _unzstd(packed)
            else:
                yield from packed

    def _packed(self, file: BinaryIO) -> Iterator[bytes]:
        hasher = _Hasher(self._marks)
        while block := file.read(BLOCK_BYTES):
            hasher.add(block)
            self.position += len(block)
            yield block
        self._digest = hasher.digest()

    def _refuse_bomb(self, unpacked: int) -> None:
        ratio = self.settings.unpacked_ratio
        if unpacked > ratio * max(self.position, _RATIO_FLOOR_BYTES):
            raise _BrokenOffError(f"unpacks to more than {ratio} times its size; the rest was not read")


class _Hasher:
    """The digest of bytes that come block by block."""

    def __init__(self, marks: Collection[int]) -> None:
        self._sha256, self._size = hashlib.sha256(), 0
        self._marks = sorted(marks, reverse=True)
        self._beginnings: set[str] = set()

    def add(self, block: bytes) -> None:
        rest = memoryview(block)
        while self._marks and self._marks[-1] <= self._size + len(rest):
            mark = self._marks.pop()
            self._sha256.update(rest[: mark - self._size])
            rest = rest[mark - self._size :]
            self._size = mark
            self._beginnings.add(self._sha256.hexdigest())
        self._sha256.update(rest)
        self._size += len(rest)

    def digest(self) -> Digest:
        return Digest(self._sha256.hexdigest(), self._size, frozenset(self._beginnings))


def behind_hole(line: bytes) -> bytes:
    r"""A line without the NUL bytes that a machine which lost power leaves before it; one of nothing else stays.

    Examples
    --------
    >>> behind_hole(b"\0\0{}"), behind_hole(b"\0\0")
    (b'{}', b'\x00\x00')
    """
    hole = _HOLE.match(line)
    rest = line[hole.end() :] if hole else line
    return rest if rest.strip() else line


def unreadable(path: Path, error: OSError) -> SourceError:
    """What is told of a file whose rest cannot be read now."""
    return SourceError(
        f"{path}: wanted to read it to its end; {error.strerror or error}. Nothing of it was stored: load it again or, "
        "where that fails too, a copy of it on another disk"
    )


def _regular_size(path: Path) -> int:
    try:
        info = path.stat()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise SourceError(f"{path}: wanted a log file to read; {why}. Check the path") from error
    if not stat.S_ISREG(info.st_mode):
        what = "a directory" if stat.S_ISDIR(info.st_mode) else "a FIFO, socket or device"
        todo = "Name the files in it" if stat.S_ISDIR(info.st_mode) else "Write its data to a file first"
        raise SourceError(f"{path}: wanted a regular file; found {what}. {todo}")
    return info.st_size


def _open(path: Path) -> BinaryIO:
    try:
        # The path may have become a FIFO since it was looked at; then opening must not wait for a writer.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise SourceError(f"{path}: wanted to read it; {error.strerror}. Check its permissions") from error
    return os.fdopen(handle, "rb")


def _packing_of(start: bytes) -> str:
    if start.startswith(_GZIP):
        return "gzip"
    return "zstd" if start.startswith(_ZSTD) else "plain"


def _gunzip(packed: Iterator[bytes]) -> Iterator[bytes]:
    """All members of a gzip file; zero bytes between and after them are padding."""
    member: zlib._Decompress | None = None
    try:
        for block in packed:
            while block:
                if member is None:
                    block = block.lstrip(b"\0")
                    if not block:
                        break
                    member = zlib.decompressobj(wbits=31)
                yield from (text for text in [member.decompress(block, BLOCK_BYTES)] if text)
                block = member.unused_data if member.eof else member.unconsumed_tail
                member = None if member.eof else member
        while member is not None and (text := member.decompress(member.unconsumed_tail, BLOCK_BYTES)):
            yield text
    except zlib.error as error:
        raise _BrokenOffError("damaged gzip data; the rest could not be read") from error
    if member is not None and not member.eof:
        raise _BrokenOffError("the gzip data is cut short; the rest is missing")


def _unzstd(packed: Iterator[bytes]) -> Iterator[bytes]:
    """All frames of a Zstandard file."""
    frame: zstandard.ZstdDecompressionObj | None = None
    try:
        for block in packed:
            start = 0
            while start < len(block):
                frame = frame or zstandard.ZstdDecompressor().decompressobj()
                bite = block[start : start + _ZSTD_BITE]
                yield from (text for text in [frame.decompress(bite)] if text)
                start += len(bite) - len(frame.unused_data)
                frame = None if frame.eof else frame
    except zstandard.ZstdError as error:
        raise _BrokenOffError("damaged Zstandard data; the rest could not be read") from error
    if frame is not None:
        raise _BrokenOffError("the Zstandard data is cut short; the rest is missing")
