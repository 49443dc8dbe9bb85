"""Prompt text as fingerprints see it: what evasive noise can change is folded away, nothing else is.

Every fold acts on one character at a time, so one table serves both :func:`normalize` and the fast
reader in :mod:`linkage.templates.features`.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
import unicodedata
from typing import Final

import numpy as np
import numpy.typing as npt

DROPPED: Final = -1
"""Code of a character that leaves no trace: invisible ones, accents, punctuation that may stand in a word."""

SPACE: Final = -2
"""Code of a character that ends a word: white space, and every other mark or symbol."""

NEWLINE: Final = -3
"""Code of a character that ends a line."""

COLON: Final = -4
"""Code of the one mark that is kept: it tells a label from running text."""

SOLO: Final = 1 << 28
"""Flag of a character that is a word by itself (scripts written without spaces)."""

EXPANDED: Final = 1 << 29
"""Flag of a character that stands for several; the rest of the code is its row in ``expansions``."""

TABLE_SIZE: Final = 0x20000
"""From this code point on there is no table: CJK ideographs (words by themselves) up to ``0x3FFFF``, then
characters that are dropped."""

_NEWLINES: Final = "\n\r\x0b\x0c\x85\u2028\u2029"
_IN_WORD: Final = ".,;!'-_*~`^\u00b7\u2022\u2018\u2019\u02bc\u2010\u2011\u0640\u30fb\uff65"
_DROPPED_MARKS: Final = (
    (0x0300, 0x036F),
    (0x0483, 0x0489),
    (0x064B, 0x065F),
    (0x1AB0, 0x1AFF),
    (0x1DC0, 0x1DFF),
    (0x20D0, 0x20FF),
    (0x3099, 0x309A),
    (0xFE00, 0xFE2F),
)
_SOLO: Final = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x312F),  # CJK radicals, kana, bopomofo
    (0x31A0, 0xA4CF),  # CJK ideographs, Yi
    (0xF900, 0xFAFF),  # CJK compatibility ideographs
    (0x1B000, 0x1B16F),  # kana, rare
    (0x20000, 0x3FFFF),  # CJK ideographs, rare
)
_UNMAPPED: Final = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xD800, 0xF8FF), (0x17000, 0x18CFF))
_LOOK_ALIKE_PAIRS: Final = (
    "аa вb еe һh іi кk мm нh оo рp сc тt уy хx ѕs јj ԁd ԛq ԝw ӏl "  # Cyrillic
    "αa βb γy εe ηn ιi κk νv οo ρp τt υu χx ωw "  # Greek
    "ΑA ΒB ΕE ΖZ ΗH ΙI ΚK ΜM ΝN ΟO ΡP ΤT ΥY ΧX "
    "օo սu ոn հh ցg զq "  # Armenian
    "ıi ɑa ɡg ɩi ʟl ǀl ƅb"
)
_LOOK_ALIKES: Final[dict[str, str]] = {pair[0]: pair[1] for pair in _LOOK_ALIKE_PAIRS.split(" ")}
"""Letters of other scripts that look like Latin ones. Some Greek pairs part by case (``Νn``, ``νv``): looks
are what an evader uses."""


@dataclasses.dataclass(frozen=True)
class FoldTable:
    """What becomes of each character.

    ``codes`` (one per code point below :data:`TABLE_SIZE`) holds the code point put in its place, possibly
    with :data:`SOLO`; or :data:`DROPPED`, :data:`SPACE`, :data:`NEWLINE`,
    :data:`COLON`; or :data:`EXPANDED` plus a row,
    which is ``expansions[starts[row]:starts[row + 1]]``, of codes again.
    """

    codes: npt.NDArray[np.int32]
    expansions: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int32]


def normalize(text: str) -> str:
    r"""The text without case, accents, look-alikes, invisible characters and punctuation; words and lines stay.

    Compatibility forms become plain ones (NFKC), letters of other scripts that look Latin become Latin,
    punctuation that may stand inside a word vanishes, any other mark becomes one space, empty lines go.
    Characters of scripts without spaces are words by themselves. Applying it twice changes nothing more.

    Examples
    --------
    >>> normalize("Summ\u200barize,  THIS text:\r\n\r\n\t«Пр\u0456vet»")
    'summarize this text :\nпpivet'
    """
    lines = map(_tidy, text.translate(_TRANSLATION).split("\n"))
    return "\n".join(line for line in lines if line)


def _tidy(line: str) -> str:
    # One colon after a word says as much as several, and one without a word says nothing.
    words = line.split()
    return " ".join(word for before, word in zip([":", *words], words, strict=False) if word != ":" or before != ":")


def is_in(point: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    """Whether a code point lies in one of the closed ranges.

    Examples
    --------
    >>> is_in(5, ((1, 3), (5, 9)))
    True
    """
    return any(low <= point <= high for low, high in ranges)


def fold_character(character: str) -> list[int]:
    """Codes of what the character becomes, as in :class:`FoldTable`, without expansions.

    Examples
    --------
    >>> fold_character("É") == [ord("e")], fold_character("?") == [SPACE], fold_character(",")
    (True, True, [])
    """
    point = ord(character)
    if character in _NEWLINES:
        return [NEWLINE]
    if point >= TABLE_SIZE or is_in(point, _UNMAPPED):
        is_word = point < 0x40000 and not 0xD800 <= point < 0xF900
        return [point | (SOLO if is_in(point, _SOLO) else 0)] if is_word else []
    plain = unicodedata.normalize("NFKD", _LOOK_ALIKES.get(character, character)).casefold()
    codes = (_code(_LOOK_ALIKES.get(one, one)) for one in unicodedata.normalize("NFKD", plain))
    return [code for code in codes if code != DROPPED]


def _code(character: str) -> int:
    point, category = ord(character), unicodedata.category(character)
    if character == ":":
        return COLON
    if category == "Nd":
        return ord("0") + unicodedata.digit(character)
    if category[0] in "LN" or (category[0] == "M" and not is_in(point, _DROPPED_MARKS)):
        return DROPPED if character in _IN_WORD else point | (SOLO if is_in(point, _SOLO) else 0)
    if category[0] == "M" or category in ("Cf", "Co", "Cs") or character in _IN_WORD:
        return DROPPED
    return DROPPED if category == "Cc" and not character.isspace() else SPACE


class _Translation(dict[int, str]):
    """Code point to the text put in its place, worked out when first asked for."""

    def __missing__(self, point: int) -> str:
        self[point] = text = "".join(map(_text_of, fold_character(chr(point))))
        return text


def _text_of(code: int) -> str:
    if code < 0:
        return {NEWLINE: "\n", COLON: " : "}.get(code, " ")
    return f" {chr(code ^ SOLO)} " if code & SOLO else chr(code)


_TRANSLATION: Final = _Translation()
_MAKING: Final = threading.Lock()


def fold_table() -> FoldTable:
    """The table of all characters, made once per process (about 0.2 s), whichever threads ask for it first."""
    with _MAKING:
        return _make_table()


@functools.cache
def _make_table() -> FoldTable:
    codes = np.arange(TABLE_SIZE, dtype=np.int32)
    rows: dict[tuple[int, ...], int] = {}
    for point in range(TABLE_SIZE):
        folded = fold_character(chr(point))
        if len(folded) < 2:
            codes[point] = folded[0] if folded else DROPPED
        else:
            codes[point] = EXPANDED | rows.setdefault(tuple(folded), len(rows))
    flat = np.array([code for row in rows for code in row], dtype=np.int32)
    starts = np.cumsum([0, *map(len, rows)], dtype=np.int32)
    return FoldTable(codes=codes, expansions=flat, starts=starts)
