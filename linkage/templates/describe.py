"""Templates as a person reads them: the fixed text of a few member prompts, with slots marked.

The original spelling, case and line breaks of the first member are shown.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import re
from collections.abc import Sequence
from typing import Final

from linkage.templates.normalize import normalize

SLOT: Final = "<*>"
"""What stands for a slot."""

_TOKEN: Final = re.compile(r"\w+|[^\w\s]")
_END_TOKENS: Final = 2_000
_MIDDLE_TOKENS: Final = 400
_LEAST_RUN: Final = 2
_NOT_AT_HAND: Final = " (its prompts are no longer at hand)"


@dataclasses.dataclass(frozen=True)
class TemplateText:
    """The text of a template.

    Attributes
    ----------
    text : fixed text with ``<*>`` where prompts differ.
    slots : how many ``<*>`` there are.
    """

    text: str
    slots: int


@dataclasses.dataclass(frozen=True)
class _Tokens:
    text: str
    spans: list[tuple[int, int]]
    keys: list[str]


def describe(template_id: int, texts: Sequence[str]) -> TemplateText:
    """The text of a template from a few member prompts; its name stands for it where there are none.

    Examples
    --------
    >>> describe(255, []).text
    't-00000000000000ff (its prompts are no longer at hand)'
    """
    if not any(text.strip() for text in texts):
        return TemplateText(f"t-{template_id:016x}{_NOT_AT_HAND}", 0)
    return describe_texts(texts)


def is_described(text: str) -> bool:
    """Whether this text of a template was made from prompts; where not, its name stands for it.

    Examples
    --------
    >>> is_described(describe(255, []).text), is_described(describe(255, ["Translate a cat"]).text)
    (False, True)
    """
    return not text.endswith(_NOT_AT_HAND)


def describe_texts(texts: Sequence[str]) -> TemplateText:
    r"""What prompts of one template have in common, with the rest shown as slots.

    Parameters
    ----------
    texts : a few member prompts; more than eight add little. None at all give one slot.

    Returns
    -------
    Fixed text in the spelling of the first prompt: in full at both ends (up to 2,000 tokens each); in between,
    runs of two or more tokens that all prompts have in the same order.

    Examples
    --------
    >>> describe_texts(["Translate to French:\n a cat", "translate to french:\n two  dogs"]).text
    'Translate to French:\n <*>'
    """
    members = [_tokenize(text) for text in texts if text.strip()]
    if not members:
        return TemplateText(SLOT, 1)
    first, others = members[0], members[1:]
    size = len(first.keys)
    head = min((_common_start(first.keys, other.keys) for other in others), default=size)
    tail = min((_common_start(first.keys[::-1], other.keys[::-1]) for other in others), default=size)
    shortest = min(len(member.keys) for member in members)
    tail = max(0, min(tail, shortest - head))
    fixed = [at < head or at >= size - tail for at in range(size)]
    for at in _common_middle(first.keys, [other.keys for other in others], head, tail):
        fixed[at] = True
    return _render(first, fixed, has_slot_at_end=any(len(other.keys) > head + tail for other in others))


@functools.lru_cache(maxsize=100_000)
def _key(token: str) -> str:
    return normalize(token) or token


def _tokenize(text: str) -> _Tokens:
    spans = [match.span() for match in _TOKEN.finditer(text)]
    keys = [_key(text[a:b]) for a, b in spans]
    return _Tokens(text, spans, keys)


def _common_start(one: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b or count == _END_TOKENS:
            break
        count += 1
    return count


def _common_middle(first: list[str], others: list[list[str]], head: int, tail: int) -> list[int]:
    """Places in the first prompt, between the ends, of runs that all others have in the same order."""
    places = list(range(head, len(first) - tail))[:_MIDDLE_TOKENS]
    for other in others:
        rest = other[head : len(other) - tail][:_MIDDLE_TOKENS]
        matcher = difflib.SequenceMatcher(None, [first[at] for at in places], rest, autojunk=False)
        places = [
            places[block.a + step]
            for block in matcher.get_matching_blocks()
            for step in range(block.size)
            if block.size >= _LEAST_RUN
        ]
    return _long_runs(places) if others else []


def _long_runs(places: list[int]) -> list[int]:
    """The places that stand beside another one."""
    kept = set(places)
    return [at for at in places if at - 1 in kept or at + 1 in kept]


def _render(first: _Tokens, fixed: list[bool], *, has_slot_at_end: bool) -> TemplateText:
    pieces: list[str] = []
    slots, end, was_fixed = 0, 0, True
    for (start, stop), is_fixed in zip(first.spans, fixed, strict=True):
        if is_fixed:
            pieces.append(first.text[end:stop])
        elif was_fixed:
            pieces += [first.text[end:start], SLOT]
            slots += 1
        end, was_fixed = stop, is_fixed
    if slots == 0 and has_slot_at_end:
        pieces.append(f" {SLOT}")
        slots = 1
    return TemplateText("".join(pieces).strip(), slots)
