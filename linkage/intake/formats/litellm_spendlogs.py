"""LiteLLM_SpendLogs: the table of requests of a LiteLLM proxy, as JSON or as a CSV export."""

from __future__ import annotations

from typing import Any, Final

from linkage.intake.formats.base import Format, Record, first_present, list_in, object_in
from linkage.intake.formats.litellm import (
    billed_account,
    forwarded_list,
    http_status,
    milliseconds_between,
    moment,
    requested_model,
    user_agent_tag,
)
from linkage.intake.prompts import flatten_messages
from linkage.intake.trees import parse_text
from linkage.intake.values import is_absent, number_of


def _read(record: Record) -> Record:
    metadata = object_in(record, "metadata")
    body = _request_body(record)
    prompt = flatten_messages(first_present(_messages(record), body))
    key = record.get("api_key")
    status = first_present(record.get("status"), metadata.get("status"))
    start = moment(record.get("startTime"))
    address = first_present(record.get("requester_ip_address"), metadata.get("requester_ip_address"))
    return {
        "timestamp": start,
        "request_id": record.get("request_id"),
        "account_id": billed_account(
            record.get("user"), metadata.get("user_api_key_user_id"), team=record.get("team_id"), key=key
        ),
        "api_key_id": key,
        "ip": address,
        "forwarded_for": forwarded_list(address),
        "user_agent": first_present(metadata.get("user_agent"), user_agent_tag(list_in(record, "request_tags"))),
        "model": requested_model(record),
        "endpoint": record.get("call_type"),
        "prompt": prompt.text,
        "system_prompt": prompt.system,
        "input_tokens": record.get("prompt_tokens"),
        "output_tokens": record.get("completion_tokens"),
        "status": http_status(status, object_in(metadata, "error_information")),
        "latency_ms": _latency(record, start),
        "organization_id": first_present(record.get("organization_id"), metadata.get("user_api_key_org_id")),
        "params": body,
        "end_user": record.get("end_user"),
    }


def _messages(record: Record) -> Any:
    """The column is JSON, so a text in it is JSON text, as in a CSV export."""
    value = record.get("messages")
    if not isinstance(value, str):
        return value
    opened = parse_text(value)
    return value if opened is None and value != "null" else opened


def _request_body(record: Record) -> Record:
    """The body the client sent: present only where the proxy is told to store prompts."""
    request = object_in(record, "proxy_server_request")
    return object_in(request, "body") or request


def _latency(record: Record, start: Any) -> Any:
    told = record.get("request_duration_ms")
    if not is_absent(told) and number_of(told) is not None:
        return told
    return milliseconds_between(start, moment(record.get("endTime")))


FORMAT: Final = Format(
    name="litellm-spendlogs",
    title="LiteLLM_SpendLogs",
    kind="requests",
    marks=(("request_id",), ("startTime",), ("call_type",), ("api_key",)),
    convert=_read,
    looked_in=(("account_id", "user, metadata.user_api_key_user_id, team_id, api_key"),),
)
