"""Envoy AI Gateway access log with the documented field names."""

from __future__ import annotations

from typing import Final

from linkage.intake.formats.base import Format, Record
from linkage.intake.values import Hops, is_absent


def _read(record: Record) -> Record:
    return {
        "timestamp": record.get("start_time"),
        "request_id": record.get("x-request-id"),
        # Nothing documented names the account: an operator adds these two from what authenticated the request.
        "account_id": record.get("account_id"),
        "api_key_id": record.get("api_key_id"),
        "ip": _address(record),
        "forwarded_for": record.get("x-forwarded-for"),
        "user_agent": record.get("user-agent"),
        "model": record.get("gen_ai.request.model"),
        "endpoint": record.get("x-envoy-origin-path"),
        "input_tokens": record.get("gen_ai.usage.input_tokens"),
        "output_tokens": record.get("gen_ai.usage.output_tokens"),
        "status": record.get("response_code"),
        "latency_ms": record.get("duration"),
    }


def _address(record: Record) -> Hops | None:
    forwarded, peer = record.get("x-forwarded-for"), record.get("downstream_remote_address")
    hops = forwarded.split(",") if isinstance(forwarded, str) and not is_absent(forwarded) else []
    # The peer is the one address that no client can write.
    return Hops([*hops, peer]) if isinstance(peer, str) and not is_absent(peer) else None


FORMAT: Final = Format(
    name="envoy",
    title="Envoy AI Gateway access log",
    kind="requests",
    marks=(("start_time",), ("response_code",), ("downstream_remote_address", "x-envoy-origin-path")),
    convert=_read,
)
