"""Long tables that compiled code puts into the store, inside a transaction of Python's own connection.

Python's binding makes an object of every value and binds each of every row, which takes as long again as it takes
SQLite to store them (2026-11-29). Here nothing is bound again that the run of the statement before left in its place.
Where SQLite cannot be asked, all goes through Python.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from numba import types

from linkage.arrays import Ints, Numbers
from linkage.kernels import kernel
from linkage.store.inserts import BLANK, MANY, Insert, insert_rows, with_nulls
from linkage.store.library import ADDRESS, CONSTRAINT, DONE, Asked, compiled, find_asked, open_statement, told_error
from linkage.terms import TEXT

_PART_ROWS: Final = 5_000 * MANY
_NUMBER, _BLANKS, _FLOAT, _TEXT, _BLOB = range(5)  # of blanks: whole numbers, ``BLANK`` for null
_NULL: Final = np.iinfo(np.int64).min  # a time that is none, as numpy has it; no number of ours is so low

_step, _reset = (compiled(f"sqlite3_{name}", types.intc, ADDRESS) for name in ("step", "reset"))
_bind_null = compiled("sqlite3_bind_null", types.intc, ADDRESS, types.intc)
_bind_number = compiled("sqlite3_bind_int64", types.intc, ADDRESS, types.intc, types.int64)
_bind_float = compiled("sqlite3_bind_double", types.intc, ADDRESS, types.intc, types.float64)
_bind_text, _bind_blob = (
    compiled(f"sqlite3_bind_{kind}", types.intc, ADDRESS, types.intc, ADDRESS, types.intc, ADDRESS)
    for kind in ("text", "blob")
)


def fill_table(
    connection: sqlite3.Connection, insert: Insert, *, common: str | None, columns: Sequence[pd.Series[Any]], rows: Ints
) -> bool:
    """Insert rows of a table; False: nothing was done, since not all of it can be told so.

    Parameters
    ----------
    insert : of a row with a value for each column; where there is a common one, it is named ``?1`` and comes before.
    columns : of whole numbers, floats, times or categories of text.
    rows : numbers of the rows that are inserted, in their order.

    Raises
    ------
    sqlite3.DatabaseError : SQLite cannot store them.
    """
    asked = find_asked(connection)
    if asked is None or any(column.dtype == TEXT for column in columns):
        return False
    texts = [pa.array([] if common is None else [common], pa.large_string())]
    values, kinds, bases = zip(*(_coded(column, texts) for column in columns), strict=True)

    def make(part: slice) -> Ints:
        return np.column_stack([column[rows[part]].astype(np.int64, copy=False) for column in values])

    matrix = _Matrix(len(rows), make, np.array(kinds), np.array(bases), common is not None)
    _fill(asked, insert, matrix, pa.concat_arrays(texts))
    return True


def put_rows(
    connection: sqlite3.Connection,
    insert: Insert,
    *,
    rows: Ints,
    floats: Mapping[int, Numbers] | None = None,
    has_blanks: bool = False,
) -> None:
    """Insert the rows of a matrix, in their order, by compiled code where SQLite can be asked.

    Parameters
    ----------
    insert : of a row that has a value for each column.
    floats : by column of the matrix, in the place of what it has there; no number becomes null.
    has_blanks : ``BLANK`` stands for null.
    """
    floats = floats or {}
    asked = find_asked(connection)
    if asked:
        kinds = np.full(rows.shape[1], _BLANKS if has_blanks else _NUMBER)
        bits = rows.copy() if floats else np.ascontiguousarray(rows)
        for column, values in floats.items():
            kinds[column], bits[:, column] = _FLOAT, values.view(np.int64)
        _fill(asked, insert, _Matrix(len(rows), bits.__getitem__, kinds, np.zeros_like(kinds)), None)
        return
    blank = np.flatnonzero((rows == BLANK).any(axis=0)).tolist() if has_blanks else []
    untold = {column: with_nulls(rows[:, column]) for column in blank}
    told = {column: values.tolist() for column, values in floats.items()}
    insert_rows(connection, insert, rows=rows, others={**untold, **told})


def put_texts(
    connection: sqlite3.Connection,
    insert: Insert,
    *,
    ids: Ints,
    values: Any,
    kinds: Ints | None = None,
    names: Sequence[str] = (),
) -> None:
    """Insert rows of an id and a text or blob, in their order, by compiled code where SQLite can be asked.

    Parameters
    ----------
    insert : of a row that has a value for each column.
    values : Arrow array of strings or blobs, none of them null.
    kinds : of each row, which of the names it has, in a column between; None: there is no such column.

    Raises
    ------
    sqlite3.DatabaseError : SQLite cannot store them.
    """
    rows = np.column_stack([ids, *([] if kinds is None else [kinds]), np.arange(len(ids))])
    asked, width = find_asked(connection), rows.shape[1]
    if asked is None:
        named = {} if kinds is None else {1: [names[kind] for kind in kinds.tolist()]}
        insert_rows(connection, insert, rows=rows, others={**named, width - 1: values.to_pylist()})
        return
    kind = _BLOB if pa.types.is_binary(values.type) else _TEXT
    texts = values.cast(pa.large_binary() if kind == _BLOB else pa.large_string())
    texts = pa.concat_arrays([pa.array(names, texts.type), texts])
    columns, bases = [_NUMBER, _TEXT, kind], [0, 0, len(names)]
    if kinds is None:
        del columns[1], bases[1]
    _fill(asked, insert, _Matrix(len(ids), rows.__getitem__, np.array(columns), np.array(bases)), texts)


class _Matrix(NamedTuple):
    """Rows as whole numbers, some at a time."""

    rows: int
    make: Callable[[slice], Ints]
    kinds: Ints
    """Of each column."""
    bases: Ints
    """Where the texts of each column begin among all."""
    has_common: bool = False
    """Whether the first of all texts is one that all rows have in common."""


def _fill(asked: Asked, insert: Insert, matrix: _Matrix, texts: Any) -> None:
    """Insert all rows.

    Parameters
    ----------
    texts : of all columns; None: there are none.
    """
    known = (matrix.kinds, matrix.bases, *_buffers(texts), matrix.has_common)
    whole = matrix.rows // MANY * MANY
    for sql, count, first, last in ((insert.many, MANY, 0, whole), (insert.one, 1, whole, matrix.rows)):
        if first == last:
            continue  # most inserts are of fewer rows, or of none
        with open_statement(asked.calls, asked.where, sql) as statement:
            bound = np.full(count * len(matrix.kinds), _NULL)
            for start in range(first, last, _PART_ROWS):
                part = matrix.make(slice(start, min(start + _PART_ROWS, last)))
                code = _put(statement.value, part, part.view(np.float64), *known, bound)
                if code == CONSTRAINT:
                    raise sqlite3.IntegrityError(str(told_error(asked.calls, asked.where)))
                if code != DONE:
                    raise told_error(asked.calls, asked.where)


def _coded(column: pd.Series[Any], texts: list[Any]) -> tuple[npt.NDArray[Any], int, int]:
    """A column as whole numbers, their kind, and where its texts begin among all, which they are added to."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        base = sum(map(len, texts))
        found = pa.array(column.cat.categories, pa.large_string())
        texts += found.chunks if isinstance(found, pa.ChunkedArray) else [found]  # joined categories are in parts
        return column.cat.codes.to_numpy(), _TEXT, base
    values = column.to_numpy(dtype="datetime64[ms]") if column.dtype.kind == "M" else column.to_numpy()
    if values.dtype.kind == "f":
        return values.astype(np.float64, copy=False).view(np.int64), _FLOAT, 0
    return values.view(np.int64) if values.dtype.kind == "M" else values.astype(np.int64, copy=False), _NUMBER, 0


def _buffers(texts: Any) -> tuple[int, Ints]:
    """Where the letters of texts lie in memory, and where each text begins and ends there."""
    if texts is None:
        return 0, np.zeros(1, dtype=np.int64)
    _, offsets, letters = texts.buffers()
    return letters.address if letters else 0, np.frombuffer(offsets, np.int64)[texts.offset :]


@kernel
def _put(statement, rows, floats, kinds, bases, letters, offsets, has_common, bound):  # type: ignore[no-untyped-def]
    """Put a matrix of rows into a table; the code of the last step.

    ``floats`` is the same matrix as floats; ``bound`` is what each place of the statement has been bound to.
    """
    width, code = rows.shape[1], DONE
    if has_common:
        _bind_text(statement, 1, letters, offsets[1], 0)
    one = 2 if has_common else 1
    for place in range(rows.size):
        row, column, at = place // width, place % width, place % bound.size
        value = rows[row, column]
        if kinds[column] == _FLOAT:
            _bind_float(statement, one + at, floats[row, column])
        elif value == (_NULL if kinds[column] == _NUMBER else BLANK):  # a text that is none has the code -1, too
            if bound[at] != _NULL:
                _bind_null(statement, one + at)
                bound[at] = _NULL
        elif value != bound[at]:
            bound[at] = value
            if kinds[column] < _TEXT:
                _bind_number(statement, one + at, value)
            else:
                first, end = offsets[bases[column] + value], offsets[bases[column] + value + 1]
                if kinds[column] == _TEXT:
                    _bind_text(statement, one + at, letters + first, end - first, 0)
                else:
                    _bind_blob(statement, one + at, letters + first, end - first, 0)
        if at == bound.size - 1:
            code = _step(statement)
            if code != DONE:
                return code
            _reset(statement)
    return code
