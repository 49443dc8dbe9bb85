import numpy as np
import pandas as pd
import pytest
from group_frames import groups_of, hours_of, items_of

from linkage.evidence.nulls import FOUND, MOST_BITS
from linkage.evidence.rhythm import find_hand_overs, find_joint_pauses, find_passed_items, relate_groups
from linkage.terms import GROUP_RELATIONS, OTHER_ITEMS, check_frame, make_frame

MINUTE = 1 / 1440
WORKERS = [f"w{number:02d}" for number in range(12)]
STRANGERS = [f"s{number:02d}" for number in range(40)]


def _passes(
    givers: list[str], takers: list[str], *, gap: float, seed: int = 3, count: int = 60
) -> list[tuple[str, int, float]]:
    """Work that one account sends first and another so many days later, at working hours of ten days."""
    draw = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        giver, taker = givers[number % len(givers)], takers[(number * 5 + 1) % len(takers)]
        day = draw.integers(0, 10) + draw.uniform(0.4, 0.7)
        rows += [(giver, seed * 1000 + number, day), (taker, seed * 1000 + number, day + gap)]
    return rows


def hand_overs(groups: pd.DataFrame, **sent: pd.DataFrame) -> pd.DataFrame:
    return find_hand_overs(groups, passed=find_passed_items(groups, **sent))


def related_groups(groups: pd.DataFrame, **sent: pd.DataFrame) -> pd.DataFrame:
    return relate_groups(groups, passed=find_passed_items(groups, **sent))


def _every_hour(ids: list[str]) -> dict[str, np.ndarray]:
    return {account: np.ones(12 * 24) for account in ids}


def test_work_that_comes_back_within_minutes_is_handed_over() -> None:
    items = items_of(_passes(WORKERS, WORKERS, gap=2 * MINUTE))
    found = hand_overs(groups_of(WORKERS), items=items, hours=hours_of(_every_hour(WORKERS)))
    check_frame(found, FOUND, name="found")
    assert sorted(found["account_id"]) == WORKERS
    assert set(found["family"]) == {"rhythm"}
    assert found["bits"].between(4, MOST_BITS).all()


@pytest.mark.parametrize("gap", [1 / 24, 1.0, 3.0])
def test_work_that_comes_back_later_is_not(gap: float) -> None:
    items = items_of(_passes(WORKERS, WORKERS, gap=gap))
    assert hand_overs(groups_of(WORKERS), items=items, hours=hours_of(_every_hour(WORKERS))).empty


def test_accounts_that_work_on_one_day_only_hand_nothing_over() -> None:
    rows = [(account, item, 3.5 + gap) for account, item, gap in _one_day_passes()]
    one_day = {account: np.arange(12 * 24) // 24 == 3 for account in WORKERS}
    assert hand_overs(groups_of(WORKERS), items=items_of(rows), hours=hours_of(one_day)).empty


def _one_day_passes() -> list[tuple[str, int, float]]:
    pairs = [(WORKERS[n % 12], WORKERS[(n + 1) % 12], n) for n in range(60)]
    return [row for giver, taker, n in pairs for row in ((giver, n, n * MINUTE), (taker, n, n * MINUTE + MINUTE))]


def test_a_popular_item_is_not_handed_over() -> None:
    items = items_of([*_passes(WORKERS, WORKERS, gap=MINUTE), *_passes(["s00"], ["s01"], gap=MINUTE)])
    popular = items_of([(account, int(item), 1.0) for item in set(items["item"]) for account in ("s02",)])
    both = items_of(
        [
            *zip(items["account_id"], items["item"], [1.0] * len(items), strict=True),
            *zip(popular["account_id"], popular["item"], [1.0] * len(popular), strict=True),
        ]
    )
    assert hand_overs(groups_of(WORKERS), items=both, hours=hours_of(_every_hour(WORKERS))).empty


def test_an_item_that_somebody_outside_of_groups_has_is_not_handed_over() -> None:
    items = items_of(_passes(WORKERS, WORKERS, gap=2 * MINUTE))
    sent = {"items": items, "hours": hours_of(_every_hour(WORKERS))}
    others = make_frame(OTHER_ITEMS, {"account_id": ["s02"] * len(items), "item": items["item"]})
    assert not hand_overs(groups_of(WORKERS), **sent, other_items=others.iloc[:4]).empty
    assert hand_overs(groups_of(WORKERS), **sent, other_items=others).empty
    listed = items_of([("s02", int(item), 1.0) for item in items["item"].unique()])
    sent["items"] = pd.concat([items, listed], ignore_index=True)
    assert hand_overs(groups_of(WORKERS), **sent).empty


def test_a_newcomer_who_hands_nothing_over_is_not_named() -> None:
    items = items_of(_passes(WORKERS, WORKERS, gap=2 * MINUTE))
    ids = [*WORKERS, "x-newcomer"]
    found = hand_overs(groups_of(ids), items=items, hours=hours_of(_every_hour(ids)))
    assert "x-newcomer" not in set(found["account_id"])


def test_cells_fed_from_one_queue_are_related_and_others_are_not() -> None:
    left, right, apart = WORKERS[:6], WORKERS[6:], STRANGERS[:6]
    rows = [*_passes(left, right, gap=MINUTE), *_passes(apart, apart, gap=MINUTE, seed=4)]
    groups = groups_of(left, right, apart)
    related = related_groups(groups, items=items_of(rows), hours=hours_of(_every_hour([*WORKERS, *apart])))
    check_frame(related, GROUP_RELATIONS, name="related")
    assert related[["group_a", "group_b", "hand_overs"]].to_numpy().tolist() == [[0, 1, 60]]
    assert related["bits"].iloc[0] == MOST_BITS


@pytest.mark.parametrize(("late", "related"), [(20, 1), (120, 0)])
def test_groups_that_hand_on_little_of_what_they_could_are_not_fed_from_one_queue(late: int, related: int) -> None:
    """Forty hand-overs, more than chance gives in both cases, beside work that comes on another day."""
    left, right = WORKERS[:6], WORKERS[6:]
    soon = _passes(left, right, gap=MINUTE, count=40)
    later = _passes(left, right, gap=1 + MINUTE, seed=5, count=late)
    hours = hours_of(_every_hour(WORKERS))
    passed = find_passed_items(groups_of(left, right), items=items_of([*soon, *later]), hours=hours)
    assert passed["soon"].sum() == 40
    assert len(passed) == 40 + late
    assert passed["chance"].mean() * len(passed) < 28
    assert len(relate_groups(groups_of(left, right), passed=passed)) == related


def _crowd(draw: np.random.Generator) -> dict[str, np.ndarray]:
    """People with hours and days of their own."""
    day = np.arange(14 * 24) // 24
    crowd = {}
    for account in STRANGERS:
        middle, days = draw.uniform(8, 20), draw.random(14) < 0.7
        gap = np.abs((np.arange(14 * 24) % 24 - middle + 12) % 24 - 12)
        crowd[account] = (draw.random(14 * 24) < 0.8 * (gap < 5)) & days[day]
    return crowd


def _crew(draw: np.random.Generator, *, joint: bool) -> dict[str, np.ndarray]:
    """Accounts of even work whose pauses are the same, or everybody's own."""
    shared = draw.random(14 * 24) < 0.6
    return {w: (shared if joint else draw.random(14 * 24) < 0.6) & (draw.random(14 * 24) < 0.8) for w in WORKERS}


def test_accounts_that_pause_together_are_named_and_the_crowd_is_not() -> None:
    draw = np.random.default_rng(11)
    hours = hours_of({**_crowd(draw), **_crew(draw, joint=True)})
    found = find_joint_pauses(groups_of(WORKERS, STRANGERS[:12]), hours=hours, seed=1)
    check_frame(found, FOUND, name="found")
    assert sorted(found["account_id"]) == WORKERS


def test_accounts_of_the_same_volume_that_pause_apart_are_not() -> None:
    draw = np.random.default_rng(12)
    hours = hours_of({**_crowd(draw), **_crew(draw, joint=False)})
    assert find_joint_pauses(groups_of(WORKERS), hours=hours, seed=1).empty


def test_the_same_office_hours_are_no_joint_pauses() -> None:
    draw = np.random.default_rng(13)
    clock = np.arange(14 * 24) % 24
    office = {w: (clock >= 9) & (clock < 17) & (draw.random(14 * 24) < 0.7) for w in WORKERS}
    assert find_joint_pauses(groups_of(WORKERS), hours=hours_of({**_crowd(draw), **office}), seed=1).empty


def test_a_day_that_all_share_is_no_joint_pause() -> None:
    draw = np.random.default_rng(14)
    deadline = np.isin(np.arange(14 * 24) // 24, [1, 2, 9, 10])
    students = {w: deadline & (draw.random(14 * 24) < 0.5) for w in WORKERS}
    assert find_joint_pauses(groups_of(WORKERS), hours=hours_of({**_crowd(draw), **students}), seed=1).empty


def test_an_outage_of_everybody_is_no_joint_pause() -> None:
    draw = np.random.default_rng(15)
    down = np.isin(np.arange(14 * 24), np.arange(100, 108))
    everybody = {**_crowd(draw), **_crew(draw, joint=False)}
    hours = hours_of({account: mask & ~down for account, mask in everybody.items()})
    assert find_joint_pauses(groups_of(WORKERS), hours=hours, seed=1).empty


def test_the_same_seed_gives_the_same_bits() -> None:
    draw = np.random.default_rng(16)
    hours = hours_of({**_crowd(draw), **_crew(draw, joint=True)})
    first = find_joint_pauses(groups_of(WORKERS), hours=hours, seed=5)
    assert first.equals(find_joint_pauses(groups_of(WORKERS), hours=hours, seed=5))


def test_nothing_in_finds_nothing() -> None:
    none = make_frame({"account_id": "str", "group": "int64"})
    empty = hours_of({})
    assert find_joint_pauses(none, hours=empty, seed=1).empty
    assert hand_overs(none, items=items_of([]), hours=empty).empty
    assert related_groups(none, items=items_of([]), hours=empty).empty
