"""Azure API Management's log of requests to models (``ApiManagementGatewayLlmLog``): their tokens and messages.

A request stands on several rows, told apart by ``SequenceNumber``: one with its tokens, one or more with what was
asked, one or more with the answer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from linkage.errors import RecordError
from linkage.intake.formats.base import Format, Placed, Record, first_present
from linkage.intake.prompts import Prompt, flatten_messages
from linkage.intake.trees import parse_text
from linkage.intake.values import Fault, is_absent, number_of

_ID: Final = "CorrelationId"
_KEPT: Final = (_ID, "TimeGenerated", "DeploymentName", "ModelName", "TotalTokens", "PromptTokens", "CompletionTokens")
_ASKED: Final = "RequestMessages"
_FIRST_PLACES: Final = (0, 1)  # of what was asked: behind the row with the tokens, or where there is none

REQUESTS_HELD: Final = 10_000
"""Requests of one file that wait for more rows; of more the oldest are given as they are."""

_HELD_BYTES: Final = 100_000_000
_NOT_WHOLE: Final = Fault("messages cut short, or not all of their rows in one file")


class _Row(NamedTuple):
    told: Record
    asked: str
    """The messages as JSON text, or a piece of it."""


class _Request(dict[str, Any]):
    """All rows of a request, by their places; no row of a file is one, whatever its fields are called."""


class Join:
    """Gives each request of a file once, with what all of its rows tell."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, tuple[int, dict[int, _Row]]] = OrderedDict()
        self._bytes = 0

    def add(self, line: int, record: Record) -> Iterator[Placed]:
        """The requests that a row makes too many to hold; a row that is of none is given by itself."""
        place, name = number_of(record.get("SequenceNumber")), record.get(_ID)
        if not isinstance(place, int) or is_absent(name):
            yield line, record
            return
        rows = self._held.setdefault(str(name), (line, {}))[1]
        if place not in rows:
            rows[place] = _Row({field: record[field] for field in _KEPT if field in record}, _text(record.get(_ASKED)))
            self._bytes += len(rows[place].asked)
        while len(self._held) > REQUESTS_HELD or self._bytes > _HELD_BYTES:
            yield self._release()

    def rest(self) -> Iterator[Placed]:
        """All requests that are held."""
        while self._held:
            yield self._release()

    def _release(self) -> Placed:
        _, (line, rows) = self._held.popitem(last=False)
        self._bytes -= sum(len(row.asked) for row in rows.values())
        return line, _Request(rows=rows)


def _text(messages: Any) -> str:
    if is_absent(messages):
        return ""
    return messages if isinstance(messages, str) else orjson.dumps(messages).decode()


def _read(joined: Record) -> Record:
    if not isinstance(joined, _Request):
        missing = _ID if is_absent(joined.get(_ID)) else "SequenceNumber"
        raise RecordError(f"{missing} is missing, or not what it should be")
    rows: Mapping[int, _Row] = joined["rows"]
    told = [rows[place].told for place in sorted(rows)]
    counted = [row for row in told if _has_total(row)] + [row for row in told if _names_model(row)]
    prompt = _prompt({place: row.asked for place, row in sorted(rows.items()) if row.asked})
    return {
        "request_id": told[0][_ID],
        "timestamp": first_present(*(row.get("TimeGenerated") for row in told)),
        "prompt": prompt if isinstance(prompt, Fault) else prompt.text,
        "system_prompt": None if isinstance(prompt, Fault) else prompt.system,
        "input_tokens": first_present(*(row.get("PromptTokens") for row in counted)),
        "output_tokens": first_present(*(row.get("CompletionTokens") for row in counted)),
    }


def _has_total(row: Record) -> bool:
    """Whether a row tells the tokens: on those with messages zeros stand in their place."""
    return number_of(row.get("TotalTokens")) not in (None, 0)


def _names_model(row: Record) -> bool:
    """Whether a row may tell of no tokens and mean it."""
    return any(not is_absent(row.get(name)) for name in ("DeploymentName", "ModelName"))


def _prompt(pieces: Mapping[int, str]) -> Prompt | Fault:
    """What was asked, of the pieces by their places; a fault where some are missing, or it was cut."""
    places = list(pieces)
    if not places:
        return flatten_messages(None)
    if places[0] not in _FIRST_PLACES or places != list(range(places[0], places[-1] + 1)):
        return _NOT_WHOLE
    messages = _messages(list(pieces.values()))
    return _NOT_WHOLE if messages is None else flatten_messages(messages)


def _messages(pieces: Sequence[str]) -> Any:
    """The messages of all pieces, each a list of its own or a piece of the text of one; None: they are neither."""
    opened = [parse_text(piece) for piece in pieces]
    if all(isinstance(each, list) for each in opened):
        return [message for each in opened for message in each]
    whole = parse_text("".join(pieces))
    return whole if isinstance(whole, list | dict) else None


FORMAT: Final = Format(
    name="apim-llm",
    title="Azure API Management LLM log",
    kind="companions",
    marks=((_ID,), ("SequenceNumber",), ("PromptTokens", _ASKED)),
    convert=_read,
    looked_in=(("timestamp", "TimeGenerated"), ("request_id", _ID)),
    join=Join,
    completes="azure-openai",
)
