"""LiteLLM StandardLoggingPayload: what its callbacks write to files, buckets and queues."""

from __future__ import annotations

from typing import Final

from linkage.intake.formats.base import Format, Record, first_present, list_in, messages_in, object_in
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


def _read(record: Record) -> Record:
    metadata = object_in(record, "metadata")
    management = object_in(metadata, "prompt_management_metadata")
    prompt = flatten_messages(messages_in(record, "messages"))
    start = moment(record.get("startTime"))
    key = metadata.get("user_api_key_hash")
    address = first_present(metadata.get("requester_ip_address"), record.get("requester_ip_address"))
    return {
        "timestamp": start,
        "request_id": record.get("id"),
        "account_id": billed_account(
            metadata.get("user_api_key_user_id"), team=metadata.get("user_api_key_team_id"), key=key
        ),
        "api_key_id": key,
        "ip": address,
        "forwarded_for": forwarded_list(address),
        "user_agent": first_present(
            record.get("user_agent"),
            metadata.get("user_agent"),
            user_agent_tag(list_in(record, "request_tags")),
        ),
        "model": requested_model(record),
        "endpoint": record.get("call_type"),
        "prompt": prompt.text,
        "system_prompt": prompt.system,
        "input_tokens": record.get("prompt_tokens"),
        "output_tokens": record.get("completion_tokens"),
        "status": http_status(record.get("status"), object_in(record, "error_information")),
        # `response_time` is the time to the first token of a streamed answer.
        "latency_ms": milliseconds_between(start, moment(record.get("endTime"))),
        "organization_id": metadata.get("user_api_key_org_id"),
        "prompt_template": management.get("prompt_id"),
        "params": object_in(record, "model_parameters"),
        "end_user": first_present(record.get("end_user"), metadata.get("user_api_key_end_user_id")),
    }


FORMAT: Final = Format(
    name="litellm-standard",
    title="LiteLLM StandardLoggingPayload",
    kind="requests",
    marks=(("id",), ("startTime",), ("call_type",), ("metadata",), ("model_parameters", "trace_id")),
    never=("api_key",),
    convert=_read,
    looked_in=(
        (
            "account_id",
            "metadata.user_api_key_user_id, metadata.user_api_key_team_id, metadata.user_api_key_hash",
        ),
    ),
)
