"""Several tables in one: how a function that Spark maps over batches hands on more than one kind of row.

A map has one output. Rows of all tables go out under the union of their columns, each with the name of its table in
``part``; Spark writes them to one folder per part, so that reading one table does not touch the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

PART: Final = "part"
"""The column that names the table a row belongs to."""

Batches = Iterator[Any]
"""Arrow record batches, as Spark hands them to a mapped function and takes them from it."""

BatchMap = Callable[[Batches], Batches]


def union_of(tables: Mapping[str, Any]) -> Any:
    """One Arrow schema with the columns of all tables, ``part`` first; columns of one name have one type."""
    fields: dict[str, Any] = {PART: pa.string()}
    for schema in tables.values():
        fields |= {field.name: field.type for field in schema}
    return pa.schema(list(fields.items()))


def as_part(name: str, table: Any, schema: Any) -> Iterator[Any]:
    """Rows of an Arrow table under the union's columns, as record batches; nothing where it has no rows."""
    if not len(table):
        return
    columns = {PART: pa.array([name], pa.string()).take(pa.array(np.zeros(len(table), np.int64)))}
    columns |= {name: table[name] for name in table.column_names}
    missing = {field.name: pa.nulls(len(table), field.type) for field in schema if field.name not in columns}
    whole = pa.table({**columns, **missing}).select(schema.names).cast(schema)
    yield from whole.combine_chunks().to_batches()


def whole_groups(batches: Iterable[Any], *, keys: Sequence[str], rows: int) -> Iterator[Any]:
    """Arrow tables of whole groups out of batches that are sorted by integer keys.

    Memory is bounded by ``rows`` and the largest group.

    Parameters
    ----------
    keys : columns whose equal values make a group; none: rows may be cut anywhere.
    rows : about how many rows a table should have.

    Examples
    --------
    >>> parts = [pa.record_batch({"key": [1, 1, 2]}), pa.record_batch({"key": [2, 3]})]
    >>> [table["key"].to_pylist() for table in whole_groups(parts, keys=["key"], rows=2)]
    [[1, 1], [2, 2], [3]]
    """
    held: list[Any] = []
    wanted = rows
    for batch in batches:
        held.append(batch)
        if sum(map(len, held)) < wanted:
            continue
        table = pa.Table.from_batches(held)
        cut = _last_start(table, keys)
        if not cut:
            wanted, held = 2 * len(table), table.combine_chunks().to_batches()
            continue
        yield table.slice(0, cut)
        wanted, held = rows, table.slice(cut).to_batches()
    if any(map(len, held)):
        yield pa.Table.from_batches(held)


def _last_start(table: Any, keys: Sequence[str]) -> int:
    """Where the last group begins; the end of the table where there are no keys."""
    if not keys:
        return len(table)
    columns = [np.asarray(table[key].to_numpy()) for key in keys]
    differs = np.any([column != column[-1] for column in columns], axis=0)
    return int(np.flatnonzero(differs).max(initial=-1)) + 1
