"""Texts of prompts, kept outside of the store until templates are described from them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import numpy as np
import pyarrow as pa

from linkage.arrays import Ints
from linkage.engines.scratch import Scratch

_KEPT: Final = "texts of prompts until templates are described"


class _Part(NamedTuple):
    ids: Ints
    start: int
    """Where its table begins in the file."""
    size: int


class Texts:
    """Texts in a file without a name, in the system's folder for temporary files; ids alone are held in memory.

    Raises
    ------
    StoreError : the file cannot be made, written or read.
    """

    def __init__(self) -> None:
        self._parts: list[_Part] = []
        self._file = Scratch(_KEPT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, prompts: Any) -> None:
        """Add an Arrow table ``id`` (int64, ascending), ``text`` (large_string); those without a text are left out."""
        table = prompts.filter(prompts["text"].is_valid()) if prompts["text"].null_count else prompts
        if not len(table):
            return
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        data = sink.getvalue()
        start = self._file.append(data)
        self._parts.append(_Part(np.array(table["id"].to_numpy(), dtype=np.int64), start, data.size))

    @contextlib.contextmanager
    def all_or_none(self) -> Iterator[None]:
        """What is added in a ``with`` block is forgotten where the block fails."""
        count = len(self._parts)
        try:
            yield
        except BaseException:
            if forgotten := self._parts[count:]:
                self._file.cut(forgotten[0].start)
            del self._parts[count:]
            raise

    def ids(self, *, last: int) -> Ints:
        """The prompts up to the last id whose text is at hand, ascending."""
        found = [part.ids[: np.searchsorted(part.ids, last, side="right")] for part in self._parts]
        return np.unique(np.concatenate([np.zeros(0, np.int64), *found]))

    def read(self, prompt_ids: Sequence[int]) -> dict[int, str]:
        """Texts of prompts by id; of spellings of one prompt, the least."""
        wanted, found = np.unique(np.array(prompt_ids, dtype=np.int64)), dict[int, str]()
        for part in self._parts:
            places = np.searchsorted(wanted, part.ids)
            rows = np.flatnonzero(np.append(wanted, -1)[places] == part.ids)
            if len(rows):
                texts = self._table(part)["text"].take(pa.array(rows)).to_pylist()
                for prompt_id, text in zip(part.ids[rows].tolist(), texts, strict=True):
                    found[prompt_id] = min(text, found.get(prompt_id, text))
        return found

    def _table(self, part: _Part) -> Any:
        return pa.ipc.open_stream(pa.py_buffer(self._file.read(part.start, part.size))).read_all()
