"""Registration: accounts created close together, with the same kind of mail address and country.

A burst becomes values that accounts can share: windows of creation time, alone and together with the
mail domain. Each width is laid twice, the second time half a width later, so two accounts closer than
half a width always share a window. How many accounts share a window is its popularity: a window on a
quiet day is worth more than one on a launch day. Weak for classes, hackathons and launches.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from linkage.evidence.shared import USE_EVIDENCE, evidence_of_kinds
from linkage.settings import EvidenceSettings
from linkage.terms import HOUR_MS, make_frame

WINDOW = "signup_window"
"""Kind of a creation window."""

MAIL_WINDOW = "signup_mail_window"
"""Kind of a creation window three times as wide, together with the mail domain."""

WIDE_MAIL_WINDOW = "signup_wide_mail_window"
"""Kind of a creation window ten times as wide, together with the mail domain."""


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
