"""Rollups: counts per account and day that merge in any order."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
import pytest

from linkage.intake.batches import REQUEST_TYPES
from linkage.intake.rollups import DAY_MS, merge_coverage, roll_up_accounts, roll_up_coverage

BLANK: dict[str, Any] = dict.fromkeys(REQUEST_TYPES)


def table(*rows: dict[str, Any]) -> Any:
    made = [{**BLANK, "key": at, "content": at, "account_id": 1, "at_ms": 0, **row} for at, row in enumerate(rows)]
    return pa.Table.from_pylist(made, schema=pa.schema(dict(REQUEST_TYPES)))


def roll_up(requests: Any) -> dict[str, Any]:
    return {**roll_up_accounts(requests), "coverage_day": roll_up_coverage(requests)}


def values(rolled: dict[str, Any], name: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in rolled[name].to_pylist()]


def test_uses_of_an_entity_are_counted_by_account_and_day() -> None:
    rolled = roll_up(
        table(
            {"ip_id": 7, "at_ms": 5},
            {"ip_id": 7, "at_ms": 3},
            {"ip_id": 7, "at_ms": DAY_MS},
            {"ip_id": 7, "at_ms": 9, "account_id": 2},
            {"model_id": 8, "at_ms": 4},
        )
    )
    assert values(rolled, "entity_use") == [
        (1, 7, 0, 2, 3, 5),
        (1, 7, 1, 1, DAY_MS, DAY_MS),
        (1, 8, 0, 1, 4, 4),
        (2, 7, 0, 1, 9, 9),
    ]


def test_an_account_day_sums_failures_tokens_and_prompts() -> None:
    rolled = roll_up(
        table(
            {"status": 429, "input_tokens": 0},
            {"status": 0, "input_tokens": 9, "output_tokens": 1, "prompt_id": 3},
            {"status": 200, "at_ms": 3_600_000},
        )
    )
    assert values(rolled, "account_day") == [(1, 0, 3, 2, 1, 2, 9, 2_302_585, 1, 1, 693_147, 1, 0, 3_600_000)]
    assert values(rolled, "account_hour") == [(1, 0, 2, 1), (1, 1, 1, 0)]


def test_coverage_counts_fields_of_all_accounts() -> None:
    rolled = roll_up(table({"status": 200}, {"status": 500, "account_id": 2}, {"client_id": 4}))
    told = {field: (present, total) for _, field, present, total in values(rolled, "coverage_day")}
    assert (told["status"], told["client"], told["prompt"]) == ((2, 3), (1, 3), (0, 3))


def random_requests(count: int, *, seed: int) -> list[dict[str, Any]]:
    """Requests of few accounts, values and days, so that every kind of count has several of them."""
    rand = random.Random(seed)
    maybe = {"ip_id": 3, "ip_prefix_id": 2, "model_id": 4, "organization_id": 1, "forwarded_id": 3, "prompt_id": 5}
    return [
        {
            "account_id": rand.choice([2, 7, 2**62 + 5]),
            "at_ms": rand.randrange(-DAY_MS, 3 * DAY_MS),
            "input_tokens": rand.choice([None, 0, 5, 70_000]),
            "output_tokens": rand.choice([None, 0, 9, 400]),
            "status": rand.choice([None, 0, 200, 429, 500]),
            "latency_ms": rand.choice([None, 0.0, 1.5]),
            **{
                name: rand.choice([None, *range(1 + 10 * at, 1 + 10 * at + few)])
                for at, (name, few) in enumerate(maybe.items())
            },
        }
        for _ in range(count)
    ]


def slow_uses(requests: list[dict[str, Any]]) -> list[tuple[int, ...]]:
    times: dict[tuple[int, int, int], list[int]] = {}
    for request in requests:
        for name, value in request.items():
            if name.endswith("_id") and name not in ("account_id", "prompt_id") and value is not None:
                day = request["at_ms"] // DAY_MS
                times.setdefault((request["account_id"], value, day), []).append(request["at_ms"])
    return [(*key, len(found), min(found), max(found)) for key, found in sorted(times.items())]


def slow_hours(requests: list[dict[str, Any]]) -> list[tuple[int, ...]]:
    found: dict[tuple[int, int], list[int]] = {}
    for request in requests:
        count = found.setdefault((request["account_id"], request["at_ms"] // 3_600_000), [0, 0])
        count[0] += 1
        count[1] += request["status"] == 429
    return [(*key, *counts) for key, counts in sorted(found.items())]


@pytest.mark.parametrize("count", [1, 2, 40, 700])
def test_counts_are_what_a_slow_count_says(count: int) -> None:
    requests = random_requests(count, seed=count)
    rolled = roll_up(table(*requests))
    assert values(rolled, "entity_use") == slow_uses(requests)
    assert values(rolled, "account_hour") == slow_hours(requests)
    days = rolled["account_day"].to_pandas()
    assert days["request_count"].sum() == count
    assert days["input_count"].sum() == sum(request["input_tokens"] is not None for request in requests)
    assert days["output_tokens"].sum() == sum(request["output_tokens"] or 0 for request in requests)
    assert days["failed_count"].sum() == sum(request["status"] in (0, 429, 500) for request in requests)
    assert days["first_ms"].min() == min(request["at_ms"] for request in requests)
    assert days["last_ms"].max() == max(request["at_ms"] for request in requests)
    told = [row for row in values(rolled, "coverage_day") if row[1] == "latency_ms"]
    assert sum(row[2] for row in told) == sum(request["latency_ms"] is not None for request in requests)
    assert sum(row[3] for row in told) == count


def test_coverage_of_parts_merges_to_that_of_the_whole_in_any_order() -> None:
    requests = random_requests(60, seed=2)
    parts = [roll_up(table(*some))["coverage_day"] for some in (requests[:7], requests[7:8], [], requests[8:])]
    whole = roll_up(table(*requests))["coverage_day"]
    for order in (parts, parts[::-1]):
        merged = merge_coverage(pa.concat_tables(order))
        assert merged.schema == whole.schema
        assert merged.to_pylist() == whole.to_pylist()


def test_no_requests_give_empty_tables_of_the_same_columns() -> None:
    empty, full = roll_up(table()), roll_up(table({"ip_id": 7}))
    assert {name: empty[name].schema for name in empty} == {name: full[name].schema for name in full}
    assert all(len(part) == 0 for part in empty.values())
