"""The bytes of a prompt to tokens: hashes of its normalised words, with marks for labels and the ends of lines.

Kernels only; :mod:`linkage.templates.fingerprints` calls them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from linkage.kernels import inner_kernel, kernel
from linkage.templates.normalize import COLON, DROPPED, EXPANDED, NEWLINE, SOLO, TABLE_SIZE

BASE = np.uint64(0x9E3779B97F4A7C17)  # odd, and 3 modulo 4: no cheap collision when two words change places
_MIX_1 = np.uint64(0xFF51AFD7ED558CCD)
_MIX_2 = np.uint64(0xC4CEB9FE1A85EC53)
_FNV = np.uint64(0x100000001B3)
SEED = np.uint64(0xCBF29CE484222325)
NUMBER = np.uint64(0x5BD1E9955BD1E995)
_LINE_END = np.uint64(0x2545F4914F6CDD1D)
LABEL_END = np.uint64(0x9FB21C651E98DF25)


def _word_hash(word: str) -> int:
    """The hash of a word of ASCII letters, as :func:`read_words` makes it."""
    value = int(SEED)
    for letter in word:
        value = (value ^ ord(letter)) * int(_FNV) % (1 << 64)
    compiled: Any = mix
    with np.errstate(over="ignore"):  # the plain function: calling the compiled one would load its code at import
        return int(compiled.py_func(np.uint64(value)))


@kernel
def mix(value):
    """A 64-bit hash spread over all its bits (the finaliser of MurmurHash3)."""
    value ^= value >> np.uint64(33)
    value *= _MIX_1
    value ^= value >> np.uint64(33)
    value *= _MIX_2
    return value ^ (value >> np.uint64(33))


_LIST_LETTERS = np.array([_word_hash(letter) for letter in "bcdefgh"], dtype=np.uint64)


@inner_kernel
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


@inner_kernel
def read_words(buffer, start, stop, codes, expansions, starts, exact, masked, lines, labels):
    """Fill hashes of the words (exact; and with all numbers alike), their line and whether a colon follows.

    Returns how many there are, and how many of them are characters of scripts without spaces.
    """
    words, solo, line, at = 0, 0, 0, start
    value, length, is_number = SEED, 0, True
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
            masked[words] = NUMBER if is_number else exact[words]
            lines[words] = line
            labels[words] = False
            words += 1
            value, length, is_number = SEED, 0, True
        if code == NEWLINE:
            line += 1
        elif code == COLON and words and lines[words - 1] == line:
            labels[words - 1] = True
        elif code >= 0 and code & SOLO:
            exact[words] = mix(SEED ^ np.uint64(code))
            masked[words] = exact[words]
            lines[words] = line
            labels[words] = False
            words, solo = words + 1, solo + 1
        elif code >= 0:
            value = (value ^ np.uint64(code)) * _FNV
            length += 1
            if not 48 <= code < 58:
                is_number = False
    return words, solo


@inner_kernel
def _is_list_letter(word):
    found = False
    for letter in _LIST_LETTERS:
        found = found or word == letter
    return found


@inner_kernel
def weave(masked, lines, labels, words, tokens, token_lines):
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
            tokens[count], token_lines[count] = LABEL_END, lines[at]
            count += 1
    return count
