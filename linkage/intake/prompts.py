"""Chat messages to one prompt text: system text first, then the messages in order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import orjson

SYSTEM_ROLES: Final = ("system", "developer")

_AFFIXES: Final = re.compile(r"^(?:input_|output_)|_url$")


class Prompt(NamedTuple):
    """What was asked: the whole text, and the system text apart; None where there is none."""

    text: str | None
    system: str | None


def flatten_messages(messages: Any, *, system: Any = None) -> Prompt:
    r"""One text from whatever a log keeps as its messages.

    Text parts only, joined by line ends; a tool call reads ``name(arguments)``, an image or other media
    ``<image>``.

    Parameters
    ----------
    messages : text, a list of texts, a list of chat messages (``{role, content}``, with content as text or as
        parts, or ``{role, parts}``), or an object that holds ``messages``, ``prompt`` or ``input``, and perhaps
        ``system``.
    system : system text that stands beside the messages, as text or parts.

    Examples
    --------
    >>> flatten_messages([{"role": "user", "content": "17 * 23"}, {"role": "system", "content": "Be brief."}])
    Prompt(text='Be brief.\n17 * 23', system='Be brief.')
    """
    if isinstance(messages, dict) and "role" not in messages:
        inner = next((messages[key] for key in ("messages", "prompt", "input") if messages.get(key)), None)
        return flatten_messages(inner, system=messages.get("system") or system)
    turns = messages if isinstance(messages, list) else [messages]
    system_lines = list(_lines(system))
    lines: list[str] = []
    for turn in turns:
        is_system = isinstance(turn, dict) and turn.get("role") in SYSTEM_ROLES
        (system_lines if is_system else lines).extend(_lines(turn))
    return Prompt(_join([*system_lines, *lines]), _join(system_lines))


def _join(lines: Sequence[str]) -> str | None:
    return "\n".join(lines) or None


def _lines(part: Any) -> Iterator[str]:
    """The text lines of a message, a part, or a list of parts."""
    if isinstance(part, str):
        if part:
            yield part
    elif isinstance(part, list):
        for item in part:
            yield from _lines(item)
    elif isinstance(part, dict):
        yield from _lines_of_object(part)


def _lines_of_object(part: dict[str, Any]) -> Iterator[str]:
    call = _tool_call(part)
    if call:
        yield call
    elif isinstance(part.get("text"), str):
        yield from _lines(part["text"])
    elif any(key in part for key in ("content", "parts", "result", "tool_calls", "function_call")):
        for key in ("content", "parts", "result", "tool_calls", "function_call"):
            yield from _lines(part.get(key))
    elif isinstance(part.get("type"), str):
        yield f"<{_AFFIXES.sub('', part['type'])}>"


def _tool_call(part: dict[str, Any]) -> str | None:
    function = part.get("function")
    source = function if isinstance(function, dict) else part
    arguments = source.get("arguments", source.get("input") if part.get("type") == "tool_use" else None)
    if arguments is None or not isinstance(source.get("name"), str):
        return None
    if not isinstance(arguments, str):
        arguments = orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS).decode()
    return f"{source['name']}({arguments})"
