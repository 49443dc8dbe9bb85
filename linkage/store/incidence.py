"""A store that holds what an incidence folder holds: rollups and names without the requests they were made from."""

from __future__ import annotations

import sqlite3
from typing import Final

from linkage.errors import UsageError
from linkage.store.store import Database

KIND: Final = "incidence"
"""What the ledger of files calls an incidence folder."""

_NEWEST: Final = "select sha256 from source_file where kind = 'incidence' order by id desc limit 1"
_HOLDS_REQUESTS: Final = "select exists (select 1 from request)"
_FORGET: Final = (
    "delete from entity",
    "delete from account_record",
    "delete from entity_use",
    "delete from account_day",
    "delete from account_hour",
    "delete from coverage_day",
    "delete from prompt_day",
    "delete from item_day",
    "delete from work_day",
    "delete from template",
)


def taken_digest(database: Database) -> str | None:
    """The digest of the incidence folder that the store holds; None where it holds none."""
    with database.errors_told("read the ledger"):
        row = database.connection.execute(_NEWEST).fetchone()
    return None if row is None else str(row[0])


def holds_requests(database: Database) -> bool:
    """Whether the store holds requests themselves."""
    with database.errors_told("read the requests"):
        return bool(database.connection.execute(_HOLDS_REQUESTS).fetchone()[0])


def forget_incidence(connection: sqlite3.Connection) -> None:
    """Delete all that comes of an incidence folder, for another to take its place; runs and their accounts stay."""
    for statement in _FORGET:
        connection.execute(statement)


def need_requests(database: Database, *, wanted: str, instead: str) -> None:
    """Refuse what cannot be done without requests.

    Parameters
    ----------
    wanted : what was asked for, such as ``to purge it``.
    instead : what to do, a sentence.

    Raises
    ------
    UsageError : the store was filled from an incidence folder.
    """
    if taken_digest(database) is not None:
        raise UsageError(
            f"{database.path}: wanted {wanted}; found a store that was filled from an incidence folder and holds no "
            f"requests. {instead}"
        )
