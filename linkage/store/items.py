"""Items of accounts, one packed row per account and day: hundreds of items are one blob instead of hundreds of rows.

A blob holds three arrays of one length, little endian: item fingerprints (int64, ascending), how many requests had
each (int32), and when the first of them came, in milliseconds since the day began (int32).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.coding import run_starts
from linkage.store.store import Database
from linkage.store.uses import Names, join_parts
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
    """Which items accounts sent in a window; ids of the first two are categories."""

    asked: pd.DataFrame
    """Shape ``ITEMS``, by account and item: of accounts that are asked for, every item that another account has, and
    some that nobody else has."""
    others: pd.DataFrame
    """Shape ``OTHER_ITEMS``, by account and item: who else has these items, and some that they do not have."""
    own: pd.DataFrame
    """Shape ``OWN_ITEMS``, by account: all other items."""


class Marked(NamedTuple):
    """What a first look at all items tells."""

    marks: Marks
    digest: bytes
    """A hash of all items, of whom they are and when they came; the same in any order of loading."""


class ItemLog:
    """Items of all accounts in a window of whole UTC days, read when it is known which of them are asked for.

    Most items are somebody's own, and all that is asked of those is how many there are; group tests ask for items that
    accounts of groups have, and of everybody else only who has these. So items are read once to find out which are
    shared, and again to keep those that are asked for. Nothing may be written to the store in between. Memory: 20 bytes
    an item that is kept, 12 of other accounts, two to four bits an item, and 200 MB to unpack a part.

    Parameters
    ----------
    accounts : as from :func:`linkage.store.uses.read_account_names`.
    since_day, until_day : days since the epoch, since inclusive, until exclusive.
    marked : of another log of the same items; None: they are looked at here.
    """

    def __init__(
        self,
        database: Database,
        *,
        accounts: tuple[Ints, pd.Index[str]],
        since_day: int,
        until_day: int,
        marked: Marked | None = None,
    ) -> None:
        self._database, self._days = database, {"since_day": since_day, "until_day": until_day}
        self._numbers, self._names = accounts
        self.marked = marked or self._mark()

    def _mark(self) -> Marked:
        sizes = self._database.numbers("item_sizes", **self._days)
        marks = Marks.of(sum(int(rows[:, 1].sum()) for rows in sizes))
        sums = np.zeros(len(self._names), dtype=np.uint64)
        for part in self._parts("account_items"):
            marks.add(part.items)
            _add_hashes(part.code, part.items, part.first_ms, sums)
        named = pd.util.hash_array(self._names.to_numpy(dtype=object), categorize=False)[sums > 0]
        marks = dataclasses.replace(marks, seen=marks.seen[:0])
        return Marked(marks, hashlib.sha256(named.tobytes() + sums[sums > 0].tobytes()).digest())

    def read(self, accounts: Iterable[str] | None = None) -> AccountItems:
        """Items that two accounts have, one of them asked for; of all other items how many each account has.

        Parameters
        ----------
        accounts : ids of those that are asked for; None: all.
        """
        if accounts is None:
            columns, own = _split(self._parts("account_items"), self.marked.marks, _Part._fields)
            return self._name(columns, [_NO_ITEMS.code, _NO_ITEMS.items], [own])
        asked = self._names.get_indexer(pd.Index(list(accounts), dtype=TEXT))
        is_asked = np.zeros(len(self._names), dtype=np.bool_)
        is_asked[asked[asked >= 0]] = True
        numbers = json.dumps(self._numbers[is_asked].tolist())
        theirs = list(self._parts("items_of_accounts", accounts=numbers))
        marks = self.marked.marks.held_in(part.items for part in theirs)
        columns, own = _split(theirs, marks, _Part._fields)
        del theirs
        rest = (part.take(~is_asked[part.code]) for part in self._parts("account_items"))
        others, others_own = _split(rest, marks, ("code", "items"))
        return self._name(columns, others, [own, others_own])

    def _parts(self, query: str, **more: str) -> Iterator[_Part]:
        """Items of some accounts after the other."""
        places = Names(self._numbers)
        for numbers, days, blobs in self._rows(query, **more):
            starts = run_starts(numbers)
            sizes = np.fromiter(map(len, blobs), np.int64, len(blobs)) // _ITEM_BYTES
            words = np.frombuffer(b"".join(blobs), "<u4").astype(np.uint32, copy=False)
            total = int(sizes.sum())
            part = _Part(np.empty(total, np.int32), np.empty(total, np.int64), np.empty(total, np.int64))
            code = places.places(numbers[starts]).astype(np.int32)
            end = _merge_days(np.append(starts, len(numbers)), sizes, days * DAY_MS, words, code, *part)
            yield part.take(slice(end))

    def _rows(self, query: str, **more: str) -> Iterator[tuple[Ints, Ints, list[bytes]]]:
        """Numbers of accounts, days and blobs of rows of whole accounts, as many as are unpacked at once."""
        numbers, days = np.empty(0, np.int64), np.empty(0, np.int64)
        blobs: list[bytes] = []
        for columns in self._database.parts(query, **self._days, **more):
            account, day, packed = columns.values()
            numbers = np.append(numbers, np.array(account, dtype=np.int64))
            days = np.append(days, np.array(day, dtype=np.int64))
            blobs += packed
            if sum(map(len, blobs)) > _PART_ITEMS * _ITEM_BYTES and numbers[0] != numbers[-1]:
                last = int(run_starts(numbers)[-1])
                yield numbers[:last], days[:last], blobs[:last]
                numbers, days, blobs = numbers[last:], days[last:], blobs[last:]
        if blobs:
            yield numbers, days, blobs

    def _name(self, asked: list[Any], others: list[Any], own: list[pd.DataFrame]) -> AccountItems:
        code, items, first_ms = asked
        first_at = pd.DatetimeIndex(first_ms.view("datetime64[ms]")).tz_localize("UTC")
        other_code, other_items = others
        names = [pd.Categorical.from_codes(codes, self._names) for codes in (code, other_code)]
        counted = pd.concat(own, ignore_index=True).sort_values("code")
        at = {name: pd.to_datetime(counted[f"{name}_ms"].to_numpy(), unit="ms", utc=True) for name in ("first", "last")}
        count = counted["count"].to_numpy(dtype=np.int64)
        owners = {"account_id": self._names.take(counted["code"].to_numpy()), "item_count": count}
        return AccountItems(
            pd.DataFrame({"account_id": names[0], "item": items, "first_at": first_at}, copy=False),
            pd.DataFrame({"account_id": names[1], "item": other_items}, copy=False),
            make_frame(OWN_ITEMS, {**owners, "first_at": at["first"], "last_at": at["last"]}),
        )


class _Part(NamedTuple):
    """Items of some accounts: place of the account's name, item and first time each."""

    code: npt.NDArray[np.int32]
    items: Ints
    first_ms: Ints

    def take(self, rows: npt.NDArray[np.bool_] | slice) -> _Part:
        return _Part(self.code[rows], self.items[rows], self.first_ms[rows])


_NO_ITEMS: Final = _Part(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int64))


@dataclasses.dataclass(frozen=True)
class Marks:
    """Which items more than one account has, told by the last bits of their fingerprints.

    With eight places for every item one in nine that is an account's own is taken for shared, and none that is shared
    for an account's own; no table of all items has to be sorted.
    """

    last: int
    """The last bits that tell items apart."""
    seen: npt.NDArray[np.uint8]
    """A bit for each place; nothing once all items were added."""
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
        held, ignored = np.zeros_like(self.twice), np.zeros_like(self.twice)
        for items in parts:
            _mark(items, self.last, held, ignored)
        np.bitwise_and(held, self.twice, out=held)
        return dataclasses.replace(self, twice=held)

    def are_shared(self, items: Ints) -> npt.NDArray[np.bool_]:
        """Which items were added for more than one account."""
        place = items & self.last
        return np.asarray((self.twice[place >> 3] >> (place & 7).astype(np.uint8)) & 1, dtype=np.bool_)


def _split(parts: Iterable[_Part], marks: Marks, kept: Sequence[str]) -> tuple[list[Any], pd.DataFrame]:
    """Columns of the items that are marked as shared, by account, and how many others each account has."""
    columns = [[getattr(_NO_ITEMS, name)] for name in kept]
    own = [_count_own(_NO_ITEMS)]
    for part in parts:
        is_shared = marks.are_shared(part.items)
        for column, name in zip(columns, kept, strict=True):
            column.append(getattr(part, name)[is_shared])
        own.append(_count_own(part.take(~is_shared)))
    code = join_parts(columns[0])
    starts = run_starts(code)
    order = np.argsort(code[starts])
    runs = starts[order], np.diff(np.append(starts, len(code)))[order]
    return [_take_runs(code, *runs), *(_take_runs(join_parts(column), *runs) for column in columns[1:])], pd.concat(own)


def _count_own(part: _Part) -> pd.DataFrame:
    """Per account of a part, how many items it has, and their first and last time."""
    starts = run_starts(part.code)
    if not len(starts):
        return pd.DataFrame({"code": part.code, "count": part.code, "first_ms": part.items, "last_ms": part.items})
    count = np.diff(np.append(starts, len(part.code)))
    first, last = np.minimum.reduceat(part.first_ms, starts), np.maximum.reduceat(part.first_ms, starts)
    return pd.DataFrame({"code": part.code[starts], "count": count, "first_ms": first, "last_ms": last})


@numba.njit(cache=True, nogil=True)
def _take_runs(values: Any, starts: Ints, sizes: Ints) -> Any:
    """Runs of values in another order; no array of places is made."""
    taken = np.empty_like(values)
    end = 0
    for run in range(len(starts)):
        taken[end : end + sizes[run]] = values[starts[run] : starts[run] + sizes[run]]
        end += sizes[run]
    return taken


def _mark_plain(items: Ints, last: int, seen: Any, twice: Any) -> None:
    for item in items:
        place = item & last
        bit = np.uint8(1 << (place & 7))
        if seen[place >> 3] & bit:
            twice[place >> 3] |= bit
        seen[place >> 3] |= bit


_mark: Any = numba.njit(cache=True, nogil=True)(_mark_plain)


@numba.njit(cache=True, nogil=True)
def _mixed(value: np.uint64) -> np.uint64:
    """The 64 bits of a number, each of them of no account for itself (the finalizer of SplitMix64)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@numba.njit(cache=True, nogil=True)
def _add_hashes(code: Any, items: Ints, first_ms: Ints, sums: Any) -> None:
    """Add a hash of each item and its first time to the sum of its account, whatever the order."""
    for row in range(len(code)):
        sums[code[row]] += _mixed(np.uint64(items[row]) ^ _mixed(np.uint64(first_ms[row])))


def _merge_days_plain(
    bounds: Ints, sizes: Ints, day_ms: Ints, words: Any, places: Any, code: Any, items: Ints, first_ms: Ints
) -> int:
    """Unpack the rows of each account, one item once; how many items there are.

    Parameters
    ----------
    bounds : where the rows of each account begin, and the end.
    sizes, day_ms : items and first millisecond of the day of each row; days ascend within an account.
    words : all blobs, in 32 bits.
    places : code of each account.
    code, items, first_ms : filled from the left.
    """
    end, base = 0, 0
    for account in range(len(bounds) - 1):
        begin = end
        for row in range(bounds[account], bounds[account + 1]):
            for number in range(sizes[row]):
                low, high = words[base + 2 * number], words[base + 2 * number + 1]
                items[end] = np.int64(low) | (np.int64(high) << 32)
                first_ms[end] = np.int64(words[base + 3 * sizes[row] + number]) + day_ms[row]
                end += 1
            base += 4 * sizes[row]
        if bounds[account + 1] - bounds[account] > 1:
            order = np.argsort(items[begin:end], kind="mergesort")
            own, own_first = items[begin:end][order], first_ms[begin:end][order]
            end = begin
            for number in range(len(own)):
                if number and own[number] == own[number - 1]:
                    first_ms[end - 1] = min(first_ms[end - 1], own_first[number])
                else:
                    items[end], first_ms[end] = own[number], own_first[number]
                    end += 1
        code[begin:end] = places[account]
    return end


_merge_days: Any = numba.njit(cache=True, nogil=True)(_merge_days_plain)
