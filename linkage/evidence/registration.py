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

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from linkage.arrays import Codes
from linkage.coding import of_runs, run_starts, stack_frames
from linkage.evidence.nulls import (
    TESTED_ACCOUNTS,
    binomial_tail,
    chance_bits,
    found_frame,
    group_codes,
    none_found,
    rows_by_group,
)
from linkage.evidence.shared import evidence_of_kinds
from linkage.settings import EvidenceSettings
from linkage.terms import HOUR_MS

WINDOW = "signup_window"
"""Kind of a creation window."""

MAIL_WINDOW = "signup_mail_window"
"""Kind of a wider creation window together with the mail domain."""

WIDE_MAIL_WINDOW = "signup_wide_mail_window"
"""Kind of the widest creation window together with the mail domain."""

WINDOW_WIDTHS: Final[Mapping[str, int]] = {WINDOW: 1, MAIL_WINDOW: 3, WIDE_MAIL_WINDOW: 10}
"""Kinds of creation windows, and how many ``signup_hours`` each is wide."""

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
    DataFrame of shape ``USE_EVIDENCE``, texts as categories; a window's ``first_at`` and ``last_at`` are the account's
    creation.
    """
    names = pd.CategoricalDtype(pd.Index(accounts["account_id"]))
    known = accounts.assign(account_id=accounts["account_id"].astype(names)).loc[accounts["created_at"].notna()]
    mail = known.loc[known["email_domain"].notna()]
    label = mail["email_domain"].astype("category")
    parts = [
        evidence_of_kinds(uses, family="registration"),
        *_windows(known, None, kind=WINDOW, settings=settings),
        *_windows(mail, label, kind=MAIL_WINDOW, settings=settings),
        *_windows(mail, label, kind=WIDE_MAIL_WINDOW, settings=settings),
    ]
    return stack_frames(parts)


def _windows(
    accounts: pd.DataFrame, label: pd.Series[Any] | None, *, kind: str, settings: EvidenceSettings
) -> list[pd.DataFrame]:
    width_ms = max(int(WINDOW_WIDTHS[kind] * settings.signup_hours * HOUR_MS), 2)
    return [_grid(accounts, label, kind=kind, width_ms=width_ms, shift_ms=s) for s in (0, width_ms // 2)]


def _grid(
    accounts: pd.DataFrame, label: pd.Series[Any] | None, *, kind: str, width_ms: int, shift_ms: int
) -> pd.DataFrame:
    """One row per account: the window of one grid its creation falls into, named by the window's start."""
    created = accounts["created_at"]
    at_ms = created.to_numpy(dtype="datetime64[ms]").astype(np.int64)
    start_ms = (at_ms - shift_ms) // width_ms * width_ms + shift_ms
    labels = 1 if label is None else max(len(label.cat.categories), 1)
    mark = 0 if label is None else label.cat.codes.to_numpy(dtype=np.int64)
    # Each name is spelt once: there are thousands of windows and a row for every account. Names ascend as windows do.
    code, found = pd.factorize((start_ms - start_ms.min(initial=0)) * labels + mark, sort=True)
    since_ms, marks = np.divmod(found, labels)
    heads = run_starts(since_ms)
    since = pd.Series((since_ms[heads] + start_ms.min(initial=0)).astype("datetime64[ms]"))
    start = since.dt.strftime("%Y-%m-%dT%H:%M").astype("str") + f"/{width_ms // HOUR_MS}h"
    value = start.take(of_runs(np.arange(len(heads)), heads, len(found))).reset_index(drop=True)
    if label is not None:
        value = value + " " + pd.Series(label.cat.categories.take(marks), dtype="str")
    columns = {
        "account_id": accounts["account_id"].array,
        "family": _repeated("registration", len(accounts)),
        "kind": _repeated(kind, len(accounts)),
        "value": pd.Categorical.from_codes(code, pd.Index(value)),
        "request_count": accounts["request_count"].array,
        "first_at": created.array,
        "last_at": created.array,
    }
    return pd.DataFrame(columns)


def _repeated(text: str, times: int) -> pd.Categorical[str]:
    return pd.Categorical.from_codes(np.zeros(times, dtype=np.int8), pd.Index([text]))


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
    created = accounts["created_at"].to_numpy(dtype="datetime64[ms]")
    everybody = np.sort(created[~np.isnat(created)].astype(np.int64))
    number = group_codes(groups, accounts["account_id"])
    is_asked = ~np.isnat(created) & (number >= 0)
    known = accounts.loc[is_asked, ["account_id", "request_count", "created_at"]].assign(group=number[is_asked])
    known = known.sort_values(["created_at", "account_id"], kind="stable")
    at = known["created_at"].to_numpy(dtype="datetime64[ms]").astype(np.int64)
    tries = float(max(groups["group"].nunique(), 1))
    bits = np.zeros(len(known))
    for _, whole in rows_by_group(known["group"].to_numpy()):
        mine = whole[:TESTED_ACCOUNTS]
        if len(mine) >= LEAST_BURST:
            first, last, worth = _best_span(at[mine], everybody, at[whole], tries=tries)
            bits[mine[first : last + 1]] = worth
    rows = known.assign(bits=bits, first_at=known["created_at"], last_at=known["created_at"])
    return found_frame(rows, family="registration", kind=BURST) if len(rows) else none_found()


def _best_span(created: Codes, everybody: Codes, whole: Codes, *, tries: float) -> tuple[int, int, float]:
    """Places of the first and last account of the most improbable span, and what it is worth in bits.

    Parameters
    ----------
    created : creations of the accounts that are looked at, in epoch milliseconds, ascending.
    everybody, whole : those of all accounts and of all of the group, ascending.
    """
    first, last = np.triu_indices(len(created), LEAST_BURST - 1)
    short = created[last] - created[first] <= MOST_BURST_MS
    first, last = first[short], last[short]
    if not len(first):
        return 0, -1, 0.0
    # Others are everybody less the group: so no group makes a list of all others.
    inside = _within(everybody, created[first], created[last]) - _within(whole, created[first], created[last])
    width = (created[last] - created[first]) / max(float(created[-1] - created[0]), 1.0)
    # Where nobody else signed up, the span's share of the group's own lifetime keeps the rate above 0.
    rate = (inside + np.maximum(width, 0.05)) / (len(everybody) - len(whole) + 1.0)
    tail = binomial_tail(last - first + 1, len(created), np.minimum(rate, 1.0))
    best = int(np.argmin(tail))
    return int(first[best]), int(last[best]), float(chance_bits(tail[best], tries=tries * len(first)))


def _within(times: Codes, since: Codes, until: Codes) -> Codes:
    """How many of the ascending times lie in each span, both ends included."""
    return np.searchsorted(times, until, side="right") - np.searchsorted(times, since, side="left")
