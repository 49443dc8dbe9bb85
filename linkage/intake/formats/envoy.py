"""Envoy AI Gateway access log with the documented field names."""

from __future__ import annotations

from typing import Final

from linkage.intake.formats.base import Format, Record
from linkage.intake.values import Hops, bare_host, is_absent


def _read(record: Record) -> Record:
    claimed, address = _addresses(record)
    return {
        "timestamp": record.get("start_time"),
        "request_id": record.get("x-request-id"),
        # Nothing documented names the account: an operator adds these two from what authenticated the request.
        "account_id": record.get("account_id"),
        "api_key_id": record.get("api_key_id"),
        "ip": address,
        "forwarded_for": claimed,
        "user_agent": record.get("user-agent"),
        "model": record.get("gen_ai.request.model"),
        "endpoint": record.get("x-envoy-origin-path"),
        "input_tokens": record.get("gen_ai.usage.input_tokens"),
        "output_tokens": record.get("gen_ai.usage.output_tokens"),
        "status": record.get("response_code"),
        "latency_ms": record.get("duration"),
    }


def _addresses(record: Record) -> tuple[str | None, Hops | str | None]:
    """What the caller says of addresses, and what is known of them."""
    forwarded, peer = record.get("x-forwarded-for"), record.get("downstream_remote_address")
    hops = forwarded.split(",") if isinstance(forwarded, str) and not is_absent(forwarded) else []
    if not isinstance(peer, str) or is_absent(peer):
        return forwarded, None
    if hops and bare_host(hops[-1].strip()) == bare_host(peer.strip()):
        # As an edge proxy Envoy appends its peer to the list before it logs it.
        hops.pop()
    claimed = ",".join(hops) or None
    # Only the port of an address that Envoy took from the list itself, by its own trusted hops, is 0.
    is_taken = peer.endswith("]:0") or (peer.endswith(":0") and peer.count(":") == 1)
    return claimed, peer if is_taken else Hops([*hops, peer])


FORMAT: Final = Format(
    name="envoy",
    title="Envoy AI Gateway access log",
    kind="requests",
    marks=(("start_time",), ("response_code",), ("downstream_remote_address", "x-envoy-origin-path")),
    convert=_read,
    looked_in=(("account_id", "account_id, which no documented field holds: add it to the access log"),),
)
