from __future__ import annotations

import itertools

import pandas as pd
import pytest
from linking_frames import World

from linkage.evidence.registration import MAIL_WINDOW, WIDE_MAIL_WINDOW, WINDOW, registration_evidence
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
