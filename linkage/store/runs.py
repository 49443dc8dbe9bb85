"""Publishing a run: a new version beside the last, made visible by one switch."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.coding import text_codes
from linkage.parallel import in_threads
from linkage.store.filling import fill_table
from linkage.store.inserts import Insert, insert_columns, insertion
from linkage.store.ledger import RunEntry, add_entry
from linkage.store.store import Database
from linkage.terms import CLUSTERS, EVENTS, TEMPLATE_USES, TIME, RunId, make_frame

_ADD_RUN: Final = """
insert into run (id, sequence, input_digest, as_of_ms, since_ms, seed, settings, input_revision, versions, counts,
                 weights)
values (:run_id, (select coalesce(max(sequence), 0) + 1 from run), :input_digest, :as_of_ms, :since_ms, :seed,
        :settings, :input_revision, :versions, :counts, :weights)
"""

_ACCOUNT_ID: Final = "select id from account where value = ?"
_ADD_CLUSTER: Final = insertion("insert into cluster values", "(?1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
_ADD_MEMBER: Final = insertion("insert into membership values", "(?1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
_ADD_LINK: Final = insertion("insert into link values", "(?1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
_ADD_SHARED: Final = insertion("insert into shared_value values", "(?1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
_ADD_TEMPLATE: Final = insertion("insert into template_use values", "(?1, ?, ?, ?, ?, ?)")
_ADD_STATEMENT: Final = "insert into statement values (?, ?, ?, ?, ?, ?, ?)"
_ADD_EVENT: Final = "insert into event values (?, ?, ?, ?, ?, ?, ?, ?)"

_PUBLISH: Final = """
insert into published (id, run_id) values (1, ?) on conflict (id) do update set run_id = excluded.run_id
"""

_FORGET_RUN: Final = (
    "delete from cluster where run_id = ?",
    "delete from membership where run_id = ?",
    "delete from link where run_id = ?",
    "delete from shared_value where run_id = ?",
    "delete from template_use where run_id = ?",
    "delete from statement where run_id = ?",
    "delete from event where run_id = ?",
    "delete from run where id = ?",
)


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """What a run was made from; all that is needed to make it again."""

    run_id: RunId
    input_digest: str
    input_revision: int
    as_of_ms: int
    since_ms: int
    seed: int
    settings: str
    versions: str
    counts: str
    weights: str


@dataclasses.dataclass(frozen=True)
class RunTables:
    """What a run found, in the shapes of :mod:`linkage.terms`.

    ``links``, ``shared`` and ``statements`` have a column ``cluster_id`` besides.
    """

    clusters: pd.DataFrame
    members: pd.DataFrame
    links: pd.DataFrame
    shared: pd.DataFrame
    statements: pd.DataFrame
    events: pd.DataFrame
    templates: pd.DataFrame = dataclasses.field(default_factory=lambda: make_frame(TEMPLATE_USES))
    """``TEMPLATE_USES`` of the templates in ``shared``, as far as they were counted."""


def publish_run(
    database: Database, record: RunRecord, tables: RunTables, *, keep_runs: int, entry: RunEntry | None = None
) -> None:
    """Write a run and make it the published one, in one transaction; older runs beyond ``keep_runs`` go.

    A run with the same id (same input, settings and seed) takes the place of the old one. ``entry`` goes to the ledger.
    """
    with database.transaction(f"publish run {record.run_id}") as connection:
        _forget_run(connection, record.run_id)
        connection.execute(_ADD_RUN, dataclasses.asdict(record))
        _add_tables(connection, record.run_id, tables)
        connection.execute(_PUBLISH, (record.run_id,))
        if entry:
            add_entry(connection, entry)
        old = connection.execute("select id from run order by sequence desc limit -1 offset ?", (keep_runs,))
        for (run_id,) in old.fetchall():
            _forget_run(connection, run_id)


def _forget_run(connection: sqlite3.Connection, run_id: str) -> None:
    for statement in _FORGET_RUN:
        connection.execute(statement, (run_id,))


def _add_tables(connection: sqlite3.Connection, run_id: str, tables: RunTables) -> None:
    ids = _account_ids(connection, tables)
    shared_place = ("cluster_id", "family", "kind", "value", "account_id")
    told: tuple[tuple[Insert, pd.DataFrame, tuple[str, ...], tuple[str, ...]], ...] = (
        (_ADD_CLUSTER, tables.clusters, _CLUSTER_COLUMNS, ()),
        (_ADD_MEMBER, tables.members, _MEMBER_COLUMNS, ("account_id",)),
        (_ADD_LINK, tables.links, _LINK_COLUMNS, _LINK_COLUMNS[:4]),
        (_ADD_SHARED, tables.shared, _SHARED_COLUMNS, shared_place),
        (_ADD_TEMPLATE, tables.templates, tuple(TEMPLATE_USES), ("template_id",)),
    )
    # A table is put in order while the one before it is written: they are millions of rows, and SQLite has one writer.
    for insert, columns, rows in in_threads(lambda each: _ordered(*each, ids), told, threads=1, ahead=1):
        _add_rows(connection, insert, run_id, columns, rows)
    statements = enumerate(_rows(tables.statements, ("cluster_id", "topic", "sentence", "query", "rows")))
    connection.executemany(_ADD_STATEMENT, ((run_id, row[0], place, *row[1:]) for place, row in statements))
    events = enumerate(_rows(tables.events, _EVENT_COLUMNS))
    connection.executemany(_ADD_EVENT, ((run_id, place, *row) for place, row in events))


def _ordered(
    insert: Insert, table: pd.DataFrame, names: tuple[str, ...], place: tuple[str, ...], ids: Mapping[str, int]
) -> tuple[Insert, list[pd.Series[Any]], npt.NDArray[np.int64]]:
    """Columns of a table with accounts as numbers, and the rows whose accounts are known, in the order of ``place``.

    That is the order of the key of the store's table, which SQLite takes fastest.
    """
    numbers = {name: _numbers(table[name], ids) for name in _ACCOUNT_COLUMNS if name in names}
    named = table[list(names)].assign(**numbers)
    rows = np.arange(len(named))
    if numbers:
        rows = np.flatnonzero(np.all([number >= 0 for number in numbers.values()], axis=0))
    if place:
        rows = rows[_order(named[list(place)].take(rows), place)]
    return insert, [named[name] for name in names], rows


def _add_rows(
    connection: sqlite3.Connection,
    insert: Insert,
    run_id: str,
    columns: Sequence[pd.Series[Any]],
    rows: npt.NDArray[np.int64],
) -> None:
    if fill_table(connection, insert, common=run_id, columns=columns, rows=rows):
        return
    plain = [_plain(column) for column in columns]
    for start in range(0, len(rows), _PART_ROWS):
        part = rows[start : start + _PART_ROWS]
        insert_columns(connection, insert, common=run_id, columns=[values(part) for values in plain])


def _account_ids(connection: sqlite3.Connection, tables: RunTables) -> dict[str, int]:
    """The number of each account these tables name, where the store has it."""
    named = [tables.members["account_id"], tables.shared["account_id"]]
    named += [tables.links["account_a"], tables.links["account_b"]]
    found = {}
    for name in sorted({str(name) for column in named for name in column.unique()}):
        row = connection.execute(_ACCOUNT_ID, (name,)).fetchone()
        if row:
            found[name] = int(row[0])
    return found


def _numbers(column: pd.Series[Any], ids: Mapping[str, int]) -> npt.NDArray[np.int64]:
    """The number of the account of each row, -1 where the store has none."""
    codes, names = text_codes(column)
    numbers = np.fromiter((ids.get(name, -1) for name in names), np.int64, len(names))
    return np.asarray(numbers[codes], dtype=np.int64)


def _order(table: pd.DataFrame, columns: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """The order of the rows by some columns, the first one first."""
    is_number = {name: pd.api.types.is_integer_dtype(table[name].dtype) for name in columns}
    keys = [table[name].to_numpy() if is_number[name] else text_codes(table[name])[0] for name in columns]
    return np.lexsort(keys[::-1])


_PART_ROWS: Final = 100_000
_ACCOUNT_COLUMNS: Final = ("account_id", "account_a", "account_b")
_CLUSTER_COLUMNS: Final = tuple(CLUSTERS)
_MEMBER_COLUMNS: Final = (
    "account_id",
    "cluster_id",
    "membership",
    "tier",
    "controller_probability",
    "extraction_probability",
    "q_value",
    "reasons",
    "flagged",
    "stability",
    "requests",
)
_LINK_COLUMNS: Final = (
    "cluster_id",
    "account_a",
    "account_b",
    "family",
    "kind",
    "value",
    "accounts",
    "unrelated_accounts",
    "bits",
    "first_at",
    "last_at",
)
_SHARED_COLUMNS: Final = (
    "cluster_id",
    "account_id",
    "family",
    "kind",
    "value",
    "request_count",
    "accounts",
    "unrelated_accounts",
    "first_at",
    "last_at",
)
_EVENT_COLUMNS: Final = tuple(EVENTS)


def _rows(frame: pd.DataFrame, columns: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    """Rows of plain values SQLite takes: times as epoch milliseconds, nulls as None."""
    return zip(*(_plain(frame[column])(np.arange(len(frame))) for column in columns), strict=True)


def _plain(column: pd.Series[Any]) -> Callable[[npt.NDArray[np.int64]], list[Any]]:
    """Hands out parts of a column as plain values; a text of many rows is there once."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        texts = np.array([*column.cat.categories, None], dtype=object)
        codes = column.cat.codes.to_numpy()
        return lambda part: texts[codes[part]].tolist()
    return lambda part: _plain_part(column.iloc[part])


def _plain_part(column: pd.Series[Any]) -> list[Any]:
    if str(column.dtype) == TIME:
        times = column.dt.tz_localize(None).to_numpy().astype("int64").tolist()
        if not column.hasnans:
            return times  # type: ignore[no-any-return]
        return [None if missing else time for time, missing in zip(times, column.isna(), strict=True)]
    values = column.astype(int) if column.dtype == bool else column
    if not values.hasnans:
        return values.tolist()
    return [None if missing else value for value, missing in zip(values.tolist(), values.isna(), strict=True)]
