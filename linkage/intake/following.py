"""What follows from templates for each account and day: uses, templated counts and items."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from linkage.arrays import Ints
from linkage.coding import run_starts
from linkage.intake.mining import Assigned
from linkage.kernels import kernel
from linkage.sorting import order_of
from linkage.terms import DAY_MS, HOUR_MS

_CHUNK_ITEMS: Final = 4_000_000  # items that are sorted at once: about 200 MB
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


def without_empty(starts: Ints) -> tuple[Ints, Ints]:
    """Which runs, each from one start to the next, have anything, and their starts."""
    rows = np.flatnonzero(np.diff(starts))
    return rows, np.append(starts[rows], starts[-1])


def follow_templates(requested: Requested, assigned: Assigned) -> Iterator[Followed]:
    """What follows from the templates of requests, for each account and day.

    O(requests log requests); memory about 80 bytes a request and 200 MB beside what is handed in.

    Parameters
    ----------
    requested : all requests of these accounts and days.
    assigned : template and items of each of their prompts.
    """
    rows = np.empty(len(requested.prompt_ids), np.int64)
    _find_rows(assigned.prompt_ids, np.ascontiguousarray(requested.prompt_ids), rows)
    order = np.argsort(requested.account_ids, kind="stable")
    accounts, days = requested.account_ids[order], requested.at_ms[order] // DAY_MS
    _order_days(np.append(run_starts(accounts), len(order)), days, rows, order)
    rows, times, outputs = rows[order], requested.at_ms[order], requested.output_tokens[order]
    days = times // DAY_MS
    starts = run_starts(accounts, days)
    for begin, end in _parts(starts, assigned.item_counts[rows]):
        part = slice(begin, end)
        yield _follow_part(accounts[part], days[part], rows[part], times[part], outputs[part], assigned)


@kernel
def _find_rows(prompt_ids: Ints, wanted: Ints, rows: Ints) -> None:
    """Fill where each wanted id stands among ascending ones, which have it.

    Ids are hashes: where one stands follows from its size, give or take a few thousand places of sixteen million, which
    is one miss of the cache; halving from both ends is a dozen.
    """
    last = prompt_ids.size - 1
    for at in range(wanted.size):
        low = high = min(int(wanted[at] / _LAST_ID * prompt_ids.size), last)
        step = 32
        while low > 0 and prompt_ids[low] > wanted[at]:
            low, step = max(low - step, 0), 2 * step
        step = 32
        while high < last and prompt_ids[high] < wanted[at]:
            high, step = min(high + step, last), 2 * step
        while low < high:
            middle = (low + high) // 2
            if prompt_ids[middle] < wanted[at]:
                low = middle + 1
            else:
                high = middle
        rows[at] = low


@kernel
def _order_days(limits: Ints, days: Ints, rows: Ints, order: Ints) -> None:
    """Put the requests of each account, from one limit to the next, into the order of their days and prompts."""
    for account in range(limits.size - 1):
        first, stop = limits[account], limits[account + 1]
        keys = np.empty(stop - first, np.int64)
        for at in range(first, stop):
            keys[at - first] = (days[at] << 32) + rows[order[at]]
        before = order[first:stop].copy()
        for at, place in enumerate(order_of(keys)):
            order[first + at] = before[place]


def _parts(starts: Ints, weights: Ints) -> Iterator[tuple[int, int]]:
    """Runs of whole accounts and days whose items can be sorted at once."""
    if not len(starts):
        return
    total = np.concatenate([[0], np.cumsum(weights)])
    part_of_run = total[starts] // _CHUNK_ITEMS
    begins = starts[run_starts(part_of_run)]
    yield from zip(begins.tolist(), [*begins[1:].tolist(), len(weights)], strict=True)


def _follow_part(accounts: Ints, days: Ints, rows: Ints, times: Ints, outputs: Ints, assigned: Assigned) -> Followed:
    starts = run_starts(accounts, days)
    limits = np.append(starts, len(rows))
    templates = assigned.template_ids[rows]
    is_new = np.zeros(len(rows), np.int64)
    is_new[run_starts(accounts, days, rows)] = 1
    day_rows = (
        accounts[starts],
        days[starts],
        np.add.reduceat(is_new, starts),
        np.add.reduceat((templates != 0).astype(np.int64), starts),
    )
    item_starts, items = _items(limits, rows, times, assigned)
    uses = _uses(accounts, days, templates, times)
    return Followed(uses, day_rows, item_starts, items, *_works(limits, templates, times, outputs))


@kernel
def _count_uses(limits: Ints, days: Ints, templates: Ints, times: Ints, uses: Ints) -> int:
    """Fill account's place, template, day, requests, first and last time of all uses; how many.

    The requests of each account, from one limit to the next, come in the order of their days: so a stable sort by
    template leaves these in order.
    """
    found = 0
    for account in range(limits.size - 1):
        first = limits[account]
        last_template, last_day = np.int64(0), np.int64(0)
        for place in order_of(templates[first : limits[account + 1]]):
            at = first + place
            if templates[at] == 0:
                continue
            if templates[at] != last_template or days[at] != last_day:
                last_template, last_day = templates[at], days[at]
                uses[found, 0], uses[found, 1], uses[found, 2] = account, last_template, last_day
                uses[found, 3], uses[found, 4], uses[found, 5] = 0, times[at], times[at]
                found += 1
            uses[found - 1, 3] += 1
            uses[found - 1, 4] = min(uses[found - 1, 4], times[at])
            uses[found - 1, 5] = max(uses[found - 1, 5], times[at])
    return found


def _uses(accounts: Ints, days: Ints, templates: Ints, times: Ints) -> tuple[Ints, ...]:
    starts = run_starts(accounts)
    uses = np.empty((len(accounts), 6), np.int64)
    uses = uses[: _count_uses(np.append(starts, len(accounts)), days, templates, times, uses)]
    return (accounts[starts][uses[:, 0]], *uses[:, 1:].T)


@kernel
def _count_works(
    limits: Ints, templates: Ints, times: Ints, outputs: Ints, micros: Ints, starts: Ints, works: Ints
) -> int:
    """Fill the columns of ``Followed.works`` of all runs, and where each run begins; how many."""
    found = 0
    for run in range(limits.size - 1):
        starts[run], last = found, np.int64(0)
        for place in order_of(templates[limits[run] : limits[run + 1]]):
            at = limits[run] + place
            if templates[at] == 0:
                continue
            if templates[at] != last:
                last = templates[at]
                works[found] = 0
                works[found, 0] = last
                found += 1
            works[found - 1, 1] += 1
            works[found - 1, 2] += outputs[at] >= 0
            works[found - 1, 3] += micros[at]
            works[found - 1, 4] |= np.int64(1) << (times[at] % DAY_MS // HOUR_MS)
    starts[limits.size - 1] = found
    return found


def _works(limits: Ints, templates: Ints, times: Ints, outputs: Ints) -> tuple[Ints, tuple[Ints, ...]]:
    """Templates of each account and day with what their requests look like; where each begins, and the columns."""
    micros = np.rint(np.log1p(np.maximum(outputs, 0)) * 1e6).astype(np.int64)
    starts, works = np.empty(len(limits), np.int64), np.empty((len(templates), 5), np.int64)
    works = works[: _count_works(limits, templates, times, outputs, micros, starts, works)]
    return starts, tuple(np.ascontiguousarray(column) for column in works.T)


@kernel
def _count_items(
    limits: Ints, rows: Ints, times: Ints, begins: Ints, lengths: Ints, items: Ints, starts: Ints, told: Ints
) -> int:
    """Fill item, requests and first time of the items of all runs, and where each run begins; how many."""
    found = 0
    for run in range(limits.size - 1):
        first, stop = limits[run], limits[run + 1]
        starts[run], total = found, 0
        for at in range(first, stop):
            total += lengths[rows[at]]
        names, owners, filled = np.empty(total, np.int64), np.empty(total, np.int64), 0
        for at in range(first, stop):
            for item in range(begins[rows[at]], begins[rows[at]] + lengths[rows[at]]):
                names[filled], owners[filled] = items[item], at
                filled += 1
        last_owner, is_first = np.int64(-1), True
        for place in order_of(names):
            name, owner = names[place], owners[place]
            if is_first or name != told[0, found - 1]:
                told[0, found], told[1, found], told[2, found] = name, 0, times[owner]
                found, last_owner, is_first = found + 1, np.int64(-1), False
            # The sort is stable, so the same item twice in one prompt stands side by side and counts once.
            told[1, found - 1] += owner != last_owner
            told[2, found - 1] = min(told[2, found - 1], times[owner])
            last_owner = owner
    starts[limits.size - 1] = found
    return found


def _items(limits: Ints, rows: Ints, times: Ints, assigned: Assigned) -> tuple[Ints, tuple[Ints, ...]]:
    """Distinct items of each account and day; where each begins, and the columns."""
    starts = np.empty(len(limits), np.int64)
    told = np.empty((3, int(assigned.item_counts[rows].sum())), np.int64)
    begins, lengths = assigned.item_begins, assigned.item_counts
    found = _count_items(limits, rows, times, begins, lengths, assigned.items, starts, told)
    return starts, tuple(column[:found] for column in told)
