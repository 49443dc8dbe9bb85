"""OpenTelemetry GenAI spans in OTLP-JSON files, each joined with the HTTP server span of its trace.

A GenAI span knows model, tokens and messages; account, address and client are on the server span it descends
from. A server span that knows both is a request itself, unless a GenAI span below it tells of the same request.
Spans of a trace come in any order, on any line of a file.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from linkage.intake.formats.base import (
    ABSENT,
    NO_MODEL,
    Format,
    Placed,
    Record,
    first_present,
    list_in,
    messages_in,
    moment_of,
    object_in,
)
from linkage.intake.prompts import flatten_messages
from linkage.intake.values import is_absent, number_of

TRACES_HELD: Final = 100_000
"""Traces of one file that wait for their root; of more the oldest are given as they are."""

# Tuples: what a file says may be a list, which a set could not be asked for.
_OPERATIONS: Final = ("chat", "text_completion", "generate_content", "embeddings", "completion")
_AROUND_REQUESTS: Final = ("create_agent", "invoke_agent", "invoke_workflow", "execute_tool", "retrieval")
"""Operations that name a model, and whose requests to it are spans of their own."""
_SERVER: Final = (2, "SPAN_KIND_SERVER")
_ERROR: Final = (2, "STATUS_CODE_ERROR")
_CONTRACT: Final = {
    "gen_ai.request.temperature": "temperature",
    "gen_ai.request.top_p": "top_p",
    "gen_ai.request.top_k": "top_k",
    "gen_ai.request.max_tokens": "max_tokens",
    "gen_ai.request.stop_sequences": "stop_sequences",
    "gen_ai.request.presence_penalty": "presence_penalty",
    "gen_ai.request.frequency_penalty": "frequency_penalty",
    "gen_ai.request.choice.count": "n",
    "gen_ai.output.type": "response_format",
    "gen_ai.openai.request.response_format": "response_format",
    "gen_ai.openai.request.service_tier": "service_tier",
}
_OLD_EVENTS: Final = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
}
_OLD_CONTENT: Final = "gen_ai.content.prompt"
_ACCOUNT: Final = ("user.id", "enduser.id", "enduser.pseudo.id")
_EVENT: Final = "gen_ai.client.inference.operation.details"


class Join:
    """Gives each GenAI span of a file once the server span at the root of its trace is known."""

    def __init__(self) -> None:
        self._servers: OrderedDict[str, dict[str, Record]] = OrderedDict()
        self._parents: OrderedDict[str, dict[str, str]] = OrderedDict()
        self._waiting: OrderedDict[str, dict[str, Placed]] = OrderedDict()
        self._asked: set[str] = set()
        """Traces of which a request was given."""
        self._line = 0

    def add(self, line: int, record: Record) -> Iterator[Placed]:
        """The requests that one line of a file completes."""
        self._line = line
        for scope in _inner(record, "resourceLogs", "scopeLogs"):
            for entry in list_in(scope, "logRecords"):
                yield line, _from_log(entry)
        for scope in _inner(record, "resourceSpans", "scopeSpans"):
            for span in list_in(scope, "spans"):
                if isinstance(span, dict):
                    yield from self._add_span(line, span)

    def rest(self) -> Iterator[Placed]:
        """The requests of traces whose root is not in the file, and of traces without any that there was none."""
        while self._waiting:
            yield from self._release_trace()
        while self._parents:
            yield from self._forget_trace()

    def _add_span(self, line: int, span: dict[str, Any]) -> Iterator[Placed]:
        trace, name = str(span.get("traceId", "")), str(span.get("spanId", ""))
        span = {**span, "attributes": _attributes(span.get("attributes"))}
        self._parents.setdefault(trace, {})[name] = str(span.get("parentSpanId") or "")
        if span.get("kind") in _SERVER:
            self._servers.setdefault(trace, {})[name] = span
        if _is_request(span["attributes"]):
            self._waiting.setdefault(trace, {})[name] = (line, span)
        waiting, servers = self._waiting.get(trace, {}), self._servers.get(trace, {})
        # Until the file ends, a span below a server span may turn out to tell of the same request.
        for each in [each for each in waiting if each not in servers and self._way_up(trace, each)[1]]:
            yield self._release(trace, waiting, each)
        if not waiting:
            self._waiting.pop(trace, None)
        yield from self._forget()

    def _above(self, trace: str, name: str) -> list[str]:
        """What a span descends from, as far as it is known, the nearest first."""
        parents, above = self._parents.get(trace, {}), dict.fromkeys([name])
        while (name := parents.get(name, "")) and name not in above:
            above[name] = None
        return list(above)[1:]

    def _way_up(self, trace: str, name: str) -> tuple[Record | None, bool]:
        """The outermost known server span on the way from a span up, and whether it is the root of the trace.

        Between an edge gateway and the service behind it only the outermost knows the client.
        """
        servers, above = self._servers.get(trace, {}), self._above(trace, name)
        outermost = next((each for each in reversed([name, *above]) if each in servers), None)
        is_root = bool(above) and outermost == above[-1] and self._parents[trace].get(above[-1]) == ""
        return (None if outermost is None else servers[outermost]), is_root

    def _release(self, trace: str, waiting: dict[str, Placed], name: str) -> Placed:
        line, span = waiting.pop(name)
        self._asked.add(trace)
        servers = self._servers.get(trace, {})
        for each in self._above(trace, name):
            if each in servers:
                waiting.pop(each, None)
        server = self._way_up(trace, name)[0]
        if server is None:
            # The way up is broken; the first server span of the trace is still of this request.
            starts = servers.values()
            server = min(starts, key=lambda each: number_of(each.get("startTimeUnixNano")) or 0, default=None)
        return line, {"span": span, "server": server}

    def _release_trace(self) -> Iterator[Placed]:
        """Everything that waits of the oldest trace, from below."""
        trace, waiting = self._waiting.popitem(last=False)
        servers = self._servers.get(trace, {})
        for name in sorted(waiting, key=lambda each: (each in servers, -len(self._above(trace, each)))):
            if name in waiting:
                yield self._release(trace, waiting, name)

    def _forget(self) -> Iterator[Placed]:
        while len(self._waiting) > TRACES_HELD:
            yield from self._release_trace()
        while len(self._servers) > 2 * TRACES_HELD:
            self._servers.popitem(last=False)
        while len(self._parents) > 2 * TRACES_HELD:
            yield from self._forget_trace()

    def _forget_trace(self) -> Iterator[Placed]:
        trace, _ = self._parents.popitem(last=False)
        if trace not in self._asked and trace not in self._waiting:
            yield self._line, ABSENT
        self._asked.discard(trace)


def _inner(record: Record, outer: str, scopes: str) -> Iterator[Record]:
    for resource in list_in(record, outer):
        scopes_in = list_in(resource, scopes) if isinstance(resource, dict) else []
        yield from (scope for scope in scopes_in if isinstance(scope, dict))


def _from_log(entry: Any) -> Record:
    """The request that an event among logs tells of; nothing where it tells of none."""
    if not isinstance(entry, dict):
        return ABSENT
    attributes = _attributes(entry.get("attributes"))
    if _EVENT not in (entry.get("eventName"), attributes.get("event.name")):
        return ABSENT
    # A time of 0 says that it is not known.
    times = (entry.get(name) for name in ("timeUnixNano", "observedTimeUnixNano"))
    start = first_present(*(time for time in times if number_of(time) != 0))
    return {"span": {**entry, "attributes": attributes, "startTimeUnixNano": start}, "server": None}


def _is_request(attributes: Record) -> bool:
    operation = attributes.get("gen_ai.operation.name")
    return operation in _OPERATIONS or (operation not in _AROUND_REQUESTS and "gen_ai.request.model" in attributes)


def _attributes(listed: Any) -> dict[str, Any]:
    pairs = [pair for pair in listed if isinstance(pair, dict) and "key" in pair] if isinstance(listed, list) else []
    return {str(pair["key"]): _value(pair.get("value")) for pair in pairs}


def _value(value: Any) -> Any:
    """The plain value of an OTLP ``AnyValue``; whole numbers are JSON strings there."""
    if not isinstance(value, dict):
        return None
    # In Parquet every value has a member of each kind, all but one of them null.
    if value.get("intValue") is not None:
        return number_of(value["intValue"])
    if value.get("arrayValue") is not None:
        return [_value(item) for item in list_in(object_in(value, "arrayValue"), "values")]
    if value.get("kvlistValue") is not None:
        return _attributes(object_in(value, "kvlistValue").get("values"))
    return next((value[key] for key in ("stringValue", "doubleValue", "boolValue") if value.get(key) is not None), None)


def _read(joined: Record) -> Record | None:
    if not joined:
        return None
    span, server = joined["span"], joined["server"] or {}
    told, asked = span["attributes"], server.get("attributes", {})
    outer = server or span
    prompt = flatten_messages(_messages(span), system=messages_in(told, "gen_ai.system_instructions"))
    return {
        "timestamp": moment_of(outer.get("startTimeUnixNano"), micros_per_unit=1e-3),
        "request_id": first_present(told.get("gen_ai.response.id"), _own_id(span)),
        "account_id": _of_client(asked, told, *_ACCOUNT),
        # The peer's address (`network.peer.address`) is the last hop: a proxy's, shared by everybody.
        "ip": _of_client(asked, told, "client.address", "http.client_ip"),
        "user_agent": _of_client(asked, told, "user_agent.original", "http.user_agent"),
        "tls_fingerprint": _of_client(asked, told, "tls.client.ja3"),
        "model": told.get("gen_ai.request.model"),
        "endpoint": first_present(
            asked.get("http.route"), asked.get("url.path"), asked.get("http.target"), told.get("gen_ai.operation.name")
        ),
        "prompt": prompt.text,
        "system_prompt": prompt.system,
        "input_tokens": first_present(told.get("gen_ai.usage.input_tokens"), told.get("gen_ai.usage.prompt_tokens")),
        "output_tokens": first_present(
            told.get("gen_ai.usage.output_tokens"), told.get("gen_ai.usage.completion_tokens")
        ),
        "status": _status(asked, span),
        "latency_ms": _latency(outer),
        "params": {name: told[key] for key, name in _CONTRACT.items() if key in told},
        "end_user": told.get("gen_ai.openai.request.user"),
    }


def _own_id(span: Record) -> str | None:
    """Trace and span together; an event outside of spans has neither, and no two of them must become one."""
    ids = span.get("traceId"), span.get("spanId")
    return None if any(map(is_absent, ids)) else f"{ids[0]}-{ids[1]}"


def _of_client(asked: Record, told: Record, *names: str) -> Any:
    """What the server span says of the client, else what the operator put on the GenAI span or event itself."""
    return first_present(*(side.get(name) for side in (asked, told) for name in names))


def _messages(span: Record) -> Any:
    told = span["attributes"]
    found = first_present(messages_in(told, "gen_ai.input.messages"), messages_in(told, "gen_ai.prompt"))
    return found if found is not None else [*_numbered_messages(told), *_old_messages(span)]


def _numbered_messages(told: Record) -> Iterator[Mapping[str, Any]]:
    """Messages in attributes of their own, ``gen_ai.prompt.0.content``, as instrumentations before 2026 write them."""
    number = 0
    while (content := f"gen_ai.prompt.{number}.content") in told or f"gen_ai.prompt.{number}.role" in told:
        yield {"role": told.get(f"gen_ai.prompt.{number}.role"), "content": messages_in(told, content)}
        number += 1


def _old_messages(span: Record) -> Iterator[Any]:
    """Messages in the events of instrumentations from before 2025."""
    for event in list_in(span, "events"):
        told = _attributes(event.get("attributes")) if isinstance(event, dict) else {}
        name = str(event.get("name")) if isinstance(event, dict) else ""
        if name in _OLD_EVENTS:
            yield {"role": told.get("role", _OLD_EVENTS[name]), "content": told.get("content")}
        elif name == _OLD_CONTENT:
            found = messages_in(told, "gen_ai.prompt")
            yield from found if isinstance(found, list) else [found]


def _status(asked: Record, span: Record) -> Any:
    code = first_present(asked.get("http.response.status_code"), asked.get("http.status_code"))
    if code is not None:
        return code
    status = span.get("status")
    has_failed = "error.type" in span["attributes"] or (isinstance(status, dict) and status.get("code") in _ERROR)
    error = number_of(span["attributes"].get("error.type"))
    return (error or 0) if has_failed else 200


def _latency(span: Record) -> float | None:
    start, end = (number_of(span.get(key)) for key in ("startTimeUnixNano", "endTimeUnixNano"))
    return (end - start) / 1e6 if start is not None and end is not None and end >= start else None


FORMAT: Final = Format(
    name="otlp",
    title="OpenTelemetry GenAI spans (OTLP-JSON)",
    kind="requests",
    marks=(("resourceSpans", "resourceLogs"),),
    convert=_read,
    left_out=NO_MODEL,
    looked_in=(
        ("account_id", f"{', '.join(_ACCOUNT)} of the span and its server span; traces are joined within one file"),
    ),
    join=Join,
)
