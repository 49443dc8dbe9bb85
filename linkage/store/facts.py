"""Writing what ingest found: facts, rollups, templates and the ledger of files."""

from __future__ import annotations

import dataclasses
import math
import sqlite3
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from linkage.arrays import Ints, Numbers
from linkage.store import statements
from linkage.store.filling import put_rows, put_texts
from linkage.store.inserts import Insert, insert_rows
from linkage.store.library import find_asked
from linkage.store.stepping import read_numbers, read_packed
from linkage.store.store import Database

Connection = sqlite3.Connection
"""What :meth:`linkage.store.store.Database.transaction` hands out."""

Rows = Iterable[tuple[Any, ...]]
"""Plain tuples, ready to be bound."""

Blob = bytes | bytearray
"""Binding a ``bytearray`` costs a fifth of binding ``bytes``, for which Python looks for an adapter."""

_BLOCK_ROWS: Final = 20_000
_PROMPT_BYTES: Final = 400  # of fingerprints, about
_LAST_ID: Final = 2**63 - 1
_LATENCY: Final = statements.REQUEST_COLUMNS.index("latency_ms")
_SPREAD: Final = 6.0  # standard deviations of the greatest of the lowest ids

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


def storable_path(path: str | PathLike[str]) -> str:
    """A path as text; what of a name is no UTF-8, which SQLite text must be, is written out as escapes."""
    return str(path).encode("utf-8", "backslashreplace").decode()


@dataclasses.dataclass(frozen=True)
class SourceFile:
    """One file in the ledger."""

    path: str
    size: int
    sha256: str
    format: str
    reading: str
    """Digest of all else that decides how it is read, but for ``limits``."""
    limits: str
    """JSON: the limits of size where lines were set aside, which larger ones may let in; else empty."""
    kind: str
    kept: int
    set_aside: int
    seen_before: int
    conflicting: int


def find_requests(connection: Connection, keys: Sequence[int]) -> list[tuple[int, int]]:
    """Those of the keys that are stored, each with the content hash of its record, in any order."""
    return connection.execute(statements.FIND_REQUESTS, (_listed(keys),)).fetchall()


def find_contents(connection: Connection, numbers: Sequence[int]) -> dict[int, int]:
    """Content hashes of the requests with these numbers, counted from 1 in the order they were stored."""
    return dict(connection.execute(statements.FIND_CONTENTS, (_listed(numbers),)).fetchall())


def add_requests(connection: Connection, rows: Ints, latencies: Numbers) -> None:
    """Add requests whose keys are not stored.

    Parameters
    ----------
    rows : columns in the order of ``REQUEST_COLUMNS``, ``BLANK`` for what is not told.
    latencies : what stands in the column ``latency_ms``; not a number where it is not told.
    """
    put_rows(connection, statements.ADD_REQUEST, rows=rows, floats={_LATENCY: latencies}, has_blanks=True)


def replace_requests(connection: Connection, rows: Ints, latencies: Numbers) -> None:
    """Put requests in the place of those stored under their keys; their accounts and days become dirty."""
    keys = rows[:, 0].tolist()
    mark_dirty(connection, keys)
    connection.execute(statements.FORGET_REQUESTS, (_listed(keys),))
    add_requests(connection, rows, latencies)
    mark_dirty(connection, keys)


def mark_dirty(connection: Connection, keys: Sequence[int]) -> None:
    """Note that rollups of the accounts and days of these requests are to be made anew."""
    connection.execute(statements.MARK_DIRTY, (_listed(keys),))


def _listed(keys: Sequence[int]) -> str:
    return orjson.dumps(keys).decode()


def take_dirty(connection: Connection) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Requests of the accounts and days whose records were replaced, and all requests of these days.

    Their rollups are forgotten, for the caller to add anew; tuples in the order of ``REQUEST_COLUMNS``.
    """
    if connection.execute("select count(*) from dirty").fetchone()[0] == 0:
        return [], []
    for statement in statements.FORGET_DIRTY:
        connection.execute(statement)
    of_accounts = connection.execute(statements.DIRTY_REQUESTS).fetchall()
    of_days = connection.execute(statements.DIRTY_DAYS).fetchall()
    connection.execute("delete from dirty")
    return of_accounts, of_days


def add_rollup(connection: Connection, table: str, rows: Rows | Ints) -> None:
    """Merge rows into a rollup table (``entity_use``, ``account_day``, ``account_hour`` or ``coverage_day``)."""
    insert = statements.ADD_ROLLUP[table]
    if isinstance(rows, np.ndarray):
        put_rows(connection, insert, rows=rows)
    else:
        connection.executemany(insert.one, rows)


def lift_indexes(connection: Connection) -> bool:
    """Take the indexes of requests, prompts, uses and values away where there are none yet; whether it was so.

    They go, and come back by :func:`lay_key_indexes` and :func:`lay_other_indexes`, in one transaction: whatever ends
    it leaves them in place. Until then nothing may be asked that needs them, and what is added is numbered from 1 in
    the order it comes.
    """
    is_empty = bool(connection.execute(statements.IS_EMPTY).fetchone()[0])
    if is_empty:
        for statement in statements.DROP_INDEXES:
            connection.execute(statement)
    return is_empty


def lay_key_indexes(connection: Connection) -> None:
    """Make the indexes of requests and prompts again, each of all rows at once."""
    for statement in statements.ADD_KEY_INDEXES:
        connection.execute(statement)


def lay_other_indexes(connection: Connection) -> None:
    """Make the indexes of values by name and of uses by entity again, each of all rows at once."""
    for statement in statements.ADD_OTHER_INDEXES:
        connection.execute(statement)


def add_account_records(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> BatchCounts:
    """Add account records (tuples in the order of ``ACCOUNT_RECORD_COLUMNS``); known ones change nothing."""
    kept = connection.executemany(statements.ADD_ACCOUNT_RECORD, rows).rowcount if rows else 0
    return BatchCounts(kept=kept, seen_before=len(rows) - kept)


def add_prompts(
    connection: Connection,
    rows: Iterable[tuple[int, bytes, str | None, str | None]],
    *,
    keep_text: bool,
    are_new: bool = False,
) -> None:
    """Add distinct prompts.

    Parameters
    ----------
    rows : tuples (id, features, template id at the gateway or None, text or None).
    keep_text : keep the text in the store too, compressed.
    are_new : none of them is stored, so that no index is needed to tell.
    """
    kept = ((row[0], row[1], row[2], pack_text(row[3]) if keep_text and row[3] else None) for row in rows)
    connection.executemany(statements.APPEND_PROMPT if are_new else statements.ADD_PROMPT, kept)


def append_prompts(connection: Connection, ids: Ints, features: Any) -> None:
    """Add prompts that are not stored and have neither a gateway's template nor a text to keep.

    Parameters
    ----------
    features : Arrow array of blobs, none of them null.
    """
    put_texts(connection, statements.APPEND_PLAIN_PROMPT, ids=ids, values=features)


def last_described(connection: Connection, most: int) -> int:
    """An id that the ``most`` lowest ones of the prompts so far are surely below: ids are spread evenly, as hashes."""
    known = max(1, stored_prompts(connection))
    return int(min(1.0, most * (1 + _SPREAD / math.sqrt(most)) / known) * _LAST_ID)


def pack_text(text: str) -> bytes:
    """A prompt's text as a store keeps it."""
    return zlib.compress(text.encode("utf-8", "surrogatepass"))


def unpack_text(packed: bytes) -> str:
    """The text that :func:`pack_text` packed."""
    return zlib.decompress(packed).decode("utf-8", "surrogatepass")


def has_file_of(database: Database, *, size: int) -> bool:
    """Whether a file of so many bytes was loaded before, whatever is in it."""
    return bool(database.connection.execute(statements.HAS_FILE_OF_SIZE, (size,)).fetchone()[0])


def find_source_files(database: Database, *, sha256: str, format_name: str) -> list[SourceFile]:
    """What became of the files with these bytes, one for each way they were read, the newest first."""
    values = {"sha256": sha256, "format": format_name}
    rows = database.connection.execute(statements.FIND_SOURCE_FILES, values)
    return [SourceFile(*row) for row in rows.fetchall()]


class Unsettled(NamedTuple):
    """A file of the ledger with lines that were set aside, and never were in a longer one."""

    number: int
    size: int
    sha256: str
    format: str
    kind: str


def find_unsettled(database: Database) -> list[Unsettled]:
    """Files whose lines that were set aside are told, in the order they were loaded."""
    return [Unsettled(*row) for row in database.connection.execute(statements.UNSETTLED_FILES).fetchall()]


def add_source_file(
    connection: Connection,
    file: SourceFile,
    *,
    rejected: Iterable[tuple[int, str]],
    settled: Iterable[Unsettled] = (),
) -> None:
    """Enter a file in the ledger, its rejected lines in quarantine, and note that the input changed.

    What companions change of requests is noted by whoever completes these.

    Of bytes that are there already, as of a file that was written to while it was loaded, the first entry stays, with
    what more came of them.

    Parameters
    ----------
    settled : files that are the beginning of this one, or all of it: what was set aside of them is told no more.
    """
    connection.executemany(statements.FORGET_REJECTED, [(each.number,) for each in settled])
    ((number,),) = connection.execute(statements.ADD_SOURCE_FILE, dataclasses.asdict(file)).fetchall()
    connection.executemany(
        "insert or ignore into rejected values (?, ?, ?)", ((number, line, reason) for line, reason in rejected)
    )
    if file.kind != "companions" and (file.kept or file.conflicting):
        connection.execute(statements.BUMP_REVISION)


class FailedFile(NamedTuple):
    """A file that could not be loaded."""

    path: str
    exit_code: int
    reason: str
    """In words that quote nothing of what is in the file."""


def find_failed(database: Database) -> list[FailedFile]:
    """Files that ingests were given and could not load."""
    return [FailedFile(*row) for row in database.query("failed_files").itertuples(index=False)]


def note_failed(database: Database, failed: Collection[FailedFile], *, settled: Collection[str]) -> None:
    """Note files that could not be loaded, and forget ``settled`` paths; with neither nothing is written."""
    if not failed and not settled:
        return
    with database.transaction("note which files could not be loaded") as connection:
        connection.executemany(statements.FORGET_FAILED_FILE, [(path,) for path in settled])
        connection.executemany(statements.ADD_FAILED_FILE, failed)


@dataclasses.dataclass(frozen=True, eq=False)
class Prompts:
    """Some distinct prompts, in the order they were stored."""

    ids: Ints
    features: npt.NDArray[np.uint8]
    """Their blobs, one after the other."""
    places: Ints
    """Where each blob begins, the end of the last one included."""
    last_row: int
    """Number of the last of them; prompts are numbered from 1 as they are stored."""
    gateway_templates: Sequence[str | None] = ()
    """Template ids that gateways gave; empty where there are none."""


def last_of_lowest(connection: Connection, most: int) -> int:
    """The greatest of the ``most`` lowest prompt ids, to read no other prompts; the greatest possible id of fewer."""
    row = connection.execute(statements.LAST_OF_LOWEST, (most - 1,)).fetchone()
    return _LAST_ID if row is None else int(row[0])


def prompt_blocks(
    connection: Connection, *, last_id: int = _LAST_ID, after_row: int = 0, until_row: int = _LAST_ID
) -> Iterator[Prompts]:
    """Distinct prompts, block by block, in the order they were stored; reads the table once.

    Parameters
    ----------
    last_id : of those with an id up to this one.
    after_row, until_row : of those between two rows, the second included.
    """
    parameters = {"after_row": after_row, "until_row": until_row, "last_id": last_id}
    known: dict[str, Any] = {"width": 4, "part_rows": _BLOCK_ROWS, "row_bytes": _PROMPT_BYTES}
    by = find_asked(connection)
    for part in read_packed(connection, by, sql=statements.READ_PROMPTS, parameters=parameters, **known):
        if len(part.ends):
            rows, ids, is_named = part.numbers.T
            names = _gateway_templates(connection, rows) if is_named.any() else ()
            yield Prompts(np.ascontiguousarray(ids), part.data, np.append(0, part.ends), int(rows[-1]), names)


def _gateway_templates(connection: Connection, rows: Ints) -> Sequence[str | None]:
    between = {"first_row": int(rows[0]), "last_row": int(rows[-1])}
    names = dict(connection.execute(statements.READ_GATEWAY_TEMPLATES, between))
    return [names.get(row) for row in rows.tolist()]


def stored_prompts(connection: Connection) -> int:
    """The last row of the prompts: how many there are, those that a purge took away included; told at once."""
    return int(connection.execute(statements.COUNT_PROMPT_ROWS).fetchone()[0])


def prompt_templates(connection: Connection) -> Ints:
    """What was mined before: a row (prompt id, template id) for each prompt that has a template, by ascending id."""
    known: dict[str, Any] = {"parameters": {}, "width": 2, "part_rows": _BLOCK_ROWS}
    parts = read_numbers(connection, find_asked(connection), sql=statements.PROMPT_TEMPLATES, **known)
    return np.concatenate([np.empty((0, 2), dtype=np.int64), *parts])


def add_prompt_templates(connection: Connection, rows: Ints) -> None:
    """Write (prompt id, template id) rows of prompts that have none; by ascending id a new table only grows."""
    put_rows(connection, statements.ADD_PROMPT_TEMPLATE, rows=rows)


def forget_prompt_templates(connection: Connection, prompt_ids: Iterable[int]) -> None:
    """Forget the templates of prompts that have another now, or none."""
    connection.executemany(statements.FORGET_PROMPT_TEMPLATE, ((each,) for each in prompt_ids))


def requested_prompts(connection: Connection) -> Iterator[Ints]:
    """(account id, prompt id, UTC epoch milliseconds, output tokens) of every request with a prompt, block by block.

    Arrays of rows x 4. Where nobody tells the output tokens they are -1.
    """
    by = find_asked(connection)
    return read_numbers(connection, by, sql=statements.READ_REQUESTED, parameters={}, width=4, part_rows=_BLOCK_ROWS)


def add_templates(connection: Connection, rows: Sequence[tuple[int, str, str, int]]) -> None:
    """Write templates (id, name, text, slots); what is told of one that is stored replaces its text."""
    connection.executemany(statements.ADD_TEMPLATE, rows)


def count_prompts(connection: Connection, rows: Sequence[tuple[int, int]]) -> None:
    """Write how many distinct prompts each template has (template id, prompts) and forget templates without any."""
    connection.execute("update template set prompts = 0")
    connection.executemany(statements.COUNT_PROMPTS, [(count, template_id) for template_id, count in rows])
    connection.execute(statements.KEEP_PAST_TEMPLATES)
    connection.execute(statements.FORGET_UNUSED_TEMPLATES)


def template_texts(connection: Connection) -> dict[int, tuple[str, int]]:
    """Readable text of every template, and how many slots it has, by ascending id."""
    return {row[0]: (row[1], row[2]) for row in connection.execute(statements.TEMPLATE_TEXTS)}


def tie_templates(connection: Connection, rows: Sequence[tuple[int, str | None, int | None, float | None]]) -> None:
    """Write what templates ask for and which family they are of (template id, contract, family id, similarity)."""
    connection.executemany(statements.TIE_TEMPLATE, [(*row[1:], row[0]) for row in rows])


def forget_followed(connection: Connection) -> None:
    """Forget what follows from templates: their entities and uses, templated counts and items."""
    for statement in statements.FORGET_TEMPLATES:
        connection.execute(statement)


def add_template_entities(connection: Connection, families: Mapping[int, str]) -> None:
    """Make entities of templates and of their families (family id to family name)."""
    connection.executemany(statements.ADD_FAMILY, list(families.items()))
    connection.execute(statements.ADD_TEMPLATE_ENTITIES)


def add_template_uses(connection: Connection, rows: Ints) -> None:
    """Write uses of templates, in the order of ``entity_use``, after :func:`forget_followed`."""
    put_rows(connection, statements.ADD_TEMPLATE_USE, rows=rows)


def add_prompt_days(connection: Connection, rows: Rows | Ints) -> None:
    """Write (account id, day, distinct prompts, templated requests) rows."""
    if isinstance(rows, np.ndarray):
        put_rows(connection, statements.ADD_PROMPT_DAY, rows=rows)
    else:
        connection.executemany(statements.ADD_PROMPT_DAY.one, rows)


def add_item_days(connection: Connection, days: Ints, items: Sequence[Blob]) -> None:
    """Write packed items of rows (account id, day); see :mod:`linkage.store.items`."""
    _add_blobs(connection, statements.ADD_ITEM_DAY, days, items)


def add_work_days(connection: Connection, days: Ints, works: Sequence[Blob]) -> None:
    """Write packed works of rows (account id, day); see :mod:`linkage.store.works`."""
    _add_blobs(connection, statements.ADD_WORK_DAY, days, works)


def _add_blobs(connection: Connection, insert: Insert, numbers: Ints, blobs: Sequence[Blob]) -> None:
    """Insert rows of whole numbers with a blob behind them."""
    rows = np.column_stack([numbers, np.zeros(len(numbers), np.int64)])
    insert_rows(connection, insert, rows=rows, others={rows.shape[1] - 1: blobs})


def finish_mining(connection: Connection) -> None:
    """Note that templates are up to date."""
    connection.execute(statements.MARK_MINED)
