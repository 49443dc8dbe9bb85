"""Purge: an account, or everything before a day, out of the store and out of the bytes of its file."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Final

from linkage.engines.load import plain_rows, request_table
from linkage.errors import NoSuchAccountError
from linkage.intake.entities import entity_id
from linkage.intake.rollups import roll_up_coverage
from linkage.store import purge
from linkage.store.facts import Connection
from linkage.store.store import Database
from linkage.terms import DAY_MS

_COVERAGE: Final = ("day", "field", "present", "total")


@dataclasses.dataclass(frozen=True)
class Purged:
    """What went."""

    counts: Mapping[str, int]
    """Name of a table to how many of its rows went; ``texts`` counts sentences and notes a value was taken out of."""
    shrunk_bytes: int
    """How much smaller the store's file is."""
    values: frozenset[str]
    """What the store no longer has: account ids, and the values only they used. For looking through other files."""


def purge_account(database: Database, account_id: str, *, wait_s: float = 0.0) -> Purged:
    """Take one account out of requests, records, rollups, prompts, runs and notes, and out of the file's free bytes.

    Values that other accounts use too stay theirs. Clusters of kept runs lose the member; one that is left with fewer
    than two members goes, and its notes with it. The ledger of files stays, so files that were loaded before do not
    bring the account back. Reads the whole file and takes as much free disk as the store is large.

    Parameters
    ----------
    wait_s : how long to wait for another writer, in seconds.

    Raises
    ------
    NoSuchAccountError : the store has no account of this id; the file was swept all the same, so that a purge that
        was cut off can be finished.
    StoreBusyError : another process writes, or reads on while the write-ahead log is to be emptied.
    """
    with database.writing(wait_s=wait_s):
        purge.prepare(database)
        with database.transaction("purge an account") as connection:
            is_known = purge.choose_account(connection, account_id)
            _subtract_coverage(connection)
            waited = purge.forget_waiting(connection, entity_id("account", account_id))
            purged = _forget(connection, {"companion": waited}) if is_known or waited else None
        shrunk = purge.sweep(database)
    if purged is None:
        raise NoSuchAccountError(
            f"{database.path}: wanted account {account_id!r}; found none of this id (ids are compared letter by "
            "letter). The file was swept all the same; check the id"
        )
    return dataclasses.replace(purged, shrunk_bytes=shrunk)


def purge_before(database: Database, before_ms: int, *, wait_s: float = 0.0) -> Purged:
    """Take out what is older than the UTC day of a time: requests, accounts that have none since, runs that end by it.

    Whole days, because rollups are: what is older than ``before_ms`` but on its day stays until the day is over.

    Parameters
    ----------
    before_ms : UTC epoch milliseconds.
    wait_s : how long to wait for another writer, in seconds.

    Raises
    ------
    StoreBusyError : another process writes, or reads on while the write-ahead log is to be emptied.
    """
    with database.writing(wait_s=wait_s):
        purge.prepare(database)
        with database.transaction("purge old requests") as connection:
            purge.choose_before(connection, before_ms // DAY_MS)
            purged = _forget(connection, purge.forget_before(connection, before_ms // DAY_MS))
        return dataclasses.replace(purged, shrunk_bytes=purge.sweep(database))


def _subtract_coverage(connection: Connection) -> None:
    for rows in purge.chosen_requests(connection):
        purge.subtract_coverage(connection, plain_rows(roll_up_coverage(request_table(rows)), _COVERAGE))


def _forget(connection: Connection, counts: Mapping[str, int]) -> Purged:
    total = Counter(counts)
    total.update(purge.forget_chosen(connection))
    total.update(purge.forget_unused(connection))
    went = {table: count for table, count in sorted(total.items()) if count}
    return Purged(went, 0, purge.gone_values(connection))
