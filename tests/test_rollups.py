"""Rollups: counts per account and day that merge in any order."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from linkage.intake.batches import REQUEST_TYPES
from linkage.intake.rollups import DAY_MS, merge_rollups, roll_up

BLANK: dict[str, Any] = dict.fromkeys(REQUEST_TYPES)


def table(*rows: dict[str, Any]) -> Any:
    made = [{**BLANK, "key": at, "content": at, "account_id": 1, "at_ms": 0, **row} for at, row in enumerate(rows)]
    return pa.Table.from_pylist(made, schema=pa.schema(dict(REQUEST_TYPES)))


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


def test_parts_merge_to_the_rollups_of_the_whole_in_any_order() -> None:
    rows = [
        {"account_id": at % 3, "at_ms": at * 20_000_000, "ip_id": at % 2 or None, "input_tokens": at, "key": at}
        for at in range(40)
    ]
    whole = roll_up(table(*rows))
    parts = [roll_up(table(*rows[:7])), roll_up(table(*rows[7:8])), roll_up(table(*rows[8:]))]
    for order in (parts, parts[::-1]):
        merged = merge_rollups(order)
        assert {name: values(merged, name) for name in merged} == {name: values(whole, name) for name in whole}


def test_no_requests_give_empty_tables_of_the_same_columns() -> None:
    empty, full = roll_up(table()), roll_up(table({"ip_id": 7}))
    assert {name: empty[name].schema for name in empty} == {name: full[name].schema for name in full}
    assert all(len(part) == 0 for part in empty.values())
