"""Lines of a file that were set aside, until the file is entered in the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from linkage.arrays import Ints


class _Part(NamedTuple):
    lines: Ints
    codes: Any
    """Of each line its reason's place among the next."""
    reasons: list[str]


class RejectedLines:
    """Lines and why they were set aside, at 12 bytes each: of a log that a mapping does not fit it is every line.

    Examples
    --------
    >>> import pyarrow as pa
    >>> rejected = RejectedLines()
    >>> rejected.add(pa.table({"line": [2, 5, 7], "reason": ["broken", "empty", "broken"]}))
    >>> list(rejected), len(rejected), rejected.reasons["broken"]
    ([(2, 'broken'), (5, 'empty'), (7, 'broken')], 3, 2)
    """

    def __init__(self) -> None:
        self._parts: list[_Part] = []
        self.reasons: Counter[str] = Counter()
        """How many lines each reason was given for."""

    def __len__(self) -> int:
        return self.reasons.total()

    def __iter__(self) -> Iterator[tuple[int, str]]:
        for part in self._parts:
            yield from zip(part.lines.tolist(), (part.reasons[code] for code in part.codes), strict=True)

    @property
    def nbytes(self) -> int:
        """Bytes that the lines take, reasons apart, which are few."""
        return sum(part.lines.nbytes + part.codes.nbytes for part in self._parts)

    def add(self, table: Any) -> None:
        """Add those of a batch: Arrow table ``line`` (int64), ``reason`` (string)."""
        if not len(table):
            return
        told = table["reason"].combine_chunks().dictionary_encode()
        # Copies: Arrow holds on to all it made of a batch while any of it is used.
        part = _Part(table["line"].to_numpy().copy(), told.indices.to_numpy().copy(), told.dictionary.to_pylist())
        self._parts.append(part)
        self.reasons.update(dict(zip(part.reasons, np.bincount(part.codes).tolist(), strict=True)))
