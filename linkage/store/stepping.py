"""Rows of numbers, read by compiled code that asks SQLite itself.

Python's binding makes an object of every value and a tuple of every row, which takes three times as long as it takes
SQLite to find them (2026-11-29). Where SQLite cannot be asked, rows come through Python.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from linkage.store.library import DONE, INT, POINTER, ROW, Calls, declare, open_statement, told_error

_FLOAT: Final = 2  # SQLITE_FLOAT
_COPIED: Final = -1  # SQLITE_TRANSIENT
_FULL: Final = -1  # ours: a row for which there is no room
_ROOM: Final = 64  # bytes a row, at first
_FLAGS: Final = 0x8001  # read only, no mutex: one thread asks
_SAFE: Final = ("pragma trusted_schema = off", "pragma cell_size_check = on")


class Packed(NamedTuple):
    """Rows of numbers with a text or a blob behind them."""

    numbers: npt.NDArray[np.int64]
    """Rows x columns; floats as their bits."""
    ends: npt.NDArray[np.int64]
    """Where the text or blob of each row ends in ``data``; it begins where that of the row before ends."""
    data: npt.NDArray[np.uint8]


class _Fills(NamedTuple):
    """Compiled functions that fill arrays from a statement."""

    fill: Callable[[int, npt.NDArray[np.int64]], tuple[int, int]]
    """Fill an array from a statement, row by row: how many rows, and the code of the last step."""
    fill_packed: Callable[[int, Any, Any, npt.NDArray[np.int64], int, int, bool], tuple[int, int]]
    """The same for whole numbers and floats, with the end of what the column behind them holds, copied to an address as
    far as there is room; the last one says whether the row is still to be taken that there was no room for."""


@functools.cache
def _find_fills(library: ctypes.CDLL) -> _Fills:
    """Compiling takes half a second."""
    step = declare(library, "sqlite3_step", INT, POINTER)
    value = declare(library, "sqlite3_column_int64", ctypes.c_int64, POINTER, INT)
    return _Fills(_compile(step, value), _compile_packed(library, step, value))


def _compile(step: Any, value: Any) -> Any:
    @numba.njit(nogil=True)
    def fill(statement: int, rows: npt.NDArray[np.int64]) -> tuple[int, int]:
        for row in range(rows.shape[0]):
            code = step(statement)
            if code != ROW:
                return row, code
            for column in range(rows.shape[1]):
                rows[row, column] = value(statement, column)
        return rows.shape[0], ROW

    return fill


def _compile_packed(library: ctypes.CDLL, step: Any, value: Any) -> Any:
    kind_of = declare(library, "sqlite3_column_type", INT, POINTER, INT)
    float_of = declare(library, "sqlite3_column_double", ctypes.c_double, POINTER, INT)
    begins = declare(library, "sqlite3_column_blob", POINTER, POINTER, INT)
    size_of = declare(library, "sqlite3_column_bytes", INT, POINTER, INT)
    copy = declare(ctypes.CDLL(None), "memcpy", POINTER, POINTER, POINTER, ctypes.c_size_t)

    @numba.njit(nogil=True)
    def fill_packed(statement, rows, floats, ends, address, room, is_pending):  # type: ignore[no-untyped-def]
        used = 0
        for row in range(rows.shape[0]):
            code = ROW if is_pending and row == 0 else step(statement)
            if code != ROW:
                return row, code
            for column in range(rows.shape[1]):
                if kind_of(statement, column) == _FLOAT:
                    floats[row, column] = float_of(statement, column)
                else:
                    rows[row, column] = value(statement, column)
            start, size = begins(statement, rows.shape[1]), size_of(statement, rows.shape[1])
            if used + size > room:
                return row, _FULL
            if size:
                copy(address + used, start, size)
            used += size
            ends[row] = used
        return rows.shape[0], ROW

    return fill_packed


def step_through(
    calls: Calls, where: Path | int, *, sql: str, parameters: Mapping[str, int | str], width: int, part_rows: int
) -> Iterator[npt.NDArray[np.int64]]:
    """The answer as arrays of rows x columns, none of them empty.

    Parameters
    ----------
    calls : from :func:`linkage.store.library.find_calls`.
    where : a file, which is asked on a connection of its own: of what is committed; or what SQLite calls a connection.
    sql, parameters : what is asked; the parameters are whole numbers and texts, by name.
    width : how many columns the answer has; all of them whole numbers.
    part_rows : so many rows in an array at most.

    Raises
    ------
    sqlite3.OperationalError : SQLite cannot answer.
    """

    def fill(statement: int) -> tuple[npt.NDArray[np.int64], int]:
        rows = np.empty((part_rows, width), dtype=np.int64)
        count, code = _find_fills(calls.library).fill(statement, rows)
        return rows[:count], code

    with _asked(calls, where, sql, parameters) as (database, statement, begin):
        code, filled = ROW, begin(fill, statement)
        while code == ROW:
            rows, code = filled()
            if code not in (ROW, DONE):
                raise told_error(calls, database)
            if code == ROW:
                filled = begin(fill, statement)
            if len(rows):
                yield rows


def step_packed(
    calls: Calls, where: Path | int, *, sql: str, parameters: Mapping[str, int | str], width: int, part_rows: int
) -> Iterator[Packed]:
    """The same for an answer whose last column, behind numbers, is a text or a blob; it may have no row."""

    def fill(statement: int, room: int, is_pending: bool) -> tuple[Packed, int]:
        rows, ends = np.empty((part_rows, width - 1), dtype=np.int64), np.empty(part_rows, dtype=np.int64)
        data = np.empty(room, dtype=np.uint8)
        memory = (rows, rows.view(np.float64), ends, data.ctypes.data, room)
        count, code = _find_fills(calls.library).fill_packed(statement, *memory, is_pending)
        return Packed(rows[:count], ends[:count], data[: ends[count - 1] if count else 0]), code

    with _asked(calls, where, sql, parameters) as (database, statement, begin):
        code, room = ROW, _ROOM * part_rows
        filled = begin(fill, statement, room, False)
        while code != DONE:
            part, code = filled()
            if code not in (ROW, _FULL, DONE):
                raise told_error(calls, database)
            is_lacking = code == _FULL and not len(part.ends)
            room = 2 * room if is_lacking else room
            if code != DONE:
                filled = begin(fill, statement, room, code == _FULL)
            if not is_lacking:
                yield part


@contextlib.contextmanager
def _asked(
    calls: Calls, where: Path | int, sql: str, parameters: Mapping[str, int | str]
) -> Iterator[tuple[Any, int, Callable[..., Callable[[], Any]]]]:
    """A connection, a statement that knows its parameters, and what begins a step, as :func:`_beginning` has it."""
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
        if calls.open(str(path).encode(), ctypes.byref(database), _FLAGS, None):
            raise told_error(calls, database)
        for pragma in _SAFE:
            with open_statement(calls, database, pragma) as statement:
                _find_fills(calls.library).fill(statement.value, np.empty((1, 0), dtype=np.int64))
        yield database
    finally:
        calls.close(database)
