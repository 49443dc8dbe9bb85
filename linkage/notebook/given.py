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

_WINDOW: Final = re.compile(r"(\d+)\s*d?")


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

    Raises
    ------
    UsageError : not a time.

    Examples
    --------
    >>> given_moment("1970-01-02")
    86400000
    """
    try:
        stamp = as_utc(moment)
    except (ValueError, TypeError) as error:
        raise UsageError(f"wanted a time such as 2026-11-20T00:00Z; got {moment!r}. Write it so") from error
    return int(stamp.timestamp() * 1000)


def given_days(window: str | int) -> int:
    """A number of days, as ``30d``, ``30`` or the number itself.

    Raises
    ------
    UsageError : not a whole number of at least one day.

    Examples
    --------
    >>> given_days("30d"), given_days(7)
    (30, 7)
    """
    match = _WINDOW.fullmatch(str(window).strip().lower())
    if not match or int(match[1]) < 1:
        raise UsageError(f"window: wanted a number of days such as 30d; got {window!r}. Write it so")
    return int(match[1])
