"""Chat messages to one prompt text: system text first, then the messages in order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import orjson

SYSTEM_ROLES: Final = ("system", "developer")

_MESSAGES: Final = ("messages", "prompt", "input", "contents")
_SYSTEM: Final = ("system", "instructions", "systemInstruction", "system_instruction")
"""Where a body of one provider or another keeps what was asked, and its system text."""

_WITHHELD: Final = ("redacted-by-litellm",)
"""What stands in for a text that is not logged; as a prompt it would tie everybody."""

_INNER: Final = (
    *("content", "parts", "result", "response", "output", "tool_calls", "function_call", "text"),
    *("toolUse", "toolResult", "guardContent", "functionCall", "functionResponse"),
)
"""Members of a part that hold parts themselves."""

_MEDIA: Final = ("image", "document", "video", "audio", "inlineData", "inline_data", "fileData", "file_data")
"""Members by which a part is media, where it has no ``type``."""

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
        parts, or ``{role, parts}``), or a request body that holds them as ``messages``, ``prompt``, ``input`` or
        ``contents``, and perhaps system text as ``system``, ``instructions`` or ``systemInstruction``.
    system : system text that stands beside the messages, as text or parts.

    Examples
    --------
    >>> flatten_messages([{"role": "user", "content": "17 * 23"}, {"role": "system", "content": "Be brief."}])
    Prompt(text='Be brief.\n17 * 23', system='Be brief.')
    """
    if isinstance(messages, dict) and "role" not in messages:
        inner = next((messages[key] for key in _MESSAGES if messages.get(key)), None)
        own = next((messages[key] for key in _SYSTEM if messages.get(key)), None)
        return flatten_messages(inner, system=own or system)
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
        if part and part not in _WITHHELD:
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
    elif "modality" in part:
        yield f"<{part['modality']}>"
    elif any(key in part for key in _INNER):
        for key in _INNER:
            yield from _lines(part.get(key))
    elif any(isinstance(part.get(key), dict) for key in _MEDIA):
        yield f"<{_medium(part)}>"
    elif isinstance(part.get("type"), str):
        yield f"<{_AFFIXES.sub('', part['type'])}>"


def _medium(part: dict[str, Any]) -> str:
    """The kind of media in a part that says it by the name of its member, or by a media type inside."""
    name = next(key for key in _MEDIA if isinstance(part.get(key), dict))
    kind = part[name].get("mimeType") or part[name].get("mime_type")
    return kind.partition("/")[0] if isinstance(kind, str) else name


def _tool_call(part: dict[str, Any]) -> str | None:
    function = part.get("function")
    source = function if isinstance(function, dict) else part
    is_use = part.get("type") == "tool_use" or "toolUseId" in part
    arguments = source.get("arguments", source.get("input") if is_use else source.get("args"))
    if arguments is None or not isinstance(source.get("name"), str):
        return None
    if not isinstance(arguments, str):
        arguments = orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS).decode()
    return f"{source['name']}({arguments})"
