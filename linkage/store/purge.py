"""Taking accounts, or everything before a time, out of a store, down to the bytes of the file.

Facts go from every table; dictionary values and prompts go with the last of their uses. Runs that were made with them
stay, without them. The bytes go by ``secure_delete``, a ``vacuum`` and a truncated write-ahead log.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, Final

from linkage.errors import StoreBusyError
from linkage.store import purge_statements as sql
from linkage.store.redact import redact
from linkage.store.statements import BUMP_REVISIONS
from linkage.store.store import Database

Counts = dict[str, int]
"""Name of a table to how many of its rows went."""

_BLOCK_ROWS: Final = 20_000


def prepare(database: Database) -> None:
    """Make scratch tables, empty, and have what is deleted overwritten; not inside a transaction."""
    with database.errors_told("prepare a purge"):
        database.connection.execute("pragma secure_delete = on").fetchall()
        database.connection.executescript(sql.SCRATCH)


def choose_account(connection: sqlite3.Connection, account_id: str) -> bool:
    """Choose an account to take out; False when the store has none of this id."""
    return connection.execute(sql.CHOOSE_ACCOUNT, (account_id,)).rowcount == 1


def forget_waiting(connection: sqlite3.Connection, account: int) -> int:
    """Delete what waits for requests of an account, by the account's number; how many rows went."""
    return connection.execute(sql.FORGET_WAITING, (account,)).rowcount


def choose_before(connection: sqlite3.Connection, day: int) -> None:
    """Choose the accounts that have requests before a day (since the epoch), and none since."""
    connection.execute(sql.TOUCH_ACCOUNTS, {"day": day})
    connection.execute(sql.CHOOSE_SILENT, {"day": day})


def chosen_requests(connection: sqlite3.Connection) -> Iterator[list[tuple[Any, ...]]]:
    """Requests of the chosen accounts, block by block; tuples in the order of ``REQUEST_COLUMNS``."""
    cursor = connection.execute(sql.CHOSEN_REQUESTS)
    while rows := cursor.fetchmany(_BLOCK_ROWS):
        yield rows


def subtract_coverage(connection: sqlite3.Connection, rows: list[tuple[int, str, int, int]]) -> None:
    """Take (day, field, present, total) out of what is counted about fields."""
    connection.executemany(sql.SUBTRACT_COVERAGE, [(present, total, day, field) for day, field, present, total in rows])
    connection.execute(sql.FORGET_EMPTY_COVERAGE)


def forget_chosen(connection: sqlite3.Connection) -> Counts:
    """Delete the chosen accounts from facts, rollups and runs; the coverage of fields is the caller's to bring down."""
    connection.execute(sql.REMEMBER_ACCOUNTS)
    connection.execute(sql.REMEMBER_CLUSTERS)
    return _delete(connection, sql.FORGET_ACCOUNTS)


def forget_before(connection: sqlite3.Connection, day: int) -> Counts:
    """Delete requests, rollups and runs that are older than a UTC day (days since the epoch)."""
    counts = _delete(connection, sql.FORGET_BEFORE, {"day": day})
    for (run_id,) in connection.execute(sql.RUNS_BEFORE, {"day": day}).fetchall():
        _add(counts, _delete(connection, sql.FORGET_RUN, {"run_id": run_id}))
    return counts


def forget_unused(connection: sqlite3.Connection) -> Counts:
    """Delete prompts, templates and dictionary values that nothing uses any more, and what texts say of them.

    Templates that are left keep their ids and their readable text; they are mined anew with the next ingest.
    """
    counts = _delete(connection, sql.FORGET_PROMPTS)
    for statement in sql.RECOUNT_PROMPTS:
        connection.execute(statement)
    connection.execute(sql.REMEMBER_VALUES)
    _add(counts, _delete(connection, sql.FORGET_VALUES))
    _add(counts, _clean_runs(connection))
    counts["texts"] = _clean_texts(connection)
    connection.execute(sql.KNOW_FILES)
    connection.execute(BUMP_REVISIONS)
    return {table: count for table, count in sorted(counts.items()) if count}


def gone_values(connection: sqlite3.Connection) -> frozenset[str]:
    """Values that the store no longer has: account ids and what only they used."""
    return frozenset(row[0] for row in connection.execute("select value from gone_value"))


def sweep(database: Database) -> int:
    """Leave no deleted byte in the store's file or its write-ahead log; returns how many bytes the file shrank.

    Raises
    ------
    StoreBusyError : another process reads, so the log cannot be emptied yet.
    StoreError : no room for the second copy of the file that this takes for a while.
    """
    with database.errors_told("sweep the file"):
        _truncate_log(database)
        before = database.path.stat().st_size
        database.connection.execute("vacuum")
        _truncate_log(database)
    return before - database.path.stat().st_size


def _truncate_log(database: Database) -> None:
    busy = database.connection.execute("pragma wal_checkpoint(truncate)").fetchone()[0]
    if busy:
        raise StoreBusyError(
            f"{database.path}: wanted to empty the write-ahead log; another process is reading. What was asked for is "
            "gone from the tables, not yet from the file: close readers and purge again"
        )


def _clean_runs(connection: sqlite3.Connection) -> Counts:
    """Bring clusters of kept runs down to the members that are left; a cluster of fewer than two goes."""
    connection.execute(sql.SHRINK_CLUSTERS)
    counts = _delete(connection, sql.FORGET_EMPTIED)
    connection.execute(sql.RECOUNT_RUNS)
    return counts


def _clean_texts(connection: sqlite3.Connection) -> int:
    """Take gone values out of sentences, reasons and notes; how many texts changed."""
    values, changed = frozenset(row[0] for row in connection.execute(sql.WORDS)), 0
    for find, write in sql.TEXTS:
        cleaned = [(redact(text, values), text) for (text,) in connection.execute(find)]
        different = [pair for pair in cleaned if pair[0] != pair[1]]
        connection.executemany(write, different)
        changed += len(different)
    return changed


def _delete(connection: sqlite3.Connection, statements: sql.Statements, values: Any = ()) -> Counts:
    counts: Counts = {}
    for table, statement in statements:
        counts[table] = counts.get(table, 0) + connection.execute(statement, values).rowcount
    return counts


def _add(counts: Counts, more: Counts) -> None:
    for table, count in more.items():
        counts[table] = counts.get(table, 0) + count
