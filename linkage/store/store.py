"""The store: one SQLite file, opened, read by named queries and written under one lock."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import sqlite_utils

from linkage.arrays import Ints
from linkage.errors import QueryError, StoreBusyError, StoreError, UsageError
from linkage.store.library import Asked, connect, find_asked, find_calls, has_code
from linkage.store.lock import writer_lock
from linkage.store.places import OWN, beside
from linkage.store.queries import Query, load_query
from linkage.store.schema import APPLICATION_ID, MIGRATIONS
from linkage.store.statements import IS_EMPTY, READ_STATE, SCRATCH
from linkage.store.stepping import Packed, Parameters, read_numbers, read_packed
from linkage.store.still import Still, cannot_share, file_uri, find_still, need_whole
from linkage.terms import TIME, Shape, make_frame

_BUSY_S: Final = 30.0
_CACHE_MB: Final = 256  # of pages, where nobody asks for another size
_LEAST_CACHE_MB: Final = 8
_FEW_PAGES_MB: Final = 32
_SOME_PAGES_MB: Final = 128
_PART_ROWS: Final = 100_000  # of an answer, as Python values at a time; some are blobs of a kilobyte
_CACHE_SIZES: Final = tuple(f"pragma cache_size = -{1024 << power}" for power in range(21))
"""A pragma takes no bound value: 1 MB, 2 MB, 4 MB and so on."""

_LOG, _JOURNAL = "pragma journal_mode = wal", "pragma journal_mode = delete"
_BEGIN: Final = "begin immediate"
# How each kind of transaction is begun, undone and ended.
_WHOLE: Final = ((_BEGIN,), ("rollback",), ("commit",))
_FIRST_PART: Final = ((), ("rollback", _BEGIN), ())
_PART: Final = (("savepoint part",), ("rollback to part", "release part"), ("release part",))

_TIME_COLUMNS: Final = frozenset({"as_of", "since", "first_seen", "last_seen"})


class Database:
    """An open store. Reading never takes a write lock; writing happens inside :meth:`writing`.

    Where nothing can be written beside it, it is read as one that never changes (:mod:`linkage.store.still`).

    Parameters
    ----------
    path : the SQLite file; made when it is missing and ``create`` is true.
    create : whether a missing file is made.
    by_uri : whether statements may name another file by a URI, as :attr:`name` gives it.

    Raises
    ------
    StoreError : missing, not a linkage store, damaged, or made by a later version.
    """

    def __init__(self, path: str | PathLike[str], *, create: bool = True, by_uri: bool = False) -> None:
        self.path, self._is_settled, self._is_compiled, self._changes_before = Path(path), False, False, 0
        self._still: Still | None = None
        self._check_path(create=create)
        self._database = self._open(file_uri(self.path) if by_uri else None)
        try:
            self._prepare()
        except BaseException:
            self._database.close()
            raise

    def __repr__(self) -> str:
        return f"<linkage database {self.path}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; calling it twice does nothing more."""
        self._database.close()

    @property
    def connection(self) -> sqlite3.Connection:
        """The open connection, for rooms of this wing."""
        connection: sqlite3.Connection = self._database.conn
        return connection

    def _check_path(self, *, create: bool) -> None:
        try:
            is_folder, is_there, has_folder = self.path.is_dir(), self.path.exists(), self.path.parent.is_dir()
        except OSError as error:  # a name that is too long, a folder that may not be looked into
            raise StoreError(f"{self.path}: wanted a store file; {error.strerror}. Check the path") from error
        if is_folder:
            raise StoreError(f"{self.path}: wanted a store file; found a folder. Name a file in it, such as logs.db")
        if not is_there and not create:
            raise StoreError(f"{self.path}: wanted a store; found no such file. Make one with: linkage ingest")
        if not has_folder:
            raise StoreError(
                f"{self.path}: wanted a folder to put the store in; {self.path.parent} is none. Make it first"
            )

    @property
    def name(self) -> str:
        """What a statement on another connection calls this file, to attach it."""
        return self._still.uri if self._still else str(self.path)

    @property
    def own_files(self) -> frozenset[str]:
        """Where the store and what SQLite and the lock keep beside it are, whether they are there now or not."""
        return frozenset(str(beside(self.path, ending)) for ending in OWN)

    def _open(self, uri: str | None = None) -> sqlite_utils.Database:
        try:
            connection = connect(uri or self.path, timeout=_BUSY_S, is_uri=uri is not None)
        except (sqlite3.Error, ValueError) as error:  # a NUL in its name
            raise StoreError(
                f"{self.path}: wanted to open the store; {error}. Check the path and its rights"
            ) from error
        return sqlite_utils.Database(connection)

    def _prepare(self) -> None:
        with self.errors_told("open the store"):
            self._read_still_if_unshared()
            connection = self.connection
            connection.execute("pragma trusted_schema = off")
            connection.execute("pragma cell_size_check = on")
            version = self._known_version()
            connection.execute("pragma synchronous = normal")
            keep_pages(self.connection, _CACHE_MB)
            connection.execute("pragma temp_store = file")
            if version < len(MIGRATIONS):
                self._migrate()

    def _read_still_if_unshared(self) -> None:
        """Open the file anew, as one that never changes, where SQLite cannot write beside it."""
        try:
            self._number("pragma user_version")
        except sqlite3.OperationalError as error:
            still = find_still(self.path) if cannot_share(error) else None
            if still is None:
                raise
            need_whole(still)
            self._database.close()
            self._database, self._still = self._open(still.uri), still

    def _known_version(self) -> int:
        """How many migrations the file has had, once it is known to be a linkage store or empty."""
        application = self._number("pragma application_id")
        version = self._number("pragma user_version")
        tables = self._number("select count(*) from sqlite_master")
        if application != APPLICATION_ID and (application or version or tables):
            raise StoreError(
                f"{self.path}: wanted a linkage store; found another SQLite file with {tables} tables and indexes. "
                "Name another file; this one was left as it is"
            )
        code = self._number("select count(*) from sqlite_master where type in ('trigger', 'view')")
        if code:  # none is ours, and those of a file of unknown origin would run inside our own statements
            raise StoreError(
                f"{self.path}: wanted a store as linkage makes it; found a trigger or view in it ({code} in all). "
                "Do not use a file that others may have changed; drop them if they are yours"
            )
        if version > len(MIGRATIONS):
            raise StoreError(
                f"{self.path}: wanted schema version {len(MIGRATIONS)} or earlier; found {version}. "
                "A later linkage made this store: upgrade linkage"
            )
        return version

    def _number(self, sql: str) -> int:
        return int(self.connection.execute(sql).fetchone()[0])

    def _migrate(self) -> None:
        if self._still:
            raise StoreError(
                f"{self.path}: wanted schema version {len(MIGRATIONS)}; found {self._number('pragma user_version')}, "
                "and nothing can be written here to make it that. Copy it to a folder you can write in, and use the "
                "copy"
            )
        with writer_lock(self.path, wait_s=_BUSY_S):
            self.connection.execute(_LOG)
            for script in MIGRATIONS[self._number("pragma user_version") :]:
                self.connection.executescript(script)

    @contextlib.contextmanager
    def errors_told(self, action: str) -> Iterator[None]:
        """SQLite's own errors in a ``with`` block, told as ours; ``action`` is what the block does."""
        try:
            try:
                yield
            finally:
                if self._still:
                    self._still.need_unchanged(action)
        except sqlite3.OperationalError as error:
            if has_code(error, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise StoreBusyError(f"{self.path}: wanted to {action}; {error}. Try again later") from error
            raise StoreError(
                f"{self.path}: wanted to {action}; {error}. Check disk space and rights; what was stored is intact"
            ) from error
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{self.path}: wanted to {action}; {error}. If this is a linkage store it is damaged: restore a backup"
            ) from error
        except UnicodeDecodeError as error:  # what SQLite says of a damaged schema quotes it
            raise StoreError(
                f"{self.path}: wanted to {action}; texts in it are no UTF-8. It is damaged: restore a backup"
            ) from error
        except UnicodeEncodeError as error:
            raise UsageError(
                f"{self.path}: wanted to {action}, with text that is UTF-8; got {error.object!r:.80}. Write it in UTF-8"
            ) from error

    @contextlib.contextmanager
    def writing(self, *, wait_s: float = 0.0, cache_mb: int = _CACHE_MB) -> Iterator[None]:
        """Be the one writer for the length of a ``with`` block; see :func:`linkage.store.lock.writer_lock`.

        Parameters
        ----------
        cache_mb : pages of the store to keep in memory meanwhile, in MB, rounded down to a power of two, at least 8.
        """
        with writer_lock(self.path, wait_s=wait_s):
            with self.errors_told("prepare scratch tables"):
                keep_pages(self.connection, cache_mb)
                self._try_journal(_LOG)  # as an unlogged block that died may have left it
                self.connection.executescript(SCRATCH)
            try:
                yield
            finally:
                keep_pages(self.connection, _CACHE_MB)

    @contextlib.contextmanager
    def unlogged(self) -> Iterator[bool]:
        """In a ``with`` block, write pages that are new once: to their place, not to a log that is copied later.

        Only while the store holds nothing, and nobody else has it open; otherwise nothing changes, and it hands out
        False. What is overwritten is kept in a journal, so that a transaction that dies leaves the file as it was.
        Meanwhile readers wait.
        """
        with self.errors_told("look for requests"):
            is_empty = bool(self.connection.execute(IS_EMPTY).fetchone()[0])
        is_unlogged = is_empty and self._try_journal(_JOURNAL)
        try:
            yield is_unlogged
        finally:
            if is_unlogged:
                self._try_journal(_LOG)

    def forget_pages(self) -> None:
        """Hand back the memory of pages that are kept and not written to; they are read again when needed."""
        self.connection.execute("pragma shrink_memory")

    def _try_journal(self, pragma: str) -> bool:
        """Whether the file's journal is of this kind now; it stays as it was where others have the file open."""
        try:
            return bool(pragma.endswith(str(self.connection.execute(pragma).fetchone()[0])))
        except sqlite3.OperationalError:
            return False

    @contextlib.contextmanager
    def transaction(self, action: str) -> Iterator[sqlite3.Connection]:
        """All of a ``with`` block or nothing of it, in the file and in scratch tables alike.

        In a block of another one it is a part of that: it can fail by itself, and is stored for good with the other.
        What comes first in the other needs no savepoint, with which SQLite copies each page that a statement changes
        into a file: three bytes for one of the store at a million requests (2026-11-30).

        Parameters
        ----------
        action : what the block does, for the message of a failure, such as ``store requests.jsonl``.
        """
        begin, undo, end = self._kind_of_transaction()
        with self.errors_told(action):
            self._execute_all(begin)
            try:
                yield self.connection
                self._execute_all(end)  # where a reader is in the way it fails, and leaves all as it was before
            except BaseException:
                if self.connection.in_transaction:
                    self._execute_all(undo)
                raise

    def _kind_of_transaction(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        if not self.connection.in_transaction:
            self._changes_before = self.connection.total_changes
            return _WHOLE
        return _FIRST_PART if self.connection.total_changes == self._changes_before else _PART

    def _execute_all(self, statements: Sequence[str]) -> None:
        for statement in statements:
            self.connection.execute(statement)

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read one state of the store for the length of a ``with`` block, whatever is written meanwhile."""
        with self.errors_told("read"):
            self.connection.execute("begin")
            try:
                yield
            finally:
                self.connection.execute("commit")

    @contextlib.contextmanager
    def settled(self) -> Iterator[None]:
        """A ``with`` block in which nobody writes, and all that is asked for is committed.

        Numbers are read on connections of their own then, by compiled code: :mod:`linkage.store.stepping`.
        """
        before, self._is_settled = self._is_settled, True
        try:
            yield
        finally:
            self._is_settled = before

    @contextlib.contextmanager
    def compiled(self) -> Iterator[None]:
        """A ``with`` block in which numbers are read by compiled code, on this very connection: of the state it reads.

        Slower than in a settled one, since SQLite guards what other threads might use, but nobody has to keep still.
        """
        before, self._is_compiled = self._is_compiled, True
        try:
            yield
        finally:
            self._is_compiled = before

    def _asked_by(self) -> Asked | None:
        """Who reads numbers, and where; None: Python's binding does."""
        if self._is_settled and not self._still:
            calls = find_calls()
            return Asked(calls, self.path) if calls else None
        return find_asked(self.connection) if self._is_compiled else None

    def query(self, name: str, **parameters: int | float | str) -> pd.DataFrame:
        """The answer of a named query as a frame.

        Parameters
        ----------
        name : a file of ``queries/`` without its ending.
        parameters : exactly the ones its header names.

        Returns
        -------
        The header's columns in its order; columns that end in ``_at`` (and ``as_of``, ``since``, ``first_seen``,
        ``last_seen``) as ``datetime64[ms, UTC]``.

        Raises
        ------
        QueryError : no such query, or other parameters than its own.
        """
        columns = self._columns(name, parameters)
        return pd.DataFrame({column: _plain_column(column, values) for column, values in columns.items()})

    def frame(self, name: str, shape: Shape, **parameters: int | float | str) -> pd.DataFrame:
        """The answer of a named query in one of the shapes of :mod:`linkage.terms`; see :meth:`query`.

        Rows become columns a part at a time: as Python values they take ten times the memory.
        """
        parts = [
            make_frame(shape, {c: _as_times(v) if shape.get(c) == TIME else v for c, v in columns.items()})
            for columns in self.parts(name, **parameters)
        ]
        return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)

    def _columns(self, name: str, parameters: Mapping[str, int | float | str]) -> dict[str, Sequence[Any]]:
        parts = list(self.parts(name, **parameters))
        return {column: [value for part in parts for value in part[column]] for column in parts[0]}

    def parts(self, name: str, **parameters: int | float | str) -> Iterator[dict[str, Sequence[Any]]]:
        """The columns of the answer as plain values, some rows at a time, at least once; see :meth:`query`."""
        query = _checked_query(name, parameters)
        with self.errors_told(f"answer {name}"):
            rows, width = iter(self.connection.execute(query.sql, dict(parameters))), len(query.columns)
            values = _next_values(rows)
            while True:
                yield {column: values[place::width] for place, column in enumerate(query.columns)}
                values = _next_values(rows)
                if not values:
                    return

    def numbers(self, name: str, **parameters: int | float | str) -> Iterator[npt.NDArray[np.int64]]:
        """The answer of a named query of whole numbers, some rows at a time, as arrays of rows x columns.

        A row costs a third of what it costs in :meth:`parts`. None of the numbers may be null.
        """
        query = _checked_query(name, parameters)
        with self.errors_told(f"answer {name}"):
            yield from read_numbers(self.connection, self._asked_by(), **_known(query, parameters))

    def packed(self, name: str, **parameters: int | str) -> Iterator[Packed]:
        """The answer of a named query whose last column is a text or a blob behind numbers, some rows at a time.

        None of the values may be null. There is one part at least.
        """
        query = _checked_query(name, parameters)
        with self.errors_told(f"answer {name}"):
            yield from read_packed(self.connection, self._asked_by(), **_known(query, parameters))

    def revision(self) -> tuple[int, int]:
        """How often the input of a rebuild has changed, and at which change the templates were mined."""
        with self.errors_told("read the input's state"):
            revision, mined = self.connection.execute(READ_STATE).fetchone()
        return int(revision), int(mined)

    def copy_to(self, path: str | PathLike[str]) -> None:
        """Write a copy of one state of the store into a new file, whatever is written meanwhile.

        Raises
        ------
        StoreError : the file cannot be written.
        """
        with self.errors_told(f"copy to {path}"), contextlib.closing(sqlite3.connect(path)) as copy:
            self.connection.backup(copy)

    def check_integrity(self) -> list[str]:
        """What SQLite's own integrity check finds; empty when the file is sound. Reads the whole file."""
        with self.errors_told("check the file"):
            try:
                found = [str(row[0]) for row in self.connection.execute("pragma integrity_check(20)")]
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as error:  # so damaged that the check itself breaks off
                return [str(error)]
        return [] if found == ["ok"] else found


def keep_pages(connection: sqlite3.Connection, size_mb: int) -> None:
    """Keep so many MB of pages in memory from now on, rounded down to a power of two, at least 8."""
    connection.execute(_CACHE_SIZES[max(size_mb, _LEAST_CACHE_MB).bit_length() - 1])


def keep_few_pages(connection: sqlite3.Connection) -> None:
    """Keep at most 32 MB of pages: rows in the order of their table need no more, and indexes are sorted in less time.

    SQLite sorts as much at once as it may keep: 0.7 microseconds a row of uses, 1.2 with a gigabyte (2026-11-29).
    """
    _keep_at_most(connection, _FEW_PAGES_MB)


def keep_some_pages(connection: sqlite3.Connection) -> None:
    """Keep at most 128 MB of pages: account by account, uses of templates go behind others of each of thousands."""
    _keep_at_most(connection, _SOME_PAGES_MB)


def _keep_at_most(connection: sqlite3.Connection, size_mb: int) -> None:
    if -connection.execute("pragma cache_size").fetchone()[0] > size_mb * 1024:
        keep_pages(connection, size_mb)


def _checked_query(name: str, parameters: Mapping[str, int | float | str]) -> Query:
    query = load_query(name)
    if set(parameters) != set(query.parameters):
        wanted = ", ".join(query.parameters) or "no parameters"
        found = ", ".join(sorted(parameters)) or "none"
        raise QueryError(f"{name}: wanted {wanted}; found {found}. Give exactly these by name")
    return query


def _next_values(rows: Iterator[tuple[Any, ...]]) -> list[Any]:
    """All values of the next rows. No row is kept: Python would go over them again and again, looking for cycles."""
    return list(itertools.chain.from_iterable(itertools.islice(rows, _PART_ROWS)))


def _known(query: Query, parameters: Parameters) -> dict[str, Any]:
    return {"sql": query.sql, "parameters": parameters, "width": len(query.columns), "part_rows": _PART_ROWS}


def utc_times(ms: Ints) -> Any:
    """Epoch milliseconds as UTC times that share their memory; pandas would copy them twice."""
    return pd.DatetimeIndex(ms.view("datetime64[ms]"), copy=False).array.view(TIME)


def _as_times(values: Sequence[int | None]) -> pd.Series[Any]:
    """Epoch milliseconds as UTC times; null is NaT."""
    return pd.to_datetime(pd.Series(list(values), dtype="Int64"), unit="ms", utc=True)


def _plain_column(name: str, values: Sequence[Any]) -> pd.Series[Any]:
    if name.endswith("_at") or name in _TIME_COLUMNS:
        return _as_times(values).astype(TIME)
    return pd.Series(list(values), dtype="str") if not values or isinstance(values[0], str) else pd.Series(list(values))
