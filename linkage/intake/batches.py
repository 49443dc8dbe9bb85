"""Checked records to the facts of a batch: Arrow tables of ids that merge with other batches in any order.

Everything here is a pure function of the records, the source name and the pseudonymizer's key: no state, no
clock, no numbering. So batches can be made on any machine, and loading a record twice gives the same rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from linkage.arrays import Ints
from linkage.intake.entities import (
    Pseudonymizer,
    address_entities,
    client_texts,
    encode_column,
    encode_texts,
    entity_ids,
    ip_prefixes,
)
from linkage.intake.hashing import hash_rows
from linkage.intake.prompt_ids import identify_prompts
from linkage.intake.raw import Rejected
from linkage.intake.records import CheckedAccounts, CheckedCompanions, CheckedRequests, Notes

ENTITY_KINDS: Final = (
    "account",
    "api_key",
    "organization",
    "ip",
    "ip_prefix",
    "payment",
    "client",
    "model",
    "endpoint",
    "contract",
    "end_user",
    "forwarded",
)
"""Kinds of the entity tables of a request batch."""

_PLAIN_KINDS: Final = {
    "account_id": ("account", "account_id"),
    "api_key_id": ("api_key", "api_key_id"),
    "organization_id": ("organization", "organization_id"),
    "payment_id": ("payment", "payment_method"),
    "model_id": ("model", "model"),
    "endpoint_id": ("endpoint", "endpoint"),
    "contract_id": ("contract", "params"),
    "end_user_id": ("end_user", "end_user"),
}
"""Column of ids, its kind, and the field that names the entity."""

_ID_COLUMNS: Final = (
    "account_id",
    "api_key_id",
    "organization_id",
    "ip_id",
    "ip_prefix_id",
    "payment_id",
    "client_id",
    "model_id",
    "endpoint_id",
    "contract_id",
    "end_user_id",
    "prompt_id",
)

REQUEST_TYPES: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("key", "content", *_ID_COLUMNS, "at_ms", "input_tokens", "output_tokens", "status"), pa.int64()),
    "latency_ms": pa.float64(),
    "forwarded_id": pa.int64(),
}
"""Arrow types of the facts of requests."""

REJECTED_TYPES: Final = {"line": pa.int64(), "reason": pa.string()}
NOTE_TYPES: Final = {"field": pa.string(), "reason": pa.string(), "count": pa.int64()}


@dataclasses.dataclass(frozen=True)
class RequestBatch:
    """The facts of a batch of requests, as Arrow tables."""

    requests: Any
    """One row per request: ``key``, ``content`` (int64), then int64 ids ``account_id`` (never null) and, nullable,
    ``api_key_id``, ``organization_id``, ``ip_id``, ``ip_prefix_id``, ``payment_id``, ``client_id``, ``model_id``,
    ``endpoint_id``, ``contract_id``, ``end_user_id``, ``prompt_id``, then ``at_ms`` (int64, UTC epoch),
    ``input_tokens``, ``output_tokens``, ``status`` (nullable int64), ``latency_ms`` (nullable float64) and
    ``forwarded_id`` (nullable int64). Rows with equal keys are one request; where their contents differ too, its
    records contradict each other."""
    entities: Mapping[str, Any]
    """Kind to table ``id`` (int64), ``value`` (string), distinct, sorted by id."""
    prompts: Any
    """Distinct prompts, sorted by id: ``id`` (int64), ``text`` (large_string; null where only the gateway's template
    is known), ``gateway_template`` (string; the least, where one prompt came with several), ``features`` (binary)."""
    coverage: Any
    """``field`` (string), ``present``, ``total`` (int64): how many of the kept records carry each field."""
    notes: Any
    """``field``, ``reason`` (string), ``count`` (int64): values dropped or repaired; sorted."""
    rejected: Any
    """``line`` (int64), ``reason`` (string): what was set aside; sorted."""


@dataclasses.dataclass(frozen=True)
class AccountBatch:
    """The facts of a batch of account records, as Arrow tables."""

    accounts: Any
    """One row per record: ``account_id`` (int64), ``organization_id``, ``email_domain_id``, ``payment_id`` (nullable
    int64), ``created_ms`` (nullable int64, UTC epoch), ``country``, ``plan`` (nullable string), ``content`` (int64).
    An account may have several rows, each with part of the fields."""
    entities: Mapping[str, Any]
    """Kind (``account``, ``organization``, ``email_domain``, ``payment``) to table ``id``, ``value``."""
    coverage: Any
    """As in a request batch."""
    notes: Any
    """As in a request batch."""
    rejected: Any
    """As in a request batch."""


@dataclasses.dataclass(frozen=True)
class CompanionBatch:
    """What a second log tells of requests, as Arrow tables."""

    companions: Any
    """One row per record: ``key`` (int64, of the request), ``at_ms`` (int64, UTC epoch), then nullable int64
    ``account_id``, ``ip_id``, ``ip_prefix_id``, ``client_id``, ``prompt_id``, ``input_tokens``, ``output_tokens``."""
    entities: Mapping[str, Any]
    """Kind (``ip``, ``ip_prefix``, ``client``) to table ``id``, ``value``."""
    prompts: Any
    """As in a request batch."""
    notes: Any
    """As in a request batch."""
    rejected: Any
    """As in a request batch."""


def request_batch(checked: CheckedRequests, *, source: str, pseudonymizer: Pseudonymizer | None = None) -> RequestBatch:
    """The facts of checked request records.

    Parameters
    ----------
    checked : records of one batch.
    source : the name of the system they come from, inside which a request id is unique; not the file's name,
        or a record met again in another file would count twice.
    pseudonymizer : replaces addresses, prefixes, payment tokens, clients and end users before they become ids.
    """
    table = checked.table
    columns, entities = _encode_all(table, _PLAIN_KINDS, pseudonymizer)
    _encode_callers(table, columns, entities, pseudonymizer)
    claimed = encode_column("forwarded", table["forwarded_for"], derive=address_entities, pseudonymizer=pseudonymizer)
    columns["forwarded_id"], entities["forwarded"] = claimed
    prompts = identify_prompts(table["prompt"], table["prompt_template"])
    columns["prompt_id"] = prompts.ids
    content = _content_ids(table, [columns[name] for name in _ID_COLUMNS], columns["forwarded_id"])
    facts = {
        "key": pa.array(_request_keys(table["request_id"], content, source)),
        "content": pa.array(content),
        **{name: columns[name] for name in _ID_COLUMNS},
        "at_ms": _to_ms(table["timestamp"]),
        **{name: table[name] for name in ("input_tokens", "output_tokens", "status", "latency_ms")},
        "forwarded_id": columns["forwarded_id"],
    }
    return RequestBatch(
        requests=pa.table(facts).combine_chunks(),
        entities={kind: entities[kind] for kind in ENTITY_KINDS},
        prompts=prompts.table,
        coverage=_coverage(table),
        notes=_note_table(checked.notes),
        rejected=_rejected_table(checked.rejected),
    )


def account_batch(checked: CheckedAccounts, *, pseudonymizer: Pseudonymizer | None = None) -> AccountBatch:
    """The facts of checked account records; see :func:`request_batch`."""
    table = checked.table
    kinds = {
        "account_id": ("account", "account_id"),
        "organization_id": ("organization", "organization_id"),
        "email_domain_id": ("email_domain", "email_domain"),
        "payment_id": ("payment", "payment_method"),
    }
    columns, entities = _encode_all(table, kinds, pseudonymizer)
    created = _to_ms(table["created_at"])
    words = [encode_column(name, table[name])[0] for name in ("country", "plan")]
    facts = {
        **columns,
        "created_ms": created,
        "country": table["country"],
        "plan": table["plan"],
        "content": pa.array(_row_hashes([*columns.values(), *words, created])),
    }
    return AccountBatch(
        accounts=pa.table(facts).combine_chunks(),
        entities=entities,
        coverage=_coverage(table),
        notes=_note_table(checked.notes),
        rejected=_rejected_table(checked.rejected),
    )


def companion_batch(
    checked: CheckedCompanions, *, source: str, pseudonymizer: Pseudonymizer | None = None
) -> CompanionBatch:
    """The facts of checked companions; see :func:`request_batch`.

    Parameters
    ----------
    source : the name of the system that the requests come from.
    """
    table = checked.table
    columns: dict[str, Any] = {"account_id": encode_column("account", table["account_id"])[0]}
    entities: dict[str, Any] = {}
    _encode_callers(table, columns, entities, pseudonymizer)
    prompts = identify_prompts(table["prompt"], pa.chunked_array([pa.nulls(len(table), pa.string())]))
    facts = {
        "key": pa.array(_request_keys(table["request_id"], np.zeros(len(table), np.int64), source)),
        "at_ms": _to_ms(table["timestamp"]),
        **columns,
        "prompt_id": prompts.ids,
        **{name: table[name] for name in ("input_tokens", "output_tokens")},
    }
    return CompanionBatch(
        companions=pa.table(facts).combine_chunks(),
        entities=entities,
        prompts=prompts.table,
        notes=_note_table(checked.notes),
        rejected=_rejected_table(checked.rejected),
    )


def _encode_all(
    table: Any, kinds: Mapping[str, tuple[str, str]], pseudonymizer: Pseudonymizer | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    columns: dict[str, Any] = {}
    entities: dict[str, Any] = {}
    for name, (kind, field) in kinds.items():
        columns[name], entities[kind] = encode_column(kind, table[field], pseudonymizer=pseudonymizer)
    return columns, entities


def _encode_callers(
    table: Any, columns: dict[str, Any], entities: dict[str, Any], pseudonymizer: Pseudonymizer | None
) -> None:
    """Add addresses, prefixes and clients; prefixes are made from raw addresses, so that pseudonyms keep them."""
    addresses = encode_texts(table["ip"])
    for kind, derive in (("ip", address_entities), ("ip_prefix", ip_prefixes)):
        found = encode_column(kind, addresses, derive=derive, pseudonymizer=pseudonymizer)
        columns[f"{kind}_id"], entities[kind] = found
    clients = client_texts(table["user_agent"], table["tls_fingerprint"])
    columns["client_id"], entities["client"] = encode_column("client", clients, pseudonymizer=pseudonymizer)


def _content_ids(table: Any, ids: Sequence[Any], forwarded: Any) -> Ints:
    """A hash of the whole canonical record, request id included."""
    request_ids = _ids_one_by_one("request", table["request_id"], blank=np.int64(-1))
    numbers = [table[name] for name in ("input_tokens", "output_tokens", "status")]
    latency = np.asarray(table["latency_ms"].to_numpy(), dtype="<f8") + 0.0
    times = table["timestamp"].cast(pa.int64())
    content = _row_hashes([*ids, pa.array(request_ids), times, *numbers], latency.view("<i8"))
    # A field that came later: records without it keep the hash they had.
    told = np.flatnonzero(np.asarray(forwarded.is_valid().to_numpy(zero_copy_only=False), dtype=bool))
    content[told] = _row_hashes([pa.array(content[told]), forwarded.take(pa.array(told))])
    return content


def _row_hashes(columns: Sequence[Any], *more: npt.NDArray[np.int64]) -> Ints:
    """A 63-bit hash of each row of integer columns; null (-1) differs from every id and count."""
    return hash_rows(np.column_stack([*(_filled(column, -1) for column in columns), *more]))


def _filled(column: Any, blank: int) -> npt.NDArray[np.int64]:
    filled = pc.fill_null(column, pa.scalar(blank, type=column.type))
    return np.asarray(filled.to_numpy(zero_copy_only=False) if isinstance(filled, pa.Array) else filled.to_numpy())


def _request_keys(request_ids: Any, content: Ints, source: str) -> Ints:
    """What makes a request the same: source and request id, or where it has none the whole record."""
    return _ids_one_by_one(f"request\0{source}", request_ids, blank=content)


def _ids_one_by_one(kind: str, texts: Any, *, blank: Ints | np.int64) -> Ints:
    """The id of each text of a chunked array, no two of which are alike as a rule; ``blank`` where there is none."""
    whole = texts.combine_chunks()
    present = np.asarray(whole.is_valid().to_numpy(zero_copy_only=False))
    ids = np.empty(len(whole), np.int64)
    ids[:] = blank
    ids[present] = entity_ids(kind, whole.drop_null())
    return ids


def _to_ms(times: Any) -> Any:
    return pc.divide(times.cast(pa.int64()), 1000)


def _coverage(table: Any) -> Any:
    names = table.column_names
    present = [len(table) - table[name].null_count for name in names]
    return pa.table(
        {
            "field": pa.array(names, type=pa.string()),
            "present": pa.array(present, type=pa.int64()),
            "total": pa.array([len(table)] * len(names), type=pa.int64()),
        }
    )


def _note_table(notes: Notes) -> Any:
    rows = [{"field": field, "reason": reason, "count": count} for (field, reason), count in sorted(notes.items())]
    return pa.Table.from_pylist(rows, schema=pa.schema(NOTE_TYPES))


def _rejected_table(rejected: Sequence[Rejected]) -> Any:
    rows = [{"line": line, "reason": reason} for line, reason in rejected]
    return pa.Table.from_pylist(rows, schema=pa.schema(REJECTED_TYPES))
