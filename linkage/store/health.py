"""What is unusual about what came in: volume, fields that stopped coming, clocks that are wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Final

import pandas as pd

from linkage.settings import HealthSettings
from linkage.store.store import Database
from linkage.terms import DAY_MS, HOUR_MS, counted

_WHOLE_DAY_MS: Final = 22 * HOUR_MS  # a day whose last request is earlier may still be coming in
_LEAST_REQUESTS: Final = 50


@dataclasses.dataclass(frozen=True)
class Anomaly:
    """One thing that is unusual."""

    check: str
    """``volume``, ``coverage`` or ``clock``."""
    found: str


def newest_day(database: Database, settings: HealthSettings) -> int | None:
    """The newest day (since the epoch) that has requests, days of stray clocks left out; None: no request.

    One record from a machine whose clock stands at 2099 must not move a window away from all others. Stray are the
    last days when no request came for more than ``stray_gap_days`` before them, and they hold at most ``stray_share``.
    """
    volumes = database.query("day_volumes")
    return None if volumes.empty else int(volumes["day"].iloc[_sound_days(volumes, settings) - 1])


def find_stray(database: Database, settings: HealthSettings) -> Anomaly | None:
    """Requests so far behind all others that their clocks must be wrong; None: there are none."""
    return _stray(database.query("day_volumes"), settings)


def _stray(volumes: pd.DataFrame, settings: HealthSettings) -> Anomaly | None:
    stray = volumes.iloc[_sound_days(volumes, settings) :]
    if stray.empty:
        return None
    count = int(stray["requests"].sum())
    told = f"{counted(count, 'request')} {'lies' if count == 1 else 'lie'}"
    return Anomaly("clock", f"{told} far after all others, up to {_last_day(stray)}")


def find_ahead(database: Database, now_ms: int) -> Anomaly | None:
    """Requests of the future; None: there are none.

    Parameters
    ----------
    now_ms : UTC epoch milliseconds; an hour is allowed for clocks that go wrong a little.
    """
    volumes = database.query("day_volumes")
    late = volumes[volumes["last_at"] > pd.Timestamp(now_ms + HOUR_MS, unit="ms", tz="UTC")]
    if late.empty:
        return None
    return Anomaly("clock", f"requests carry times of the future, up to {late['last_at'].max():%Y-%m-%d %H:%M}")


def find_anomalies(database: Database, *, since_day: int, until_day: int, settings: HealthSettings) -> list[Anomaly]:
    """What is unusual about the last whole day of a window, and stray clocks; empty when nothing is.

    Parameters
    ----------
    since_day, until_day : days since the epoch, since inclusive, until exclusive.
    settings : from where on something is unusual.
    """
    volumes = database.query("day_volumes")
    inside = volumes[(volumes["day"] >= since_day) & (volumes["day"] < until_day)]
    found = [*_volume(inside, settings), *_coverage(database, inside, settings)]
    stray = _stray(volumes, settings)
    return [*found, stray] if stray else found


def _sound_days(volumes: pd.DataFrame, settings: HealthSettings) -> int:
    """How many of the days, from the first, are not stray."""
    total, beyond = sum(volumes["requests"].tolist()), 0
    for place in range(len(volumes) - 1, 0, -1):
        beyond += int(volumes["requests"].iloc[place])
        if beyond > settings.stray_share * total:
            break
        if volumes["day"].iloc[place] - volumes["day"].iloc[place - 1] > settings.stray_gap_days:
            return place
    return len(volumes)


def _last_whole(inside: pd.DataFrame) -> pd.DataFrame:
    """The days up to the last one that is over."""
    if inside.empty:
        return inside
    last = inside.iloc[-1]
    is_over = last["last_at"].timestamp() * 1000 - int(last["day"]) * DAY_MS >= _WHOLE_DAY_MS
    return inside if is_over else inside.iloc[:-1]


def _volume(inside: pd.DataFrame, settings: HealthSettings) -> Iterator[Anomaly]:
    days = _last_whole(inside)
    before = days["requests"].iloc[-settings.usual_days - 1 : -1]
    if len(before) < settings.least_days:
        return
    usual, last = float(before.median()), int(days["requests"].iloc[-1])
    if not usual / settings.volume_factor <= last <= usual * settings.volume_factor:
        yield Anomaly("volume", f"{counted(last, 'request')} on {_last_day(days)}; {usual:,.0f} are usual")


def _coverage(database: Database, inside: pd.DataFrame, settings: HealthSettings) -> Iterator[Anomaly]:
    days = _last_whole(inside)
    if len(days) <= settings.least_days or int(days["requests"].iloc[-1]) < _LEAST_REQUESTS:
        return
    last = int(days["day"].iloc[-1])
    table = database.query(
        "day_coverage", since_day=int(days["day"].iloc[-settings.usual_days - 1 :].iloc[0]), until_day=last + 1
    )
    table["share"] = table["present"] / table["total"]
    for field, rows in table.groupby("field", sort=True):
        usual = float(rows.loc[rows["day"] < last, "share"].median())
        share = float(rows.loc[rows["day"] == last, "share"].sum())
        if usual >= settings.least_coverage and share < settings.coverage_share * usual:
            told = f"{field} on {share:.0%} of the requests of {_last_day(days)}; {usual:.0%} are usual"
            yield Anomaly("coverage", told)


def _last_day(days: pd.DataFrame) -> str:
    return f"{pd.Timestamp(int(days['day'].iloc[-1]) * DAY_MS, unit='ms'):%Y-%m-%d}"
