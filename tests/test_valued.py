"""Values of a run are told once, with the figures that links and shared values have of them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from linkage.store.valued import VALUE_COLUMNS, number_values
from linkage.terms import EVIDENCE, LINK_EVIDENCE, make_frame


def at(*minutes: int | None) -> list[Any]:
    return [None if minute is None else pd.Timestamp(minute, unit="m", tz="UTC") for minute in minutes]


LINKS = make_frame(
    LINK_EVIDENCE,
    {
        "account_a": ["a"] * 5,
        "account_b": ["b", "b", "c", "c", "d"],
        "family": ["network", "conduct", "network", "payment", "network"],
        "kind": ["ip", "habits", "ip", "payment", "ip"],
        "value": ["192.0.2.9", "closest", "192.0.2.10", "192.0.2.9", "192.0.2.9"],
        "accounts": [3, 0, 2, 2, 3],
        "unrelated_accounts": [1, 0, 0, 0, 1],
        "bits": [9.0, 1.0, 10.0, 10.0, 9.0],
        "first_at": at(1, None, 2, 3, 1),
        "last_at": at(5, None, 6, 7, 5),
    },
)
SHARED = make_frame(
    EVIDENCE,
    {
        "account_id": list("abac"),
        "family": ["network"] * 4,
        "kind": ["ip", "ip", "ip_prefix", "ip"],
        "value": ["192.0.2.9", "192.0.2.9", "192.0.2.0/24", "192.0.2.9"],
        "request_count": [1, 2, 3, 4],
        "first_at": at(1, 2, 3, 4),
        "last_at": at(1, 2, 3, 4),
        "accounts": [3, 3, 9, 4],
        "unrelated_accounts": [1, 1, 2, 1],
    },
)
UNTIMED = [*VALUE_COLUMNS[:5]]


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({name: frame[name].astype(object) for name in frame})


def test_each_row_finds_its_value_and_figures() -> None:
    table, of_links, of_shared = number_values(LINKS, SHARED)
    pd.testing.assert_frame_equal(plain(table.take(of_links).reset_index(drop=True)), plain(LINKS[list(VALUE_COLUMNS)]))
    pd.testing.assert_frame_equal(plain(table[UNTIMED].take(of_shared).reset_index(drop=True)), plain(SHARED[UNTIMED]))


def test_values_ascend_and_each_is_there_once() -> None:
    table, of_links, of_shared = number_values(LINKS, SHARED)
    told = list(zip(table["kind"], table["value"], table["accounts"], strict=True))
    assert told == [
        ("habits", "closest", 0),
        ("ip", "192.0.2.10", 2),
        ("ip", "192.0.2.9", 3),
        ("ip", "192.0.2.9", 4),
        ("ip_prefix", "192.0.2.0/24", 9),
        ("payment", "192.0.2.9", 2),
    ]
    assert of_links[0] == of_links[4] == of_shared[0] == 2, (
        "what links and uses name with the same figures is told once"
    )
    assert table["first_at"].isna().tolist() == [True, False, False, True, True, False]


def test_other_times_of_one_value_are_another_value() -> None:
    later = LINKS.assign(first_at=LINKS["first_at"] + pd.to_timedelta([0, 0, 0, 0, 1], unit="m"))
    table, of_links, _ = number_values(later, SHARED)
    assert len(table) == 7
    pd.testing.assert_frame_equal(plain(table.take(of_links).reset_index(drop=True)), plain(later[list(VALUE_COLUMNS)]))


def test_nothing_has_no_value() -> None:
    table, of_links, of_shared = number_values(LINKS.iloc[:0], SHARED.iloc[:0])
    assert (list(table), len(table), len(of_links), len(of_shared)) == (list(VALUE_COLUMNS), 0, 0, 0)
