r"""Text that came from logs, made safe to show: nothing hidden, nothing that breaks a file.

Prompts and names were written by the people under study. Characters that cannot be seen, that turn the
reading order around or that no file format can hold are shown as escapes such as ``\u202e``.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Hashable
from typing import Final

FINGERPRINT_DIGITS: Final = 8

_KEPT_CONTROLS: Final = "\n\t"
_KEPT_FORMATS: Final = "\u200c\u200d"  # joiners: Persian, Indic scripts and emoji need them to read right
_HIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_PLAIN_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_TAKEN_NAMES: Final = frozenset({"index", "manifest", "con", "prn", "aux", "nul"})
_DEVICE_NAME: Final = re.compile(r"(com|lpt)\d")


class _Escapes(dict[int, str]):
    """Code point to what is shown for it; filled as characters turn up, so ordinary text is fast."""

    def __missing__(self, code: int) -> str:
        shown = _escape(chr(code)) if _is_hidden(chr(code)) else chr(code)
        self[code] = shown
        return shown


def _is_hidden(character: str) -> bool:
    if character in _KEPT_CONTROLS or character in _KEPT_FORMATS:
        return False
    is_noncharacter = ord(character) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(character) <= 0xFDEF
    return is_noncharacter or unicodedata.category(character) in _HIDDEN_CATEGORIES


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


_ESCAPES: Final = _Escapes()


def visible(text: str) -> str:
    r"""The text with every hidden, reordering or unstorable character written out as an escape.

    Line breaks and tabs stay; so do the two joiners that scripts need. The result always encodes to UTF-8
    and is valid in XML 1.0.

    Examples
    --------
    >>> print(visible("abc\u202etxt\x00"))
    abc\u202etxt\u0000
    """
    return text.translate(_ESCAPES)


def one_line(text: str, *, longest: int = 80) -> str:
    r"""The visible text on one line, cut to ``longest`` characters with an ellipsis.

    Examples
    --------
    >>> one_line("a\nb" + "c" * 10, longest=6)
    'a bcc…'
    """
    return shorten(" ".join(visible(text).split()), longest=longest)


def shorten(text: str, *, longest: int) -> str:
    """The text, or its first ``longest - 1`` characters and an ellipsis.

    Examples
    --------
    >>> shorten("abcdef", longest=4)
    'abc…'
    """
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def shorten_middle(text: str, *, longest: int) -> str:
    """The text, or its beginning and its end around an ellipsis: ids often differ only at the end.

    Examples
    --------
    >>> shorten_middle("account-000017", longest=9)
    'acco…0017'
    """
    if len(text) <= longest:
        return text
    tail = (longest - 1) // 2
    return f"{text[: longest - 1 - tail]}…{text[-tail:] if tail else ''}"


def fingerprint(text: str) -> str:
    """The first 8 hex digits of the text's BLAKE2b hash, to tell values apart without showing them.

    There is no key in it: who can guess a value can check the guess.

    Examples
    --------
    >>> fingerprint("card-1")
    'f3a75029'
    """
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass")).hexdigest()[:FINGERPRINT_DIGITS]


def file_stem(identifier: str) -> str:
    """A file name without ending that is safe on any system and differs for different identifiers.

    Short lower-case names stay as they are; all others keep their plain characters and gain a fingerprint.

    Examples
    --------
    >>> file_stem("c-7f3a91")
    'c-7f3a91'
    >>> file_stem("../etc/passwd")
    'etc-passwd-fe7a8ddb'
    """
    is_taken = identifier in _TAKEN_NAMES or _DEVICE_NAME.fullmatch(identifier)
    if _PLAIN_NAME.fullmatch(identifier) and not is_taken:
        return identifier
    slug = re.sub(r"[^a-z0-9]+", "-", identifier.lower()).strip("-")[:40]
    return f"{slug or 'cluster'}-{fingerprint(identifier)}"


def is_null(value: Hashable | None) -> bool:
    """Whether a table cell holds nothing (None, NaN or NaT).

    Examples
    --------
    >>> is_null(float("nan")), is_null("")
    (True, False)
    """
    return value is None or value != value
