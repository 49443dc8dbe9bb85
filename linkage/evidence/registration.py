"""Registration: accounts created close together, with the same kind of mail address and country.

A burst becomes values that accounts can share: windows of creation time, alone and together with the
mail domain. Each width is laid twice, the second time half a width later, so two accounts closer than
half a width always share a window. How many accounts share a window is its popularity: a window on a
quiet day is worth more than one on a launch day. Weak for classes, hackathons and launches.

A whole group is scanned besides: the span of time in which improbably many of its accounts were created, against
the rate at which everybody else signed up then (Kulldorff 1997, "A spatial scan statistic",
doi:10.1080/03610929708831995; here the binomial tail of the best span, times the number of spans).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import binom

from linkage.evidence.nulls import TESTED_ACCOUNTS, Codes, chance_bits, found_frame, group_codes, none_found
from linkage.evidence.shared import USE_EVIDENCE, evidence_of_kinds
from linkage.settings import EvidenceSettings
from linkage.terms import HOUR_MS, make_frame

WINDOW = "signup_window"
"""Kind of a creation window."""

MAIL_WINDOW = "signup_mail_window"
"""Kind of a creation window three times as wide, together with the mail domain."""

WIDE_MAIL_WINDOW = "signup_wide_mail_window"
"""Kind of a creation window ten times as wide, together with the mail domain."""

BURST = "signup_burst"
"""Kind of a span in which improbably many accounts of a group were created."""

LEAST_BURST = 3
"""Accounts that make a burst."""

MOST_BURST_MS = 14 * 24 * HOUR_MS
"""A longer span is no burst."""


def registration_evidence(uses: pd.DataFrame, accounts: pd.DataFrame, *, settings: EvidenceSettings) -> pd.DataFrame:
    """Mail domains and creation windows of each account.

    Parameters
    ----------
    uses : frame of shape ``USES``; its kind ``email_domain`` is taken.
    accounts : frame of shape ``ACCOUNTS``; accounts without ``created_at`` have no window.
    settings : ``signup_hours`` is the width of a window in hours.

    Returns
    -------
    DataFrame of shape ``USE_EVIDENCE``; a window's ``first_at`` and ``last_at`` are the account's creation.
    """
    known = accounts.loc[accounts["created_at"].notna()]
    mail = known.loc[known["email_domain"].notna()]
    label = mail["email_domain"].astype("str")
    parts = [
        evidence_of_kinds(uses, family="registration", kinds=("email_domain",)),
        *_windows(known, None, kind=WINDOW, width_h=settings.signup_hours),
        *_windows(mail, label, kind=MAIL_WINDOW, width_h=3 * settings.signup_hours),
        *_windows(mail, label, kind=WIDE_MAIL_WINDOW, width_h=10 * settings.signup_hours),
    ]
    return pd.concat(parts, ignore_index=True)


def _windows(accounts: pd.DataFrame, label: pd.Series[str] | None, *, kind: str, width_h: float) -> list[pd.DataFrame]:
    width_ms = max(int(width_h * HOUR_MS), 2)
    return [_grid(accounts, label, kind=kind, width_ms=width_ms, shift_ms=s) for s in (0, width_ms // 2)]


def _grid(
    accounts: pd.DataFrame, label: pd.Series[str] | None, *, kind: str, width_ms: int, shift_ms: int
) -> pd.DataFrame:
    """One row per account: the window of one grid its creation falls into, named by the window's start."""
    created = accounts["created_at"]
    at_ms = created.to_numpy(dtype="datetime64[ms]").astype(np.int64)
    start_ms = (at_ms - shift_ms) // width_ms * width_ms + shift_ms
    start = pd.Series(start_ms.astype("datetime64[ms]")).dt.strftime("%Y-%m-%dT%H:%M")
    value = start + f"/{width_ms // HOUR_MS}h"
    if label is not None:
        value = value + " " + label.reset_index(drop=True)
    columns = {
        "account_id": accounts["account_id"].array,
        "family": ["registration"] * len(accounts),
        "kind": [kind] * len(accounts),
        "value": value.array,
        "request_count": accounts["request_count"].array,
        "first_at": created.array,
        "last_at": created.array,
    }
    return make_frame(USE_EVIDENCE, columns)


def find_signup_bursts(groups: pd.DataFrame, *, accounts: pd.DataFrame) -> pd.DataFrame:
    """Accounts of a group that were created in one span in which others hardly signed up.

    Parameters
    ----------
    groups : frame of shape ``GROUPS``; of a large group, the ``TESTED_ACCOUNTS`` first created are looked at.
    accounts : frame of shape ``ACCOUNTS``; accounts without ``created_at`` are left out.

    Returns
    -------
    DataFrame of shape ``FOUND``: the family is ``registration``, both times are the creation of the account.
    O(accounts log accounts + spans of a group).
    """
    known = accounts.loc[accounts["created_at"].notna()].sort_values(["created_at", "account_id"], kind="stable")
    number = group_codes(groups, known["account_id"])
    at = known["created_at"].to_numpy(dtype="datetime64[ms]").astype(np.int64)
    tries = float(max(groups["group"].nunique(), 1))
    bits = np.zeros(len(known))
    for group in np.unique(number[number >= 0]):
        mine = np.flatnonzero(number == group)[:TESTED_ACCOUNTS]
        if len(mine) >= LEAST_BURST:
            first, last, worth = _best_span(at[mine], at[number != group], tries=tries)
            bits[mine[first : last + 1]] = worth
    columns = known[["account_id", "request_count"]]
    rows = columns.assign(group=number, bits=bits, first_at=known["created_at"], last_at=known["created_at"])
    return found_frame(rows, family="registration", kind=BURST) if len(rows) else none_found()


def _best_span(created: Codes, others: Codes, *, tries: float) -> tuple[int, int, float]:
    """Places of the first and last account of the most improbable span, and what it is worth in bits."""
    first, last = np.triu_indices(len(created), LEAST_BURST - 1)
    short = created[last] - created[first] <= MOST_BURST_MS
    first, last = first[short], last[short]
    if not len(first):
        return 0, -1, 0.0
    inside = np.searchsorted(others, created[last], side="right") - np.searchsorted(others, created[first], side="left")
    width = (created[last] - created[first]) / max(float(created[-1] - created[0]), 1.0)
    # Where nobody else signed up, the span's share of the group's own lifetime keeps the rate above 0.
    rate = (inside + np.maximum(width, 0.05)) / (len(others) + 1.0)
    tail = binom.sf(last - first, len(created), np.minimum(rate, 1.0))
    best = int(np.argmin(tail))
    return int(first[best]), int(last[best]), float(chance_bits(tail[best], tries=tries * len(first)))
