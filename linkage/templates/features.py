"""Prompts to fingerprints: a few hundred bytes from which templates and items can be mined without the text.

Of each prompt we keep hashes of its first and last words at fixed depths, of the first words of its lines,
and of six-word runs picked by winnowing. Everything is a function of the normalised text.

References
----------
.. [1] S. Schleimer, D. S. Wilkerson, A. Aiken (2003), "Winnowing: local algorithms for document
   fingerprinting", doi:10.1145/872757.872770, for the choice of word runs.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from linkage.errors import TemplateError
from linkage.templates.normalize import COLON, DROPPED, EXPANDED, NEWLINE, SOLO, TABLE_SIZE, fold_table

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint32]

DEPTHS: Final = np.array([*range(1, 17), 20, 24, 32, 48, 64, 128, 256, 512], dtype=np.int64)
"""Numbers of words, from either end, at which the text so far is hashed."""

LINES: Final = 16
"""Lines whose openings are kept."""

FIRST_LINES: Final = 4
"""The first lines, always kept."""

LAST_LINES: Final = 4
"""The last lines, always kept; of those between, the last ones that tell something, then any."""

TELLING_TOKENS: Final = 5
"""A line of more tokens than this tells something, and so does one with a label: the entries of a list that
fills a slot must not push out the question above it."""

OPENINGS: Final = np.array([0, 2, 4, 8, -3], dtype=np.int64)
"""Numbers of tokens at which the opening of a line is hashed; 0 stands for a label, whatever its length, or for
a short line without one as a whole; -3 for the last three, the line's end included."""

CLOSING: Final = 4
"""Place of the closing among the openings."""

LABEL_TOKENS: Final = 6
"""A label is a line's opening of at most so many tokens, the colon included."""

LINE_TOKENS: Final = 15
"""A line of at most so many tokens, its end included, is hashed as a whole."""

SHORT_LINE: Final = 3
"""A line without label of fewer tokens, its end included, is no evidence: entries of lists that fill slots recur."""

LABEL_BIT: Final = np.uint64(16)
"""Set in the hash of a label, not in that of a line; the four bits below are the number of tokens."""

RUN: Final = 6
"""Words in a run."""

MAX_ITEMS: Final = 48
"""Runs kept of one prompt: the first and last eight, and of the others the lowest hashes."""

_EDGE_ITEMS: Final = 8

SHORTEST_SLOT: Final = 3
"""Tokens of a slot that is an item as a whole: of one or two, unrelated prompts have the same."""

LONGEST_SLOT: Final = 256
"""Tokens of a slot that is an item as a whole: longer ones are known by their word runs."""

_ITEM_BITS: Final = 40
_PRESENT: Final = 5  # bytes that say which openings of every other place there are
_HEADER: Final = 23  # bytes: words 4, runs 1, whole 4, numbers 4, which openings 10
_THREADS: Final = 2
_BATCH: Final = 4_096  # prompts that a thread takes at a time

_BASE = np.uint64(0x9E3779B97F4A7C17)  # odd, and 3 modulo 4: no cheap collision when two words change places
_MIX_1 = np.uint64(0xFF51AFD7ED558CCD)
_MIX_2 = np.uint64(0xC4CEB9FE1A85EC53)
_FNV = np.uint64(0x100000001B3)
_SEED = np.uint64(0xCBF29CE484222325)
_INVERSE = np.uint64(pow(0x9E3779B97F4A7C17, -1, 1 << 64))
_NUMBER = np.uint64(0x5BD1E9955BD1E995)
_LINE_END = np.uint64(0x2545F4914F6CDD1D)
_LABEL_END = np.uint64(0x9FB21C651E98DF25)


def _word_hash(word: str) -> int:
    """The hash of a word of ASCII letters, as :func:`_read_words` makes it."""
    value = int(_SEED)
    for letter in word:
        value = (value ^ ord(letter)) * int(_FNV) % (1 << 64)
    return int(mix(np.uint64(value)))


@numba.njit(cache=True, nogil=True, inline="always")
def mix(value):
    """A 64-bit hash spread over all its bits (the finaliser of MurmurHash3)."""
    value ^= value >> np.uint64(33)
    value *= _MIX_1
    value ^= value >> np.uint64(33)
    value *= _MIX_2
    return value ^ (value >> np.uint64(33))


_LIST_LETTERS = np.array([_word_hash(letter) for letter in "bcdefgh"], dtype=np.uint64)


@numba.njit(cache=True, nogil=True)
def _slot_hash(whole, head, tail, length, head_depth, tail_depth):
    """Hash (32 bits) of the tokens between a head and a tail, from the hashes of the three and their lengths."""
    power = np.uint64(1)
    for _ in range(length - head_depth):
        power *= _BASE
    rest = np.uint64(whole) - np.uint64(tail) - np.uint64(head) * power
    for _ in range(tail_depth):
        rest *= _INVERSE
    return rest & np.uint64(0xFFFFFFFF)


@numba.njit(cache=True, nogil=True)
def _decode(buffer, at):
    """The code point at a byte of valid UTF-8, and the byte after it."""
    first = np.int64(buffer[at])
    if first < 0x80:
        return first, at + 1
    if first < 0xE0:
        return ((first & 0x1F) << 6) | (np.int64(buffer[at + 1]) & 0x3F), at + 2
    if first < 0xF0:
        point = ((first & 0x0F) << 12) | ((np.int64(buffer[at + 1]) & 0x3F) << 6)
        return point | (np.int64(buffer[at + 2]) & 0x3F), at + 3
    point = ((first & 0x07) << 18) | ((np.int64(buffer[at + 1]) & 0x3F) << 12)
    return point | ((np.int64(buffer[at + 2]) & 0x3F) << 6) | (np.int64(buffer[at + 3]) & 0x3F), at + 4


@numba.njit(cache=True, nogil=True)
def _read_words(buffer, start, stop, codes, expansions, starts, exact, masked, lines, labels):
    """Fill hashes of the words (exact; and with all numbers alike), their line and whether a colon follows."""
    words, line, at = 0, 0, start
    value, length, is_number = _SEED, 0, True
    row, row_end = 0, 0
    while at < stop or row < row_end or length:
        if row < row_end:
            code = np.int64(expansions[row])
            row += 1
        elif at < stop:
            point, at = _decode(buffer, at)
            if point < TABLE_SIZE:
                code = np.int64(codes[point])
            else:
                code = point | SOLO if point < 0x40000 else np.int64(DROPPED)
            if code >= EXPANDED:
                row, row_end = starts[code - EXPANDED], starts[code - EXPANDED + 1]
                continue
        else:
            code = np.int64(NEWLINE)
        if code == DROPPED:
            continue
        if length and (code < 0 or code & SOLO):
            exact[words] = mix(value)
            masked[words] = _NUMBER if is_number else exact[words]
            lines[words] = line
            labels[words] = False
            words += 1
            value, length, is_number = _SEED, 0, True
        if code == NEWLINE:
            line += 1
        elif code == COLON and words and lines[words - 1] == line:
            labels[words - 1] = True
        elif code >= 0 and code & SOLO:
            exact[words] = mix(_SEED ^ np.uint64(code))
            masked[words] = exact[words]
            lines[words] = line
            labels[words] = False
            words += 1
        elif code >= 0:
            value = (value ^ np.uint64(code)) * _FNV
            length += 1
            if not 48 <= code < 58:
                is_number = False
    return words


@numba.njit(cache=True, nogil=True)
def _is_list_letter(word):
    found = False
    for letter in _LIST_LETTERS:
        found = found or word == letter
    return found


@numba.njit(cache=True, nogil=True)
def _weave(masked, lines, labels, words, tokens, token_lines):
    """Fill the tokens: the words, a mark after each label, a mark at each line's end; how many.

    A letter that numbers the entries of a list is a label; "a" and "i" are words too and are not.
    """
    count = 0
    for at in range(words):
        is_first = at == 0 or lines[at] != lines[at - 1]
        if is_first and at:
            tokens[count], token_lines[count] = _LINE_END, lines[at - 1]
            count += 1
        tokens[count], token_lines[count] = masked[at], lines[at]
        count += 1
        if labels[at] or (is_first and _is_list_letter(masked[at])):
            tokens[count], token_lines[count] = _LABEL_END, lines[at]
            count += 1
    return count


@numba.njit(cache=True, nogil=True)
def _hash_ends(masked, words, heads, tails):
    """Fill the hashes of the first and the last words at each depth; the hash of all words."""
    value, depth = np.uint64(0), 0
    for at in range(words):
        value = value * _BASE + masked[at]
        if depth < DEPTHS.size and at + 1 == DEPTHS[depth]:
            heads[depth] = np.uint32(value & np.uint64(0xFFFFFFFF))
            depth += 1
    whole = np.uint32(value & np.uint64(0xFFFFFFFF))
    value, power, depth = np.uint64(0), np.uint64(1), 0
    for back in range(min(words, DEPTHS[-1])):
        value += masked[words - 1 - back] * power
        power *= _BASE
        if back + 1 == DEPTHS[depth]:
            tails[depth] = np.uint32(value & np.uint64(0xFFFFFFFF))
            depth += 1
    return whole


@numba.njit(cache=True, nogil=True, inline="always")
def _sized_hash(value, size, is_label):
    """A 32-bit hash whose low five bits say how many tokens it is of, and whether these are a label."""
    kept = mix(value) >> np.uint64(37) << np.uint64(5)
    return np.uint32(kept | np.uint64(size) | (LABEL_BIT if is_label else np.uint64(0)))


@numba.njit(cache=True, nogil=True, inline="always")
def opening_tokens(value, size):
    """Tokens in the opening of a line, given its hash and which of :data:`OPENINGS` it is."""
    return np.int64(np.uint64(value) & np.uint64(15)) if size == 0 else abs(OPENINGS[size])


@numba.njit(cache=True, nogil=True)
def _hash_line(tokens, start, stop, is_last, row, at):
    """Fill the hashes of one line's opening and closing; what head and tail hold is left out.

    The first line has only a label and its closing, the last one no closing.
    """
    value, size = np.uint64(0), 1
    for step in range(min(stop - start, LINE_TOKENS)):
        value = value * _BASE + tokens[start + step]
        if tokens[start + step] == _LABEL_END and step < LABEL_TOKENS and row[at] == 0:
            row[at] = _sized_hash(value, step + 1, True)
        if step + 1 == OPENINGS[size]:
            if start and stop - start >= SHORT_LINE:
                row[at + size] = np.uint32(mix(value + np.uint64(step)) >> np.uint64(32))
            size += 1
    if row[at] == 0 and start and SHORT_LINE <= stop - start <= LINE_TOKENS:
        row[at] = _sized_hash(value, stop - start, False)
    closing = -OPENINGS[CLOSING]
    if not is_last and stop - start > closing:
        value = np.uint64(0)
        for step in range(stop - closing, stop):
            value = value * _BASE + tokens[step]
        row[at + CLOSING] = np.uint32(mix(value) >> np.uint64(32))


@numba.njit(cache=True, nogil=True)
def _find_lines(tokens, lines, count, starts, telling):
    """Fill where each line starts, and whether it has a label or a handful of tokens; how many lines."""
    found = 0
    for at in range(count):
        if at == 0 or lines[at] != lines[at - 1]:
            starts[found], telling[found] = at, False
            found += 1
        if tokens[at] == _LABEL_END or at - starts[found - 1] >= TELLING_TOKENS:
            telling[found - 1] = True
    starts[found] = count
    return found


@numba.njit(cache=True, nogil=True)
def _hash_lines(tokens, lines, count, starts, telling, openings):
    """Fill the hashes of the openings of the first lines and of the last ones, telling ones before others."""
    total = _find_lines(tokens, lines, count, starts, telling)
    for line in range(min(total, FIRST_LINES)):
        _hash_line(tokens, starts[line], starts[line + 1], line == total - 1, openings, line * OPENINGS.size)
    slot = LINES
    for wanted in (True, False):
        for line in range(total - 1, FIRST_LINES - 1, -1):
            if slot == FIRST_LINES:
                return
            is_wanted = telling[line] or line >= total - LAST_LINES
            if is_wanted == wanted:
                slot -= 1
                _hash_line(tokens, starts[line], starts[line + 1], line == total - 1, openings, slot * OPENINGS.size)


@numba.njit(cache=True, nogil=True)
def _pick_runs(exact, words, runs, picked):
    """Fill the hashes of word runs that are lowest in their neighbourhood; how many."""
    count = words - RUN + 1
    if count < 1:
        return 0
    for at in range(count):
        value = np.uint64(0)
        for step in range(RUN):
            value = value * _BASE + exact[at + step]
        runs[at] = mix(value) >> np.uint64(64 - _ITEM_BITS)
    window = min(16, max(3, words // 10))
    found, last, best = 0, -1, -1
    for end in range(min(window, count) - 1, count):
        begin = max(0, end - window + 1)
        if best < begin:
            best = begin
            for at in range(begin + 1, end + 1):
                if runs[at] <= runs[best]:
                    best = at
        elif runs[end] <= runs[best]:
            best = end
        if best != last:
            picked[found] = runs[best]
            found += 1
            last = best
    return _thin(picked, found)


@numba.njit(cache=True, nogil=True)
def _thin(picked, found):
    """Keep at most ``MAX_ITEMS`` picked runs, in place; how many."""
    if found <= MAX_ITEMS:
        return found
    edge, room = _EDGE_ITEMS, MAX_ITEMS - 2 * _EDGE_ITEMS
    middle = np.sort(picked[edge : found - edge])
    for step in range(edge):
        picked[edge + room + step] = picked[found - edge + step]
    picked[edge : edge + room] = middle[:room]
    return MAX_ITEMS


@numba.njit(cache=True, nogil=True)
def _fingerprint(buffer, offsets, codes, expansions, starts, ids, sizes, wholes, heads, tails, openings, items):
    """Fill one row per prompt; the number of items of each goes to ``sizes[:, 1]``."""
    longest = 0
    for row in range(offsets.size - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    # A character may stand for up to 18 others (the longest expansion in Unicode).
    exact = np.empty(longest * 2 + 20, np.uint64)
    masked, runs, picked = np.empty_like(exact), np.empty_like(exact), np.empty_like(exact)
    lines, labels = np.empty(exact.size, np.int32), np.empty(exact.size, np.bool_)
    line_starts, telling = np.empty(exact.size + 1, np.int32), np.empty(exact.size + 1, np.bool_)
    tokens, token_lines = np.empty(exact.size * 3, np.uint64), np.empty(exact.size * 3, np.int32)
    for row in range(offsets.size - 1):
        begin, end = offsets[row], offsets[row + 1]
        words = _read_words(buffer, begin, end, codes, expansions, starts, exact, masked, lines, labels)
        count = _weave(masked, lines, labels, words, tokens, token_lines)
        value, numbers = _SEED, np.uint64(0)
        for at in range(words):
            is_new_line = at > 0 and lines[at] != lines[at - 1]
            value = mix(value ^ exact[at]) + np.uint64(is_new_line) + np.uint64(2) * np.uint64(labels[at])
            if masked[at] == _NUMBER:
                numbers = numbers * _BASE + exact[at]
        ids[row] = np.int64(mix(value) >> np.uint64(1)) if words else 0
        sizes[row, 0] = count
        wholes[row, 0] = _hash_ends(tokens, count, heads[row], tails[row])
        wholes[row, 1] = np.uint32(numbers >> np.uint64(32))
        _hash_lines(tokens, token_lines, count, line_starts, telling, openings[row])
        found = _pick_runs(exact, words, runs, picked)
        items[row, :found] = picked[:found]
        sizes[row, 1] = found


@numba.njit(cache=True, nogil=True)
def _hash_slots(words, wholes, heads, tails, ends, slots):
    """Fill the hash of what stands between the fixed ends of each row, 0 where that is very short or long."""
    for row in range(words.size):
        head, tail = ends[row]
        length = words[row] - head - tail
        slots[row] = 0
        if not SHORTEST_SLOT <= length <= LONGEST_SLOT:
            continue
        start = heads[row, np.searchsorted(DEPTHS, head)] if head else np.uint32(0)
        end = tails[row, np.searchsorted(DEPTHS, tail)] if tail else np.uint32(0)
        value = _slot_hash(wholes[row, 0], start, end, words[row], head, tail) | (np.uint64(length) << np.uint64(32))
        slots[row] = np.int64(mix(value ^ mix(np.uint64(wholes[row, 1]))) >> np.uint64(1))


@numba.njit(cache=True, nogil=True)
def _put(target, at, value, width):
    """Write an unsigned number, low byte first; the place after it."""
    for step in range(width):
        target[at + step] = (np.uint64(value) >> np.uint64(8 * step)) & np.uint64(0xFF)
    return at + width


@numba.njit(cache=True, nogil=True)
def _get(source, at, width):
    """Read an unsigned number, low byte first."""
    value = np.uint64(0)
    for step in range(width):
        value |= np.uint64(source[at + step]) << np.uint64(8 * step)
    return value


@numba.njit(cache=True, nogil=True)
def _pack(sizes, wholes, heads, tails, openings, starts, items, places, target):
    """Fill the blobs of all rows, one after the other."""
    present = np.empty(2, np.uint64)
    for row in range(sizes.shape[0]):
        present[:] = 0
        for slot in range(openings.shape[1]):
            if openings[row, slot]:
                present[slot % 2] |= np.uint64(1) << np.uint64(slot // 2)
        at = _put(target, places[row], sizes[row, 0], 4)
        at = _put(target, at, sizes[row, 1], 1)
        at = _put(target, at, wholes[row, 0], 4)
        at = _put(target, at, wholes[row, 1], 4)
        at = _put(target, at, present[0], _PRESENT)
        at = _put(target, at, present[1], _PRESENT)
        for depth in range(DEPTHS.size):
            if DEPTHS[depth] <= sizes[row, 0]:
                at = _put(target, at, heads[row, depth], 4)
                at = _put(target, at, tails[row, depth], 4)
        for slot in range(openings.shape[1]):
            if openings[row, slot]:
                at = _put(target, at, openings[row, slot], 4)
        for item in range(starts[row], starts[row + 1]):
            at = _put(target, at, items[item], 5)


@numba.njit(cache=True, nogil=True)
def _unpack(source, places, sizes, wholes, heads, tails, openings, starts, items):
    """Fill all rows from their blobs; whether each blob had the length it should."""
    present = np.empty(2, np.uint64)
    for row in range(sizes.shape[0]):
        at = places[row] + 5
        wholes[row, 0] = _get(source, at, 4)
        wholes[row, 1] = _get(source, at + 4, 4)
        present[0], present[1] = _get(source, at + 8, _PRESENT), _get(source, at + 8 + _PRESENT, _PRESENT)
        at += 8 + 2 * _PRESENT
        for depth in range(DEPTHS.size):
            if DEPTHS[depth] <= sizes[row, 0]:
                heads[row, depth] = _get(source, at, 4)
                tails[row, depth] = _get(source, at + 4, 4)
                at += 8
        for slot in range(openings.shape[1]):
            if present[slot % 2] >> np.uint64(slot // 2) & np.uint64(1):
                openings[row, slot] = _get(source, at, 4)
                at += 4
        if places[row + 1] - at != 5 * sizes[row, 1]:
            return False
        for item in range(starts[row], starts[row + 1]):
            items[item] = _get(source, at, 5)
            at += 5
    return True


@dataclasses.dataclass(frozen=True, eq=False)
class Features:
    """What is kept of a number of prompts; one row per prompt, in the order given.

    Attributes
    ----------
    prompt_ids : int64, 63-bit hashes of the normalised texts; 0 for a prompt without any word.
    words : int64, words of each prompt.
    wholes : uint32, shape (prompts, 2): hash of all words with numbers alike, and of the numbers.
    heads, tails : uint32, shape (prompts, depths): hash of the first (last) words at each of
        :data:`DEPTHS`; 0 past the end.
    openings : uint32, shape (prompts, lines x openings): hashes of the first words of lines; 0 for none.
    item_starts : int64, shape (prompts + 1): row ``r`` owns ``items[item_starts[r]:item_starts[r + 1]]``.
    items : int64, 40-bit hashes of picked word runs.
    """

    prompt_ids: Ints
    words: Ints
    wholes: Hashes
    heads: Hashes
    tails: Hashes
    openings: Hashes
    item_starts: Ints
    items: Ints

    def __len__(self) -> int:
        return len(self.prompt_ids)

    def __repr__(self) -> str:
        return f"Features({len(self):,} prompts, {len(self.items):,} word runs)"

    def to_blobs(self) -> list[bytes]:
        """One blob per prompt, at most 1 KB whatever the length of the prompt (typically 200 to 350 bytes)."""
        sizes = np.column_stack([self.words, np.diff(self.item_starts)])
        ends = np.searchsorted(DEPTHS, self.words, side="right")
        lengths = _HEADER + 8 * ends + 4 * np.count_nonzero(self.openings, axis=1) + 5 * sizes[:, 1]
        places = np.concatenate([[0], np.cumsum(lengths)])
        target = np.empty(places[-1], dtype=np.uint8)
        _pack(
            sizes,
            self.wholes,
            self.heads,
            self.tails,
            self.openings,
            self.item_starts,
            self.items,
            places,
            target,
        )
        data, cuts = target.tobytes(), places.tolist()
        return [data[a:b] for a, b in itertools.pairwise(cuts)]

    @classmethod
    def from_blobs(cls, prompt_ids: Sequence[int] | Ints, blobs: Sequence[bytes]) -> Features:
        """The features that were packed into these blobs.

        Raises
        ------
        TemplateError : a blob that :meth:`to_blobs` did not make, or another number of ids than of blobs.
        """
        if len(prompt_ids) != len(blobs):
            raise TemplateError(
                f"wanted one id per blob; got {len(prompt_ids)} ids, {len(blobs)} blobs. Read both from one query"
            )
        places = np.concatenate([[0], np.cumsum([len(blob) for blob in blobs], dtype=np.int64)])
        source = np.frombuffer(b"".join(blobs), dtype=np.uint8)
        _check(bool(np.all(np.diff(places) >= _HEADER)))
        words = source[places[:-1, None] + np.arange(4)].view(np.uint32)[:, 0].astype(np.int64)
        counts = source[places[:-1] + 4].astype(np.int64)
        ends = np.searchsorted(DEPTHS, words, side="right")
        _check(bool(np.all(np.diff(places) >= _HEADER + 8 * ends + 5 * counts)))
        made = cls._blank(len(blobs), counts)
        sizes = np.column_stack([words, counts])
        _check(
            _unpack(
                source,
                places,
                sizes,
                made.wholes,
                made.heads,
                made.tails,
                made.openings,
                made.item_starts,
                made.items,
            )
        )
        ids = np.asarray(prompt_ids, dtype=np.int64)
        return dataclasses.replace(made, prompt_ids=ids, words=words)

    @classmethod
    def _blank(cls, rows: int, counts: Ints) -> Features:
        starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        return cls(
            prompt_ids=np.zeros(rows, dtype=np.int64),
            words=np.zeros(rows, dtype=np.int64),
            wholes=np.zeros((rows, 2), dtype=np.uint32),
            heads=np.zeros((rows, DEPTHS.size), dtype=np.uint32),
            tails=np.zeros((rows, DEPTHS.size), dtype=np.uint32),
            openings=np.zeros((rows, LINES * OPENINGS.size), dtype=np.uint32),
            item_starts=starts,
            items=np.zeros(int(starts[-1]), dtype=np.int64),
        )

    def take(self, rows: Ints) -> Features:
        """The features of these rows, in this order."""
        counts = np.diff(self.item_starts)[rows]
        starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        places = np.repeat(self.item_starts[rows] - starts[:-1], counts) + np.arange(starts[-1])
        return Features(
            prompt_ids=self.prompt_ids[rows],
            words=self.words[rows],
            wholes=self.wholes[rows],
            heads=self.heads[rows],
            tails=self.tails[rows],
            openings=self.openings[rows],
            item_starts=starts,
            items=self.items[places],
        )


def hash_slots(features: Features, ends: Ints) -> Ints:
    """Hash (63 bits) of what stands between the fixed ends of each prompt; 0 where it is very short or long.

    The same text under another template, or bare, has the same hash, unless the fixed text has numbers.

    Parameters
    ----------
    features : the prompts.
    ends : tokens of fixed text at start and end of each, shape (prompts, 2).
    """
    slots = np.zeros(len(features), np.int64)
    _hash_slots(features.words, features.wholes, features.heads, features.tails, ends, slots)
    return slots


def _check(is_whole: bool) -> None:
    if not is_whole:
        raise TemplateError(
            "wanted blobs as Features.to_blobs makes them; found one of another length. "
            "The store was written by another version: load the logs again"
        )


def join_features(parts: Iterable[Features]) -> Features:
    """The rows of all parts, one part after the other."""
    rows = list(parts) or [Features._blank(0, np.zeros(0, dtype=np.int64))]
    if len(rows) == 1:
        return rows[0]
    shifts = np.cumsum([0, *(len(part.items) for part in rows)])
    starts = [part.item_starts[:-1] + shift for part, shift in zip(rows, shifts, strict=False)]
    return Features(
        prompt_ids=np.concatenate([part.prompt_ids for part in rows]),
        words=np.concatenate([part.words for part in rows]),
        wholes=np.concatenate([part.wholes for part in rows]),
        heads=np.concatenate([part.heads for part in rows]),
        tails=np.concatenate([part.tails for part in rows]),
        openings=np.concatenate([part.openings for part in rows]),
        item_starts=np.concatenate([*starts, shifts[-1:]]),
        items=np.concatenate([part.items for part in rows]),
    )


def extract_features(prompts: Sequence[str]) -> Features:
    """Fingerprints of the prompts, a row each; a pure function of each normalised text.

    Both cores work; about 7 microseconds of one core per prompt of 900 bytes (2026-11-24).

    Examples
    --------
    >>> features = extract_features(["Name a bird.", "name a BIRD!", ""])
    >>> len(set(features.prompt_ids.tolist())), features.words.tolist()
    (2, [3, 3, 0])
    """
    blank = Features._blank(len(prompts), np.zeros(len(prompts), dtype=np.int64))
    parts = [slice(at, min(at + _BATCH, len(prompts))) for at in range(0, len(prompts), _BATCH)]
    with ThreadPoolExecutor(_THREADS) as threads:
        found = list(threads.map(lambda part: _fingerprint_part(prompts[part], blank, part), parts))
    counts = [np.zeros(1, dtype=np.int64), *(counts for counts, _ in found)]
    items = [np.zeros(0, dtype=np.int64), *(items for _, items in found)]
    return dataclasses.replace(blank, item_starts=np.cumsum(np.concatenate(counts)), items=np.concatenate(items))


def _encode(prompt: str) -> bytes:
    # Lone surrogates, which JSON can spell, have no UTF-8 form; "?" is as good as any mark.
    return prompt.encode("utf-8", "replace")


def _fingerprint_part(prompts: Sequence[str], target: Features, part: slice) -> tuple[Ints, Ints]:
    """Fill the rows of some prompts; their numbers of items, and the items one prompt after the other."""
    texts = [_encode(prompt) for prompt in prompts]
    table: Any = fold_table()
    sizes = np.zeros((len(texts), 2), dtype=np.int64)
    items = np.empty((len(texts), MAX_ITEMS), dtype=np.int64)
    _fingerprint(
        np.frombuffer(b"".join(texts), dtype=np.uint8),
        np.concatenate([[0], np.cumsum([len(text) for text in texts], dtype=np.int64)]),
        table.codes,
        table.expansions,
        table.starts,
        target.prompt_ids[part],
        sizes,
        target.wholes[part],
        target.heads[part],
        target.tails[part],
        target.openings[part],
        items,
    )
    target.words[part] = sizes[:, 0]
    return sizes[:, 1], items[np.arange(MAX_ITEMS) < sizes[:, 1:]]
