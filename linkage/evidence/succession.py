"""Succession: accounts of a group fall silent, and others of the group start soon after.

Two nulls, both must fail. **Population**: a start falls within a day after some end of the group as often as any
account's first request in the window does. **Reversal**: people who come and go together (a course, a launch) start
just before others end as often as just after; replacements start after. What is left of ordinary churn passes
neither. The reversal is the sign test of Dixon and Mood 1946, doi:10.1080/01621459.1946.10501898, on the nearest
end of each start.

Weak where accounts are replaced so often that some end lies before every hour, and for accounts of few requests,
whose last request is no end. That they do the same work is what made them candidates; it is not tested again here.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.arrays import Codes, Numbers
from linkage.evidence.nulls import binomial_tail, chance_bits, found_frame, group_codes, none_found, rows_by_group
from linkage.terms import DAY_MS

REPLACEMENT: Final = "replacement"
"""Kind of a replacement."""

GAP_MS: Final = DAY_MS
"""A replacement starts within a day."""

SILENT_MS: Final = 3 * DAY_MS
"""An account that was silent for the last three days of the window has ended."""

SETTLED_MS: Final = 2 * DAY_MS
"""First requests in the first two days of the window are no starts: the account may be older than the window."""

LEAST_REQUESTS: Final = 5
"""Requests below which a last or a first request says little."""

LEAST_REPLACEMENTS: Final = 3
"""One or two may be chance, whatever the nulls say."""


def find_replacements(groups: pd.DataFrame, *, accounts: pd.DataFrame) -> pd.DataFrame:
    """Accounts of a group that fell silent and were followed, and the ones that followed them.

    Parameters
    ----------
    groups : frame of shape ``GROUPS``.
    accounts : frame of shape ``ACCOUNTS``.

    Returns
    -------
    DataFrame of shape ``FOUND``: the family is ``succession``. O(accounts log accounts).
    """
    number = group_codes(groups, accounts["account_id"])
    if not (number >= 0).any():
        return none_found()
    first = accounts["first_at"].to_numpy(dtype="datetime64[ms]").astype(np.int64)
    last = accounts["last_at"].to_numpy(dtype="datetime64[ms]").astype(np.int64)
    busy = (accounts["request_count"] >= LEAST_REQUESTS).to_numpy(dtype=bool)
    starts = busy & (first >= first.min() + SETTLED_MS)
    ends = busy & (last <= last.max() - SILENT_MS)
    tries = float(len(np.unique(number[number >= 0])))
    bits = np.zeros(len(accounts))
    everybody = np.sort(first[starts])
    for _, mine in rows_by_group(number):
        started, ended = mine[starts[mine]], mine[ends[mine]]
        if len(started) and len(ended) >= LEAST_REPLACEMENTS:
            _mark_replacements(bits, first, last, started, ended, everybody, tries)
    rows = accounts[["account_id", "request_count", "first_at", "last_at"]].assign(group=number, bits=bits)
    return found_frame(rows, family="succession", kind=REPLACEMENT)


def _mark_replacements(
    bits: Numbers, first: Codes, last: Codes, started: Codes, ended: Codes, everybody: Codes, tries: float
) -> None:
    """Write the group's bits to the accounts that were replaced, and to those that replaced them."""
    end_at = np.sort(last[ended])
    after, before = _gaps(first[started], end_at)
    follows = after <= GAP_MS
    found = int(follows.sum())
    if found < LEAST_REPLACEMENTS:
        return
    chance = (_following(everybody, end_at) - found + 1.0) / (len(everybody) - len(started) + 2)
    by_population = binomial_tail(found, len(started), chance)
    decided = np.minimum(after, before) <= GAP_MS
    by_reversal = binomial_tail(int((after[decided] < before[decided]).sum()), int(decided.sum()), 0.5)
    worth = float(chance_bits(max(float(by_population), float(by_reversal)), tries=tries))
    bits[started[follows]] = worth
    start_at = np.sort(first[started])
    place = np.searchsorted(start_at, last[ended], side="right")
    next_start = np.append(start_at, np.iinfo(np.int64).max)[place]
    bits[ended[next_start - last[ended] <= GAP_MS]] = worth


def _following(starts: Codes, ends: Codes) -> int:
    """How many of all starts come at most ``GAP_MS`` after an end; both ascend. O(ends log starts)."""
    until = np.minimum(ends + GAP_MS, np.append(ends[1:], np.iinfo(np.int64).max))
    return int((np.searchsorted(starts, until, side="right") - np.searchsorted(starts, ends, side="right")).sum())


def _gaps(at: Codes, ends: Codes) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Per time, how long since the last end before it and until the next end; infinite where there is none."""
    padded = np.concatenate([[-np.inf], ends.astype(np.float64), [np.inf]])
    place = np.searchsorted(ends, at, side="left") + 1
    return at - padded[place - 1], padded[place] - at
