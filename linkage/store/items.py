"""Items of accounts, one packed row per account and day: hundreds of items are one blob instead of hundreds of rows.

A blob holds three arrays of one length, little endian: item fingerprints (int64, ascending), how many requests had
each (int32), and when the first of them came, in milliseconds since the day began (int32).
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.arrays import Ints
from linkage.coding import hash_names, run_starts
from linkage.kernels import inner_kernel, kernel
from linkage.memory import give_back
from linkage.parallel import in_threads
from linkage.store.known import KnownIds
from linkage.store.names import AccountNames, Names
from linkage.store.store import Database, utc_times
from linkage.terms import DAY_MS, TEXT

_ITEM_BYTES: Final = 16
_ITEM_WORDS: Final = 4
_PART_ITEMS: Final = 1_000_000
_FOREVER_MS: Final = 1 << 61  # away from every time


def pack_items(starts: Ints, columns: Sequence[Ints]) -> list[bytearray]:
    """The blobs of several accounts and days, empty ones where there is no item.

    Parameters
    ----------
    starts : where each begins, and the end.
    columns : fingerprints (distinct and ascending in each), how many requests had each, and when the first of these
        came, UTC epoch milliseconds, all on one day.

    Examples
    --------
    >>> columns = [np.array(column) for column in ([3, 9], [1, 2], [DAY_MS, DAY_MS + 5])]
    >>> [part.tolist() for part in unpack_items(pack_items(np.array([0, 0, 2]), columns)[1], day=1)]
    [[3, 9], [1, 2], [86400000, 86400005]]
    """
    whole = bytearray(_ITEM_BYTES * int(starts[-1]))
    items, request_counts, first_ms = columns
    _pack(starts, items, request_counts, first_ms, np.frombuffer(whole, "<i8"), np.frombuffer(whole, "<i4"))
    return [whole[begin:end] for begin, end in itertools.pairwise((_ITEM_BYTES * starts).tolist())]


@kernel
def _pack(starts: Ints, items: Ints, request_counts: Ints, first_ms: Ints, wide: Ints, narrow: Any) -> None:
    """Fill all blobs, one after the other, as numbers of eight bytes and as those of four."""
    for day in range(starts.size - 1):
        begin, end = starts[day], starts[day + 1]
        for at in range(begin, end):
            wide[begin + at] = items[at]
            # Four bytes each: 4 * begin numbers are before this day, and the fingerprints take two each.
            narrow[begin + 2 * end + at] = request_counts[at]
            narrow[3 * end + at] = first_ms[at] % DAY_MS


def unpack_items(blob: bytes, *, day: int) -> tuple[Ints, Ints, Ints]:
    """Items, request counts and first times (UTC epoch milliseconds) of a blob; see :func:`pack_items`."""
    size = len(blob) // _ITEM_BYTES
    items = np.frombuffer(blob, "<i8", size)
    counts = np.frombuffer(blob, "<i4", size, offset=8 * size)
    since = np.frombuffer(blob, "<i4", size, offset=12 * size)
    return items.astype(np.int64), counts.astype(np.int64), since.astype(np.int64) + day * DAY_MS


@dataclasses.dataclass(frozen=True)
class AccountItems:
    """Which items accounts sent in a window; ids are categories."""

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
    an item that is kept, 12 of other accounts, eight to sixteen bits an item while
    they are marked, half of it then, and 300 MB to unpack parts.

    Parameters
    ----------
    accounts : all of the store.
    days : ``since_day``, inclusive, and ``until_day``, exclusive, since the epoch.
    is_settled : nobody writes until items are read, and all of them are committed: they may be read in any thread.
    """

    def __init__(
        self,
        database: Database,
        *,
        accounts: AccountNames,
        days: Mapping[str, int],
        is_settled: bool = False,
    ) -> None:
        self._database, self._days = database, dict(days)
        self._is_settled = is_settled
        self._numbers, self._names = accounts
        self.marked = self._mark()

    def _mark(self) -> Marked:
        total = sum(int(rows.sum()) for rows in self._database.numbers("item_total", **self._days))
        sums = np.zeros(len(self._names), dtype=np.uint64)

        def unpack(rows: _Rows) -> Ints:
            part = _unpack(rows)
            _add_hashes(part.code, part.items, part.first_ms, sums)  # no account is in two parts
            return part.items

        marks = Marks.of(in_threads(unpack, self._rows(self._database, "account_items")), total=total)
        named = hash_names(self._names)[sums > 0]
        return Marked(marks, hashlib.sha256(named.tobytes() + sums[sums > 0].tobytes()).digest())

    def read(self, accounts: Iterable[str] | None = None) -> AccountItems:
        """Items that two accounts have, one of them asked for; of all other items how many each account has.

        Parameters
        ----------
        accounts : ids of those that are asked for; None: all.
        """
        with self._opened() as database:
            return self._read_all(database) if accounts is None else self._read_of(database, accounts)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Database]:
        """The store as it was marked; on a connection of its own where nobody writes, for whatever thread asks."""
        if not self._is_settled:
            yield self._database
            return
        with contextlib.closing(Database(self._database.path)) as database, database.settled():
            yield database

    def _read_all(self, database: Database) -> AccountItems:
        marks, rows = self.marked.marks, self._rows(database, "account_items")
        listed, own = _gather(in_threads(lambda part: _split(_unpack(part), marks), rows))
        return self._name(_number_items(listed)[0], _NO_ITEMS, [own])

    def _read_of(self, database: Database, accounts: Iterable[str]) -> AccountItems:
        asked = self._names.get_indexer(pd.Index(list(accounts), dtype=TEXT))
        is_asked = np.zeros(len(self._names), dtype=np.bool_)
        is_asked[asked[asked >= 0]] = True
        numbers = json.dumps(self._numbers[is_asked].tolist())
        theirs: deque[_Part] = deque()
        unpacked = in_threads(_unpack, self._rows(database, "items_of_accounts", accounts=numbers))
        marks = self.marked.marks.held_in(part.items for part in _kept(unpacked, theirs))
        listed, own = _gather(in_threads(lambda part: _split(part, marks), _taken(theirs)))
        listed, others, others_own = self._find_others(database, listed, marks, is_asked)
        return self._name(listed, others, [own, others_own])

    def _find_others(
        self, database: Database, listed: _Part, marks: Marks, is_asked: npt.NDArray[np.bool_]
    ) -> tuple[_Part, _Part, pd.DataFrame]:
        """The items with numbers, who else has them, and how many other items those have.

        What tells numbers is as large as all that is listed, and is gone before this is named.
        """
        listed, known = _number_items(listed)
        rest = (rows.take(~is_asked[rows.code]) for rows in self._rows(database, "account_items"))
        others, own = _gather(in_threads(lambda rows: _find_numbers(_unpack(rows), marks, known), rest))
        return listed, others, own

    def _rows(self, database: Database, query: str, **more: str) -> Iterator[_Rows]:
        """Rows of whole accounts, as many as are unpacked at once."""
        places = Names(self._numbers)
        held = _NO_ROWS
        for numbers, ends, data in database.packed(query, **self._days, **more):
            rows = held.followed_by(places.places(numbers[:, 0]), numbers[:, 1], ends, data)
            cuts = rows.cuts()
            yield from (rows.take(slice(*edges)) for edges in itertools.pairwise(cuts))
            held = rows.take(slice(cuts[-1], None)) if cuts else rows
        if len(held.code):
            yield held

    def _name(self, asked: _Part, others: _Part, own: list[pd.DataFrame]) -> AccountItems:
        first_at = utc_times(asked.first_ms)
        counted = pd.concat(own, ignore_index=True).sort_values("code")
        coded = (asked.code, others.code, counted["code"].to_numpy())
        names = [pd.Categorical.from_codes(codes, self._names) for codes in coded]
        at = {name: utc_times(counted[f"{name}_ms"].to_numpy()) for name in ("first", "last")}
        count = counted["item_count"].to_numpy(dtype=np.int64)
        owners = {"account_id": names[2], "item_count": count, "first_at": at["first"], "last_at": at["last"]}
        return AccountItems(
            pd.DataFrame({"account_id": names[0], "item": asked.items, "first_at": first_at}, copy=False),
            pd.DataFrame({"account_id": names[1], "item": others.items.astype(np.int32, copy=False)}, copy=False),
            pd.DataFrame(owners, copy=False),
        )


class _Rows(NamedTuple):
    """Packed items: place of the account's name, first millisecond of the day, and the blob of each row."""

    code: Ints
    day_ms: Ints
    sizes: Ints
    """Items of each blob."""
    starts: Ints
    """Where each blob begins among the words."""
    words: npt.NDArray[np.uint32]
    """Blobs one after the other, in 32 bits; other rows' may be among them."""

    def followed_by(self, code: Ints, days: Ints, ends: Ints, data: npt.NDArray[np.uint8]) -> _Rows:
        """These rows, which end where their words end, and others behind them, whose blobs end there in the data."""
        first = int(self.starts[0]) if len(self.starts) else len(self.words)
        sizes = np.append(self.sizes, np.diff(ends, prepend=0) // _ITEM_BYTES)
        return _Rows(
            np.append(self.code, code),
            np.append(self.day_ms, days * DAY_MS),
            sizes,
            (np.cumsum(sizes) - sizes) * _ITEM_WORDS,
            np.append(self.words[first:], data.view("<u4").astype(np.uint32, copy=False)),
        )

    def cuts(self) -> list[int]:
        """Where parts of about :data:`_PART_ITEMS` begin, and the last account: all at the first row of an account."""
        starts = run_starts(self.code)
        part = (np.cumsum(self.sizes) - self.sizes)[starts] // _PART_ITEMS
        return sorted({*starts[run_starts(part)].tolist(), *starts[-1:].tolist()})

    def take(self, rows: npt.NDArray[np.bool_] | slice) -> _Rows:
        return _Rows(self.code[rows], self.day_ms[rows], self.sizes[rows], self.starts[rows], self.words)


_NO_NUMBERS: Final = np.empty(0, np.int64)
_NO_ROWS: Final = _Rows(_NO_NUMBERS, _NO_NUMBERS, _NO_NUMBERS, _NO_NUMBERS, np.empty(0, np.uint32))


class _Part(NamedTuple):
    """Items of some accounts: place of the account's name, item (or its number) and first time each."""

    code: npt.NDArray[np.int32]
    items: npt.NDArray[Any]
    first_ms: Ints

    def take(self, rows: npt.NDArray[np.bool_] | slice) -> _Part:
        return _Part(self.code[rows], self.items[rows], self.first_ms[rows])


class _Own(NamedTuple):
    """Items that are in no part: place of each account's name, how many it has, and when the first and last came."""

    code: Ints
    item_count: Ints
    first_ms: Ints
    last_ms: Ints


_NO_ITEMS: Final = _Part(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int64))


def _unpack(rows: _Rows) -> _Part:
    """Items of each account, one item once, ascending."""
    total = int(rows.sizes.sum())
    part = _Part(np.empty(total, np.int32), np.empty(total, np.int64), np.empty(total, np.int64))
    end = _merge_days(rows, part)
    return part.take(slice(end))


@dataclasses.dataclass(frozen=True)
class Marks:
    """Which items more than one account has, told by the last bits of their fingerprints.

    With eight places for every item one in nine that is an account's own is taken for shared, and none that is shared
    for an account's own; no table of all items has to be sorted.
    """

    last: int
    """The last bits that tell items apart."""
    twice: npt.NDArray[np.uint8]
    """A bit for each place."""

    @classmethod
    def of(cls, parts: Iterable[Ints], *, total: int) -> Marks:
        """Marks of so many items at most: of parts with other accounts each, of every account its distinct items."""
        bits = max((8 * total).bit_length(), 6)
        last, seen = (1 << bits) - 1, np.zeros(1 << (bits - 2), np.uint8)
        for items in parts:
            _mark(items, last, seen)
        return cls(last, _marked_twice(seen))

    def held_in(self, parts: Iterable[Ints]) -> Marks:
        """The same marks, but of shared items only those that are in these parts."""
        held = np.zeros_like(self.twice)
        for items in parts:
            _hold(items, self.last, held)
        np.bitwise_and(held, self.twice, out=held)
        return Marks(self.last, held)


def _split(part: _Part, marks: Marks) -> tuple[_Part, pd.DataFrame]:
    """The items that are marked as shared; and per account how many others it has, and their first and last time."""
    shared = _Part._make(np.empty_like(column) for column in part)
    accounts = len(run_starts(part.code))
    own = _Own._make(np.empty(accounts, np.int64) for _ in _Own._fields)
    rows, accounts = _split_rows(part, marks.last, marks.twice, shared, own)
    counted = pd.DataFrame({name: column[:accounts] for name, column in own._asdict().items()})
    return _Part._make(column[:rows].copy() for column in shared), counted


def _kept(parts: Iterable[_Part], kept: deque[_Part]) -> Iterator[_Part]:
    """The parts, each of which is kept besides as it comes."""
    for part in parts:
        kept.append(part)
        yield part


def _taken(parts: deque[_Part]) -> Iterator[_Part]:
    """The parts, each of which is let go once it is handed out."""
    while parts:
        yield parts.popleft()


def _find_numbers(part: _Part, marks: Marks, known: KnownIds) -> tuple[_Part, pd.DataFrame]:
    """The same, with the numbers of these items, -1 for those that have none; nobody asks when they came."""
    listed, own = _split(part, marks)
    return _Part(listed.code, known.places(listed.items).astype(np.int32), _NO_ITEMS.first_ms), own


def _gather(parts: Iterable[tuple[_Part, pd.DataFrame]]) -> tuple[_Part, pd.DataFrame]:
    """What was split, as one, by account."""
    listed, own = [_NO_ITEMS], [pd.DataFrame(dict.fromkeys(_Own._fields, _NO_ITEMS.first_ms))]
    for part, counted in parts:
        listed.append(part)
        own.append(counted)
    give_back()  # what parts were made from
    columns = [list(column) for column in zip(*listed, strict=True)]
    del listed
    heads = [run_starts(code) for code in columns[0]]
    names = np.concatenate([code[starts] for code, starts in zip(columns[0], heads, strict=True)])
    sizes = np.concatenate([np.diff(starts, append=len(code)) for code, starts in zip(columns[0], heads, strict=True)])
    order = np.argsort(names)
    begins = np.empty_like(sizes)
    begins[order] = np.cumsum(sizes[order]) - sizes[order]
    code = np.repeat(names[order], sizes[order])
    del columns[0]
    items, first_ms = (_put_in_order(parts, begins, sizes) for parts in columns)
    give_back()  # the parts themselves
    return _Part(code, items, first_ms), pd.concat(own)


def _put_in_order(parts: list[Any], begins: Ints, sizes: Ints) -> Any:
    """Parts as one, each run of which begins where it is told; none where they have no values. The list is emptied."""
    whole = np.empty(sum(map(len, parts)), parts[-1].dtype)
    if len(whole):
        first = 0
        for number in range(len(parts)):
            part, parts[number] = parts[number], None
            first = _put_runs(part, begins, sizes, first, whole)
    parts.clear()
    return whole


def _number_items(part: _Part) -> tuple[_Part, KnownIds]:
    """The same with numbers instead of items, from 0 as they appear; and the items by number."""
    known = KnownIds()
    return part._replace(items=known.number(part.items)), known


@kernel
def _put_runs(values: Any, begins: Ints, sizes: Ints, first: int, whole: Any) -> int:
    """Put the runs of these values, which are those from ``first`` on, where they begin; which run is the next."""
    end = 0
    while end < len(values):
        size, begin = sizes[first], begins[first]
        for at in range(size):
            whole[begin + at] = values[end + at]
        end += size
        first += 1
    return first


@kernel
def _mark(items: Ints, last: int, seen: Any) -> None:
    """Mark in two bits of each item's place that it was there, and that it was there before.

    Without a branch: nobody can guess it, and places are all over the memory (130 million items 2 s instead of 4).
    """
    for item in items:
        place = item & last
        shift = np.uint8((place & 3) << 1)
        before = (seen[place >> 2] >> shift) & 3
        seen[place >> 2] |= np.uint8(((before << 1) | 1) & 3) << shift


@kernel
def _marked_twice(seen: Any) -> Any:
    """The second of two bits of each place."""
    twice = np.zeros(len(seen) // 2, dtype=np.uint8)
    for byte in range(len(twice)):
        for place in range(8):
            bit = (seen[2 * byte + (place >> 2)] >> np.uint8(((place & 3) << 1) + 1)) & 1
            twice[byte] |= np.uint8(bit << place)
    return twice


@kernel
def _hold(items: Ints, last: int, held: Any) -> None:
    """Set the bit of each item."""
    for item in items:
        place = item & last
        held[place >> 3] |= np.uint8(1 << (place & 7))


@kernel
def _split_rows(part: _Part, last: int, marked: Any, shared: _Part, own: _Own) -> tuple[int, int]:
    """Put items that have their bit into ``shared``, and count those of each account that have not in ``own``.

    Returns
    -------
    How many items are shared, and how many accounts have others.
    """
    code, items, first_ms = part
    is_shared = np.empty(len(items), np.uint8)
    for row in range(len(items)):  # by itself, so that many places are waited for at a time
        place = items[row] & last
        is_shared[row] = (marked[place >> 3] >> np.uint8(place & 7)) & 1
    end, owners, row = 0, 0, 0
    while row < len(items):
        account, begin, kept = code[row], row, end
        earliest, latest = _FOREVER_MS, -_FOREVER_MS
        while row < len(items) and code[row] == account:
            # Without a branch where it cannot be guessed: what is not shared is written over.
            shared.code[end], shared.items[end], shared.first_ms[end] = account, items[row], first_ms[row]
            end += int(is_shared[row])
            if not is_shared[row]:
                earliest = min(earliest, first_ms[row])
                latest = max(latest, first_ms[row])
            row += 1
        count = row - begin - (end - kept)
        if count:
            own.code[owners], own.item_count[owners] = account, count
            own.first_ms[owners], own.last_ms[owners] = earliest, latest
            owners += 1
    return end, owners


@inner_kernel
def _mixed(value: np.uint64) -> np.uint64:
    """The 64 bits of a number, each of them of no account for itself (the finalizer of SplitMix64)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@kernel
def _add_hashes(code: Any, items: Ints, first_ms: Ints, sums: Any) -> None:
    """Add a hash of each item and its first time to the sum of its account, whatever the order."""
    for row in range(len(code)):
        sums[code[row]] += _mixed(np.uint64(items[row]) ^ _mixed(np.uint64(first_ms[row])))


@kernel
def _merge_days(rows: _Rows, part: _Part) -> int:
    """Unpack the rows of each account and merge its days, one item once; how many items there are.

    Parameters
    ----------
    rows : those of an account stand together, its days ascend.
    part : filled from the left.
    """
    account, day_ms, sizes, starts, words = rows
    code, items, first_ms = part
    begin, end = 0, 0
    earlier, earlier_ms = np.empty(0, np.int64), np.empty(0, np.int64)
    for row in range(len(account)):
        if row and account[row] != account[row - 1]:
            begin = end
        held, size, base = end - begin, sizes[row], starts[row]
        if held > len(earlier):
            earlier, earlier_ms = np.empty(2 * held, np.int64), np.empty(2 * held, np.int64)
        for at in range(held):
            earlier[at], earlier_ms[at] = items[begin + at], first_ms[begin + at]
        end, old, new = begin, 0, 0
        # Without a branch: which of the two comes first cannot be guessed.
        while old < held and new < size:
            item = np.int64(words[base + 2 * new]) | (np.int64(words[base + 2 * new + 1]) << 32)
            is_old, is_new = earlier[old] <= item, earlier[old] >= item
            new_ms = np.int64(words[base + 3 * size + new]) + day_ms[row]
            code[end] = account[row]
            items[end] = earlier[old] if is_old else item
            first_ms[end] = earlier_ms[old] if is_old else new_ms
            old += int(is_old)
            new += int(is_new)
            end += 1
        for left in range(old, held):
            code[end], items[end], first_ms[end] = account[row], earlier[left], earlier_ms[left]
            end += 1
        for left in range(new, size):
            code[end] = account[row]
            items[end] = np.int64(words[base + 2 * left]) | (np.int64(words[base + 2 * left + 1]) << 32)
            first_ms[end] = np.int64(words[base + 3 * size + left]) + day_ms[row]
            end += 1
    return end
