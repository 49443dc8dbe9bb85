from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from group_frames import accounts_of, groups_of
from linking_frames import World

from linkage.evidence.nulls import MOST_BITS
from linkage.evidence.registration import (
    MAIL_WINDOW,
    WIDE_MAIL_WINDOW,
    WINDOW,
    find_signup_bursts,
    registration_evidence,
)
from linkage.settings import EvidenceSettings

SETTINGS = EvidenceSettings(signup_hours=24.0)


def windows(days: dict[str, float], kind: str, mail: dict[str, str] | None = None) -> dict[str, set[str]]:
    world = World(seed=3)
    for name, day in days.items():
        world.add(name, values={}, created_day=day, mail=(mail or {}).get(name, "gmail.com"))
    frames = world.frames()
    rows = registration_evidence(frames["uses"], frames["accounts"], settings=SETTINGS)
    rows = rows.loc[rows["kind"] == kind]
    return {str(name): set(group) for name, group in rows.groupby("account_id")["value"]}


@pytest.mark.parametrize("start", [10.0, 10.3, 10.49, 10.77])
def test_accounts_closer_than_half_a_width_share_a_window(start: float) -> None:
    found = windows({"a": start, "b": start + 0.49}, WINDOW)
    assert found["a"] & found["b"]


def test_accounts_a_width_apart_share_no_window() -> None:
    found = windows({"a": 10.0, "b": 11.01}, WINDOW)
    assert not found["a"] & found["b"]


def test_another_mail_domain_is_another_mail_window() -> None:
    mail = {"a": "gmail.com", "b": "gmail.com", "c": "other.example"}
    found = windows({"a": 10.1, "b": 10.2, "c": 10.15}, MAIL_WINDOW, mail)
    assert found["a"] & found["b"]
    assert not found["a"] & found["c"]


def test_an_account_without_creation_time_has_no_window() -> None:
    world = World(seed=4)
    world.add("a", values={}, created_day=10)
    frames = world.frames()
    frames["accounts"]["created_at"] = pd.Series([pd.NaT], dtype="datetime64[ms, UTC]")
    rows = registration_evidence(frames["uses"], frames["accounts"], settings=SETTINGS)
    assert set(rows["kind"]) == {"email_domain"}


def test_every_account_lies_in_two_windows_of_each_kind() -> None:
    days = {name: float(day) for name, day in zip("abcdef", itertools.count(), strict=False)}
    for kind in (WINDOW, MAIL_WINDOW, WIDE_MAIL_WINDOW):
        assert {len(values) for values in windows(days, kind).values()} == {2}


def _dates(count: int, *, seed: int, until: float = 360.0) -> list[tuple[str, float, float, float]]:
    draw = np.random.default_rng(seed)
    return [(f"s{n:03d}", float(day), 370.0, 380.0) for n, day in enumerate(draw.uniform(0, until, count))]


def test_a_burst_of_sign_ups_is_found_and_the_sleeper_beside_it_is_not_named() -> None:
    burst = [(f"w{n}", 200.0 + 0.02 * n, 370.0, 380.0) for n in range(8)]
    rows = [*burst, ("w-aged", 20.0, 370.0, 380.0)]
    accounts = accounts_of([*rows, *_dates(300, seed=1)])
    found = find_signup_bursts(groups_of([row[0] for row in rows]), accounts=accounts)
    assert sorted(found["account_id"]) == [row[0] for row in burst]
    assert found["bits"].le(MOST_BITS).all()


def test_sign_ups_at_the_rate_of_everybody_are_no_burst() -> None:
    rows = _dates(300, seed=2)
    for seed in range(5):
        chosen = np.random.default_rng(seed).choice(300, 12, replace=False)
        assert find_signup_bursts(groups_of([rows[n][0] for n in chosen]), accounts=accounts_of(rows)).empty


def test_a_launch_day_of_everybody_is_no_burst() -> None:
    launch = [(f"l{n:03d}", 100.0 + 0.003 * n, 370.0, 380.0) for n in range(300)]
    rows = [*_dates(100, seed=3), *launch]
    mine = [row[0] for row in launch[::30]]
    assert find_signup_bursts(groups_of(mine), accounts=accounts_of(rows)).empty


def test_accounts_of_unknown_creation_make_no_burst() -> None:
    accounts = accounts_of(_dates(30, seed=4)).assign(created_at=pd.Series([pd.NaT] * 30, dtype="datetime64[ms, UTC]"))
    assert find_signup_bursts(groups_of(list(accounts["account_id"][:9])), accounts=accounts).empty
