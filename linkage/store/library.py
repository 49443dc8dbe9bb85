"""SQLite's own functions, in the library that Python's binding has loaded.

Where SQLite is a part of the interpreter and no library beside it, nothing is found: then all goes through Python.
Compiled code that calls them is kept on the disk like any other: it finds them by name, wherever they are loaded.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any, Final, NamedTuple

from llvmlite import binding
from numba import types

POINTER: Final = ctypes.c_void_p
INT: Final = ctypes.c_int
_TEXT: Final = ctypes.c_char_p
ADDRESS: Final = types.intp
"""Of a statement or of letters, in compiled code."""

ROW: Final = 100
DONE: Final = 101
CONSTRAINT: Final = 19
"""SQLITE_ROW, SQLITE_DONE and SQLITE_CONSTRAINT, of the codes that SQLite promises to keep."""

_FIRST_BYTE: Final = 0xFF  # of SQLite's codes; the others say more of the same

_opened = threading.local()


class Connection(sqlite3.Connection):
    """A connection that knows what SQLite calls it."""

    handle: int | None = None
    """None: not known."""

    def close(self) -> None:
        """Close it; SQLite knows it no more."""
        self.handle = None
        super().close()


def _keep(handle: int, _message: int, _routines: int) -> int:
    _opened.handle = handle
    return 0


_note: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(_keep)


def connect(path: str | PathLike[str], *, timeout: float, is_uri: bool = False) -> Connection:
    """Open a file as ``sqlite3.connect`` does, without transactions of its own; ``is_uri`` : its name is one."""
    library = find_library()
    note = getattr(library, "sqlite3_auto_extension", None)  # of every connection that is opened while it is noted
    _opened.handle = None
    if note:
        note(_note)
    try:
        connection: Connection = sqlite3.connect(
            path, timeout=timeout, isolation_level=None, factory=Connection, uri=is_uri
        )
    finally:
        if note:
            library.sqlite3_cancel_auto_extension(_note)  # type: ignore[union-attr]
    connection.handle = _opened.handle
    return connection


@functools.cache
def find_library() -> ctypes.CDLL | None:
    """SQLite as Python's own binding has loaded it, None where it cannot be asked."""
    path = getattr(sys.modules.get("_sqlite3"), "__file__", None)
    try:
        library = ctypes.CDLL(path) if path else None
        return library if library and library.sqlite3_step else None
    except (OSError, AttributeError):
        return None


def declare(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Any:
    """A function of the library with these types; each has an object of its own."""
    function = library[name]
    function.restype, function.argtypes = result, arguments
    return function


def compiled(name: str, result: Any, *arguments: Any) -> Any:
    """A function of the library, by its full name, for compiled code, which tells an address as ``ADDRESS``.

    Code that calls it may run only where :func:`find_library` finds the library.
    """
    library = find_library()
    if library is not None:
        binding.add_symbol(name, ctypes.cast(library[name], POINTER).value)
    return types.ExternalFunction(name, result(*arguments))


class Calls(NamedTuple):
    """Functions that open and close a file, prepare a statement and bind what it asks with."""

    open: Callable[..., int]
    close: Callable[..., int]
    prepare: Callable[..., int]
    finalize: Callable[..., int]
    bind: Callable[..., int]
    bind_text: Callable[..., int]
    index: Callable[..., int]
    message: Callable[..., bytes]
    code: Callable[..., int]


@functools.cache
def find_calls() -> Calls | None:
    """The functions of SQLite, None where they cannot be had."""
    library = find_library()
    if library is None:
        return None
    return Calls(
        declare(library, "sqlite3_open_v2", INT, _TEXT, POINTER, INT, _TEXT),
        declare(library, "sqlite3_close_v2", INT, POINTER),
        declare(library, "sqlite3_prepare_v2", INT, POINTER, _TEXT, INT, POINTER, POINTER),
        declare(library, "sqlite3_finalize", INT, POINTER),
        declare(library, "sqlite3_bind_int64", INT, POINTER, INT, ctypes.c_int64),
        declare(library, "sqlite3_bind_text", INT, POINTER, INT, _TEXT, INT, POINTER),
        declare(library, "sqlite3_bind_parameter_index", INT, POINTER, _TEXT),
        declare(library, "sqlite3_errmsg", _TEXT, POINTER),
        declare(library, "sqlite3_extended_errcode", INT, POINTER),
    )


class Asked(NamedTuple):
    """SQLite's functions, and what they are asked about."""

    calls: Calls
    where: Path | int
    """A file, for a connection of its own, which sees what is committed; or what SQLite calls a connection."""


def find_asked(connection: sqlite3.Connection) -> Asked | None:
    """How compiled code asks SQLite on a connection; None: it cannot, and all goes through Python."""
    handle = getattr(connection, "handle", None)
    calls = find_calls()
    return None if handle is None or calls is None else Asked(calls, handle)


@contextlib.contextmanager
def open_statement(calls: Calls, database: Any, sql: str) -> Iterator[Any]:
    """A statement on a connection, for the length of a ``with`` block."""
    statement = POINTER()
    try:
        if calls.prepare(database, sql.encode(), -1, ctypes.byref(statement), None):
            raise told_error(calls, database)
        yield statement
    finally:
        calls.finalize(statement)


def told_error(calls: Calls, database: Any) -> sqlite3.OperationalError:
    """What went wrong last on a connection, with SQLite's code as Python's binding tells it."""
    error = sqlite3.OperationalError(calls.message(database).decode(errors="replace"))
    error.sqlite_errorcode = calls.code(database)
    return error


def has_code(error: sqlite3.Error, *codes: int) -> bool:
    """Whether an error of SQLite's is of one of these kinds."""
    return getattr(error, "sqlite_errorcode", 0) & _FIRST_BYTE in codes
