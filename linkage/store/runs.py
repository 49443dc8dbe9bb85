"""Publishing a run: a new version beside the last, made visible by one switch."""

from __future__ import annotations

import dataclasses
import functools
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from linkage.arrays import Codes
from linkage.coding import codes_of, rows_by_code, text_codes
from linkage.parallel import at_once, in_threads
from linkage.store.filling import fill_table
from linkage.store.inserts import Insert, insert_columns, insertion
from linkage.store.ledger import RunEntry, add_entry
from linkage.store.purge_statements import FORGET_RUN
from linkage.store.store import Database
from linkage.store.valued import VALUE_COLUMNS, number_values
from linkage.terms import CLUSTERS, EVENTS, TEMPLATE_USES, TEXT, TIME, RunId, make_frame

_ADD_RUN: Final = """
insert into run (id, sequence, input_digest, as_of_ms, since_ms, seed, settings, input_revision, versions, counts,
                 weights)
values (:run_id, (select coalesce(max(sequence), 0) + 1 from run), :input_digest, :as_of_ms, :since_ms, :seed,
        :settings, :input_revision, :versions, :counts, :weights)
"""

_ACCOUNT_ID: Final = "select id from account where value = ?"
_NEXT_CLUSTER: Final = "select coalesce(max(number), -1) + 1 from cluster"
# What fails ends the transaction: so SQLite need not keep every page that one run of a statement changes (at a million
# requests 674 -> 93 MB written, 2026-11-30).
_ADD_CLUSTER: Final = insertion(
    "insert or rollback into cluster values", "(?1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_ADD_MEMBER: Final = insertion("insert or rollback into membership values", "(?1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
_ADD_VALUE: Final = insertion("insert or rollback into run_value values", "(?1, ?, ?, ?, ?, ?, ?, ?, ?)")
_ADD_LINK: Final = insertion("insert or rollback into link values", "(?, ?, ?, ?, ?)")
_ADD_SHARED: Final = insertion("insert or rollback into shared_value values", "(?, ?, ?, ?, ?, ?)")
_ADD_TEMPLATE: Final = insertion("insert or rollback into template_use values", "(?1, ?, ?, ?, ?, ?)")
_ADD_STATEMENT: Final = "insert into statement values (?, ?, ?, ?, ?, ?, ?)"
_ADD_EVENT: Final = "insert into event values (?, ?, ?, ?, ?, ?, ?, ?)"

_PUBLISH: Final = """
insert into published (id, run_id) values (1, ?) on conflict (id) do update set run_id = excluded.run_id
"""


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
    database: Database,
    record: RunRecord,
    tables: RunTables,
    *,
    keep_runs: int,
    entry: RunEntry | None = None,
    say: Callable[[], pd.DataFrame] | None = None,
) -> None:
    """Write a run and make it the published one, in one transaction; older runs beyond ``keep_runs`` go.

    A run with the same id (same input, settings and seed) takes the place of the old one.

    Parameters
    ----------
    entry : goes to the ledger.
    say : makes statements that follow those of the tables, in a thread while rows are written; None: there are none.
    """
    with database.transaction(f"publish run {record.run_id}") as connection:
        _forget_run(connection, record.run_id)
        connection.execute(_ADD_RUN, dataclasses.asdict(record))
        write = functools.partial(_add_tables, connection, record.run_id, tables)
        statements = [tables.statements]
        if say:
            statements.append(at_once(say, write)[0])
        else:
            write()
        _add_statements(connection, record.run_id, pd.concat(statements, ignore_index=True))
        connection.execute(_PUBLISH, (record.run_id,))
        if entry:
            add_entry(connection, entry)
        old = connection.execute("select id from run order by sequence desc limit -1 offset ?", (keep_runs,))
        for (run_id,) in old.fetchall():
            _forget_run(connection, run_id)


def _forget_run(connection: sqlite3.Connection, run_id: str) -> None:
    for _, statement in FORGET_RUN:
        connection.execute(statement, {"run_id": run_id})


def _add_tables(connection: sqlite3.Connection, run_id: str, tables: RunTables) -> None:
    number = functools.partial(number_values, tables.links, tables.shared)
    values, accounts = at_once(number, lambda: _find_accounts(connection, tables))
    clusters, numbered = _numbered_clusters(connection, tables.clusters)
    value_table = values.table.assign(number=np.arange(len(values.table)))
    links = tables.links.assign(cluster_number=numbered(tables.links), value_number=values.of_links)
    shared = tables.shared.assign(cluster_number=numbered(tables.shared), value_number=values.of_shared)
    told = (
        _Told(_ADD_CLUSTER, clusters, _CLUSTER_COLUMNS, run_id),
        _Told(_ADD_MEMBER, tables.members, _MEMBER_COLUMNS, run_id, ("account_id",)),
        _Told(_ADD_SHARED, shared, _SHARED_COLUMNS, key=_SHARED_COLUMNS[:3]),
        _Told(_ADD_LINK, links, _LINK_COLUMNS, key=_LINK_COLUMNS[:4]),
        _Told(_ADD_VALUE, value_table, ("number", *VALUE_COLUMNS), run_id),
        _Told(_ADD_TEMPLATE, tables.templates, tuple(TEMPLATE_USES), run_id, ("template_id",)),
    )
    # A table is put in order while the one before it is written: they are millions of rows, and SQLite has one writer.
    ordered = in_threads(lambda table: _ordered(table, accounts), told, threads=1, ahead=1)
    for table, (columns, rows) in zip(told, ordered, strict=True):
        _add_rows(connection, table, columns, rows)
    events = enumerate(_rows(tables.events, _EVENT_COLUMNS))
    connection.executemany(_ADD_EVENT, ((run_id, place, *row) for place, row in events))


def _add_statements(connection: sqlite3.Connection, run_id: str, statements: pd.DataFrame) -> None:
    rows = enumerate(_rows(statements, ("cluster_id", "topic", "sentence", "query", "rows")))
    connection.executemany(_ADD_STATEMENT, ((run_id, row[0], place, *row[1:]) for place, row in rows))


def _numbered_clusters(
    connection: sqlite3.Connection, clusters: pd.DataFrame
) -> tuple[pd.DataFrame, Callable[[pd.DataFrame], Codes]]:
    """Clusters with numbers that no kept run has, and what tells the number of the cluster of each row, -1 for none."""
    [first] = connection.execute(_NEXT_CLUSTER).fetchone()
    codes, ids = text_codes(clusters["cluster_id"])
    number = np.append(first + np.arange(len(ids)), -1)
    return clusters.assign(number=number[codes]), lambda frame: number[codes_of(frame["cluster_id"], ids)]


class _Told(NamedTuple):
    """A table of a run, and how it is written."""

    insert: Insert
    frame: pd.DataFrame
    columns: tuple[str, ...]
    common: str | None = None
    """What all rows begin with; None: nothing."""
    key: tuple[str, ...] = ()
    """Columns that give the order of the store's table, which SQLite takes fastest; none: the rows are in order."""


def _ordered(table: _Told, accounts: _Accounts) -> tuple[list[pd.Series[Any]], Codes]:
    """Columns of a table with accounts as numbers; the rows whose accounts and cluster are known, by key.

    Rows are put in order by counting.
    """
    names = table.columns
    places = {name: codes_of(table.frame[name], accounts.names) for name in _ACCOUNT_COLUMNS if name in names}
    numbers = np.append(accounts.numbers, -1)
    named = table.frame[list(names)].assign(**{name: numbers[codes] for name, codes in places.items()})
    is_known = [named[name].to_numpy() >= 0 for name in (*places, "cluster_number") if name in names]
    rows = np.flatnonzero(np.all(is_known, axis=0)) if is_known else np.arange(len(named))
    for name in table.key[::-1]:
        key = places[name] if name in places else _whole_codes(named[name])
        rows = rows[rows_by_code(key[rows], count=int(key.max(initial=-1)) + 1)[1]]
    return [named[name] for name in names], rows


def _whole_codes(column: pd.Series[Any]) -> Codes:
    """Whole numbers as they are, texts as their codes."""
    is_number = pd.api.types.is_integer_dtype(column.dtype)
    return (column.to_numpy() if is_number else text_codes(column)[0]).astype(np.int64, copy=False)


def _add_rows(connection: sqlite3.Connection, table: _Told, columns: Sequence[pd.Series[Any]], rows: Codes) -> None:
    if fill_table(connection, table.insert, common=table.common, columns=columns, rows=rows):
        return
    plain = [_plain(column) for column in columns]
    for start in range(0, len(rows), _PART_ROWS):
        part = rows[start : start + _PART_ROWS]
        insert_columns(connection, table.insert, common=table.common, columns=[values(part) for values in plain])


class _Accounts(NamedTuple):
    names: pd.Index[str]
    """In the order of their numbers."""
    numbers: Codes


def _find_accounts(connection: sqlite3.Connection, tables: RunTables) -> _Accounts:
    """The accounts these tables name, as far as the store has them."""
    named = [tables.members["account_id"], tables.shared["account_id"]]
    named += [tables.links["account_a"], tables.links["account_b"]]
    found = []
    for name in {str(name) for column in named for name in column.unique()}:
        row = connection.execute(_ACCOUNT_ID, (name,)).fetchone()
        if row:
            found.append((int(row[0]), name))
    found.sort()
    numbers = np.array([number for number, _ in found], dtype=np.int64)
    return _Accounts(pd.Index([name for _, name in found], dtype=TEXT), numbers)


_PART_ROWS: Final = 100_000
_ACCOUNT_COLUMNS: Final = ("account_id", "account_a", "account_b")
_LATER_COLUMNS: Final = ("number", "whole_probability", "barred_by")
_CLUSTER_COLUMNS: Final = (*(name for name in CLUSTERS if name not in _LATER_COLUMNS), *_LATER_COLUMNS)
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
    "left_out_by",
)
_LINK_COLUMNS: Final = ("cluster_number", "account_a", "account_b", "value_number", "bits")
_SHARED_COLUMNS: Final = ("cluster_number", "value_number", "account_id", "request_count", "first_at", "last_at")
_EVENT_COLUMNS: Final = tuple(EVENTS)


def _rows(frame: pd.DataFrame, columns: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    """Rows of plain values SQLite takes: times as epoch milliseconds, nulls as None."""
    return zip(*(_plain(frame[column])(np.arange(len(frame))) for column in columns), strict=True)


def _plain(column: pd.Series[Any]) -> Callable[[Codes], list[Any]]:
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
