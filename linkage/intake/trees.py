"""JSON trees: strict parsing with bounded depth, and paths into them.

Paths are what mapping files and formats use to say where a value is: keys joined by dots, ``[0]`` or
``[-1]`` for one element, ``[]`` for every element, ``[key=name]`` for the elements whose ``key`` is
``name``; a key with dots in it stands in double quotes. A text value is parsed as JSON when the path goes on
behind it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import orjson

from linkage.errors import MappingError, RecordError

MAX_DEPTH: Final = 64
"""Deepest nesting of a record; chat payloads with tool schemas stay below 30."""

_BOM: Final = b"\xef\xbb\xbf"
_BLANK_BEFORE_COLON: Final = re.compile(rb'"[ \t\r\n]+:')
_STEP: Final = re.compile(
    r'(?:\A|\.)(?:"(?P<quoted>[^"]+)"|(?P<key>[^.\[\]"]+))'
    r'|\[(?:(?P<index>-?\d{1,9})|(?P<field>[^=\]"]+)=(?P<wanted>[^\]]*))?\]'
)


def parse_object(text: bytes) -> dict[str, Any]:
    """The JSON object that the text is.

    Raises
    ------
    RecordError : not JSON (NaN, lone surrogates and broken UTF-8 included), not an object, nested deeper than
        64, or a key twice in one object: parsers disagree on which of the two values counts.

    Examples
    --------
    >>> parse_object(b'{"account_id": "007"}')
    {'account_id': '007'}
    """
    # Where files were joined, a byte order mark stands at the start of a line.
    text = text.removeprefix(_BOM)
    try:
        record = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise RecordError(_why_not_json(text, error)) from error
    if type(record) is not dict:
        raise RecordError("a JSON value that is not an object")
    keys = _count_keys(record)
    if text.count(b'":') != keys or _BLANK_BEFORE_COLON.search(text):
        _refuse_repeated_keys(text)
    return record


def parse_objects(text: bytes) -> list[dict[str, Any]]:
    """The objects of a line: the one it is, or those of an array, as a sender that gathers records writes them.

    Raises
    ------
    RecordError : as :func:`parse_object`; also an array that holds anything else, or nothing.

    Examples
    --------
    >>> parse_objects(b'[{"account_id": "007"}, {"account_id": "7"}]')
    [{'account_id': '007'}, {'account_id': '7'}]
    """
    if not text.startswith(b"["):
        return [parse_object(text)]
    listed: list[dict[str, Any]] = parse_object(b'{"":' + text + b"}")[""]
    if not listed or not all(type(each) is dict for each in listed):
        raise RecordError("a JSON value that is not an object")
    return listed


def parse_text(text: str) -> Any:
    """The JSON value inside a text; None where it is not JSON or nested too deeply."""
    try:
        value = orjson.loads(text)
        if isinstance(value, dict | list):
            _count_keys(value)
    except (orjson.JSONDecodeError, RecordError):
        return None
    return value


def _why_not_json(text: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return "not UTF-8 text"
    if error.msg.startswith("depth limit"):
        return f"JSON nested deeper than {MAX_DEPTH}"
    if re.search(rb"[:\[,]\s*-?(?:NaN|Infinity)\b", text):
        return "NaN or Infinity, which JSON does not have"
    if "surrogate" in error.msg:
        return "half of a surrogate pair in a text"
    return f"broken JSON: {error.msg.partition(': line')[0]}"


def _count_keys(branch: Any, depth: int = 1) -> int:
    """How many keys all objects of a tree have; raises RecordError where it is nested too deeply."""
    if depth > MAX_DEPTH:
        raise RecordError(f"JSON nested deeper than {MAX_DEPTH}")
    keys = 0
    if type(branch) is dict:
        keys, branch = len(branch), branch.values()
    for value in branch:
        if type(value) is dict or type(value) is list:
            keys += _count_keys(value, depth + 1)
    return keys


def _refuse_repeated_keys(text: bytes) -> None:
    # Counting what ends a key also meets texts that hold such marks, so only this slower parse can tell.
    try:
        json.loads(text, object_pairs_hook=_pairs_once)
    except RecursionError as error:
        raise RecordError(f"JSON nested deeper than {MAX_DEPTH}") from error


def _pairs_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise RecordError("a key twice in one object")
    return made


class Step(NamedTuple):
    """One step of a path: a key, one element, every element, or the elements with ``field == wanted``."""

    key: str | None = None
    at: int | None = None
    field: str | None = None
    wanted: str = ""


Path = tuple[Step, ...]


def parse_path(text: str) -> Path:
    """The steps of a written path.

    Raises
    ------
    MappingError : text that is not a path.

    Examples
    --------
    >>> [step.key or step.at for step in parse_path('metadata."user.id"[0]')]
    ['metadata', 'user.id', 0]
    """
    steps: list[Step] = []
    end = 0
    while end < len(text):
        match = _STEP.match(text, end)
        if match is None:
            raise MappingError(
                f"wanted a path such as metadata.user, items[0].id or tags[]; found {text!r}, unreadable "
                f"from character {end + 1}. Put a key with dots or brackets in double quotes"
            )
        parts = match.groupdict()
        at = int(parts["index"]) if parts["index"] else None
        steps.append(Step(parts["quoted"] or parts["key"], at, parts["field"], parts["wanted"] or ""))
        end = match.end()
    return tuple(steps)


def follow(tree: Any, path: Path) -> list[Any]:
    """All values a path leads to, in order; an empty list where it leads nowhere.

    Examples
    --------
    >>> follow({"tags": ["a", "b"], "body": '{"n": 1}'}, parse_path("tags[]")), follow({}, parse_path("tags[]"))
    (['a', 'b'], [])
    >>> follow({"body": '{"n": 1}'}, parse_path("body.n"))
    [1]
    """
    found = [tree]
    for step in path:
        found = [value for branch in found for value in _take(branch, step)]
    return found


def _take(branch: Any, step: Step) -> Iterable[Any]:
    if isinstance(branch, str):
        branch = parse_text(branch)
    if step.key is not None:
        return (branch[step.key],) if isinstance(branch, dict) and step.key in branch else ()
    if not isinstance(branch, list):
        return ()
    return _elements(branch, step)


def _elements(branch: Sequence[Any], step: Step) -> Iterable[Any]:
    if step.at is not None:
        return (branch[step.at],) if -len(branch) <= step.at < len(branch) else ()
    if step.field is not None:
        return [item for item in branch if isinstance(item, dict) and item.get(step.field) == step.wanted]
    return branch
