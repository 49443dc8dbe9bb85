"""AWS CloudTrail: from where and with what Bedrock was called, which its own invocation log does not tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from linkage.errors import RecordError
from linkage.intake.formats.base import Format, Record, object_in
from linkage.intake.formats.bedrock import records_in

_SERVICE: Final = "bedrock.amazonaws.com"
_CALLS: Final = ("InvokeModel", "InvokeModelWithResponseStream", "Converse", "ConverseStream")
_UNKNOWN: Final = "unknown"


def _events(record: Record) -> Iterator[Record]:
    """The events in a file of a trail, or in a CloudWatch export; the record itself where it is one."""
    listed = record.get("Records")
    if not isinstance(listed, list):
        yield from records_in(record)
        return
    for event in listed:
        yield event if isinstance(event, dict) else {_UNKNOWN: event}


def _read(event: Record) -> Record | None:
    service, call = event.get("eventSource"), event.get("eventName")
    if not isinstance(service, str) or not isinstance(call, str):
        raise RecordError("no CloudTrail event: eventSource or eventName is missing, or is no text")
    if service != _SERVICE or call not in _CALLS:
        return None
    address = event.get("sourceIPAddress")
    return {
        "request_id": event.get("requestID"),
        "timestamp": event.get("eventTime"),
        "account_id": object_in(event, "userIdentity").get("arn"),
        "ip": address,
        "user_agent": _client(event.get("userAgent"), address),
    }


def _client(agent: Any, address: Any) -> Any:
    """The user agent; none where a service of AWS called, whose name then stands in the place of both."""
    return None if agent == address else agent


FORMAT: Final = Format(
    name="cloudtrail",
    title="AWS CloudTrail",
    kind="companions",
    marks=(("eventSource",), ("eventName",), ("eventTime",), ("eventVersion", "eventID")),
    convert=_read,
    left_out="left out: an event of another service, or no request to a model",
    looked_in=(("timestamp", "eventTime"), ("request_id", "requestID")),
    split=_events,
    completes="bedrock",
)
