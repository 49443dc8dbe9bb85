"""Facts of requests to counts per account and day: rows that merge with those of any other batch.

Every count is a sum, a least or a greatest of whole numbers, so parts can be merged in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from linkage.terms import DAY_MS, HOUR_MS

Rollups = Mapping[str, Any]
"""Name of a rollup table of the store to an Arrow table with its columns, in the store's order."""

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

_MERGED: Final[Mapping[str, tuple[tuple[str, ...], Mapping[str, str]]]] = {
    "entity_use": (
        ("account_id", "entity_id", "day"),
        {"request_count": "sum", "first_ms": "min", "last_ms": "max"},
    ),
    "account_day": (
        ("account_id", "day"),
        {
            "request_count": "sum",
            "failed_count": "sum",
            "limited_count": "sum",
            "input_count": "sum",
            "input_tokens": "sum",
            "log_input_micros": "sum",
            "output_count": "sum",
            "output_tokens": "sum",
            "log_output_micros": "sum",
            "prompt_count": "sum",
            "first_ms": "min",
            "last_ms": "max",
        },
    ),
    "account_hour": (("account_id", "hour"), {"request_count": "sum", "limited_count": "sum"}),
    "coverage_day": (("day", "field"), {"present": "sum", "total": "sum"}),
}
"""Table to the columns that tell its rows apart, and how the others merge."""


def roll_up(requests: Any) -> dict[str, Any]:
    """The rollups of requests, each counted once.

    Parameters
    ----------
    requests : Arrow table as ``RequestBatch.requests``, no key twice.

    Returns
    -------
    ``entity_use``, ``account_day``, ``account_hour`` and ``coverage_day``; sorted by what tells their rows apart.
    """
    return {**roll_up_accounts(requests), "coverage_day": roll_up_coverage(requests)}


def roll_up_accounts(requests: Any) -> dict[str, Any]:
    """The rollups of :func:`roll_up` whose rows belong to one account."""
    return {
        "entity_use": _entity_use(requests),
        "account_day": _account_day(requests),
        "account_hour": _account_hour(requests),
    }


def roll_up_coverage(requests: Any) -> Any:
    """How many requests of each day carry each field: ``day``, ``field``, ``present``, ``total``."""
    days, counts = np.unique(_int_column(requests, "at_ms") // DAY_MS, return_counts=True)
    at_day = np.searchsorted(days, _int_column(requests, "at_ms") // DAY_MS)
    parts = []
    for field, column in sorted(_COVERED.items()):
        present = np.bincount(at_day[_is_present(requests, column)], minlength=len(days))
        parts.append(pa.table({"day": days, "field": pa.array([field] * len(days), pa.string()), "present": present}))
    if not parts or not len(days):
        return _empty("coverage_day")
    table = pa.concat_tables(parts)
    return _merge("coverage_day", table.append_column("total", pa.array(np.tile(counts, len(parts)))))


def merge_rollups(parts: Iterable[Rollups]) -> dict[str, Any]:
    """The rollups of all requests behind several rollups."""
    listed = list(parts)
    names = sorted({name for part in listed for name in part})
    return {name: _merge(name, pa.concat_tables([part[name] for part in listed if name in part])) for name in names}


def _merge(name: str, table: Any) -> Any:
    keys, ways = _MERGED[name]
    merged = table.group_by(list(keys), use_threads=False).aggregate(list(ways.items()))
    renamed = {
        **{key: merged[key] for key in keys},
        **{column: merged[f"{column}_{way}"] for column, way in ways.items()},
    }
    return pa.table(renamed).sort_by([(key, "ascending") for key in keys]).combine_chunks()


def _empty(name: str) -> Any:
    keys, ways = _MERGED[name]
    return pa.table(
        {column: pa.array([], pa.string() if column == "field" else pa.int64()) for column in (*keys, *ways)}
    )


def _entity_use(requests: Any) -> Any:
    accounts, at_ms = requests["account_id"], requests["at_ms"]
    days = pa.array(_int_column(requests, "at_ms") // DAY_MS)
    ones = pa.array(np.ones(len(requests), np.int64))
    parts = []
    for column in _ENTITY_COLUMNS:
        if requests[column].null_count < len(requests):
            names = ("account_id", "entity_id", "day", "request_count", "first_ms", "last_ms")
            uses = pa.table([accounts, requests[column], days, ones, at_ms, at_ms], names=names)
            parts.append(_merge("entity_use", uses.filter(pc.is_valid(requests[column]))))
    if not parts:
        return _empty("entity_use")
    return pa.concat_tables(parts).sort_by([(key, "ascending") for key in ("account_id", "entity_id", "day")])


def _account_day(requests: Any) -> Any:
    at_ms = _int_column(requests, "at_ms")
    failed, limited = _failures(requests)
    columns = {
        "account_id": requests["account_id"],
        "day": at_ms // DAY_MS,
        "request_count": np.ones(len(at_ms), np.int64),
        "failed_count": failed,
        "limited_count": limited,
    }
    for side in ("input", "output"):
        tokens = np.asarray(pc.fill_null(requests[f"{side}_tokens"], 0).to_numpy())
        columns[f"{side}_count"] = _is_present(requests, f"{side}_tokens").astype(np.int64)
        columns[f"{side}_tokens"] = tokens
        columns[f"log_{side}_micros"] = np.rint(np.log1p(tokens) * 1e6).astype(np.int64)
    columns["prompt_count"] = _is_present(requests, "prompt_id").astype(np.int64)
    columns |= {"first_ms": at_ms, "last_ms": at_ms}
    return _merge("account_day", pa.table(columns))


def _account_hour(requests: Any) -> Any:
    at_ms = _int_column(requests, "at_ms")
    columns = {
        "account_id": requests["account_id"],
        "hour": at_ms // HOUR_MS,
        "request_count": np.ones(len(at_ms), np.int64),
        "limited_count": _failures(requests)[1],
    }
    return _merge("account_hour", pa.table(columns))


def _failures(requests: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Whether each request failed, and whether it was refused by a rate limit."""
    status = np.asarray(pc.fill_null(requests["status"], 200).to_numpy())
    return ((status >= 400) | (status == 0)).astype(np.int64), (status == 429).astype(np.int64)


def _int_column(requests: Any, name: str) -> npt.NDArray[np.int64]:
    return np.asarray(requests[name].to_numpy(), dtype=np.int64)


def _is_present(requests: Any, name: str) -> npt.NDArray[np.bool_]:
    return np.asarray(requests[name].is_valid().to_numpy(), dtype=bool)
