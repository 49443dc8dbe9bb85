"""The log formats that are read, and how one is recognised by its fields.

A format says where the canonical fields are; how the file is laid out (JSON lines, JSON array, CSV,
Parquet, packed or not) is found from its bytes and is no part of the format. Formats that need no code are
mapping files, shipped in ``mappings``.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from importlib import resources
from typing import Final

from linkage.errors import FormatError, UsageError
from linkage.intake.formats import (
    apim_llm,
    bedrock,
    canonical,
    cloudtrail,
    envoy,
    kong,
    litellm_spendlogs,
    litellm_standard,
    litellm_tables,
    otlp,
)
from linkage.intake.formats.base import Format, Record, RecordKind, list_in, shown_name
from linkage.intake.mapping import Mapping as FieldMapping
from linkage.intake.mapping import read_mapping
from linkage.terms import join_words

AUTO: Final = "auto"
"""The format name that asks to recognise the format."""

_CODED: Final[tuple[Format, ...]] = (
    canonical.REQUESTS,
    litellm_standard.FORMAT,
    litellm_spendlogs.FORMAT,
    otlp.FORMAT,
    bedrock.FORMAT,
    kong.FORMAT,
    envoy.FORMAT,
)
_COMPANIONS: Final[tuple[Format, ...]] = (cloudtrail.FORMAT, apim_llm.FORMAT)
_ACCOUNTS: Final[tuple[Format, ...]] = (canonical.ACCOUNTS, litellm_tables.USERS, litellm_tables.KEYS)
_WRAPPERS: Final = ("records", "Records", "result", "logEvents", "events", "data")

_SHOWN_FIELDS: Final = 30


@functools.cache
def shipped_mappings() -> Mapping[str, FieldMapping]:
    """The mapping files that come with the package, by the name of their format."""
    folder = resources.files("linkage.intake") / "mappings"
    with resources.as_file(folder) as files:
        found = [read_mapping(path) for path in sorted(files.glob("*.toml"))]
    return {mapping.format.name: mapping for mapping in found}


@functools.cache
def known_formats() -> tuple[Format, ...]:
    """All shipped formats; at most one fits a record."""
    return (*_CODED, *(mapping.format for mapping in shipped_mappings().values()), *_COMPANIONS, *_ACCOUNTS)


def format_names() -> tuple[str, ...]:
    """What ``--format`` takes."""
    return (AUTO, *(form.name for form in known_formats()))


def sampled_fields(record: Record) -> list[list[str]]:
    """Field names of a record, or of those inside it where it is the wrapper of an export."""
    if any(not form.missing_marks(record) for form in known_formats() if form.marks):
        return [list(record)]
    inner = next((listed for name in _WRAPPERS if (listed := list_in(record, name))), [record])
    return [list(bedrock.logged_in(each) or each) for each in inner if isinstance(each, dict)]


def format_named(name: str) -> Format:
    """The format of that name.

    Raises
    ------
    UsageError : no format has that name.
    """
    for form in known_formats():
        if form.name == name:
            return form
    raise UsageError(f"wanted a format name; found {name!r}. Names: {', '.join(format_names())}")


def recognise(samples: Sequence[Collection[str]], *, where: str, kind: RecordKind | None = None) -> Format:
    """The format that most of the sample records are in.

    Parameters
    ----------
    samples : the field names of each of a few records (for a table: once, its columns).
    where : what to call the file in a message.
    kind : only formats of that kind are right; None takes any.

    Raises
    ------
    FormatError : no format fits half of the samples, or one of the wrong kind does; the message lists the
        fields found, the nearest format and what it misses.
    """
    marked = [form for form in known_formats() if form.marks]
    fits = {form.name: sum(not form.missing_marks(fields) for fields in samples) for form in marked}
    best = max(marked, key=lambda form: fits[form.name])
    if not fits[best.name] or 2 * fits[best.name] < len(samples):
        raise FormatError(_why_unknown(samples, where=where, kind=kind))
    if kind not in (None, best.kind):
        raise FormatError(
            f"{where}: wanted {_about(kind)}; found {best.title} ({_about(best.kind)}). " + _how_else(best, kind)
        )
    return best


def _how_else(found: Format, wanted: RecordKind | None) -> str:
    if found.kind == "companions" and wanted == "requests":
        return f"It completes the requests of {found.completes}: load both with linkage ingest"
    return "Pass it with --accounts" if found.kind == "accounts" else "Pass it without --accounts"


def _about(kind: RecordKind | None) -> str:
    words = {"requests": "request records", "accounts": "account records", "companions": "a companion of requests"}
    return words[kind] if kind else "log records"


def _why_unknown(samples: Sequence[Collection[str]], *, where: str, kind: RecordKind | None) -> str:
    fields = sorted({name for fields in samples for name in fields})
    candidates = [form for form in known_formats() if kind in (None, form.kind)]
    marked = [form for form in candidates if form.marks]
    nearest = min(marked, key=lambda form: len(form.missing_marks(fields)) / len(form.marks))
    shown = ", ".join(map(shown_name, fields[:_SHOWN_FIELDS])) or "none"
    # --format and --map are for logs: with --accounts they say nothing.
    advice = "Give it without --accounts" if kind == "accounts" else "Name the format with --format"
    more = f" and {len(fields) - _SHOWN_FIELDS} more" if len(fields) > _SHOWN_FIELDS else ""
    return (
        f"{where}: wanted {_about(kind)} in a known format ({join_words([form.name for form in candidates])}). "
        f"Found fields: {shown}{more}; nearest is {nearest.name}, which misses "
        f"{join_words(nearest.missing_marks(fields)) or 'them in most records'}. "
        f"{advice}, {'and' if kind == 'accounts' else 'or'} say where the fields are with --map FILE.toml"
    )
