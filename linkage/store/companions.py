"""Companions: what second logs tell of requests, until the requests are there, and for a while after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from linkage.arrays import Ints
from linkage.store.facts import Connection, pack_text, unpack_text
from linkage.store.statements import BUMP_REVISION, BUMP_REVISIONS
from linkage.store.store import Database

COMPANION_COLUMNS: Final = (
    "key",
    "at_ms",
    "account_id",
    "ip_prefix_id",
    "ip_id",
    "client_id",
    "prompt_id",
    "input_tokens",
    "output_tokens",
)
"""What a companion tells, in the order of the matrices here; ``BLANK`` stands for what it does not."""

TAKEN: Final = len(COMPANION_COLUMNS)
"""Column behind these: which fields its request took, as bits; ``BLANK`` while it waits for its request."""

PROMPT_TAKEN: Final = 4
"""The bit of the prompt among these."""

HAS_COMPANIONS: Final = "select exists (select 1 from companion)"
_FIND: Final = """
select c.key, c.at_ms, ifnull(c.account_id, -1), ifnull(c.ip_prefix_id, -1), ifnull(c.ip_id, -1),
       ifnull(c.client_id, -1), ifnull(c.prompt_id, -1), ifnull(c.input_tokens, -1), ifnull(c.output_tokens, -1),
       ifnull(c.taken, -1)
from json_each(?) as wanted
join companion as c on c.key = wanted.value
order by c.key
"""
_FIND_REQUESTS: Final = """
select r.key, r.at_ms, r.account_id, ifnull(r.ip_prefix_id, -1), ifnull(r.ip_id, -1), ifnull(r.client_id, -1),
       ifnull(r.prompt_id, -1), ifnull(r.input_tokens, -1), ifnull(r.output_tokens, -1)
from json_each(?) as wanted
join request as r on r.key = wanted.value
order by r.key
"""
_FIND_PROMPTS: Final = """
select c.prompt_id, min(c.features), min(c.text)
from json_each(?) as wanted
join companion as c on c.key = wanted.value
where c.features is not null
group by c.prompt_id
order by c.prompt_id
"""
# A prompt that the request has taken stands among the prompts.
_ADD: Final = """
insert into companion
    (key, at_ms, account_id, ip_prefix_id, ip_id, client_id, prompt_id, input_tokens, output_tokens, taken, features,
     text)
values (?1, ?2, nullif(?3, -1), nullif(?4, -1), nullif(?5, -1), nullif(?6, -1), nullif(?7, -1), nullif(?8, -1),
        nullif(?9, -1), nullif(?10, -1), iif(nullif(?10, -1) & 4, null, ?11), iif(nullif(?10, -1) & 4, null, ?12))
on conflict (key) do update set
    at_ms = excluded.at_ms, account_id = excluded.account_id, ip_prefix_id = excluded.ip_prefix_id,
    ip_id = excluded.ip_id, client_id = excluded.client_id, prompt_id = excluded.prompt_id,
    input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens, taken = excluded.taken,
    features = iif(excluded.taken & 4, null, coalesce(excluded.features, features)),
    text = iif(excluded.taken & 4, null, coalesce(excluded.text, text))
"""
_TAKE: Final = """
update companion
set taken = ?1, features = iif(?1 & 4, null, features), text = iif(?1 & 4, null, text)
where key = ?2
"""
_COMPLETE: Final = """
update request
set ip_prefix_id = nullif(?, -1), ip_id = nullif(?, -1), client_id = nullif(?, -1), prompt_id = nullif(?, -1),
    input_tokens = nullif(?, -1), output_tokens = nullif(?, -1)
where key = ?
"""
_COUNT_WAITING: Final = "select count(*) from companion where taken is null"
_COUNT_OLD: Final = "select count(*) from companion where at_ms < ?"
_SCRATCH: Final = (
    "create temp table if not exists gone_companion (key integer primary key)",
    "create temp table if not exists gone_name (id integer primary key)",
    "delete from gone_companion",
    "delete from gone_name",
)
_CHOOSE_OLD: Final = "insert into gone_companion select key from companion where at_ms < ?"
_CHOOSE_SURPLUS: Final = """
insert into gone_companion
select key from companion
where taken is null and key not in (select key from gone_companion)
order by at_ms desc, key limit -1 offset ?
"""
_CHOOSE_NAMES: Final = """
insert into gone_name
select ip_prefix_id from companion where key in (select key from gone_companion) and ip_prefix_id is not null
union select ip_id from companion where key in (select key from gone_companion) and ip_id is not null
union select client_id from companion where key in (select key from gone_companion) and client_id is not null
"""
_COUNT_AGED: Final = "select count(*) from companion where taken is null and key in (select key from gone_companion)"
_FORGET: Final = (
    "delete from companion where key in (select key from gone_companion)",
    """
delete from entity
where id in (select id from gone_name)
    and not exists (select 1 from entity_use as u where u.entity_id = entity.id)
    and id not in (
        select c.ip_prefix_id from companion as c where c.ip_prefix_id is not null
        union select c.ip_id from companion as c where c.ip_id is not null
        union select c.client_id from companion as c where c.client_id is not null
    )
""",
)
_NOTE_AGED: Final = "update input_state set aged_companions = aged_companions + ?"
_COUNTS: Final = "select (select count(*) from companion where taken is null), aged_companions from input_state"


class CompanionCounts(NamedTuple):
    """How many companions there are."""

    waiting: int
    """Those whose request is not stored."""
    aged_out: int
    """Those that were let go without having met their request, ever."""


def has_companions(connection: Connection) -> bool:
    """Whether any is held; told at once."""
    return bool(connection.execute(HAS_COMPANIONS).fetchone()[0])


def count_companions(database: Database) -> CompanionCounts:
    """How many companions wait, and how many were let go."""
    return CompanionCounts(*database.connection.execute(_COUNTS).fetchone())


def find_companions(connection: Connection, keys: Sequence[int]) -> Ints:
    """Companions of these requests by ascending key: ``COMPANION_COLUMNS``, and what was taken."""
    return _matrix(connection.execute(_FIND, (_listed(keys),)).fetchall(), TAKEN + 1)


def find_their_requests(connection: Connection, keys: Sequence[int]) -> Ints:
    """Those of the requests that are stored, as ``COMPANION_COLUMNS``, by ascending key."""
    return _matrix(connection.execute(_FIND_REQUESTS, (_listed(keys),)).fetchall(), TAKEN)


def find_waiting_prompts(connection: Connection, keys: Sequence[int]) -> list[tuple[int, bytes, str | None]]:
    """Id, fingerprints and kept text of the prompts that companions of these requests have, by ascending id."""
    rows = connection.execute(_FIND_PROMPTS, (_listed(keys),)).fetchall()
    return [(prompt_id, features, None if text is None else unpack_text(text)) for prompt_id, features, text in rows]


def add_companions(connection: Connection, rows: Ints, *, prompts: Mapping[int, tuple[bytes, str | None]]) -> None:
    """Put companions in the place of what is held under their keys.

    Parameters
    ----------
    rows : ``COMPANION_COLUMNS``, and what their requests took.
    prompts : of the prompts that wait with them, fingerprints and the text where it is to be kept, by id.
    """
    place = COMPANION_COLUMNS.index("prompt_id")
    packed = {
        prompt_id: (features, None if text is None else pack_text(text))
        for prompt_id, (features, text) in prompts.items()
    }
    connection.executemany(_ADD, ((*row, *packed.get(row[place], (None, None))) for row in rows.tolist()))


def take_companions(connection: Connection, taken: Iterable[tuple[int, int]]) -> None:
    """Note what requests took of their companions: bits and key."""
    connection.executemany(_TAKE, taken)


def complete_stored(connection: Connection, rows: Ints) -> None:
    """Write the fields that companions tell into stored requests; rows are ``COMPANION_COLUMNS``."""
    connection.executemany(_COMPLETE, ((*row[3:], row[0]) for row in rows.tolist()))


def note_completed(connection: Connection, *, are_mined: bool) -> None:
    """Note that stored requests are other than they were; ``are_mined`` : nothing that templates follow from is."""
    connection.execute(BUMP_REVISIONS if are_mined else BUMP_REVISION)


def let_companions_go(database: Database, *, before_ms: int | None, most: int) -> None:
    """Forget companions from before a time (UTC epoch ms), and of more than ``most`` that wait the oldest.

    Those that had not met their request are counted, and what only they name is forgotten with them. With none to
    forget nothing is written.
    """
    connection = database.connection
    old = connection.execute(_COUNT_OLD, (before_ms,)).fetchone()[0]  # none is before no time
    surplus = connection.execute(_COUNT_WAITING).fetchone()[0] - most
    if not old and surplus <= 0:
        return
    with database.transaction("let companions go") as connection:
        for statement in _SCRATCH:
            connection.execute(statement)
        connection.execute(_CHOOSE_OLD, (before_ms,))
        connection.execute(_CHOOSE_SURPLUS, (most,))
        connection.execute(_CHOOSE_NAMES)
        connection.execute(_NOTE_AGED, connection.execute(_COUNT_AGED).fetchone())
        for statement in _FORGET:
            connection.execute(statement)


def _matrix(rows: Sequence[tuple[Any, ...]], columns: int) -> Ints:
    return np.array(rows, dtype=np.int64).reshape(-1, columns)


def _listed(keys: Sequence[int]) -> str:
    return orjson.dumps(keys).decode()
