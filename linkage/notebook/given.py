"""What people may hand in, read into what the library works with."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from os import PathLike
from typing import Any, Final

import pandas as pd

from linkage.errors import UsageError
from linkage.outputs.tables import as_utc
from linkage.settings import Settings, read_settings, settings_from

AnyPath = str | PathLike[str]
AnySettings = Settings | Mapping[str, Any] | AnyPath
Moment = str | dt.datetime | pd.Timestamp

_WINDOW: Final = re.compile(r"(\d{1,9})\s*d?")
_MOST_DAYS: Final = 36_500  # a century: before the first log there is
_DAY_AHEAD: Final = re.compile(r"\s*\d{4}(?:-\d\d-\d\d|\d{4})(?!\d)", re.ASCII)
"""How a written time begins; pandas would also read ``5`` (of which month?), ``03/04/2026`` and ``12:00`` (today)."""

_SEEDS: Final = 2**63


def given_settings(given: AnySettings | None) -> Settings:
    """Settings from a file where a path is given, or from single values by section; None: the defaults.

    Examples
    --------
    >>> given_settings({"run": {"keep_runs": 10}}).run.keep_runs
    10
    """
    if isinstance(given, Settings):
        return given
    if isinstance(given, Mapping):
        return settings_from(given)
    return Settings() if given is None else read_settings(given)


def given_moment(moment: Moment) -> int:
    """A time as UTC epoch milliseconds; without a zone it is taken as UTC.

    Parameters
    ----------
    moment : text begins with its whole date, as ISO 8601 has it.

    Raises
    ------
    UsageError : not a time.

    Examples
    --------
    >>> given_moment("1970-01-02")
    86400000
    """
    told = f"wanted a time such as 2026-11-20T00:00Z; got {moment!r}. Write it so"
    if isinstance(moment, str) and not _DAY_AHEAD.match(moment):
        raise UsageError(told)
    try:
        stamp = as_utc(moment)
        if pd.isna(stamp):
            raise UsageError(told)
        # Not by way of a float, which takes some milliseconds for the one before.
        return int(stamp.as_unit("ms").asm8.astype("int64"))
    except (ValueError, TypeError, OverflowError) as error:
        raise UsageError(told) from error


def given_days(window: str | int) -> int:
    """A number of days, as ``30d``, ``30`` or the number itself.

    Raises
    ------
    UsageError : not a whole number of days, from one to a century.

    Examples
    --------
    >>> given_days("30d"), given_days(7)
    (30, 7)
    """
    match = _WINDOW.fullmatch(str(window).strip().lower())
    if not match or not 1 <= int(match[1]) <= _MOST_DAYS:
        raise UsageError(
            f"window: wanted a number of days such as 30d, at most {_MOST_DAYS:,}; got {str(window)[:40]!r}. "
            "Write it so"
        )
    return int(match[1])


def given_seed(seed: int) -> int:
    """A seed of random draws.

    Raises
    ------
    UsageError : a number below 0, or one that a store cannot keep.

    Examples
    --------
    >>> given_seed(7)
    7
    """
    if not 0 <= seed < _SEEDS:
        raise UsageError(f"seed: wanted a whole number from 0, below 2**63; got {seed!r}. Choose another")
    return int(seed)
