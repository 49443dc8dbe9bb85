"""What ids stand for: accounts, and the values of every other kind."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import orjson
import pyarrow as pa

from linkage.arrays import Ints
from linkage.coding import is_run_start
from linkage.errors import StoreError
from linkage.store import statements
from linkage.store.facts import Connection
from linkage.store.filling import put_texts

_ACCOUNT: Final = "account"
_WRITTEN_ROWS: Final = 50_000  # at a time


def add_entities(connection: Connection, entities: Mapping[str, Any]) -> None:
    """Add entities; known ones change nothing.

    Parameters
    ----------
    entities : kind to Arrow table ``id`` (int64), ``value`` (string), in any order; the same row may come again.

    Raises
    ------
    StoreError : two values have one id (a collision of 63-bit hashes).
    """
    if not connection.execute(statements.HAS_ENTITIES).fetchone()[0]:
        _append(connection, entities)
        return
    for kind, unordered in sorted(entities.items()):
        table = unordered.sort_by("id")  # all over a large table, each row would cost a page or two
        for start in range(0, len(table), _WRITTEN_ROWS):
            _add_some(connection, kind, table.slice(start, _WRITTEN_ROWS))


def _add_some(connection: Connection, kind: str, table: Any) -> None:
    ids, values = table["id"].to_numpy(), table["value"].combine_chunks()
    try:
        if kind == _ACCOUNT:
            put_texts(connection, statements.ADD_ACCOUNT, ids=ids, values=values)
        else:
            put_texts(connection, statements.ADD_ENTITY, ids=ids, values=values, kinds=np.zeros_like(ids), names=[kind])
    except sqlite3.IntegrityError:
        _tell_collision(connection, kind, list(zip(ids.tolist(), values.to_pylist(), strict=True)))
        raise


def _tell_collision(connection: Connection, kind: str, rows: Sequence[tuple[int, str]]) -> None:
    """Raise for the first row whose id another value has."""
    ids = orjson.dumps([row[0] for row in rows]).decode()
    if kind == _ACCOUNT:
        stored = {row[0]: (kind, row[1]) for row in connection.execute(statements.FIND_ACCOUNTS, (ids,))}
    else:
        stored = {row[0]: (row[1], row[2]) for row in connection.execute(statements.FIND_ENTITIES, (ids,))}
    for row_id, value in rows:
        if stored.get(row_id) != (kind, value):
            raise _collision(row_id, (kind, value), stored.get(row_id))


def _collision(row_id: int, wanted: tuple[str, str], found: tuple[str, str] | None) -> StoreError:
    kind, value = wanted
    return StoreError(f"wanted {kind} {value!r} under id {row_id}; found {found}. Please report this collision")


class _Entities(NamedTuple):
    """Entities of some kinds by ascending id, each once."""

    ids: Ints
    kinds: Ints
    """Of each, which of the names it has."""
    names: Sequence[str]
    values: Any
    """Arrow array of strings."""


def _append(connection: Connection, entities: Mapping[str, Any]) -> None:
    """Add what empty tables are given first, all kinds in one order: a row put between others costs three of these."""
    accounts = _merged({_ACCOUNT: entities[_ACCOUNT]} if _ACCOUNT in entities else {})
    put_texts(connection, statements.APPEND_ACCOUNT, ids=accounts.ids, values=accounts.values)
    others = _merged({kind: table for kind, table in sorted(entities.items()) if kind != _ACCOUNT})
    put_texts(connection, statements.APPEND_ENTITY, **others._asdict())


def _merged(entities: Mapping[str, Any]) -> _Entities:
    ids = np.concatenate([np.zeros(0, np.int64), *(table["id"].to_numpy() for table in entities.values())])
    kinds = np.repeat(np.arange(len(entities)), [len(table) for table in entities.values()])
    texts = [chunk for table in entities.values() for chunk in table["value"].chunks]
    order = np.argsort(ids, kind="stable")
    values = pa.concat_arrays([pa.array([], pa.string()), *texts]).take(pa.array(order))
    merged = _Entities(ids[order], kinds[order], [*entities], values)
    is_first = is_run_start(merged.ids)
    if is_first.all():
        return merged
    _refuse_collisions(merged, np.flatnonzero(~is_first))
    return _Entities(merged.ids[is_first], merged.kinds[is_first], merged.names, values.filter(pa.array(is_first)))


def _refuse_collisions(entities: _Entities, again: Ints) -> None:
    """Raise for the first of these rows that differs from the one before it, whose id it has."""
    for row in again.tolist():
        wanted, found = ((entities.names[entities.kinds[at]], entities.values[at].as_py()) for at in (row, row - 1))
        if wanted != found:
            raise _collision(int(entities.ids[row]), wanted, found)
