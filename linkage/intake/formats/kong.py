"""Kong AI proxy: what its log plugins write for a request to a model; other requests are left out."""

from __future__ import annotations

from typing import Final

from linkage.intake.formats.base import (
    ABSENT,
    NO_MODEL,
    Format,
    Record,
    first_present,
    messages_in,
    moment_of,
    object_in,
)
from linkage.intake.prompts import flatten_messages

_PROXIES: Final = ("proxy", "ai-proxy", "ai-proxy-advanced")


def _read(record: Record) -> Record | None:
    ai = object_in(record, "ai")
    plugin = _plugin(ai)
    if not ai:
        return None
    request, consumer = object_in(record, "request"), object_in(record, "consumer")
    credential = object_in(record, "authenticated_entity").get("id")
    usage = object_in(plugin, "usage")
    payload = first_present(
        messages_in(object_in(plugin, "payload"), "request"), messages_in(object_in(ai, "payload"), "request")
    )
    prompt = flatten_messages(payload)
    return {
        "timestamp": moment_of(record.get("started_at"), micros_per_unit=1e3),
        "request_id": request.get("id"),
        "account_id": first_present(
            consumer.get("custom_id"), consumer.get("id"), consumer.get("username"), credential
        ),
        "api_key_id": credential,
        # Kong has applied its trusted_ips to this one; the headers, which can hold credentials, are not looked at.
        "ip": record.get("client_ip"),
        "user_agent": object_in(request, "headers").get("user-agent"),
        "model": object_in(plugin, "meta").get("request_model"),
        "endpoint": first_present(request.get("uri"), record.get("upstream_uri")),
        "prompt": prompt.text,
        "system_prompt": prompt.system,
        "input_tokens": first_present(usage.get("prompt_tokens"), usage.get("prompt_token")),
        "output_tokens": first_present(usage.get("completion_tokens"), usage.get("completion_token")),
        "status": object_in(record, "response").get("status"),
        "latency_ms": object_in(record, "latencies").get("request"),
        "params": payload if isinstance(payload, dict) else ABSENT,
    }


def _plugin(ai: Record) -> Record:
    """What the plugin that answered wrote, under its name; transformers and guards ask models of their own."""
    for name in (*_PROXIES, *sorted(ai)):
        inner = object_in(ai, name)
        if "meta" in inner or "usage" in inner:
            return inner
    return ABSENT


FORMAT: Final = Format(
    name="kong",
    title="Kong AI proxy log",
    kind="requests",
    marks=(("started_at",), ("latencies",), ("request",), ("ai", "upstream_uri", "service")),
    convert=_read,
    left_out=NO_MODEL,
    looked_in=(("account_id", "consumer.custom_id, consumer.id, consumer.username, authenticated_entity.id"),),
)
