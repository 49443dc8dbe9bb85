"""Raw records in bounded batches, with the lines that were set aside."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from linkage.intake.formats.base import Joiner, Placed, Record
from linkage.settings import IngestSettings


class Rejected(NamedTuple):
    """A line that was set aside."""

    line: int
    """Line of the file; in a JSON array or Parquet file, the number of the record; from 1."""
    reason: str
    """Why, without quoting the line."""


@dataclasses.dataclass(frozen=True)
class RawBatch:
    """Records as a file holds them, before any field is looked at."""

    lines: list[int]
    """Where each record stands, as in :class:`Rejected`."""
    records: list[dict[str, Any]]
    rejected: list[Rejected]
    bytes_read: int
    """Bytes of the file (as on disk) read up to here, for progress."""


@dataclasses.dataclass(frozen=True, eq=False)
class ColumnBatch:
    """Canonical request records as columns, none of their values checked yet; every line is a record."""

    lines: npt.NDArray[np.int64]
    """Where each record stands, as in :class:`Rejected`."""
    table: Any
    """Arrow table: texts as ``string``, counts as ``int64``, ``latency_ms`` as ``float64``; ``params``, where any
    record has it, as a struct or a string."""
    bytes_read: int
    """As in :class:`RawBatch`."""


class BatchBuilder:
    """Gathers records until a batch is as large as the settings allow."""

    def __init__(
        self,
        settings: IngestSettings,
        *,
        split: Callable[[Record], Iterable[Record]] | None = None,
        join: Joiner | None = None,
    ) -> None:
        """``split``: one raw object to its records, where an object holds several; ``join``: several to one."""
        self._settings = settings
        self._split = split
        self._join = join
        self._begin()

    def _begin(self) -> None:
        self._lines: list[int] = []
        self._records: list[Any] = []
        self._rejected: list[Rejected] = []
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether the batch must be taken before more is added."""
        rows = len(self._records) + len(self._rejected)
        return rows >= self._settings.batch_rows or self._bytes >= self._settings.batch_bytes

    @property
    def is_empty(self) -> bool:
        """Whether nothing was added since the last batch."""
        return not self._records and not self._rejected

    def add(self, line: int, record: dict[str, Any], size: int) -> None:
        """Add a raw object that took ``size`` bytes."""
        self._bytes += size
        if self._join is not None:
            self._place(self._join.add(line, record))
            return
        if self._split is None:
            self._lines.append(line)
            self._records.append(record)
            return
        before = len(self._records)
        self._records.extend(self._split(record))
        self._lines.extend([line] * (len(self._records) - before))

    def rest(self, *, line: int, fault: str, bytes_read: int) -> Iterator[RawBatch]:
        """The last batch of a file, where there is one: what waited for more lines, and why the file broke off.

        Parameters
        ----------
        line : what stands behind all that was read.
        fault : why the file broke off there; empty where it did not.
        """
        if fault:
            self.reject(line, fault)
        if self._join is not None:
            self._place(self._join.rest())
        if not self.is_empty:
            yield self.take(bytes_read=bytes_read)

    def _place(self, placed: Iterable[Placed]) -> None:
        for line, record in placed:
            self._lines.append(line)
            self._records.append(record)

    def reject(self, line: int, reason: str) -> None:
        """Set a line aside."""
        self._rejected.append(Rejected(line, reason))

    def take(self, *, bytes_read: int) -> RawBatch:
        """The batch so far; the next one begins empty."""
        batch = RawBatch(self._lines, self._records, self._rejected, bytes_read)
        self._begin()
        return batch
