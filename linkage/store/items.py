"""Items of accounts, one packed row per account and day: hundreds of items are one blob instead of hundreds of rows.

A blob holds three arrays of one length, little endian: item fingerprints (int64, ascending), how many requests had
each (int32), and when the first of them came, in milliseconds since the day began (int32).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.store.store import Database
from linkage.terms import DAY_MS, ITEMS, make_frame

Ints = npt.NDArray[np.int64]

_ITEM_BYTES: Final = 16


def pack_items(items: Ints, request_counts: Ints, first_ms: Ints) -> bytes:
    """The blob of one account and day.

    Parameters
    ----------
    items : distinct fingerprints, ascending.
    request_counts : requests that had each.
    first_ms : when the first of them came, UTC epoch milliseconds, all on one day.

    Examples
    --------
    >>> blob = pack_items(np.array([3, 9]), np.array([1, 2]), np.array([DAY_MS, DAY_MS + 5]))
    >>> [part.tolist() for part in unpack_items(blob, day=1)]
    [[3, 9], [1, 2], [86400000, 86400005]]
    """
    since = first_ms % DAY_MS
    return items.astype("<i8").tobytes() + request_counts.astype("<i4").tobytes() + since.astype("<i4").tobytes()


def unpack_items(blob: bytes, *, day: int) -> tuple[Ints, Ints, Ints]:
    """Items, request counts and first times (UTC epoch milliseconds) of a blob; see :func:`pack_items`."""
    size = len(blob) // _ITEM_BYTES
    items = np.frombuffer(blob, "<i8", size)
    counts = np.frombuffer(blob, "<i4", size, offset=8 * size)
    since = np.frombuffer(blob, "<i4", size, offset=12 * size)
    return items.astype(np.int64), counts.astype(np.int64), since.astype(np.int64) + day * DAY_MS


def account_items(database: Database, *, since_day: int, until_day: int) -> pd.DataFrame:
    """Which items each account sent in a window of whole UTC days; shape ``ITEMS``, by account and item.

    O(items log items); memory about 60 bytes an item.

    Parameters
    ----------
    since_day, until_day : days since the epoch, since inclusive, until exclusive.
    """
    packed = database.query("account_items", since_day=since_day, until_day=until_day)
    names, codes = np.unique(packed["account_id"].to_numpy(dtype=object), return_inverse=True)
    parts = [unpack_items(blob, day=int(day)) for blob, day in zip(packed["items"], packed["day"], strict=True)]
    if not parts:
        return make_frame(ITEMS, {})
    items, counts, first_ms = (np.concatenate(column) for column in zip(*parts, strict=True))
    accounts = np.repeat(codes, [len(part[0]) for part in parts])
    order = np.lexsort((items, accounts))
    is_first = np.ones(len(order), bool)
    is_first[1:] = (np.diff(accounts[order]) != 0) | (np.diff(items[order]) != 0)
    starts = np.flatnonzero(is_first)
    return make_frame(
        ITEMS,
        {
            "account_id": names[accounts[order][starts]],
            "item": items[order][starts],
            "request_count": np.add.reduceat(counts[order], starts) if len(starts) else counts,
            "first_at": pd.to_datetime(np.minimum.reduceat(first_ms[order], starts), unit="ms", utc=True),
        },
    )
