"""OpenTelemetry GenAI spans in OTLP-JSON files, each joined with the HTTP server span of its trace.

A GenAI span knows model, tokens and messages; account, address and client are on the server span it descends
from. Spans of a trace come in any order, on any line of a file.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from linkage.intake.formats.base import Format, Placed, Record, first_present, list_in, messages_in, object_in
from linkage.intake.prompts import flatten_messages
from linkage.intake.values import moment_from_number, number_of

TRACES_HELD: Final = 100_000
"""Traces of one file that wait for their root; of more the oldest are given as they are."""

# Tuples: what a file says may be a list, which a set could not be asked for.
_OPERATIONS: Final = ("chat", "text_completion", "generate_content", "embeddings", "completion")
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
_EVENT: Final = "gen_ai.client.inference.operation.details"


class Join:
    """Gives each GenAI span of a file once the server span at the root of its trace is known."""

    def __init__(self) -> None:
        self._servers: OrderedDict[str, dict[str, Record]] = OrderedDict()
        self._parents: OrderedDict[str, dict[str, str]] = OrderedDict()
        self._waiting: OrderedDict[str, dict[str, Placed]] = OrderedDict()

    def add(self, line: int, record: Record) -> Iterator[Placed]:
        """The requests that one line of a file completes."""
        for scope in _inner(record, "resourceLogs", "scopeLogs"):
            for entry in list_in(scope, "logRecords"):
                yield from ((line, made) for made in _from_log(entry))
        for scope in _inner(record, "resourceSpans", "scopeSpans"):
            for span in list_in(scope, "spans"):
                if isinstance(span, dict):
                    yield from self._add_span(line, span)

    def rest(self) -> Iterator[Placed]:
        """The requests of traces whose root is not in the file."""
        while self._waiting:
            yield from self._release_trace()

    def _add_span(self, line: int, span: dict[str, Any]) -> Iterator[Placed]:
        trace, name = str(span.get("traceId", "")), str(span.get("spanId", ""))
        span = {**span, "attributes": _attributes(span.get("attributes"))}
        self._parents.setdefault(trace, {})[name] = str(span.get("parentSpanId") or "")
        if span.get("kind") in _SERVER:
            self._servers.setdefault(trace, {})[name] = span
        elif _is_request(span["attributes"]):
            self._waiting.setdefault(trace, {})[name] = (line, span)
        waiting = self._waiting.get(trace, {})
        for each in [each for each in waiting if self._way_up(trace, each)[1]]:
            yield self._release(trace, waiting, each)
        if not waiting:
            self._waiting.pop(trace, None)
        yield from self._forget()

    def _way_up(self, trace: str, name: str) -> tuple[Record | None, bool]:
        """The outermost known server span that a span descends from, and whether it is the root of the trace.

        Between an edge gateway and the service behind it only the outermost knows the client.
        """
        servers, parents = self._servers.get(trace, {}), self._parents.get(trace, {})
        outermost, seen = None, {name}
        while (name := parents.get(name, "")) and name not in seen:
            seen.add(name)
            outermost = servers.get(name, outermost)
            if parents.get(name) == "" and name in servers:
                return outermost, True
        return outermost, False

    def _release(self, trace: str, waiting: dict[str, Placed], name: str) -> Placed:
        line, span = waiting.pop(name)
        server = self._way_up(trace, name)[0]
        if server is None:
            # The way up is broken; the first server span of the trace is still of this request.
            starts = self._servers.get(trace, {}).values()
            server = min(starts, key=lambda each: number_of(each.get("startTimeUnixNano")) or 0, default=None)
        return line, {"span": span, "server": server}

    def _release_trace(self) -> Iterator[Placed]:
        """Everything that waits of the oldest trace."""
        trace, waiting = self._waiting.popitem(last=False)
        for name in list(waiting):
            yield self._release(trace, waiting, name)

    def _forget(self) -> Iterator[Placed]:
        while len(self._waiting) > TRACES_HELD:
            yield from self._release_trace()
        for held in (self._servers, self._parents):
            while len(held) > 2 * TRACES_HELD:
                held.popitem(last=False)


def _inner(record: Record, outer: str, scopes: str) -> Iterator[Record]:
    for resource in list_in(record, outer):
        scopes_in = list_in(resource, scopes) if isinstance(resource, dict) else []
        yield from (scope for scope in scopes_in if isinstance(scope, dict))


def _from_log(entry: Any) -> Iterator[Record]:
    if not isinstance(entry, dict):
        return
    attributes = _attributes(entry.get("attributes"))
    if _EVENT in (entry.get("eventName"), attributes.get("event.name")):
        start = first_present(entry.get("timeUnixNano"), entry.get("observedTimeUnixNano"))
        yield {"span": {**entry, "attributes": attributes, "startTimeUnixNano": start}, "server": None}


def _is_request(attributes: Record) -> bool:
    operation = attributes.get("gen_ai.operation.name")
    return operation in _OPERATIONS if operation else "gen_ai.request.model" in attributes


def _attributes(listed: Any) -> dict[str, Any]:
    pairs = [pair for pair in listed if isinstance(pair, dict) and "key" in pair] if isinstance(listed, list) else []
    return {str(pair["key"]): _value(pair.get("value")) for pair in pairs}


def _value(value: Any) -> Any:
    """The plain value of an OTLP ``AnyValue``; whole numbers are JSON strings there."""
    if not isinstance(value, dict):
        return None
    if "intValue" in value:
        return number_of(value["intValue"])
    if "arrayValue" in value:
        return [_value(item) for item in list_in(object_in(value, "arrayValue"), "values")]
    if "kvlistValue" in value:
        return _attributes(object_in(value, "kvlistValue").get("values"))
    return next((value[key] for key in ("stringValue", "doubleValue", "boolValue") if key in value), None)


def _read(joined: Record) -> Record:
    span, server = joined["span"], joined["server"] or {}
    told, asked = span["attributes"], server.get("attributes", {})
    outer = server or span
    prompt = flatten_messages(_messages(span), system=messages_in(told, "gen_ai.system_instructions"))
    return {
        "timestamp": _moment(outer.get("startTimeUnixNano")),
        "request_id": first_present(told.get("gen_ai.response.id"), f"{span.get('traceId')}-{span.get('spanId')}"),
        "account_id": first_present(
            *(side.get(key) for side in (asked, told) for key in ("user.id", "enduser.id", "enduser.pseudo.id"))
        ),
        # The peer's address (`network.peer.address`) is the last hop: a proxy's, shared by everybody.
        "ip": first_present(asked.get("client.address"), asked.get("http.client_ip")),
        "user_agent": first_present(asked.get("user_agent.original"), asked.get("http.user_agent")),
        "tls_fingerprint": asked.get("tls.client.ja3"),
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


def _messages(span: Record) -> Any:
    told = span["attributes"]
    found = first_present(messages_in(told, "gen_ai.input.messages"), messages_in(told, "gen_ai.prompt"))
    return found if found is not None else list(_old_messages(span))


def _old_messages(span: Record) -> Iterator[Mapping[str, Any]]:
    """Messages in the events of instrumentations from before 2025."""
    for event in list_in(span, "events"):
        role = _OLD_EVENTS.get(str(event.get("name"))) if isinstance(event, dict) else None
        if role:
            told = _attributes(event.get("attributes"))
            yield {"role": told.get("role", role), "content": told.get("content")}


def _status(asked: Record, span: Record) -> Any:
    code = first_present(asked.get("http.response.status_code"), asked.get("http.status_code"))
    if code is not None:
        return code
    status = span.get("status")
    has_failed = "error.type" in span["attributes"] or (isinstance(status, dict) and status.get("code") in _ERROR)
    error = number_of(span["attributes"].get("error.type"))
    return (error or 0) if has_failed else 200


def _moment(nanoseconds: Any) -> Any:
    found = moment_from_number(nanoseconds, micros_per_unit=1e-3)
    return nanoseconds if found is None else found


def _latency(span: Record) -> float | None:
    start, end = (number_of(span.get(key)) for key in ("startTimeUnixNano", "endTimeUnixNano"))
    return (end - start) / 1e6 if start is not None and end is not None and end >= start else None


FORMAT: Final = Format(
    name="otlp",
    title="OpenTelemetry GenAI spans (OTLP-JSON)",
    kind="requests",
    marks=(("resourceSpans", "resourceLogs"),),
    convert=_read,
    join=Join,
)
