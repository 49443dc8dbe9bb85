"""Items of accounts, one packed row per account and day: hundreds of items are one blob instead of hundreds of rows.

A blob holds three arrays of one length, little endian: item fingerprints (int64, ascending), how many requests had
each (int32), and when the first of them came, in milliseconds since the day began (int32).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.store.store import Database
from linkage.store.uses import join_parts
from linkage.terms import DAY_MS, OWN_ITEMS, TEXT, make_frame

Ints = npt.NDArray[np.int64]

_ITEM_BYTES: Final = 16
_PART_ITEMS: Final = 3_000_000


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


@dataclasses.dataclass(frozen=True)
class AccountItems:
    """Which items accounts sent in a window."""

    shared: pd.DataFrame
    """Shape ``ITEMS``, by account and item; ids are categories. Every item that two accounts have is here (of
    :meth:`ItemLog.read`: if one of them was asked for), and some that one has alone."""
    own: pd.DataFrame
    """Shape ``OWN_ITEMS``, by account: the items that are not."""


class ItemLog:
    """Items of all accounts in a window of whole UTC days, read when it is known which of them are asked for.

    Most items are somebody's own, and all that is asked of those is how many there are; group tests ask for items that
    accounts of groups have. So items are read once to find out which are shared, and again to keep those that are
    asked for. Nothing may be written to the store in between. O(items log items of an account) each time; memory 28
    bytes an item that is kept, two to four an item, and 200 MB to unpack a part.

    Parameters
    ----------
    since_day, until_day : days since the epoch, since inclusive, until exclusive.
    each : handed all items, by account and item, a part of the accounts at a time (shape ``ITEMS``).
    marks : of another log of the same items; None: they are read here, and ``each`` is told.
    """

    def __init__(
        self,
        database: Database,
        *,
        since_day: int,
        until_day: int,
        each: Callable[[pd.DataFrame], None] | None = None,
        marks: Marks | None = None,
    ) -> None:
        self._database, self._days = database, {"since_day": since_day, "until_day": until_day}
        self.marks = marks or self._mark(each)

    def _mark(self, each: Callable[[pd.DataFrame], None] | None) -> Marks:
        sizes = self._database.numbers("item_sizes", **self._days)
        marks = Marks.of(sum(int(rows[:, 1].sum()) for rows in sizes))
        for own, part in _read_parts(self._database, self._days):
            marks.add(part.items)
            if each:
                names = pd.Categorical.from_codes(part.code, pd.Index(own, dtype=TEXT))
                each(_frame(names, part.items, part.counts, part.first_ms))
        return marks

    def read(self, accounts: Iterable[str] | None = None) -> AccountItems:
        """Items that two accounts have, one of them asked for; of all other items how many each account has.

        Parameters
        ----------
        accounts : ids of those that are asked for; None: all.
        """
        marks = self.marks
        if accounts is not None:
            asked = (part.items for _, part in _read_parts(self._database, self._days, only=frozenset(accounts)))
            marks = marks.held_in(asked)
        names_of: list[str] = []
        kept, own_items = [_NO_ITEMS], [_count_own(_NO_ITEMS, _NO_ITEMS.items == 1)]
        for own, part in _read_parts(self._database, self._days):
            whole = part._replace(code=part.code + np.int32(len(names_of)))
            is_shared = marks.are_shared(part.items)
            kept.append(whole.take(is_shared))
            own_items.append(_count_own(whole, ~is_shared))
            names_of += own
        ids = pd.Index(names_of, dtype=TEXT)
        columns = [list(column) for column in zip(*kept, strict=True)]
        del kept, marks
        code, items, counts, first_ms = (join_parts(column) for column in columns)
        shared = _frame(pd.Categorical.from_codes(code, ids), items, counts, first_ms)
        return AccountItems(shared, _name_own(pd.concat(own_items, ignore_index=True), ids))


class _Part(NamedTuple):
    """Items of some accounts: account code, item, request count and first time each."""

    code: npt.NDArray[np.int32]
    items: Ints
    counts: npt.NDArray[np.int32]
    first_ms: Ints

    def take(self, mask: npt.NDArray[np.bool_] | slice) -> _Part:
        return _Part(self.code[mask], self.items[mask], self.counts[mask], self.first_ms[mask])


def _frame(accounts: pd.Categorical, items: Ints, counts: Any, first_ms: Ints) -> pd.DataFrame:
    first_at = pd.DatetimeIndex(first_ms.view("datetime64[ms]")).tz_localize("UTC")
    columns = {"account_id": accounts, "item": items, "request_count": counts.astype(np.int64), "first_at": first_at}
    return pd.DataFrame(columns, copy=False)


@dataclasses.dataclass(frozen=True)
class Marks:
    """Which items more than one account has, told by the last bits of their fingerprints.

    With eight places for every item one in nine that is an account's own is taken for shared, and none that is shared
    for an account's own; no table of all items has to be sorted.
    """

    last: int
    """The last bits that tell items apart."""
    seen: npt.NDArray[np.uint8]
    twice: npt.NDArray[np.uint8]
    """A bit for each place."""

    @classmethod
    def of(cls, items: int) -> Marks:
        """Marks for so many items at most."""
        bits = max((8 * items).bit_length(), 6)
        return cls((1 << bits) - 1, np.zeros(1 << (bits - 3), np.uint8), np.zeros(1 << (bits - 3), np.uint8))

    def add(self, items: Ints) -> None:
        """Mark the items of accounts that were not added before, of each account its distinct ones."""
        _mark(items, self.last, self.seen, self.twice)

    def held_in(self, parts: Iterable[Ints]) -> Marks:
        """The same marks, but of shared items only those that are in these parts."""
        held, ignored = np.zeros_like(self.seen), np.zeros_like(self.twice)
        for items in parts:
            _mark(items, self.last, held, ignored)
        np.bitwise_and(held, self.twice, out=held)
        return Marks(self.last, self.seen, held)

    def are_shared(self, items: Ints) -> npt.NDArray[np.bool_]:
        """Which items were added for more than one account."""
        place = items & self.last
        return np.asarray((self.twice[place >> 3] >> (place & 7).astype(np.uint8)) & 1, dtype=np.bool_)


def _mark_plain(items: Ints, last: int, seen: Any, twice: Any) -> None:
    for item in items:
        place = item & last
        bit = np.uint8(1 << (place & 7))
        if seen[place >> 3] & bit:
            twice[place >> 3] |= bit
        seen[place >> 3] |= bit


_mark: Any = numba.njit(cache=True, nogil=True)(_mark_plain)


def _count_own(part: _Part, own: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """Per account code, how many of its items are masked, and their first and last time."""
    code, first_ms = part.code[own], part.first_ms[own]
    starts = np.flatnonzero(np.diff(code, prepend=-1) != 0)
    if not len(starts):
        return pd.DataFrame({"code": code, "count": code, "first_ms": first_ms, "last_ms": first_ms})
    count = np.diff(np.append(starts, len(code)))
    first, last = np.minimum.reduceat(first_ms, starts), np.maximum.reduceat(first_ms, starts)
    return pd.DataFrame({"code": code[starts], "count": count, "first_ms": first, "last_ms": last})


def _name_own(table: pd.DataFrame, ids: pd.Index[str]) -> pd.DataFrame:
    at = {name: pd.to_datetime(table[f"{name}_ms"].to_numpy(), unit="ms", utc=True) for name in ("first", "last")}
    columns = {"account_id": ids.take(table["code"].to_numpy()), "item_count": table["count"].to_numpy(dtype=np.int64)}
    return make_frame(OWN_ITEMS, {**columns, "first_at": at["first"], "last_at": at["last"]})


_NO_ITEMS: Final = _Part(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.int64))


def _read_parts(
    database: Database, days: dict[str, int], *, only: frozenset[str] | None = None
) -> Iterator[tuple[list[str], _Part]]:
    """Ids of some accounts and their items, by account and item; codes are places among these ids.

    Parameters
    ----------
    only : ids of the accounts to read; None: all.
    """
    for accounts, on_days, blobs in _whole_accounts(database, days, only):
        starts = [row for row, name in enumerate(accounts) if row == 0 or name != accounts[row - 1]]
        sizes = np.fromiter(map(len, blobs), np.int64, len(blobs)) // _ITEM_BYTES
        words = np.frombuffer(b"".join(blobs), "<u4").astype(np.uint32, copy=False)
        total = int(sizes.sum())
        part = _Part(
            np.empty(total, np.int32), np.empty(total, np.int64), np.empty(total, np.int32), np.empty(total, np.int64)
        )
        bounds = np.array([*starts, len(accounts)], dtype=np.int64)
        end = _merge_days(bounds, sizes, np.array(on_days, dtype=np.int64) * DAY_MS, words, *part)
        yield [accounts[row] for row in starts], part.take(slice(end))


def _whole_accounts(
    database: Database, days: dict[str, int], only: frozenset[str] | None
) -> Iterator[tuple[list[str], list[int], list[bytes]]]:
    """Account ids, days and blobs of rows of whole accounts, as many as are unpacked at once."""
    rows: tuple[list[Any], ...] = ([], [], [])
    size = 0
    parts = (
        database.parts("account_items", **days)
        if only is None
        else database.parts("items_of_accounts", accounts=json.dumps(sorted(only)), **days)
    )
    for columns in parts:
        for account, day, blob in zip(*columns.values(), strict=True):
            if size > _PART_ITEMS * _ITEM_BYTES and account != rows[0][-1]:
                yield rows[0], rows[1], rows[2]
                rows, size = ([], [], []), 0
            for column, value in zip(rows, (account, day, blob), strict=True):
                column.append(value)
            size += len(blob)
    if rows[0]:
        yield rows[0], rows[1], rows[2]


def _merge_days_plain(
    bounds: Ints, sizes: Ints, day_ms: Ints, words: Any, code: Any, items: Ints, counts: Any, first_ms: Ints
) -> int:
    """Unpack the rows of each account, one item once; how many items there are.

    Parameters
    ----------
    bounds : where the rows of each account begin, and the end.
    sizes, day_ms : items and first millisecond of the day of each row; days ascend within an account.
    words : all blobs, in 32 bits.
    code, items, counts, first_ms : filled from the left.
    """
    end, base = 0, 0
    for account in range(len(bounds) - 1):
        begin = end
        for row in range(bounds[account], bounds[account + 1]):
            for number in range(sizes[row]):
                low, high = words[base + 2 * number], words[base + 2 * number + 1]
                items[end] = np.int64(low) | (np.int64(high) << 32)
                counts[end] = words[base + 2 * sizes[row] + number]
                first_ms[end] = np.int64(words[base + 3 * sizes[row] + number]) + day_ms[row]
                end += 1
            base += 4 * sizes[row]
        if bounds[account + 1] - bounds[account] > 1:
            order = np.argsort(items[begin:end], kind="mergesort")
            own, own_counts = items[begin:end][order], counts[begin:end][order]
            own_first = first_ms[begin:end][order]
            end = begin
            for number in range(len(own)):
                if number and own[number] == own[number - 1]:
                    counts[end - 1] += own_counts[number]
                    first_ms[end - 1] = min(first_ms[end - 1], own_first[number])
                else:
                    items[end], counts[end], first_ms[end] = own[number], own_counts[number], own_first[number]
                    end += 1
        code[begin:end] = account
    return end


_merge_days: Any = numba.njit(cache=True, nogil=True)(_merge_days_plain)
