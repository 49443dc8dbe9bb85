"""Requests and their companions: what a second log tells of a request fills what the request's own log lacks.

Either may come first. A companion is held while it waits for its request and for some days after, so that the outcome
is the same in any order: of records that contradict each other the least stays, and it takes from the least of the
companions what it lacks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from linkage.arrays import Ints
from linkage.coding import is_run_start
from linkage.intake.batches import CompanionBatch
from linkage.intake.rollups import COUNTED_COLUMNS
from linkage.settings import HealthSettings, IngestSettings
from linkage.store import companions, facts
from linkage.store.companions import COMPANION_COLUMNS, PROMPT_TAKEN, TAKEN
from linkage.store.facts import BatchCounts, Connection
from linkage.store.health import newest_day
from linkage.store.inserts import BLANK
from linkage.store.store import Database
from linkage.terms import DAY_MS

_COMPLETED: Final = (
    ("ip_prefix_id", "ip_id"),
    ("client_id",),
    ("prompt_id",),
    ("input_tokens",),
    ("output_tokens",),
)
"""Fields that requests take, those together that make one value; the place of each is its bit."""

_GROUPS: Final = (("at_ms",), ("account_id",), *_COMPLETED)
_MINED: Final = ("prompt_id", "output_tokens")
"""Fields that templates, and what follows from them, are made of."""

_KEY, _AT, _ACCOUNT, _PROMPT = (COMPANION_COLUMNS.index(name) for name in ("key", "at_ms", "account_id", "prompt_id"))


class Taken(NamedTuple):
    """Requests with what they took from companions that had come before them."""

    requests: Any
    """Arrow table as ``RequestBatch.requests``."""
    prompts: Any
    """Prompts that go among those of requests now, as ``RequestBatch.prompts``."""
    met: int
    """How many companions had waited for these requests."""


class Told(NamedTuple):
    """What became of a batch of companions."""

    counts: BatchCounts
    met: int
    """How many met a request that was stored before them."""
    added: Ints
    """What stored requests have now that they had not, columns as ``COUNTED_COLUMNS``; to be added to rollups."""
    prompts: Any
    """Arrow booleans: which prompts of the batch go among those of requests now; the others wait."""
    has_changed: bool
    """Whether any stored request is other than it was."""
    is_mined_anew: bool
    """Whether templates, or what follows from them, are to be made anew."""


def take_waiting(connection: Connection, requests: Any) -> Taken:
    """Requests that are about to be stored, with what companions tell that they lack.

    Parameters
    ----------
    requests : Arrow table as ``RequestBatch.requests``, by ascending key.
    """
    keys = np.asarray(requests["key"].to_numpy())
    held = companions.find_companions(connection, keys.tolist())
    if not len(held):
        return Taken(requests, _prompt_table([]), 0)
    at, taken = np.searchsorted(keys, held[:, _KEY]), np.zeros(len(held), np.int64)
    for bit, names in enumerate(_COMPLETED):
        own, given = _numbers(requests, names), held[:, _places(names)]
        takes = _takes(own[at], given)
        taken |= takes.astype(np.int64) << bit
        own[at[takes]] = given[takes]
        requests = _with_numbers(requests, names, own)
    asked = held[(taken & PROMPT_TAKEN) != 0, _KEY]
    prompts = _prompt_table(companions.find_waiting_prompts(connection, asked.tolist()))
    companions.take_companions(connection, zip(taken.tolist(), held[:, _KEY].tolist(), strict=True))
    return Taken(requests, prompts, int((held[:, TAKEN] == BLANK).sum()))


def add_companions(connection: Connection, batch: CompanionBatch, *, keep_text: bool) -> Told:
    """Hold a batch of companions, and complete the requests that are stored already; repeats change nothing."""
    rows = np.column_stack([_numbers(batch.companions, (name,)) for name in COMPANION_COLUMNS])
    held = companions.find_companions(connection, np.unique(rows[:, _KEY]).tolist())
    merged = _least(np.concatenate([rows, held[:, :TAKEN]]))
    taken = np.full(len(merged), BLANK)
    taken[np.searchsorted(merged[:, _KEY], held[:, _KEY])] = held[:, TAKEN]
    stored = companions.find_their_requests(connection, merged[:, _KEY].tolist())
    at = np.searchsorted(merged[:, _KEY], stored[:, _KEY])
    met = int((taken[at] == BLANK).sum())
    completed = _complete(stored, merged[at], np.maximum(taken[at], 0))
    taken[at] = completed.taken
    differs = completed.requests != stored
    go = np.isin(batch.prompts["id"].to_numpy(), completed.requests[differs[:, _PROMPT], _PROMPT])
    prompts = _waiting_prompts(batch.prompts, keep_text=keep_text)
    companions.add_companions(connection, np.column_stack([merged, taken]), prompts=prompts)
    companions.complete_stored(connection, completed.requests[differs.any(axis=1)])
    facts.mark_dirty(connection, completed.requests[completed.are_other, _KEY].tolist())
    is_mined_anew = bool(differs[:, _places(_MINED)].any())
    counts = _count(rows, held, merged)
    return Told(counts, met, completed.added, pa.array(go), bool(differs.any()), is_mined_anew)


class _Completed(NamedTuple):
    requests: Ints
    """``COMPANION_COLUMNS`` of stored requests, as they are to be."""
    taken: Ints
    """What each took."""
    are_other: Any
    """Which have another value in the place of one that they took before."""
    added: Ints
    """As in :class:`Told`."""


def _complete(stored: Ints, given: Ints, taken: Ints) -> _Completed:
    """Stored requests with what their companions tell, row by row.

    Parameters
    ----------
    taken : bits of what they had taken before, which is none of their own.
    """
    requests, now = stored.copy(), np.zeros(len(stored), np.int64)
    are_other = np.zeros(len(stored), bool)
    added = np.full((len(stored), len(COUNTED_COLUMNS)), BLANK)
    added[:, :2] = stored[:, [_ACCOUNT, _AT]]
    for bit, names in enumerate(_COMPLETED):
        places = _places(names)
        was_taken = ((taken >> bit) & 1).astype(bool)
        own = np.where(was_taken[:, None], BLANK, stored[:, places])
        takes = _takes(own, given[:, places])
        requests[:, places] = np.where(takes[:, None], given[:, places], own)
        now |= takes.astype(np.int64) << bit
        is_other = (requests[:, places] != stored[:, places]).any(axis=1)
        are_other |= is_other & was_taken
        is_added = takes & ~was_taken
        added[np.ix_(is_added, [COUNTED_COLUMNS.index(name) for name in names])] = given[np.ix_(is_added, places)]
    return _Completed(requests, now, are_other, added[(added[:, 2:] != BLANK).any(axis=1)])


def _takes(own: Ints, given: Ints) -> Any:
    """Which rows have nothing of a group of fields, and are given some of it."""
    return (own == BLANK).all(axis=1) & (given != BLANK).any(axis=1)


def _least(rows: Ints) -> Ints:
    """One row of each key, by ascending key: of each group of fields the least that any of its rows tells."""
    keys = rows[:, _KEY]
    distinct = np.unique(keys)
    merged = np.empty((len(distinct), len(COMPANION_COLUMNS)), np.int64)
    merged[:, _KEY] = distinct
    for names in _GROUPS:
        told = rows[:, _places(names)]
        behind = told.astype(np.uint64)  # what is not told comes behind all that is
        order = np.lexsort((*behind.T[::-1], keys))
        merged[:, _places(names)] = told[order[is_run_start(keys[order])]]
    return merged


def _count(rows: Ints, held: Ints, merged: Ints) -> BatchCounts:
    """How many of the rows tell something new, nothing new, or something else than what is held or stays."""
    before = np.full(merged.shape, BLANK)
    before[np.searchsorted(merged[:, _KEY], held[:, _KEY])] = held[:, :TAKEN]
    at = np.searchsorted(merged[:, _KEY], rows[:, _KEY])
    differs = np.zeros(len(rows), bool)
    for other in (before[at], merged[at]):
        differs |= ((rows != other) & (rows != BLANK) & (other != BLANK))[:, _ACCOUNT:].any(axis=1)
    is_first = np.zeros(len(rows), bool)
    is_first[np.unique(rows[:, _KEY], return_index=True)[1]] = True
    tells = is_first & ((before == BLANK) & (merged != BLANK))[at].any(axis=1) & ~differs
    kept, conflicting = int(tells.sum()), int(differs.sum())
    return BatchCounts(kept=kept, seen_before=len(rows) - kept - conflicting, conflicting=conflicting)


def _places(names: Sequence[str]) -> list[int]:
    return [COMPANION_COLUMNS.index(name) for name in names]


def _numbers(table: Any, names: Sequence[str]) -> Ints:
    """Columns of an Arrow table as a matrix."""
    return np.column_stack([table[name].fill_null(BLANK).to_numpy() for name in names])


def _with_numbers(table: Any, names: Sequence[str], numbers: Ints) -> Any:
    for name, values in zip(names, numbers.T, strict=True):
        told = pa.array(np.ascontiguousarray(values), mask=values == BLANK)
        table = table.set_column(table.column_names.index(name), name, told)
    return table


def _waiting_prompts(prompts: Any, *, keep_text: bool) -> Mapping[int, tuple[bytes, str | None]]:
    texts = prompts["text"].to_pylist() if keep_text else [None] * len(prompts)
    rows = zip(prompts["id"].to_pylist(), prompts["features"].to_pylist(), texts, strict=True)
    return {prompt_id: (features, text) for prompt_id, features, text in rows}


def _prompt_table(rows: list[tuple[int, bytes, str | None]]) -> Any:
    ids, features, texts = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "text": pa.array(texts, pa.large_string()),
            "gateway_template": pa.nulls(len(rows), pa.string()),
            "features": pa.array(features, pa.binary()),
        }
    )


def let_go(database: Database, settings: IngestSettings) -> None:
    """Forget companions that the newest request has left behind by so many days, and the oldest of too many."""
    if not companions.has_companions(database.connection):
        return
    newest = newest_day(database, HealthSettings())
    before_ms = None if newest is None else DAY_MS * (newest + 1 - int(settings.companion_days))
    companions.let_companions_go(database, before_ms=before_ms, most=int(settings.companions_waiting))
