"""What follows from templates for each account and day: uses, templated counts and items."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Final, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from linkage.intake.mining import Assigned, spread
from linkage.terms import DAY_MS, HOUR_MS

Ints = npt.NDArray[np.int64]

_CHUNK_ITEMS: Final = 4_000_000  # items that are sorted at once: about 200 MB
_CHUNK_REQUESTS: Final = 2_000_000  # requests that are sorted at once: about 160 MB
_LAST_ID: Final = 2**63 - 1


class Requested(NamedTuple):
    """Requests that have a prompt, in any order; columns of equal length."""

    account_ids: Ints
    prompt_ids: Ints
    at_ms: Ints
    """UTC epoch milliseconds."""
    output_tokens: Ints
    """-1 where nobody tells."""


@dataclasses.dataclass(frozen=True, eq=False)
class Followed:
    """A part of the accounts and days, ascending; columns of equal length make up a table."""

    uses: tuple[Ints, ...]
    """``account_id``, ``template_id``, ``day``, ``request_count``, ``first_ms``, ``last_ms``."""
    days: tuple[Ints, ...]
    """``account_id``, ``day``, ``distinct_count`` (prompts), ``templated_count`` (requests)."""
    item_starts: Ints
    """Items of row ``r`` of ``days`` are ``items[0][item_starts[r]:item_starts[r + 1]]``."""
    items: tuple[Ints, ...]
    """``item`` (ascending in each account and day), ``request_count``, ``first_ms``."""
    work_starts: Ints
    """Work of row ``r`` of ``days`` is ``works[0][work_starts[r]:work_starts[r + 1]]``."""
    works: tuple[Ints, ...]
    """``template_id`` (ascending in each account and day), ``request_count``, ``output_count`` (requests whose output
    length is known), ``log_output_micros`` (the sum of ln(1 + tokens), in millionths) and ``hours`` (bit ``h`` for a
    request in hour ``h`` of the day, in UTC)."""


def follow_templates(requested: Requested, assigned: Assigned) -> Iterator[Followed]:
    """What follows from the templates of requests, for each account and day.

    O(requests log requests); memory about 400 MB beside what is handed in.

    Parameters
    ----------
    requested : all requests of these accounts and days.
    assigned : template and items of each of their prompts.
    """
    span = _LAST_ID // (1 + len(requested.account_ids) // _CHUNK_REQUESTS) + 1  # ids are hashes: spread evenly
    for first in range(0, _LAST_ID, span):
        is_in = (requested.account_ids >= first) & (requested.account_ids <= min(first + span - 1, _LAST_ID))
        yield from _follow_accounts(Requested(*(column[is_in] for column in requested)), assigned)


def _follow_accounts(requested: Requested, assigned: Assigned) -> Iterator[Followed]:
    rows = np.searchsorted(assigned.prompt_ids, requested.prompt_ids)
    order = np.lexsort((rows, requested.at_ms // DAY_MS, requested.account_ids))
    accounts, rows, times = requested.account_ids[order], rows[order], requested.at_ms[order]
    days = times // DAY_MS
    starts = _run_starts(accounts, days)
    weights = assigned.item_counts[rows]
    outputs = requested.output_tokens[order]
    for begin, end in _parts(starts, weights):
        part = slice(begin, end)
        yield _follow_part(accounts[part], days[part], rows[part], times[part], outputs[part], assigned)


def _run_starts(*columns: Ints) -> Ints:
    """Where in sorted columns a new combination of values begins."""
    is_first = np.zeros(len(columns[0]), bool)
    is_first[:1] = True
    for column in columns:
        is_first[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(is_first)


def _parts(starts: Ints, weights: Ints) -> Iterator[tuple[int, int]]:
    """Runs of whole accounts and days whose items can be sorted at once."""
    if not len(starts):
        return
    total = np.concatenate([[0], np.cumsum(weights)])
    part_of_run = total[starts] // _CHUNK_ITEMS
    begins = starts[_run_starts(part_of_run)]
    yield from zip(begins.tolist(), [*begins[1:].tolist(), len(weights)], strict=True)


def _follow_part(accounts: Ints, days: Ints, rows: Ints, times: Ints, outputs: Ints, assigned: Assigned) -> Followed:
    starts = _run_starts(accounts, days)
    templates = assigned.template_ids[rows]
    is_new = np.zeros(len(rows), np.int64)
    is_new[_run_starts(accounts, days, rows)] = 1
    day_rows = (
        accounts[starts],
        days[starts],
        np.add.reduceat(is_new, starts),
        np.add.reduceat((templates != 0).astype(np.int64), starts),
    )
    item_starts, items = _items(starts, rows, times, assigned)
    uses = _uses(accounts, days, templates, times)
    return Followed(uses, day_rows, item_starts, items, *_works(starts, templates, times, outputs))


def _uses(accounts: Ints, days: Ints, templates: Ints, times: Ints) -> tuple[Ints, ...]:
    kept = np.flatnonzero(templates != 0)
    kept = kept[np.lexsort((days[kept], templates[kept], accounts[kept]))]
    keys = (accounts[kept], templates[kept], days[kept])
    starts = _run_starts(*keys)
    if not len(starts):
        return tuple(np.zeros(0, np.int64) for _ in range(6))
    counts = np.diff(np.append(starts, len(kept)))
    first, last = (way.reduceat(times[kept], starts) for way in (np.minimum, np.maximum))
    return (*(key[starts] for key in keys), counts, first, last)


def _works(starts: Ints, templates: Ints, times: Ints, outputs: Ints) -> tuple[Ints, tuple[Ints, ...]]:
    """Templates of each account and day with what their requests look like; where each begins, and the columns."""
    owners = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(templates))))
    kept = np.flatnonzero(templates != 0)
    kept = kept[np.lexsort((templates[kept], owners[kept]))]
    owners, templates, times, outputs = owners[kept], templates[kept], times[kept], outputs[kept]
    firsts = _run_starts(owners, templates)
    work_starts = np.searchsorted(owners[firsts], np.arange(len(starts) + 1))
    if not len(firsts):
        return work_starts, tuple(np.zeros(0, np.int64) for _ in range(5))
    counts = np.diff(np.append(firsts, len(kept)))
    told = np.add.reduceat((outputs >= 0).astype(np.int64), firsts)
    micros = np.add.reduceat(np.rint(np.log1p(np.maximum(outputs, 0)) * 1e6).astype(np.int64), firsts)
    hours = np.bitwise_or.reduceat(np.left_shift(1, times % DAY_MS // HOUR_MS), firsts)
    return work_starts, (templates[firsts], counts, told, micros, hours)


@numba.njit(cache=True, nogil=True)
def _sort_runs(limits: Ints, items: Ints, requests: Ints) -> None:
    """Sort the items of each run, and their requests with them, in place; what is equal stays in order."""
    for run in range(limits.size - 1):
        part = slice(limits[run], limits[run + 1])
        order = np.argsort(items[part], kind="mergesort")
        items[part], requests[part] = items[part][order], requests[part][order]


def _items(starts: Ints, rows: Ints, times: Ints, assigned: Assigned) -> tuple[Ints, tuple[Ints, ...]]:
    """Distinct items of each account and day; where each begins, and the columns."""
    lengths = assigned.item_counts[rows]
    runs = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(rows))))
    items = assigned.items[spread(assigned.item_begins[rows], lengths)]
    requests = np.repeat(np.arange(len(rows)), lengths)
    limits = np.append(np.concatenate([[0], np.cumsum(lengths)])[starts], len(items))
    _sort_runs(limits, items, requests)
    owners = runs[requests]
    # The sort is stable, so the same item twice in one prompt stands side by side and counts once.
    is_new = np.zeros(len(items), np.int64)
    is_new[_run_starts(owners, items, requests)] = 1
    firsts = _run_starts(owners, items)
    item_starts = np.searchsorted(owners[firsts], np.arange(len(starts) + 1))
    if not len(firsts):
        return item_starts, tuple(np.zeros(0, np.int64) for _ in range(3))
    counts, since = np.add.reduceat(is_new, firsts), np.minimum.reduceat(times[requests], firsts)
    return item_starts, (items[firsts], counts, since)
