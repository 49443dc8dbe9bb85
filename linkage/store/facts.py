"""Writing what ingest found: facts, rollups, templates and the ledger of files."""

from __future__ import annotations

import dataclasses
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from linkage.errors import StoreError
from linkage.store import statements
from linkage.store.store import Database

Connection = sqlite3.Connection
"""What :meth:`linkage.store.store.Database.transaction` hands out."""

Rows = Iterable[tuple[Any, ...]]
"""Plain tuples, ready to be bound."""

_BLOCK_ROWS: Final = 20_000

ACCOUNT_RECORD_COLUMNS: Final = (
    "content",
    "account_id",
    "organization_id",
    "email_domain_id",
    "payment_id",
    "created_ms",
    "country",
    "plan",
)
"""Columns of ``account_record`` and of a batch of account records, in the order the statement binds them."""


@dataclasses.dataclass(frozen=True)
class BatchCounts:
    """What became of the rows of a batch."""

    kept: int = 0
    seen_before: int = 0
    conflicting: int = 0

    def __add__(self, other: BatchCounts) -> BatchCounts:
        return BatchCounts(
            kept=self.kept + other.kept,
            seen_before=self.seen_before + other.seen_before,
            conflicting=self.conflicting + other.conflicting,
        )


@dataclasses.dataclass(frozen=True)
class SourceFile:
    """One file in the ledger; ``reading`` is a digest of everything else that decides how it is read."""

    path: str
    size: int
    sha256: str
    format: str
    reading: str
    kind: str
    kept: int
    set_aside: int
    seen_before: int
    conflicting: int


def add_entities(connection: Connection, kind: str, rows: Sequence[tuple[int, str]]) -> None:
    """Add dictionary rows (id, value); known ones change nothing.

    Raises
    ------
    StoreError : two values have one id (a collision of 63-bit hashes).
    """
    if kind == "account":
        connection.executemany(statements.ADD_ACCOUNT, rows)
    else:
        connection.executemany(statements.ADD_ENTITY, ((row[0], kind, row[1]) for row in rows))
    _check_collisions(connection, kind, rows)


def _check_collisions(connection: Connection, kind: str, rows: Sequence[tuple[int, str]]) -> None:
    """An ``insert or ignore`` would hide that another value already has the id, so look it up."""
    for row_id, value in rows:
        if kind == "account":
            stored = connection.execute(statements.FIND_ACCOUNT, (row_id,)).fetchone()
            clash = stored is None or stored[0] != value
        else:
            stored = connection.execute(statements.FIND_ENTITY, (row_id,)).fetchone()
            clash = stored is None or (stored[0], stored[1]) != (kind, value)
        if clash:
            raise StoreError(f"wanted {kind} {value!r} under id {row_id}; found {stored}. Please report this collision")


def add_requests(connection: Connection, rows: Rows) -> BatchCounts:
    """Add requests and bring the rollups up to date; repeats change nothing.

    Parameters
    ----------
    rows : tuples in the order of ``REQUEST_COLUMNS``.

    Returns
    -------
    How many were new, seen before (same key, same content), and in conflict (same key, other content: the record
    with the smaller content hash stays, whichever came first).
    """
    connection.execute("delete from incoming")
    connection.executemany(statements.STAGE_REQUEST, rows)
    staged = connection.execute("select count(*) from incoming").fetchone()[0]
    same, other = connection.execute(statements.COUNT_REPEATS).fetchone()
    connection.execute(statements.MARK_REPLACED)
    connection.execute(statements.REPLACE_REQUESTS)
    connection.execute(statements.FORGET_REPEATS)
    connection.execute(statements.ADD_REQUESTS)
    for statement in (*statements.ROLL_UP, statements.COVER):
        connection.execute(statement)
    return BatchCounts(kept=staged - same - other, seen_before=same, conflicting=other)


def settle_replaced(connection: Connection) -> None:
    """Make anew the rollups of accounts and days whose records were replaced by :func:`add_requests`."""
    if connection.execute("select count(*) from dirty").fetchone()[0] == 0:
        return
    for statement in statements.FORGET_DIRTY:
        connection.execute(statement)
    connection.execute("delete from incoming")
    connection.execute(statements.FETCH_DIRTY)
    for statement in statements.ROLL_UP:
        connection.execute(statement)
    for statement in (*statements.RECOVER_COVERAGE, statements.COVER):
        connection.execute(statement)
    connection.execute("delete from incoming")
    connection.execute("delete from dirty")


def add_account_records(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> BatchCounts:
    """Add account records (tuples in the order of ``ACCOUNT_RECORD_COLUMNS``); known ones change nothing."""
    before = connection.execute("select count(*) from account_record").fetchone()[0]
    connection.executemany(statements.ADD_ACCOUNT_RECORD, rows)
    after = connection.execute("select count(*) from account_record").fetchone()[0]
    return BatchCounts(kept=after - before, seen_before=len(rows) - (after - before))


def add_prompts(
    connection: Connection, rows: Sequence[tuple[int, bytes, str | None, str | None]], *, keep_text: bool
) -> None:
    """Add distinct prompts; their text stays only until the templates are described.

    Parameters
    ----------
    rows : tuples (id, features, template id at the gateway or None, text or None).
    keep_text : keep the text in the store too, compressed.
    """
    kept = ((row[0], row[1], row[2], _pack(row[3]) if keep_text and row[3] else None) for row in rows)
    connection.executemany(statements.ADD_PROMPT, kept)
    connection.executemany(statements.KEEP_NEW_PROMPT, ((row[0], row[3]) for row in rows if row[3] is not None))


def _pack(text: str) -> bytes:
    return zlib.compress(text.encode("utf-8", "surrogatepass"))


def find_source_file(database: Database, *, sha256: str, format_name: str, reading: str) -> BatchCounts | None:
    """What became of a file that was loaded before in the same way; None when it was not."""
    values = {"sha256": sha256, "format": format_name, "reading": reading}
    row = database.connection.execute(statements.FIND_SOURCE_FILE, values).fetchone()
    return None if row is None else BatchCounts(kept=row[0], seen_before=row[2], conflicting=row[3])


def add_source_file(connection: Connection, file: SourceFile, *, rejected: Iterable[tuple[int, str]]) -> None:
    """Enter a file in the ledger, its rejected lines in quarantine, and note that the input changed."""
    cursor = connection.execute(statements.ADD_SOURCE_FILE, dataclasses.asdict(file))
    connection.executemany(
        "insert or ignore into rejected values (?, ?, ?)",
        ((cursor.lastrowid, line, reason) for line, reason in rejected),
    )
    if file.kept or file.conflicting:
        connection.execute(statements.BUMP_REVISION)


def prompt_blocks(connection: Connection) -> Iterator[tuple[list[int], list[bytes]]]:
    """All distinct prompts as blocks of (ids, feature blobs), by ascending id; reads the table once."""
    last = -1
    while rows := connection.execute(statements.READ_PROMPTS, (last, _BLOCK_ROWS)).fetchall():
        last = rows[-1][0]
        yield [row[0] for row in rows], [row[1] for row in rows]


def set_templates(
    connection: Connection,
    assigned: Iterable[tuple[Sequence[tuple[int, int | None]], Sequence[tuple[int, int]]]],
) -> None:
    """Write which template (or none) and which items each prompt has.

    Parameters
    ----------
    assigned : blocks of ((prompt id, template id or None) rows, (prompt id, item) rows).
    """
    connection.execute("delete from prompt_item")
    for templates, items in assigned:
        connection.executemany("insert or replace into mined values (?, ?)", templates)
        connection.executemany("insert or ignore into prompt_item values (?, ?)", items)
    for statement in statements.SET_TEMPLATES:
        connection.execute(statement)


def gateway_templates(connection: Connection) -> list[str]:
    """Template ids that gateways gave, sorted."""
    return [row[0] for row in connection.execute(statements.READ_GATEWAY_TEMPLATES)]


def use_gateway_templates(connection: Connection, rows: Sequence[tuple[int, str]]) -> None:
    """Let prompts whose template the gateway named have that template; rows are (template id, gateway's name)."""
    texts = ((row_id, f"t-{row_id:016x}", f"(the gateway's template {name})", 0) for row_id, name in rows)
    connection.executemany(statements.ADD_TEMPLATE, texts)
    connection.executemany(statements.USE_GATEWAY_TEMPLATE, rows)


def undescribed_templates(connection: Connection) -> list[int]:
    """Ids of templates that prompts have and that have no readable text yet, ascending."""
    return [row[0] for row in connection.execute(statements.UNDESCRIBED_TEMPLATES)]


def new_texts(connection: Connection, template_id: int, *, limit: int) -> list[str]:
    """Texts of up to ``limit`` prompts of this ingest that have the template, by ascending prompt id."""
    return [row[0] for row in connection.execute(statements.NEW_TEXTS, (template_id, limit))]


def add_templates(connection: Connection, rows: Sequence[tuple[int, str, str, int]]) -> None:
    """Write templates (id, name, text, slots); the readable text of a known one stays as it was."""
    connection.executemany(statements.ADD_TEMPLATE, rows)


def template_texts(connection: Connection) -> dict[int, str]:
    """Readable text of every template that prompts have, by ascending id."""
    return dict(connection.execute(statements.TEMPLATE_TEXTS))


def tie_templates(connection: Connection, rows: Sequence[tuple[int, str | None, int | None, float | None]]) -> None:
    """Write what templates ask for and which family they are of (template id, contract, family id, similarity)."""
    connection.executemany(statements.TIE_TEMPLATE, [(*row[1:], row[0]) for row in rows])


def follow_templates(connection: Connection, families: Mapping[int, str]) -> None:
    """Make anew what follows from templates: their entities, uses, items and templated counts.

    Parameters
    ----------
    families : family id to family name.
    """
    for statement in statements.FORGET_TEMPLATES:
        connection.execute(statement)
    connection.executemany(statements.ADD_FAMILY, list(families.items()))
    for statement in statements.FOLLOW_TEMPLATES:
        connection.execute(statement)
    connection.execute("delete from new_prompt")
    connection.execute(statements.MARK_MINED)
