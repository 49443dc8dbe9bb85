"""Rows of numbers, read by compiled code that asks SQLite itself.

Python's binding makes an object of every value and a tuple of every row, which takes three times as long as it takes
SQLite to find them (2026-11-29). Where SQLite cannot be asked, rows come through Python.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import itertools
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from linkage.arrays import Ints
from linkage.kernels import kernel
from linkage.store.library import ADDRESS, DONE, POINTER, ROW, Asked, Calls, compiled, open_statement, told_error

_FLOAT: Final = 2  # SQLITE_FLOAT
_COPIED: Final = -1  # SQLITE_TRANSIENT
_FULL: Final = -1  # ours: a row for which there is no room
_ROOM: Final = 64  # bytes a row, at first
_FLAGS: Final = 0x8001  # read only, no mutex: one thread asks
_SAFE: Final = ("pragma trusted_schema = off", "pragma cell_size_check = on")

_step = compiled("sqlite3_step", types.intc, ADDRESS)
_kind_of, _size_of = (compiled(f"sqlite3_column_{name}", types.intc, ADDRESS, types.intc) for name in ("type", "bytes"))
_value_of = compiled("sqlite3_column_int64", types.int64, ADDRESS, types.intc)
_float_of = compiled("sqlite3_column_double", types.float64, ADDRESS, types.intc)
_begin_of = compiled("sqlite3_column_blob", ADDRESS, ADDRESS, types.intc)
_copy = types.ExternalFunction("memcpy", ADDRESS(ADDRESS, ADDRESS, types.uintp))

Parameters = Mapping[str, int | float | str]
"""Of a question, by name; whole numbers and texts where compiled code asks it."""


class Packed(NamedTuple):
    """Rows of numbers with a text or a blob behind them."""

    numbers: npt.NDArray[np.int64]
    """Rows x columns; floats as their bits."""
    ends: npt.NDArray[np.int64]
    """Where the text or blob of each row ends in ``data``; it begins where that of the row before ends."""
    data: npt.NDArray[np.uint8]


@kernel
def _fill(statement: int, rows: npt.NDArray[np.int64]) -> tuple[int, int]:
    """Fill an array from a statement, row by row: how many rows, and the code of the last step."""
    for row in range(rows.shape[0]):
        code = _step(statement)
        if code != ROW:
            return row, code
        for column in range(rows.shape[1]):
            rows[row, column] = _value_of(statement, column)
    return rows.shape[0], ROW


@kernel
def _fill_packed(statement, rows, floats, ends, address, room, is_pending):  # type: ignore[no-untyped-def]
    """The same for whole numbers and floats, and for what the column behind them holds, copied to an address.

    Fills the end of each, as far as there is room; the last argument says whether the row is still to be taken that
    there was no room for.
    """
    used = 0
    for row in range(rows.shape[0]):
        code = ROW if is_pending and row == 0 else _step(statement)
        if code != ROW:
            return row, code
        for column in range(rows.shape[1]):
            if _kind_of(statement, column) == _FLOAT:
                floats[row, column] = _float_of(statement, column)
            else:
                rows[row, column] = _value_of(statement, column)
        start, size = _begin_of(statement, rows.shape[1]), _size_of(statement, rows.shape[1])
        if used + size > room:
            return row, _FULL
        if size:
            _copy(address + used, start, size)
        used += size
        ends[row] = used
    return rows.shape[0], ROW


def read_numbers(
    connection: sqlite3.Connection, by: Asked | None, *, sql: str, parameters: Parameters, width: int, part_rows: int
) -> Iterator[Ints]:
    """The answer as arrays of rows x columns, none of them empty.

    Parameters
    ----------
    connection : that is asked where compiled code cannot ask.
    by : who is asked, from :func:`linkage.store.library.find_asked`; a file is asked on a connection of its own.
    sql, parameters : what is asked; the parameters are whole numbers and texts, by name.
    width : how many columns the answer has; all of them whole numbers.
    part_rows : so many rows in an array at most.

    Raises
    ------
    sqlite3.OperationalError : SQLite cannot answer.
    """
    if by is not None:
        yield from _step_through(by, sql=sql, parameters=parameters, width=width, part_rows=part_rows)
        return
    rows = iter(connection.execute(sql, dict(parameters)))
    while len(part := np.fromiter(_values(rows, part_rows), dtype=np.int64)):
        yield part.reshape(-1, width)


def read_packed(
    connection: sqlite3.Connection,
    by: Asked | None,
    *,
    sql: str,
    parameters: Parameters,
    width: int,
    part_rows: int,
    row_bytes: int = _ROOM,
) -> Iterator[Packed]:
    """The same for an answer whose last column, behind numbers, is a text or a blob; one part at least.

    Parameters
    ----------
    row_bytes : about as much room a text or blob is given; where all of a part do not fit, it has fewer rows.
    """
    if by is not None:
        known: dict[str, Any] = {"sql": sql, "parameters": parameters, "width": width, "part_rows": part_rows}
        yield from _step_packed(by, **known, room=row_bytes * part_rows)
        return
    rows = iter(connection.execute(sql, dict(parameters)))
    values = list(_values(rows, part_rows))
    while True:
        texts = [each.encode() if isinstance(each, str) else each for each in values[width - 1 :: width]]
        ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)))
        numbers = np.array([_bits(values[column::width]) for column in range(width - 1)])
        yield Packed(numbers.reshape(width - 1, -1).T, ends, np.frombuffer(b"".join(texts), dtype=np.uint8))
        values = list(_values(rows, part_rows))
        if not values:
            return


def _values(rows: Iterator[tuple[Any, ...]], most: int) -> Iterator[Any]:
    return itertools.chain.from_iterable(itertools.islice(rows, most))


def _bits(values: Sequence[int | float]) -> Ints:
    """Whole numbers as they are, floats as their bits."""
    array = np.array(values)
    return array.view(np.int64) if array.dtype == np.float64 else array.astype(np.int64)


def _step_through(by: Asked, *, sql: str, parameters: Parameters, width: int, part_rows: int) -> Iterator[Ints]:
    def fill(statement: int) -> tuple[Ints, int]:
        rows = np.empty((part_rows, width), dtype=np.int64)
        count, code = _fill(statement, rows)
        return rows[:count], code

    with _asking(by, sql, parameters) as (database, statement, begin):
        code, filled = ROW, begin(fill, statement)
        while code == ROW:
            rows, code = filled()
            if code not in (ROW, DONE):
                raise told_error(by.calls, database)
            if code == ROW:
                filled = begin(fill, statement)
            if len(rows):
                yield rows


def _step_packed(
    by: Asked, *, sql: str, parameters: Parameters, width: int, part_rows: int, room: int
) -> Iterator[Packed]:
    def fill(statement: int, room: int, is_pending: bool) -> tuple[Packed, int]:
        rows, ends = np.empty((part_rows, width - 1), dtype=np.int64), np.empty(part_rows, dtype=np.int64)
        data = np.empty(room, dtype=np.uint8)
        memory = (rows, rows.view(np.float64), ends, data.ctypes.data, room)
        count, code = _fill_packed(statement, *memory, is_pending)
        return Packed(rows[:count], ends[:count], data[: ends[count - 1] if count else 0]), code

    with _asking(by, sql, parameters) as (database, statement, begin):
        code = ROW
        filled = begin(fill, statement, room, False)
        while code != DONE:
            part, code = filled()
            if code not in (ROW, _FULL, DONE):
                raise told_error(by.calls, database)
            is_lacking = code == _FULL and not len(part.ends)
            room = 2 * room if is_lacking else room
            if code != DONE:
                filled = begin(fill, statement, room, code == _FULL)
            if not is_lacking:
                yield part


@contextlib.contextmanager
def _asking(by: Asked, sql: str, parameters: Parameters) -> Iterator[tuple[Any, int, Callable[..., Callable[[], Any]]]]:
    """A connection, a statement that knows its parameters, and what begins a step, as :func:`_beginning` has it."""
    calls, where = by
    connection = contextlib.nullcontext(where) if isinstance(where, int) else _connection(calls, where)
    with connection as database, open_statement(calls, database, sql) as statement, _beginning(where) as begin:
        for name, value in parameters.items():
            place = calls.index(statement, f":{name}".encode())
            if isinstance(value, str):
                text = value.encode()
                calls.bind_text(statement, place, text, len(text), _COPIED)
            else:
                calls.bind(statement, place, value)
        yield database, statement.value, begin


@contextlib.contextmanager
def _beginning(where: Path | int) -> Iterator[Callable[..., Callable[[], Any]]]:
    """What begins a step and hands out what waits for its outcome.

    Of a file rows are found by a thread while those before them are used; a connection that others know is asked by the
    thread that has it, and only once the outcome is asked for.
    """
    if isinstance(where, int):
        yield functools.partial
        return
    with ThreadPoolExecutor(1) as pool:
        yield lambda function, *given: pool.submit(function, *given).result


@contextlib.contextmanager
def _connection(calls: Calls, path: Path) -> Iterator[Any]:
    database = POINTER()
    try:
        if calls.open(os.fsencode(path), ctypes.byref(database), _FLAGS, None):
            raise told_error(calls, database)
        for pragma in _SAFE:
            with open_statement(calls, database, pragma) as statement:
                _fill(statement.value, np.empty((1, 0), dtype=np.int64))
        yield database
    finally:
        calls.close(database)
