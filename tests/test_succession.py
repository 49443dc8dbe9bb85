import numpy as np
from group_frames import accounts_of, groups_of

from linkage.evidence.nulls import FOUND, MOST_BITS
from linkage.evidence.succession import GAP_MS, _following, find_replacements
from linkage.terms import HOUR_MS, check_frame

Row = tuple[str, float, float, float]


def _crowd(seed: int, *, count: int = 300) -> list[Row]:
    """People who come at any time of thirty days and stay for a while."""
    draw = np.random.default_rng(seed)
    first = draw.uniform(0, 27, count)
    last = np.minimum(first + draw.exponential(10, count), 30)
    return [(f"s{n:03d}", -100.0, float(a), float(b)) for n, (a, b) in enumerate(zip(first, last, strict=True))]


def _banned(day: float, *, gap: float) -> list[Row]:
    """Eight accounts that end at one time, and eight that start so many days later."""
    old = [(f"w{n:02d}", -5.0, 0.1 * n, day + 0.001 * n) for n in range(8)]
    new = [(f"w{n + 8:02d}", -5.0, day + gap + 0.01 * n, 30.0) for n in range(8)]
    return [*old, *new]


def _found(rows: list[Row], *, seed: int = 1) -> list[str]:
    accounts = accounts_of([*rows, *_crowd(seed)])
    found = find_replacements(groups_of([row[0] for row in rows]), accounts=accounts)
    check_frame(found, FOUND, name="found")
    assert found["bits"].le(MOST_BITS).all()
    return sorted(found["account_id"])


def test_accounts_replaced_within_a_day_are_found_with_their_replacements() -> None:
    rows = _banned(12.0, gap=0.1)
    assert _found(rows) == sorted(row[0] for row in rows)


def test_accounts_that_start_a_week_later_replace_nobody() -> None:
    assert _found(_banned(12.0, gap=7.0)) == []


def test_a_course_that_comes_and_goes_together_has_no_replacements() -> None:
    draw = np.random.default_rng(4)
    rows = [(f"w{n:02d}", 9.0, float(draw.uniform(10, 11.5)), float(draw.uniform(10.5, 12))) for n in range(16)]
    assert _found([row for row in rows if row[2] < row[3]]) == []


def test_ordinary_churn_is_no_succession() -> None:
    crowd = _crowd(7)
    for seed in range(8):
        chosen = np.random.default_rng(seed).choice(len(crowd), 30, replace=False)
        assert find_replacements(groups_of([crowd[n][0] for n in chosen]), accounts=accounts_of(crowd)).empty


def test_a_member_who_stays_is_not_named() -> None:
    assert "w-stays" not in _found([*_banned(12.0, gap=0.1), ("w-stays", -5.0, 0.0, 30.0)])


def test_nothing_in_finds_nothing() -> None:
    assert find_replacements(groups_of(), accounts=accounts_of([])).empty


def test_starts_after_an_end_are_counted_as_one_by_one() -> None:
    draw = np.random.default_rng(7)
    starts = np.sort(draw.integers(0, 60, 200)) * HOUR_MS
    ends = np.sort(draw.integers(0, 40, 12)) * 3 * HOUR_MS
    one_by_one = [any(0 < start - end <= GAP_MS for end in ends) for start in starts]
    assert 0 < sum(one_by_one) < len(starts)
    assert _following(starts, ends) == sum(one_by_one)
