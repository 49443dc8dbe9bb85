"""Requests that wait until all are there, so that what is made of an account is written once and in order."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Final, NamedTuple, Self

import numpy as np

from linkage.arrays import Ints
from linkage.engines.scratch import Scratch

_RANGE_BITS: Final = 7  # of ids, which are hashes of 63 bits: 128 ranges of accounts of like size
_PART_ROWS: Final = 250_000  # handed out at a time, about: counting them takes 500 bytes each
_WHOLE_ROWS: Final = 100_000  # the same where accounts are whole: what follows from templates takes 2 KB each


class _Block(NamedTuple):
    file: Scratch
    start: int
    """Where its first row lies in the file, in bytes."""
    limits: list[int]
    """Range ``r`` of accounts has the rows from ``limits[r]`` to ``limits[r + 1]``."""


class Waiting:
    """Rows of whole numbers, the account first: in memory, and past a bound in a file without a name.

    Logs come in the order of time, so an account's requests are all over them: counted batch by batch, nearly each
    would be a row, to be merged with others of its account and day again and again.
    """

    def __init__(self, holds: str, *, columns: int, memory_bytes: int) -> None:
        """``holds`` : what waits, for a message; ``memory_bytes`` : of rows held before they go to the file."""
        self._holds, self._columns, self._memory_bytes = holds, columns, memory_bytes
        self._held: list[Ints] = []
        self._blocks: list[_Block] = []
        self._file: Scratch | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all rows."""
        self._held, self._blocks = [], []
        if self._file:
            self._file.close()
            self._file = None

    def add(self, rows: Ints) -> None:
        """Put rows to the others.

        Raises
        ------
        StoreError : the file cannot be made or written.
        """
        self._held.append(rows)
        if sum(each.nbytes for each in self._held) > self._memory_bytes:
            rows, limits = self._ordered()
            self._file = self._file or Scratch(self._holds)
            self._blocks.append(_Block(self._file, self._file.append(rows), limits))

    def take(self, *, whole: bool = False) -> Iterator[Ints]:
        """All rows, some at a time, by ascending ranges of accounts; nothing waits any more.

        Parameters
        ----------
        whole : no account stands in two parts.
        """
        held, limits = self._ordered()
        blocks, self._blocks = self._blocks, []
        parts: list[Ints] = []
        for place in range(1 << _RANGE_BITS):
            for block in blocks:
                parts.append(self._read(block, place))
                if not whole and sum(map(len, parts)) >= _PART_ROWS:
                    yield np.concatenate(parts)
                    parts = []
            parts.append(held[limits[place] : limits[place + 1]])
            if whole and sum(map(len, parts)) >= _WHOLE_ROWS:
                yield np.concatenate(parts)
                parts = []
        if sum(map(len, parts)):
            yield np.concatenate(parts)

    def _ordered(self) -> tuple[Ints, list[int]]:
        """What is held, by ranges of accounts, and where each of these begins; nothing is held any more."""
        rows = np.concatenate([np.empty((0, self._columns), np.int64), *self._held])
        self._held = []
        ranges = (rows[:, 0] >> (63 - _RANGE_BITS)).astype(np.int8)
        order = np.argsort(ranges, kind="stable")
        return rows[order], np.searchsorted(ranges[order], np.arange((1 << _RANGE_BITS) + 1)).tolist()

    def _read(self, block: _Block, place: int) -> Ints:
        first, stop, size = block.limits[place], block.limits[place + 1], 8 * self._columns
        data = block.file.read(block.start + first * size, (stop - first) * size)
        return data.view(np.int64).reshape(-1, self._columns)
