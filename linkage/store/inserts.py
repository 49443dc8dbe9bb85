"""Rows into a table, several with each run of a statement: a matrix of whole numbers, or columns of any plain values.

Starting and ending a statement costs as much as half a row of it, and Python's binding spends 0.4 microseconds on
every ``None`` and ``bytes`` it is given, looking for somebody who adapts them (2026-11-29): so blanks come as a float
that is no number, which SQLite takes for null.
"""

from __future__ import annotations

import itertools
import math
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from linkage.arrays import Ints

BLANK: Final = -1
"""Stands in a matrix for what is not told."""

MANY: Final = 20
"""Rows with one run of a statement."""

_CHUNK_ROWS: Final = 50_000  # made to plain values at a time


class Insert(NamedTuple):
    """An insertion of one row, and of several."""

    one: str
    many: str


def insertion(before: str, row: str, *, after: str = "") -> Insert:
    """The statement ``before row after``, and the one that has the row several times, all of them constants."""
    one, many = (" ".join((before, ", ".join([row] * rows), after)) for rows in (1, MANY))
    return Insert(one, many)


def with_nulls(column: Ints) -> list[int | float]:
    """The values of a column, not a number for ``BLANK``.

    Examples
    --------
    >>> with_nulls(np.array([7, BLANK]))
    [7, nan]
    """
    is_told = column != BLANK
    values = np.full(len(column), math.nan, object)
    values[is_told] = column[is_told]
    return list(values.tolist())


def insert_rows(
    connection: sqlite3.Connection, insert: Insert, *, rows: Ints, others: Mapping[int, Sequence[Any]] | None = None
) -> None:
    """Insert the rows of a matrix, in their order.

    Parameters
    ----------
    others : values that are no whole numbers, by column of the matrix; they stand in the place of what it has there.
    """
    for start in range(0, len(rows), _CHUNK_ROWS):
        chunk = rows[start : start + _CHUNK_ROWS]
        most = len(chunk) // MANY * MANY
        for statement, count, first, last in ((insert.many, MANY, 0, most), (insert.one, 1, most, len(chunk))):
            listed = chunk[first:last].reshape(-1, count * rows.shape[1]).tolist()
            for column, values in (others or {}).items():
                for at, row in enumerate(listed, (start + first) // count):
                    row[column :: rows.shape[1]] = values[at * count : (at + 1) * count]
            connection.executemany(statement, listed)


def insert_columns(
    connection: sqlite3.Connection, insert: Insert, *, common: int | str | None, columns: Sequence[Sequence[Any]]
) -> None:
    """Insert rows that are told by column, in their order.

    Parameters
    ----------
    insert : of a row with a value for each column; where there is a common one, it is named ``?1`` and comes before.
    """
    before = [] if common is None else [common]
    whole = len(columns[0]) // MANY * MANY
    for statement, count, part in ((insert.many, MANY, slice(whole)), (insert.one, 1, slice(whole, None))):
        values = list(itertools.chain.from_iterable(zip(*(column[part] for column in columns), strict=True)))
        size = count * len(columns)
        starts = range(0, len(values), size)
        connection.executemany(statement, ([*before, *values[start : start + size]] for start in starts))
