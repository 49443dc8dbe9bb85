"""Raw records to checked canonical records: every value strict, every loss counted.

A required field that cannot be used sets its record aside. Any other becomes null, and a note counts why.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from linkage import terms
from linkage.errors import RecordError
from linkage.intake.beginnings import begin_with
from linkage.intake.column_checks import (
    CheckedColumn,
    check_addresses,
    check_contracts,
    check_ids,
    check_keys,
    check_numbers,
    check_prompts,
    check_texts,
    check_times,
)
from linkage.intake.contracts import params_text, read_contract
from linkage.intake.formats.base import COMPANION_FIELDS, Format, Record
from linkage.intake.raw import ColumnBatch, RawBatch, Rejected
from linkage.intake.values import (
    MAX_LATENCY_MS,
    Reader,
    address_reader,
    count_reader,
    endpoint_reader,
    id_reader,
    key_reader,
    payment_reader,
    read_claimed_address,
    read_column,
    read_day,
    read_domain,
    read_duration,
    read_prompt,
    read_status,
    read_time,
    text_reader,
)
from linkage.settings import IngestSettings

TIME_TYPE: Final = pa.timestamp("us", tz="UTC")

REQUEST_TYPES: Final[Mapping[str, Any]] = {
    **dict.fromkeys(terms.REQUEST_FIELDS, pa.string()),
    "timestamp": TIME_TYPE,
    "prompt": pa.large_string(),
    "system_prompt": pa.large_string(),
    "input_tokens": pa.int64(),
    "output_tokens": pa.int64(),
    "status": pa.int64(),
    "latency_ms": pa.float64(),
}
"""Arrow types of the checked request fields, in the order of ``terms.REQUEST_FIELDS``."""

ACCOUNT_TYPES: Final[Mapping[str, Any]] = {
    **dict.fromkeys(terms.ACCOUNT_FIELDS, pa.string()),
    "created_at": TIME_TYPE,
}
"""Arrow types of the checked account fields, in the order of ``terms.ACCOUNT_FIELDS``."""

COMPANION_TYPES: Final[Mapping[str, Any]] = {field: REQUEST_TYPES[field] for field in COMPANION_FIELDS}
"""Arrow types of the checked fields of companions: who asked, and what requests may lack."""

_PLAIN_IDS: Final = ("request_id", "account_id", "organization_id", "prompt_template", "end_user")

Notes = Counter[tuple[str, str]]
"""How often a value of a field was dropped or repaired, by (field, reason)."""


@dataclasses.dataclass(frozen=True)
class CheckedRequests:
    """Canonical request records of one batch."""

    table: Any
    """Arrow table with the columns and types of ``REQUEST_TYPES``; ``timestamp`` and ``account_id`` are never
    null, ``params`` holds the canonical text of the request contract, ``prompt`` begins with the system text."""
    lines: Any
    """Arrow int64 array: where each record stands in its file."""
    rejected: list[Rejected]
    """What was set aside, by line."""
    notes: Notes
    """Values dropped or repaired."""


@dataclasses.dataclass(frozen=True)
class CheckedAccounts:
    """Canonical account records of one batch."""

    table: Any
    """Arrow table with the columns and types of ``ACCOUNT_TYPES``; ``account_id`` is never null."""
    lines: Any
    """Arrow int64 array: where each record stands in its file."""
    rejected: list[Rejected]
    """What was set aside, by line."""
    notes: Notes
    """Values dropped or repaired."""


@dataclasses.dataclass(frozen=True)
class CheckedCompanions:
    """What a second log tells of requests, one record each."""

    table: Any
    """Arrow table with the columns and types of ``COMPANION_TYPES``; ``timestamp`` and ``request_id`` are never
    null, ``prompt`` begins with the system text."""
    lines: Any
    """Arrow int64 array: where each record stands in its file."""
    rejected: list[Rejected]
    """What was set aside, by line."""
    notes: Notes
    """Values dropped or repaired."""


def check_requests(
    raw: RawBatch | ColumnBatch, form: Format, *, settings: IngestSettings | None = None
) -> CheckedRequests:
    """The usable request records of a batch, in canonical form.

    Parameters
    ----------
    raw : records of one format.
    form : that format; its kind is ``requests``.
    settings : limits of ids and counts, and the trusted proxies; default ``IngestSettings()``.
    """
    limits = settings or IngestSettings()
    readers = _request_readers(limits)
    if isinstance(raw, ColumnBatch):
        return _check_columns(raw, readers, limits)
    records, lines, rejected, notes = _converted(raw, form)
    required = dict.fromkeys(terms.REQUIRED_REQUEST_FIELDS, "") | dict(form.looked_in)
    columns = _read_columns(records, lines, readers, required, rejected, notes)
    _put_system_first(columns)
    return CheckedRequests(_typed(columns, REQUEST_TYPES), pa.array(lines, pa.int64()), sorted(rejected), notes)


def check_accounts(raw: RawBatch, form: Format, *, settings: IngestSettings | None = None) -> CheckedAccounts:
    """The usable account records of a batch, in canonical form; see :func:`check_requests`."""
    readers = _account_readers(settings or IngestSettings())
    records, lines, rejected, notes = _converted(raw, form)
    columns = _read_columns(records, lines, readers, {"account_id": "", **dict(form.looked_in)}, rejected, notes)
    return CheckedAccounts(_typed(columns, ACCOUNT_TYPES), pa.array(lines, pa.int64()), sorted(rejected), notes)


def check_companions(raw: RawBatch, form: Format, *, settings: IngestSettings | None = None) -> CheckedCompanions:
    """The usable companions of a batch, in canonical form; see :func:`check_requests`."""
    every = _request_readers(settings or IngestSettings())
    readers = {field: every[field] for field in COMPANION_TYPES}
    records, lines, rejected, notes = _converted(raw, form)
    columns = _read_columns(records, lines, readers, dict(form.looked_in), rejected, notes)
    _put_system_first(columns)
    return CheckedCompanions(_typed(columns, COMPANION_TYPES), pa.array(lines, pa.int64()), sorted(rejected), notes)


def _request_readers(settings: IngestSettings) -> dict[str, Reader]:
    read_id = id_reader(settings.id_chars)
    read_count = count_reader(settings.tokens_per_request)
    return {
        **dict.fromkeys(terms.REQUEST_FIELDS, read_id),
        "timestamp": read_time,
        "api_key_id": key_reader(settings.id_chars),
        "ip": address_reader(settings.trusted_proxies),
        "forwarded_for": read_claimed_address,
        "payment_method": payment_reader(settings.id_chars),
        "user_agent": text_reader(settings.user_agent_chars),
        "tls_fingerprint": text_reader(settings.id_chars),
        "model": text_reader(settings.id_chars),
        "endpoint": endpoint_reader(settings.id_chars),
        "prompt": read_prompt,
        "system_prompt": read_prompt,
        "input_tokens": read_count,
        "output_tokens": read_count,
        "status": read_status,
        "latency_ms": read_duration,
        "params": read_contract,
    }


def _account_readers(settings: IngestSettings) -> dict[str, Reader]:
    return {
        **dict.fromkeys(terms.ACCOUNT_FIELDS, id_reader(settings.id_chars)),
        "created_at": read_day,
        "email_domain": read_domain,
        "payment_method": payment_reader(settings.id_chars),
        "country": text_reader(settings.id_chars),
        "plan": text_reader(settings.id_chars),
    }


def _converted(raw: RawBatch, form: Format) -> tuple[list[Record], list[int], list[Rejected], Notes]:
    """Records with canonical field names, where they stand, and what the format could not convert."""
    records: list[Record] = []
    lines: list[int] = []
    rejected, notes = list(raw.rejected), Notes()
    for line, record in zip(raw.lines, raw.records, strict=True):
        try:
            made = form.convert(record)
        except (RecordError, RecursionError) as error:
            rejected.append(Rejected(line, str(error) or "nested too deeply"))
            continue
        if made is None:
            notes[("record", form.left_out)] += 1
            continue
        records.append(made)
        lines.append(line)
    return records, lines, rejected, notes


def _read_columns(
    records: Sequence[Record],
    lines: list[int],
    readers: Mapping[str, Reader],
    required: Mapping[str, str],
    rejected: list[Rejected],
    notes: Notes,
) -> dict[str, list[Any]]:
    """Canonical columns of the records that have the required fields; ``lines`` is cut down with them.

    ``required`` says where each was looked for, in words.
    """
    raw = _by_field(records, tuple(readers))
    raw["params"] = list(map(params_text, raw.get("params", ())))
    columns = {field: read_column(raw[field], read) for field, read in readers.items()}
    missing: dict[int, str] = {}
    for field, where in reversed(list(required.items())):
        missing |= {
            row: _why_rejected(field, columns[field].faults.get(row), where)
            for row, value in enumerate(columns[field].values)
            if value is None
        }
    rejected += [Rejected(lines[row], reason) for row, reason in missing.items()]
    for field, column in columns.items():
        reasons = (*column.faults.items(), *column.repairs.items())
        notes.update((field, reason) for row, reason in reasons if row not in missing)
    if missing:
        for values in (lines, *(column.values for column in columns.values())):
            values[:] = [value for row, value in enumerate(values) if row not in missing]
    return {field: column.values for field, column in columns.items()}


def _check_columns(raw: ColumnBatch, readers: Mapping[str, Reader], settings: IngestSettings) -> CheckedRequests:
    table, lines = raw.table, raw.lines
    required = {field: _check_column(table, field, readers[field], settings) for field in terms.REQUIRED_REQUEST_FIELDS}
    missing: dict[int, str] = {}
    for field, column in reversed(required.items()):
        rows = np.flatnonzero(~np.asarray(column.values.is_valid().to_numpy(zero_copy_only=False), dtype=bool))
        missing |= {row: _why_rejected(field, column.reasons.get(row)) for row in rows.tolist()}
    rejected = [Rejected(int(lines[row]), reason) for row, reason in missing.items()]
    notes = Notes()
    columns: dict[str, Any] = {}
    for field in REQUEST_TYPES:
        column = required.get(field) or _check_column(table, field, readers[field], settings)
        notes.update((field, reason) for row, reason in column.reasons.items() if row not in missing)
        columns[field] = column.values.cast(REQUEST_TYPES[field])
    checked = pa.table(columns)
    if missing:
        kept = np.ones(len(lines), bool)
        kept[list(missing)] = False
        checked, lines = checked.filter(pa.array(kept)), lines[kept]
    return CheckedRequests(_with_system_first(checked), pa.array(lines, pa.int64()), sorted(rejected), notes)


def _check_column(table: Any, field: str, read: Reader, settings: IngestSettings) -> CheckedColumn:
    if field not in table.column_names:
        return CheckedColumn(pa.nulls(len(table), REQUEST_TYPES[field]), {})
    values = table[field].combine_chunks()
    if field == "timestamp":
        return check_times(values, read)
    if field in ("prompt", "system_prompt"):
        return check_prompts(values, read)
    if field in ("input_tokens", "output_tokens"):
        return check_numbers(values, read, most=settings.tokens_per_request)
    if field == "latency_ms":
        return check_numbers(values, read, most=MAX_LATENCY_MS)
    if field == "params":
        return check_contracts(values, read)
    if field == "ip":
        return check_addresses(values, read)
    if field == "api_key_id":
        return check_keys(values, read, longest=settings.id_chars)
    if field in _PLAIN_IDS:
        return check_ids(values, read, longest=settings.id_chars)
    return check_texts(values, read, REQUEST_TYPES[field])


def _with_system_first(checked: Any) -> Any:
    """The table with every prompt beginning with its system text."""
    if checked["system_prompt"].null_count == len(checked):
        return checked
    prompts, systems = (checked[name].combine_chunks() for name in ("prompt", "system_prompt"))
    are_apart = pc.and_not(systems.is_valid(), pa.array(begin_with(prompts, systems)))
    if not pc.any(are_apart).as_py():
        return checked
    columns = {"prompt": prompts.filter(are_apart).to_pylist(), "system_prompt": systems.filter(are_apart).to_pylist()}
    _put_system_first(columns)
    joined = pa.array(columns["prompt"], type=REQUEST_TYPES["prompt"])
    prompts = pc.replace_with_mask(prompts, are_apart, joined)
    return checked.set_column(checked.column_names.index("prompt"), "prompt", prompts)


def _by_field(records: Sequence[Record], fields: tuple[str, ...]) -> dict[str, Sequence[Any]]:
    """The raw values of each field; goes through the records once, as they do not fit a processor's cache."""
    rows = [tuple(map(record.get, fields)) for record in records]
    return dict(zip(fields, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(fields, ())


def _why_rejected(field: str, reason: str | None, where: str = "") -> str:
    if reason:
        return f"{field}: {reason}"
    return f"{field} is missing" + (f"; looked for in {where}" if where else "")


def _put_system_first(columns: dict[str, list[Any]]) -> None:
    """Make every prompt begin with its system text, where a source keeps the two apart."""
    prompts, systems = columns["prompt"], columns["system_prompt"]
    if systems.count(None) == len(systems):
        return
    columns["prompt"] = [
        prompt if system is None or (prompt or "").startswith(system) else "\n".join(filter(None, (system, prompt)))
        for prompt, system in zip(prompts, systems, strict=True)
    ]


def _typed(columns: Mapping[str, list[Any]], types: Mapping[str, Any]) -> Any:
    return pa.table({name: pa.array(columns[name], type=kind) for name, kind in types.items()})
