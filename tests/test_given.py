"""What people may hand in: times, windows and seeds, in every form they are written."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from linkage.errors import UsageError
from linkage.notebook.given import given_days, given_moment, given_seed

NOON_MS = 1_795_521_600_000


@pytest.mark.parametrize(
    "moment",
    [
        "2026-11-24T12:00Z",
        "2026-11-24 12:00",
        " 2026-11-24T12:00:00.000 ",
        "20261124T120000Z",
        "2026-11-24T14:00:00+02:00",
        dt.datetime(2026, 11, 24, 12),
        dt.datetime(2026, 11, 24, 14, tzinfo=dt.timezone(dt.timedelta(hours=2))),
        pd.Timestamp("2026-11-24T12:00", tz="UTC"),
    ],
)
def test_a_time_is_the_same_in_every_form(moment: str | dt.datetime) -> None:
    assert given_moment(moment) == NOON_MS


def test_no_millisecond_is_lost() -> None:
    for ms in range(1_000):
        assert given_moment(f"2026-11-24T12:00:00.{ms:03}Z") == NOON_MS + ms
    assert given_moment("2038-10-26T06:30:29.812Z") == 2_171_687_429_812, "by way of a float it is one less"


@pytest.mark.parametrize(
    "moment",
    [
        *("", " ", "NaT", "now", "today", "5", "12:00", "03/04/2026", "24.11.2026", "Nov 24 2026", "2026"),
        *("2026-13-01", "2026-11-31", "1795499548", "1795499548104", "99999-01-01", "2026-11-24T25:00"),
        *("2026-11-24 noon", "last tuesday"),
    ],
)
def test_what_is_no_whole_time_is_refused_and_no_clock_is_asked(moment: str) -> None:
    with pytest.raises(UsageError, match="wanted a time such as 2026-11-20T00:00Z"):
        given_moment(moment)
    with pytest.raises(UsageError):
        given_moment(pd.NaT)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "window", ["", "d", "0", "0d", "-3d", "1.5d", "2w", "12h", "soon", "36501d", "9" * 5_000, "3 0d"]
)
def test_a_window_is_a_number_of_days_of_at_most_a_century(window: str) -> None:
    assert (given_days(" 30 D "), given_days(7), given_days("36500d")) == (30, 7, 36_500)
    with pytest.raises(UsageError, match="window: wanted a number of days such as 30d"):
        given_days(window)


@pytest.mark.parametrize("seed", [-1, 2**63, -(2**70)])
def test_a_seed_is_a_number_that_a_store_can_keep(seed: int) -> None:
    assert (given_seed(0), given_seed(2**63 - 1)) == (0, 2**63 - 1)
    with pytest.raises(UsageError, match="seed: wanted a whole number from 0"):
        given_seed(seed)
