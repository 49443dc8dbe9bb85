"""Facts of requests to counts per account and day: rows that merge with those of any other requests.

Every count is a sum, a least or a greatest of whole numbers, so parts can be merged in any order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa

from linkage.arrays import Ints
from linkage.coding import run_starts
from linkage.kernels import kernel
from linkage.sorting import order_of
from linkage.terms import DAY_MS, HOUR_MS

_ENTITY_COLUMNS: Final = (
    "api_key_id",
    "organization_id",
    "ip_id",
    "ip_prefix_id",
    "payment_id",
    "client_id",
    "model_id",
    "endpoint_id",
    "contract_id",
    "end_user_id",
    "forwarded_id",
)
COUNTED_COLUMNS: Final = (
    "account_id",
    "at_ms",
    *_ENTITY_COLUMNS,
    "prompt_id",
    "input_tokens",
    "output_tokens",
    "status",
    "latency_ms",
)
"""Columns of requests that rollups are made from; of the latency only whether it is told."""

_BLANK: Final = -1
_ACCOUNT, _AT = 0, 1
_ENTITIES: Final = slice(2, 2 + len(_ENTITY_COLUMNS))
_PROMPT, _INPUT, _OUTPUT, _STATUS = (
    COUNTED_COLUMNS.index(name) for name in ("prompt_id", "input_tokens", "output_tokens", "status")
)
_COVERED: Final = {
    "api_key_id": "api_key_id",
    "organization_id": "organization_id",
    "ip": "ip_prefix_id",
    "payment_method": "payment_id",
    "client": "client_id",
    "model": "model_id",
    "endpoint": "endpoint_id",
    "params": "contract_id",
    "end_user": "end_user_id",
    "forwarded_for": "forwarded_id",
    "prompt": "prompt_id",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "status": "status",
    "latency_ms": "latency_ms",
}
"""Field as ``coverage_day`` names it, and the column that tells whether a request carries it."""

ROLLUP_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "entity_use": ("account_id", "entity_id", "day", "request_count", "first_ms", "last_ms"),
    "account_day": (
        "account_id",
        "day",
        "request_count",
        "failed_count",
        "limited_count",
        "input_count",
        "input_tokens",
        "log_input_micros",
        "output_count",
        "output_tokens",
        "log_output_micros",
        "prompt_count",
        "first_ms",
        "last_ms",
    ),
    "account_hour": ("account_id", "hour", "request_count", "limited_count"),
}
"""Rollup and its columns, whole numbers all of them, in the order in which they are stored."""

_REQUESTS: Final = slice(2, 5)  # of ``account_day``: all, failed, limited
_SUMMED: Final = slice(2, 12)
"""What is added up of ``account_day``."""


def counted_rows(requests: Any) -> Ints:
    """The columns that rollups are made from, side by side; -1 for what is not told.

    Parameters
    ----------
    requests : Arrow table as ``RequestBatch.requests``.
    """
    rows = np.empty((len(requests), len(COUNTED_COLUMNS)), np.int64)
    for at, name in enumerate(COUNTED_COLUMNS):
        column = requests[name]
        if name == "latency_ms":
            rows[:, at] = np.asarray(column.is_valid().to_numpy(), dtype=np.int64) + _BLANK
        else:
            rows[:, at] = (column.fill_null(_BLANK) if column.null_count else column).to_numpy()
    return rows


def roll_up_accounts(requests: Any) -> dict[str, Any]:
    """The rollups of requests whose rows belong to one account, by name: Arrow tables of ``ROLLUP_COLUMNS``.

    Parameters
    ----------
    requests : Arrow table as ``RequestBatch.requests``, no key twice.
    """
    rolled = roll_up_rows(counted_rows(requests))
    return {name: pa.table(list(table.T), names=ROLLUP_COLUMNS[name]) for name, table in rolled.items()}


def roll_up_coverage(requests: Any) -> Any:
    """How many requests of each day carry each field: ``day``, ``field``, ``present``, ``total``."""
    columns = list(zip(*coverage_rows(counted_rows(requests)), strict=True)) or [(), (), (), ()]
    types = {"day": pa.int64(), "field": pa.string(), "present": pa.int64(), "total": pa.int64()}
    return pa.table({name: pa.array(values, kind) for (name, kind), values in zip(types.items(), columns, strict=True)})


def merge_coverage(parts: Any) -> Any:
    """What :func:`roll_up_coverage` tells of all requests, out of what it tells of parts of them."""
    merged = parts.group_by(["day", "field"], use_threads=False).aggregate([("present", "sum"), ("total", "sum")])
    columns = {"day": "day", "field": "field", "present": "present_sum", "total": "total_sum"}
    renamed = pa.table({name: merged[column] for name, column in columns.items()})
    return renamed.sort_by([("day", "ascending"), ("field", "ascending")]).combine_chunks()


def coverage_rows(rows: Ints) -> list[tuple[int, str, int, int]]:
    """What :func:`roll_up_coverage` tells, of the columns that :func:`counted_rows` gives."""
    days, at_day, totals = np.unique(rows[:, _AT] // DAY_MS, return_inverse=True, return_counts=True)
    told = []
    for field, name in _COVERED.items():
        is_present = rows[:, COUNTED_COLUMNS.index(name)] != _BLANK
        present = np.bincount(at_day[is_present], minlength=len(days))
        told += [
            (day, field, *pair) for day, *pair in zip(days.tolist(), present.tolist(), totals.tolist(), strict=True)
        ]
    return sorted(told)


def roll_up_rows(rows: Ints) -> dict[str, Ints]:
    """The rollups whose rows belong to one account, of the columns that :func:`counted_rows` gives.

    Returns
    -------
    ``entity_use``, ``account_day`` and ``account_hour`` with their columns side by side, sorted by what tells their
    rows apart. O(rows log rows).
    """
    rows = rows[np.lexsort((rows[:, _AT], rows[:, _ACCOUNT]))]
    accounts, at_ms = np.ascontiguousarray(rows[:, _ACCOUNT]), np.ascontiguousarray(rows[:, _AT])
    return {
        "entity_use": _entity_use(accounts, at_ms, np.ascontiguousarray(rows[:, _ENTITIES])),
        "account_day": _account_day(accounts, at_ms, rows),
        "account_hour": _account_hour(accounts, at_ms, rows[:, _STATUS]),
    }


def roll_up_added(rows: Ints) -> tuple[dict[str, Ints], list[tuple[int, str, int, int]]]:
    """What values add to the rollups of requests that are counted already, and to what is told of days.

    Parameters
    ----------
    rows : columns as :func:`counted_rows` gives them, -1 in each but those of account, time and the added values.
    """
    rolled = roll_up_rows(rows)
    days = rolled["account_day"]
    days[:, _REQUESTS] = 0
    coverage = [(day, field, present, 0) for day, field, present, _ in coverage_rows(rows) if present]
    return {"entity_use": rolled["entity_use"], "account_day": days}, coverage


@kernel
def _count_uses(limits: Ints, days: Ints, at_ms: Ints, entities: Ints, uses: Ints) -> int:
    """Fill account's place, entity, day, requests, first and last time of all uses; how many.

    The requests of each account, from one limit to the next, come in the order of their times: so a stable sort by
    entity leaves its days in order.
    """
    found = 0
    for account in range(limits.size - 1):
        first, stop = limits[account], limits[account + 1]
        names = np.empty((stop - first) * entities.shape[1], np.int64)
        owners = np.empty(names.size, np.int64)
        count = 0
        for row in range(first, stop):
            for column in range(entities.shape[1]):
                if entities[row, column] != -1:
                    names[count], owners[count] = entities[row, column], row
                    count += 1
        last_name, last_day = np.int64(-1), np.int64(0)
        for at in order_of(names[:count]):
            name, row = names[at], owners[at]
            if name != last_name or days[row] != last_day:
                last_name, last_day = name, days[row]
                uses[found, 0], uses[found, 1], uses[found, 2] = account, name, last_day
                uses[found, 3], uses[found, 4] = 0, at_ms[row]
                found += 1
            uses[found - 1, 3] += 1
            uses[found - 1, 5] = at_ms[row]
    return found


def _entity_use(accounts: Ints, at_ms: Ints, entities: Ints) -> Ints:
    starts = run_starts(accounts)
    uses = np.empty((int((entities != _BLANK).sum()), 6), np.int64)
    uses = uses[: _count_uses(np.append(starts, len(accounts)), at_ms // DAY_MS, at_ms, entities, uses)].copy()
    uses[:, 0] = accounts[starts][uses[:, 0]]
    return uses


def _account_day(accounts: Ints, at_ms: Ints, rows: Ints) -> Ints:
    days = at_ms // DAY_MS
    starts = run_starts(accounts, days)
    told = np.empty((len(starts), len(ROLLUP_COLUMNS["account_day"])), np.int64)
    told[:, 0], told[:, 1] = accounts[starts], days[starts]
    failed, limited = _failures(rows[:, _STATUS])
    summed = [np.ones(len(rows), np.int64), failed, limited]
    for column in (_INPUT, _OUTPUT):
        tokens = np.maximum(rows[:, column], 0)
        summed += [(rows[:, column] != _BLANK).astype(np.int64), tokens]
        summed += [np.rint(np.log1p(tokens) * 1e6).astype(np.int64)]
    summed += [(rows[:, _PROMPT] != _BLANK).astype(np.int64)]
    if len(starts):
        told[:, _SUMMED] = np.column_stack([np.add.reduceat(each, starts) for each in summed])
    told[:, 12], told[:, 13] = at_ms[starts], at_ms[np.append(starts[1:], len(rows))[: len(starts)] - 1]
    return told


def _account_hour(accounts: Ints, at_ms: Ints, status: Ints) -> Ints:
    hours = at_ms // HOUR_MS
    starts = run_starts(accounts, hours)
    limited = _failures(status)[1]
    counts = np.diff(np.append(starts, len(accounts)))
    sums = np.add.reduceat(limited, starts) if len(starts) else limited[:0]
    return np.column_stack([accounts[starts], hours[starts], counts, sums])


def _failures(status: Ints) -> tuple[Ints, Ints]:
    """Whether each request failed, and whether it was refused by a rate limit."""
    return ((status >= 400) | (status == 0)).astype(np.int64), (status == 429).astype(np.int64)
