"""Names of what ids stand for, which wait so that many are written in one order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pyarrow as pa

from linkage.settings import Settings
from linkage.store.entities import add_entities
from linkage.store.facts import Connection

_NEAR_ENTITIES: Final = 1_000_000  # of one file, whose pages the cache holds, so that each is written as it comes
_WAITING_PART: Final = 6  # of the memory
_MOST_WAITING_BYTES: Final = 1_000_000_000  # Arrow sorts no more than two billion bytes of text at once


class Names:
    """Entities that wait to be written.

    Parameters
    ----------
    settings : how much memory they may take.
    wait_for_all : they wait for those of all files, and are written before the index of values is made. Put between
        those of another file, a row and its place in that index take ten times as long.
    """

    def __init__(self, settings: Settings, *, wait_for_all: bool) -> None:
        share = int(settings.ingest.memory_mb) * 1_000_000 // _WAITING_PART
        self._most_bytes, self.wait_for_all = min(share, _MOST_WAITING_BYTES), wait_for_all
        self._waiting: dict[str, list[Any]] = {}
        self._bytes = self._told = 0

    def begin_file(self) -> None:
        """Say that what comes next is of another file."""
        self._told = 0

    def add(self, entities: Mapping[str, Any]) -> None:
        """Add entities: kind to Arrow table ``id`` (int64), ``value`` (string)."""
        for kind, table in sorted(entities.items()):
            self._waiting.setdefault(kind, []).append(table.select(["id", "value"]))
            self._bytes += table.nbytes
            self._told += len(table)

    @property
    def are_few(self) -> bool:
        """Whether they are so few in this file that each is better written as it comes."""
        return self._told <= _NEAR_ENTITIES

    @property
    def are_too_many(self) -> bool:
        """Whether they take more memory than they may."""
        return self._bytes > self._most_bytes

    def write(self, connection: Connection) -> None:
        """Write them; none waits any more."""
        waiting, self._waiting, self._bytes = self._waiting, {}, 0
        add_entities(connection, {kind: pa.concat_tables(tables) for kind, tables in waiting.items()})

    @contextlib.contextmanager
    def all_or_none(self) -> Iterator[None]:
        """What is added in a ``with`` block that fails is forgotten; what waited before it waits again."""
        before = {kind: list(tables) for kind, tables in self._waiting.items()}, self._bytes
        try:
            yield
        except BaseException:
            self._waiting, self._bytes = before
            raise
