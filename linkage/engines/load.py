"""Batches of facts into the store: what is new is added, what is known is counted, rollups follow."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from linkage.arrays import Ints, Numbers
from linkage.engines import completing
from linkage.engines.ahead import read_ahead
from linkage.engines.kept import FOLLOWED_COLUMNS, Kept
from linkage.engines.names import Names
from linkage.engines.progress import ALL, COUNTING, INDEXING, Progress, tell_accounts, untold
from linkage.engines.reading import Prepared
from linkage.engines.waiting import Waiting
from linkage.intake.batches import REQUEST_TYPES, AccountBatch, CompanionBatch
from linkage.intake.rollups import COUNTED_COLUMNS, counted_rows, coverage_rows, roll_up_added, roll_up_rows
from linkage.memory import give_back
from linkage.settings import Settings
from linkage.store import companions, facts
from linkage.store.facts import BatchCounts, Connection
from linkage.store.inserts import BLANK
from linkage.store.known import KnownIds
from linkage.store.statements import REQUEST_COLUMNS
from linkage.store.store import keep_few_pages, keep_pages

_COUNTED: Final = [REQUEST_COLUMNS.index(name) for name in COUNTED_COLUMNS]
_FOLLOWED: Final = [REQUEST_COLUMNS.index(name) for name in FOLLOWED_COLUMNS]
_LATENCY: Final = REQUEST_COLUMNS.index("latency_ms")
_PAGES_PART: Final = 2  # of the memory: pages of the store
_COUNTED_PART: Final = 24  # of the memory: requests that wait to be counted, three times where they go to a file
_KNOWN_PART: Final = 3  # of the memory: ids of a first load


@dataclasses.dataclass(frozen=True, eq=False)
class _Sorted:
    """Requests of a batch by what the store knows of them."""

    new: Any
    replacing: Any
    """Their key is stored with another record that has the greater content hash."""
    same: int
    other: int


@dataclasses.dataclass
class _FirstLoad:
    """What an empty store was given so far: it has no indexes until the load ends."""

    requests: KnownIds = dataclasses.field(default_factory=KnownIds)
    """Keys; the place of each says which row it is."""
    prompts: KnownIds = dataclasses.field(default_factory=KnownIds)


def pages_mb(settings: Settings) -> int:
    """MB of pages of the store that an ingest keeps, a first load apart."""
    return int(settings.ingest.memory_mb) // _PAGES_PART


class Loader:
    """Writes the batches of one file inside one transaction; call :meth:`finish` before it ends.

    The first file of a store is written without the indexes that its keys would scatter all over, and these are made
    at the end; repeats are told by ids in memory meanwhile. Where the ids outgrow their share of the memory, or a
    record must be replaced, the indexes are made at once and the rest goes on as in any later load.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        kept: Kept[Any],
        names: Names,
        keep_text: bool,
        settings: Settings,
        progress: Progress = untold,
    ) -> None:
        """``kept`` : gets what mining needs; ``keep_text`` : keep prompts' text in the store."""
        self._connection, self._progress = connection, progress
        self._keep_text = keep_text
        self._kept, self._names = kept, names
        names.begin_file()
        self._most_described = int(settings.templates.learn_prompts)
        self._memory_bytes = int(settings.ingest.memory_mb) * 1_000_000
        self._pages_mb = pages_mb(settings)
        keep_pages(connection, self._pages_mb)
        share = self._memory_bytes // _COUNTED_PART
        holds = "requests until they are counted"
        self._waiting = Waiting(holds, columns=len(COUNTED_COLUMNS), memory_bytes=share)
        holds = "what companions tell of requests until it is counted"
        self._added = Waiting(holds, columns=len(COUNTED_COLUMNS), memory_bytes=share)
        self._has_begun = self._is_first = self._has_companions = False
        self._has_changed = self._is_mined_anew = False
        self._first: _FirstLoad | None = None
        self.met = 0
        """How many companions and requests have met so far, whichever came first."""

    def add_requests(self, prepared: Prepared) -> BatchCounts:
        """Add the facts of a batch of requests; repeats change nothing.

        Returns
        -------
        How many were new, seen before (same key, same content), and in conflict (same key, other content: the
        record with the smaller content hash stays, whichever came first).
        """
        if not self._has_begun:
            self._has_begun = True
            self._has_companions = companions.has_companions(self._connection)
            self._is_first = facts.lift_indexes(self._connection)
            self._first = _FirstLoad() if self._is_first else None
            if self._is_first:
                keep_few_pages(self._connection)
                self._kept.begin()
            else:
                self._kept.give_up()
        batch = prepared.batch
        self._add_names(batch.entities)
        self._add_prompts(batch.prompts, keep_text=self._keep_text)
        sorted_out = self._sort_out(prepared)
        if self._has_companions:
            sorted_out = self._take_waiting(sorted_out)
        rows, latencies = _request_rows(sorted_out.new)
        facts.add_requests(self._connection, rows, latencies)
        self._waiting.add(rows[:, _COUNTED])
        if self._first is not None:
            self._first.requests.add(sorted_out.new["key"].to_numpy())
        self._kept.add_requests(rows[:, _FOLLOWED])
        if len(sorted_out.replacing):
            self._leave_first()
            facts.replace_requests(self._connection, *_request_rows(sorted_out.replacing))
        self._bound_memory()
        return BatchCounts(kept=len(sorted_out.new), seen_before=sorted_out.same, conflicting=sorted_out.other)

    def add_accounts(self, batch: AccountBatch) -> BatchCounts:
        """Add the facts of a batch of account records; repeats change nothing."""
        self._add_names(batch.entities)
        return facts.add_account_records(self._connection, plain_rows(batch.accounts, facts.ACCOUNT_RECORD_COLUMNS))

    def add_companions(self, batch: CompanionBatch) -> BatchCounts:
        """Add what a second log tells of requests, stored ones and those that come later; repeats change nothing."""
        self._add_names(batch.entities)
        told = completing.add_companions(self._connection, batch, keep_text=self._keep_text)
        self.met += told.met
        self._has_changed |= told.has_changed
        self._is_mined_anew |= told.is_mined_anew
        if told.is_mined_anew:
            self._kept.give_up()
        if pc.any(told.prompts).as_py():
            self._add_prompts(batch.prompts.filter(told.prompts), keep_text=self._keep_text)
        self._keep_texts(batch.prompts.filter(pc.invert(told.prompts)))
        self._added.add(told.added)
        self._bound_memory()
        return told.counts

    def _take_waiting(self, requests: _Sorted) -> _Sorted:
        """The requests with what companions that came before tell of them."""
        taken = [completing.take_waiting(self._connection, each) for each in (requests.new, requests.replacing)]
        for each in taken:
            self.met += each.met
            if len(each.prompts):
                has_text = each.prompts["text"].null_count < len(each.prompts)  # only where it was to be kept
                self._add_prompts(each.prompts, keep_text=has_text)
        return dataclasses.replace(requests, new=taken[0].requests, replacing=taken[1].requests)

    def finish(self) -> None:
        """Write what waits, and make anew the rollups of accounts and days whose records were replaced."""
        if self._is_first:
            self._kept.complete()
        self._lay_key_indexes()
        if not self._names.wait_for_all:
            self._names.write(self._connection)
        give_back()  # mining needs it
        with self._waiting, contextlib.closing(read_ahead(map(_count, self._waiting.take()))) as counted:
            for rollups in tell_accounts(self._progress, COUNTING, counted):
                _write_rollups(self._connection, rollups)
        self._finish_completed()
        if self._is_first and not self._names.wait_for_all:
            _lay_other_indexes(self._connection, self._progress)
            keep_pages(self._connection, self._pages_mb)
        count_replaced(self._connection)

    def _finish_completed(self) -> None:
        with self._added:
            for rows in self._added.take():
                rollups, coverage = roll_up_added(rows)
                _write_rollups(self._connection, {**rollups, "coverage_day": coverage})
        if self._has_changed:
            companions.note_completed(self._connection, are_mined=not self._is_mined_anew)

    def _bound_memory(self) -> None:
        if self._names.are_too_many:
            self._names.write(self._connection)
        if self._first and self._first.requests.nbytes + self._first.prompts.nbytes > self._memory_bytes // _KNOWN_PART:
            self._leave_first()

    def _leave_first(self) -> None:
        """Go on as in any later load."""
        self._lay_key_indexes()
        keep_pages(self._connection, self._pages_mb)
        self._kept.give_up()

    def _lay_key_indexes(self) -> None:
        if self._first is not None:
            self._first = None
            facts.lay_key_indexes(self._connection)

    def _add_prompts(self, prompts: Any, *, keep_text: bool) -> None:
        """Add the prompts that are new, and what a known one did not tell before."""
        new, are_new = prompts, False
        ids = prompts["id"].to_numpy()
        if self._first is not None:
            is_new = self._first.prompts.places(ids) < 0
            told = [prompts["gateway_template"], *([prompts["text"]] if keep_text else [])]
            again = pa.array(~is_new)
            if any(pc.any(pc.and_(again, column.is_valid())).as_py() for column in told):
                self._leave_first()
            else:
                self._first.prompts.add(ids[is_new])
                new, are_new = _those(prompts if keep_text else prompts.drop_columns(["text"]), is_new), True
        is_plain = are_new and new["gateway_template"].null_count == len(new)
        features = new["features"].combine_chunks()
        if is_plain:
            self._kept.add_prompts(new["id"].to_numpy(), features)
        else:
            self._kept.give_up()
        if is_plain and not keep_text:
            facts.append_prompts(self._connection, new["id"].to_numpy(), features)
        else:
            columns = [
                *(_plain_values(new[name]) for name in ("id", "features", "gateway_template")),
                _plain_values(new["text"]) if keep_text else [None] * len(new),
            ]
            rows = zip(*columns, strict=True)
            facts.add_prompts(self._connection, rows, keep_text=keep_text, are_new=are_new)
        self._keep_texts(prompts)

    def _keep_texts(self, prompts: Any) -> None:
        """Keep texts that templates may be described from, until this ingest ends."""
        last = facts.last_described(self._connection, self._most_described)
        self._kept.texts.add(_those(prompts.select(["id", "text"]), prompts["id"].to_numpy() <= last))

    def _add_names(self, entities: Mapping[str, Any]) -> None:
        self._names.add(entities)
        if self._names.are_few and not self._is_first and not self._names.wait_for_all:
            self._names.write(self._connection)

    def _sort_out(self, prepared: Prepared) -> _Sorted:
        distinct, same, other = prepared.batch.requests, prepared.same, prepared.other
        keys, contents = (np.asarray(distinct[name].to_numpy()) for name in ("key", "content"))
        stored = self._find_stored(keys)
        if not stored:
            return _Sorted(distinct, distinct.slice(0, 0), same, other)
        known, held = np.array(stored, dtype=np.int64).T
        at = np.searchsorted(keys, known)
        is_new, is_less = np.ones(len(keys), bool), np.zeros(len(keys), bool)
        is_new[at], is_less[at] = False, contents[at] < held
        same += int((contents[at] == held).sum())
        other += int((contents[at] != held).sum())
        return _Sorted(distinct.filter(pa.array(is_new)), distinct.filter(pa.array(is_less)), same, other)

    def _find_stored(self, keys: Ints) -> list[tuple[int, int]]:
        """Those of the keys that are stored, each with the content hash of its record, in any order."""
        if self._first is None:
            return facts.find_requests(self._connection, keys.tolist())
        places = self._first.requests.places(keys)
        at = np.flatnonzero(places >= 0)
        contents = facts.find_contents(self._connection, (places[at] + 1).tolist()) if len(at) else {}
        return [(int(keys[each]), contents[int(places[each]) + 1]) for each in at]


def finish_first_load(connection: Connection, names: Names, *, settings: Settings, progress: Progress) -> None:
    """Write the names that waited for all files of a first load, and then the indexes."""
    keep_few_pages(connection)
    names.write(connection)
    _lay_other_indexes(connection, progress)
    keep_pages(connection, pages_mb(settings))


def _lay_other_indexes(connection: Connection, progress: Progress) -> None:
    progress(INDEXING, 0, ALL)
    facts.lay_other_indexes(connection)
    progress(INDEXING, ALL, ALL)


def count_replaced(connection: Connection) -> None:
    """Make anew the rollups of accounts and days whose records were replaced."""
    of_accounts, of_days = facts.take_dirty(connection)
    if of_days:
        rollups = roll_up_rows(counted_rows(request_table(of_accounts)))
        _write_rollups(connection, {**rollups, "coverage_day": coverage_rows(counted_rows(request_table(of_days)))})


def _write_rollups(connection: Connection, rollups: Mapping[str, Any]) -> None:
    for name, rows in rollups.items():
        facts.add_rollup(connection, name, rows)


def plain_rows(table: Any, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """Rows of an Arrow table as tuples of plain values."""
    return list(zip(*(_plain_values(table[column]) for column in columns), strict=True))


def _plain_values(column: Any) -> list[Any]:
    """A column's values; integers and floats through numpy, which is four times as fast as Arrow at it."""
    if not pa.types.is_integer(column.type) and not pa.types.is_floating(column.type):
        values: list[Any] = column.to_pylist()
        return values
    if column.null_count == len(column):
        return [None] * len(column)
    if not column.null_count:
        return list(column.to_numpy().tolist())
    plain = column.fill_null(0).to_numpy().tolist()
    for row in np.flatnonzero(~np.asarray(column.is_valid().to_numpy(), dtype=bool)).tolist():
        plain[row] = None
    return list(plain)


def _those(table: Any, are_wanted: npt.NDArray[np.bool_]) -> Any:
    """The wanted rows; the table itself, and no copy of it, where all are."""
    return table if are_wanted.all() else table.filter(pa.array(are_wanted))


def _request_rows(requests: Any) -> tuple[Ints, Numbers]:
    """Requests as a matrix, and their latencies; the matrix tells only whether there is one."""
    rows = np.empty((len(requests), len(REQUEST_COLUMNS)), np.int64)
    for at, name in enumerate(REQUEST_COLUMNS):
        column = requests[name]
        if at == _LATENCY:
            rows[:, at] = np.asarray(column.is_valid().to_numpy(), dtype=np.int64) + BLANK
        else:
            rows[:, at] = (column.fill_null(BLANK) if column.null_count else column).to_numpy()
    return rows, np.asarray(requests["latency_ms"].fill_null(math.nan).to_numpy(), dtype=np.float64)


def _count(rows: Ints) -> tuple[int, dict[str, Any]]:
    """The last account of some requests, and their rollups as the store takes them."""
    return int(rows[:, 0].max()), {**roll_up_rows(rows), "coverage_day": coverage_rows(rows)}


def request_table(rows: Sequence[tuple[Any, ...]]) -> Any:
    """Requests as the store holds them (tuples in the order of ``REQUEST_COLUMNS``) as an Arrow table."""
    columns = zip(*rows, strict=True) if rows else ([] for _ in REQUEST_COLUMNS)
    return pa.table(
        {
            name: pa.array(values, type=REQUEST_TYPES[name])
            for name, values in zip(REQUEST_COLUMNS, columns, strict=True)
        }
    )
