"""Batches of facts into the store: what is new is added, what is known is counted, rollups follow."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from linkage.intake.batches import REQUEST_TYPES, AccountBatch, RequestBatch
from linkage.intake.rollups import Rollups, merge_rollups, roll_up, roll_up_accounts, roll_up_coverage
from linkage.store import facts
from linkage.store.facts import BatchCounts, Connection
from linkage.store.statements import REQUEST_COLUMNS

Ints = npt.NDArray[np.int64]

_WAITING_BATCHES: Final = 16  # rollups of so many batches are merged in memory before they are written
_KNOWN_IDS: Final = 1_000_000  # entity ids remembered as stored, about 100 MB


@dataclasses.dataclass(frozen=True, eq=False)
class _Sorted:
    """Requests of a batch by what the store knows of them."""

    new: Any
    replacing: Any
    """Their key is stored with another record that has the greater content hash."""
    same: int
    other: int


class Loader:
    """Writes the batches of one file inside one transaction; call :meth:`finish` before it ends."""

    def __init__(self, connection: Connection, *, keep_text: bool) -> None:
        """``keep_text`` : keep the prompts' text in the store."""
        self._connection = connection
        self._keep_text = keep_text
        self._known: set[int] = set()
        self._waiting: list[Rollups] = []

    def add_requests(self, batch: RequestBatch) -> BatchCounts:
        """Add the facts of a batch of requests; repeats change nothing.

        Returns
        -------
        How many were new, seen before (same key, same content), and in conflict (same key, other content: the
        record with the smaller content hash stays, whichever came first).
        """
        self._add_entities(batch.entities)
        prompts = plain_rows(batch.prompts, ("id", "features", "gateway_template", "text"))
        facts.add_prompts(self._connection, prompts, keep_text=self._keep_text)
        sorted_out = self._sort_out(batch.requests)
        facts.add_requests(self._connection, plain_rows(sorted_out.new, REQUEST_COLUMNS))
        if len(sorted_out.replacing):
            facts.replace_requests(self._connection, plain_rows(sorted_out.replacing, REQUEST_COLUMNS))
        if len(sorted_out.new):
            self._waiting.append(roll_up(sorted_out.new))
        if len(self._waiting) >= _WAITING_BATCHES:
            self._write_rollups()
        return BatchCounts(kept=len(sorted_out.new), seen_before=sorted_out.same, conflicting=sorted_out.other)

    def add_accounts(self, batch: AccountBatch) -> BatchCounts:
        """Add the facts of a batch of account records; repeats change nothing."""
        self._add_entities(batch.entities)
        return facts.add_account_records(self._connection, plain_rows(batch.accounts, facts.ACCOUNT_RECORD_COLUMNS))

    def finish(self) -> None:
        """Write what waits, and make anew the rollups of accounts and days whose records were replaced."""
        self._write_rollups()
        of_accounts, of_days = facts.take_dirty(self._connection)
        if of_days:
            self._waiting.append(roll_up_accounts(request_table(of_accounts)))
            self._waiting.append({"coverage_day": roll_up_coverage(request_table(of_days))})
            self._write_rollups()

    def _write_rollups(self) -> None:
        for name, table in merge_rollups(self._waiting).items():
            facts.add_rollup(self._connection, name, plain_rows(table, table.column_names))
        self._waiting = []

    def _add_entities(self, entities: Mapping[str, Any]) -> None:
        if len(self._known) > _KNOWN_IDS:
            self._known = set()
        for kind, table in sorted(entities.items()):
            rows = [row for row in plain_rows(table, ("id", "value")) if row[0] not in self._known]
            facts.add_entities(self._connection, kind, rows)
            self._known.update(row[0] for row in rows)

    def _sort_out(self, requests: Any) -> _Sorted:
        keys, contents = (np.asarray(requests[name].to_numpy()) for name in ("key", "content"))
        order = np.lexsort((contents, keys))
        keys, contents = keys[order], contents[order]
        is_first = np.append(True, keys[1:] != keys[:-1])[: len(keys)]
        kept = contents[is_first][np.cumsum(is_first) - 1]
        same = int((~is_first & (contents == kept)).sum())
        other = int((~is_first & (contents != kept)).sum())
        distinct, keys, contents = requests.take(order[is_first]), keys[is_first], contents[is_first]
        stored = facts.find_requests(self._connection, keys.tolist())
        if not stored:
            return _Sorted(distinct, distinct.slice(0, 0), same, other)
        known, held = np.array(stored, dtype=np.int64).T
        at = np.searchsorted(keys, known)
        is_new, is_less = np.ones(len(keys), bool), np.zeros(len(keys), bool)
        is_new[at], is_less[at] = False, contents[at] < held
        same += int((contents[at] == held).sum())
        other += int((contents[at] != held).sum())
        return _Sorted(distinct.filter(pa.array(is_new)), distinct.filter(pa.array(is_less)), same, other)


def plain_rows(table: Any, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """Rows of an Arrow table as tuples of plain values."""
    return list(zip(*(_plain_values(table[column]) for column in columns), strict=True))


def _plain_values(column: Any) -> list[Any]:
    """A column's values; integers and floats through numpy, which is four times as fast as Arrow at it."""
    if not pa.types.is_integer(column.type) and not pa.types.is_floating(column.type):
        values: list[Any] = column.to_pylist()
        return values
    if not column.null_count:
        return list(column.to_numpy().tolist())
    plain = column.fill_null(0).to_numpy().tolist()
    for row in np.flatnonzero(~np.asarray(column.is_valid().to_numpy(), dtype=bool)).tolist():
        plain[row] = None
    return list(plain)


def request_table(rows: Sequence[tuple[Any, ...]]) -> Any:
    """Requests as the store holds them (tuples in the order of ``REQUEST_COLUMNS``) as an Arrow table."""
    columns = zip(*rows, strict=True) if rows else ([] for _ in REQUEST_COLUMNS)
    return pa.table(
        {
            name: pa.array(values, type=REQUEST_TYPES[name])
            for name, values in zip(REQUEST_COLUMNS, columns, strict=True)
        }
    )
