"""Tokens to fingerprints: hashes of both ends at fixed depths, of the lines that tell something, of word runs.

Kernels only; :mod:`linkage.templates.features` calls them.

References
----------
.. [1] S. Schleimer, D. S. Wilkerson, A. Aiken (2003), "Winnowing: local algorithms for document
   fingerprinting", doi:10.1145/872757.872770, for the choice of word runs.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from linkage.kernels import inlined, inner_kernel, kernel
from linkage.sorting import find_place
from linkage.templates.words import BASE, LABEL_END, NUMBER, SEED, mix, read_words, weave

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

_INVERSE = np.uint64(pow(int(BASE), -1, 1 << 64))


@inner_kernel
def _slot_hash(whole, head, tail, length, head_depth, tail_depth):
    """Hash (32 bits) of the tokens between a head and a tail, from the hashes of the three and their lengths."""
    power = np.uint64(1)
    for _ in range(length - head_depth):
        power *= BASE
    rest = np.uint64(whole) - np.uint64(tail) - np.uint64(head) * power
    for _ in range(tail_depth):
        rest *= _INVERSE
    return rest & np.uint64(0xFFFFFFFF)


@inner_kernel
def _hash_ends(masked, words, heads, tails):
    """Fill the hashes of the first and the last words at each depth; the hash of all words."""
    value, depth = np.uint64(0), 0
    for at in range(words):
        value = value * BASE + masked[at]
        if depth < DEPTHS.size and at + 1 == DEPTHS[depth]:
            heads[depth] = np.uint32(value & np.uint64(0xFFFFFFFF))
            depth += 1
    whole = np.uint32(value & np.uint64(0xFFFFFFFF))
    value, power, depth = np.uint64(0), np.uint64(1), 0
    for back in range(min(words, DEPTHS[-1])):
        value += masked[words - 1 - back] * power
        power *= BASE
        if back + 1 == DEPTHS[depth]:
            tails[depth] = np.uint32(value & np.uint64(0xFFFFFFFF))
            depth += 1
    return whole


@inlined
def _sized_hash(value, size, is_label):
    """A 32-bit hash whose low five bits say how many tokens it is of, and whether these are a label."""
    kept = mix(value) >> np.uint64(37) << np.uint64(5)
    return np.uint32(kept | np.uint64(size) | (LABEL_BIT if is_label else np.uint64(0)))


@inlined
def opening_tokens(value, size):
    """Tokens in the opening of a line, given its hash and which of :data:`OPENINGS` it is."""
    return np.int64(np.uint64(value) & np.uint64(15)) if size == 0 else abs(OPENINGS[size])


@inner_kernel
def _hash_line(tokens, start, stop, is_last, row, at):
    """Fill the hashes of one line's opening and closing; what head and tail hold is left out.

    The first line has only a label and its closing, the last one no closing.
    """
    value, size = np.uint64(0), 1
    for step in range(min(stop - start, LINE_TOKENS)):
        value = value * BASE + tokens[start + step]
        if tokens[start + step] == LABEL_END and step < LABEL_TOKENS and row[at] == 0:
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
            value = value * BASE + tokens[step]
        row[at + CLOSING] = np.uint32(mix(value) >> np.uint64(32))


@inner_kernel
def _find_lines(tokens, lines, count, starts, telling):
    """Fill where each line starts, and whether it has a label or a handful of tokens; how many lines."""
    found = 0
    for at in range(count):
        if at == 0 or lines[at] != lines[at - 1]:
            starts[found], telling[found] = at, False
            found += 1
        if tokens[at] == LABEL_END or at - starts[found - 1] >= TELLING_TOKENS:
            telling[found - 1] = True
    starts[found] = count
    return found


@inner_kernel
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


@inner_kernel
def _pick_runs(exact, words, runs, picked):
    """Fill the hashes of word runs that are lowest in their neighbourhood; how many."""
    count = words - RUN + 1
    if count < 1:
        return 0
    for at in range(count):
        value = np.uint64(0)
        for step in range(RUN):
            value = value * BASE + exact[at + step]
        runs[at] = mix(value) >> np.uint64(64 - _ITEM_BITS)
    window = min(16, max(3, words // 10))
    found, last, best = np.int64(0), -1, -1
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


@inner_kernel
def _thin(picked, found):
    """Keep at most ``MAX_ITEMS`` picked runs, in place; how many."""
    if found <= MAX_ITEMS:
        return found
    edge, room = _EDGE_ITEMS, MAX_ITEMS - 2 * _EDGE_ITEMS
    for step in range(edge + 1, found - edge):  # the lowest, ascending; of the others each is looked at once
        value, at = picked[step], min(step, edge + room)
        if at < step and value >= picked[at - 1]:
            continue
        while at > edge and picked[at - 1] > value:
            picked[at] = picked[at - 1]
            at -= 1
        picked[at] = value
    for step in range(edge):
        picked[edge + room + step] = picked[found - edge + step]
    return MAX_ITEMS


@kernel
def fingerprint(buffer, offsets, codes, expansions, starts, ids, sizes, wholes, heads, tails, openings, items):
    """Fill one row per prompt; ``sizes`` gets tokens, items, and whether most words are single characters."""
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
        words, solo = read_words(buffer, begin, end, codes, expansions, starts, exact, masked, lines, labels)
        count = weave(masked, lines, labels, words, tokens, token_lines)
        value, numbers = SEED, np.uint64(0)
        for at in range(words):
            is_new_line = at > 0 and lines[at] != lines[at - 1]
            value = mix(value ^ exact[at]) + np.uint64(is_new_line) + np.uint64(2) * np.uint64(labels[at])
            if masked[at] == NUMBER:
                numbers = numbers * BASE + exact[at]
        ids[row] = np.int64(mix(value) >> np.uint64(1)) if words else 0
        sizes[row, 0] = count
        wholes[row, 0] = _hash_ends(tokens, count, heads[row], tails[row])
        wholes[row, 1] = np.uint32(numbers >> np.uint64(32))
        _hash_lines(tokens, token_lines, count, line_starts, telling, openings[row])
        found = _pick_runs(exact, words, runs, picked)
        for at in range(found):
            items[row, at] = picked[at]
        sizes[row, 1], sizes[row, 2] = found, 2 * solo > words


@kernel
def fill_slots(words, wholes, heads, tails, ends, slots):
    """Fill the hash of what stands between the fixed ends of each row, 0 where that is very short or long."""
    for row in range(words.size):
        head, tail = ends[row]
        length = words[row] - head - tail
        slots[row] = 0
        if not SHORTEST_SLOT <= length <= LONGEST_SLOT:
            continue
        start = heads[row, find_place(DEPTHS, head)] if head else np.uint32(0)
        end = tails[row, find_place(DEPTHS, tail)] if tail else np.uint32(0)
        value = _slot_hash(wholes[row, 0], start, end, words[row], head, tail) | (np.uint64(length) << np.uint64(32))
        slots[row] = np.int64(mix(value ^ mix(np.uint64(wholes[row, 1]))) >> np.uint64(1))
