"""Colours and marks, the same in pictures and in the graph that moves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

INK: Final = "#1b2127"
MUTED: Final = "#626b75"

FAMILY_MARKS: Final[Mapping[str, tuple[str, str]]] = {
    "network": ("#0072B2", "o"),
    "payment": ("#D55E00", "s"),
    "content": ("#009E73", "D"),
    "contract": ("#56B4E9", "p"),
    "client": ("#E69F00", "^"),
    "registration": ("#CC79A7", "v"),
    "conduct": ("#7F7F7F", "h"),
    "rhythm": ("#B8A800", "<"),
    "partition": ("#000000", "P"),
    "succession": ("#8C6BB1", ">"),
}
"""Colour and marker of each evidence family (Okabe-Ito; yellow darkened, since it must show on white)."""

_OTHER_MARK: Final = (MUTED, "o")


def family_mark(family: str) -> tuple[str, str]:
    """Colour and marker of an evidence family, a grey dot for one that is not in the vocabulary.

    Examples
    --------
    >>> family_mark("payment"), family_mark("tea")
    (('#D55E00', 's'), ('#626b75', 'o'))
    """
    return FAMILY_MARKS.get(family, _OTHER_MARK)
