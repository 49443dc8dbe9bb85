"""Patterns of groups: what must hold for any items, hours and groups."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage.evidence.nulls import MOST_BITS, chance_bits
from linkage.evidence.rhythm import find_hand_overs, find_joint_pauses, find_passed_items, relate_groups
from linkage.terms import GROUPS, HOURS, ITEMS, make_frame

START = pd.Timestamp("2026-03-02", tz="UTC")
NAMES = [f"a{number:02d}" for number in range(8)]
SENT = st.tuples(st.integers(0, 7), st.integers(0, 30), st.integers(0, 9), st.integers(0, 30))


def _items(rows: list[tuple[int, int, int, int]]) -> pd.DataFrame:
    """One row per account and item: sent on a day of ten, at noon and so many minutes."""
    first = {(account, item): (day, minute) for account, item, day, minute in rows}
    at = [START + pd.Timedelta(days=day, hours=12, minutes=minute) for day, minute in first.values()]
    columns = {"account_id": [NAMES[key[0]] for key in first], "item": [key[1] for key in first]}
    return make_frame(ITEMS, {**columns, "first_at": at})


def _hours(mask: np.ndarray) -> pd.DataFrame:
    account, hour = np.nonzero(mask)
    columns = {"account_id": [NAMES[a] for a in account], "request_count": [1] * len(account)}
    return make_frame(HOURS, {**columns, "hour_at": [START + pd.Timedelta(hours=int(h)) for h in hour]})


def _groups(split: int) -> pd.DataFrame:
    return make_frame(GROUPS, {"account_id": NAMES, "group": [int(n >= split) for n in range(len(NAMES))]})


ALWAYS = _hours(np.ones((8, 240), dtype=bool))


@settings(max_examples=40, deadline=None)
@given(st.lists(SENT, max_size=80), st.integers(1, 7), st.randoms(use_true_random=False))
def test_the_order_of_items_changes_no_hand_over(
    rows: list[tuple[int, int, int, int]], split: int, order: object
) -> None:
    items = _items(rows)
    shuffled = items.sample(frac=1, random_state=order.randrange(2**31)).reset_index(drop=True)  # type: ignore[attr-defined]
    for find in (find_hand_overs, relate_groups):
        passed = (find_passed_items(_groups(split), items=frame, hours=ALWAYS) for frame in (items, shuffled))
        first, second = (find(_groups(split), passed=frame) for frame in passed)
        assert first.equals(second)


@settings(max_examples=40, deadline=None)
@given(st.lists(SENT, max_size=80), st.integers(1, 7))
def test_hand_overs_are_bounded_and_name_only_accounts_with_items(
    rows: list[tuple[int, int, int, int]], split: int
) -> None:
    items = _items(rows)
    groups = _groups(split)
    found = find_hand_overs(groups, passed=find_passed_items(groups, items=items, hours=ALWAYS))
    assert found["bits"].between(0, MOST_BITS).all()
    assert set(found["account_id"]) <= set(items["account_id"])
    assert not found.duplicated("account_id").any()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 7))
def test_joint_pauses_are_bounded_and_name_an_account_once(seed: int, split: int) -> None:
    mask = np.random.default_rng(seed).random((8, 240)) < 0.5
    found = find_joint_pauses(_groups(split), hours=_hours(mask), seed=1)
    assert found["bits"].le(MOST_BITS).all()
    assert not found.duplicated("account_id").any()


@given(st.floats(0, 1), st.floats(0, 1), st.floats(1, 1e6))
def test_a_smaller_chance_is_never_worth_less(one: float, other: float, tries: float) -> None:
    low, high = sorted((one, other))
    assert chance_bits(low, tries=tries) >= chance_bits(high, tries=tries)
    assert chance_bits(low, tries=tries) <= chance_bits(low)
