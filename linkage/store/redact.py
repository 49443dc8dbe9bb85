"""Finding values in text, and taking them out."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

PURGED: Final = "(purged)"
"""Stands where a value was."""

_WORD: Final = re.compile(r"[^\s,;'\"()<>=\[\]{}|&]+")
_MARKS: Final = ".:!?"


def redact(text: str, values: Collection[str]) -> str:
    """The text with every one of the values replaced, where it stands as a word of its own.

    O(words of the text) for values without spaces and brackets, where ``values`` is a set; O(values) for the others.

    Examples
    --------
    >>> redact("2 share address 192.0.2.1, 3 share card x 1.", {"192.0.2.1", "card x 1", "192.0.2"})
    '2 share address (purged), 3 share (purged).'
    """
    parts = word_parts(values)
    for value in sorted((part for part in parts if not _WORD.fullmatch(part)), key=lambda part: (-len(part), part)):
        text = text.replace(value, PURGED)
    return _WORD.sub(lambda match: _replaced(match[0], parts), text)


def mentions(text: str, parts: Collection[str], *, phrases: Collection[str]) -> bool:
    """Whether a text has any of the values, as a word of its own.

    Parameters
    ----------
    parts : see :func:`word_parts`.
    phrases : those of them that are no single word.

    Examples
    --------
    >>> mentions('<td>c1</td>', {"c1"}, phrases=()), mentions("c12", {"c1"}, phrases=())
    (True, False)
    """
    words = (match[0] for match in _WORD.finditer(text))
    is_word = any(_named_by(word, parts) for word in words)
    return is_word or any(phrase in text for phrase in phrases)


def word_parts(values: Collection[str]) -> frozenset[str]:
    """The values as they may stand in text: a client is a user agent and a fingerprint, joined by a tab."""
    return frozenset(part for value in values for part in value.split("\t") if part)


def phrases_of(parts: Collection[str]) -> tuple[str, ...]:
    """Those that are no single word, sorted."""
    return tuple(sorted(part for part in parts if not _WORD.fullmatch(part)))


def _replaced(word: str, values: Collection[str]) -> str:
    named = _named_by(word, values)
    return PURGED + word[len(named) :] if named else word


def _named_by(word: str, values: Collection[str]) -> str:
    """The value that a word is, or begins with where marks of the sentence follow; empty for none.

    A value may end with such a mark itself.
    """
    while word and word not in values:
        word = word[:-1] if word[-1] in _MARKS else ""
    return word
