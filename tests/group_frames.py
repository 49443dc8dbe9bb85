"""Frames for the tests of patterns that only show in a group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from linkage.terms import ACCOUNTS, CONDUCT, EVIDENCE, GROUPS, HOURS, ITEMS, make_frame

START = pd.Timestamp("2026-03-02", tz="UTC")


def at(days: Iterable[float]) -> pd.Series[pd.Timestamp]:
    """Times so many days after the start."""
    return pd.Series([START + pd.Timedelta(days=float(day)) for day in days], dtype="datetime64[ms, UTC]")


def groups_of(*members: Sequence[str]) -> pd.DataFrame:
    """Candidate groups, numbered in this order."""
    rows = [(account, number) for number, ids in enumerate(members) for account in ids]
    return make_frame(GROUPS, {"account_id": [row[0] for row in rows], "group": [row[1] for row in rows]})


def items_of(rows: Sequence[tuple[str, int, float]]) -> pd.DataFrame:
    """Items from rows of account, item and day."""
    columns: dict[str, Any] = {"account_id": [row[0] for row in rows], "item": [row[1] for row in rows]}
    return make_frame(ITEMS, {**columns, "first_at": at(row[2] for row in rows)})


def hours_of(at_work: dict[str, np.ndarray[Any, Any]]) -> pd.DataFrame:
    """Hours from account id to a mask of hours after the start."""
    rows = [(account, int(hour)) for account, mask in at_work.items() for hour in np.flatnonzero(mask)]
    columns: dict[str, Any] = {"account_id": [row[0] for row in rows], "request_count": [1] * len(rows)}
    return make_frame(HOURS, {**columns, "hour_at": at(row[1] / 24 for row in rows)})


def accounts_of(rows: Sequence[tuple[str, float, float, float]], *, requests: int = 30) -> pd.DataFrame:
    """Accounts from rows of id and the days of creation, first and last request."""
    columns: dict[str, Any] = {"account_id": [row[0] for row in rows], "request_count": [requests] * len(rows)}
    times = {
        name: at(row[place] for row in rows) for place, name in enumerate(("created_at", "first_at", "last_at"), 1)
    }
    return make_frame(ACCOUNTS, {**columns, **times}).sort_values("account_id", ignore_index=True)


def conduct_of(templated: dict[str, int]) -> pd.DataFrame:
    """Conduct of accounts with so many templated requests."""
    counts = list(templated.values())
    return make_frame(CONDUCT, {"account_id": list(templated), "request_count": counts, "templated_count": counts})


def no_evidence() -> pd.DataFrame:
    """No shared values at all."""
    return make_frame(EVIDENCE)
