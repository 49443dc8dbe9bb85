"""The log formats that are read, and how one is recognised by its fields.

A format says where the canonical fields are; how the file is laid out (JSON lines, JSON array, CSV,
Parquet, packed or not) is found from its bytes and is no part of the format.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from linkage.errors import FormatError, UsageError
from linkage.intake.formats import canonical, litellm_spendlogs, litellm_standard, litellm_tables
from linkage.intake.formats.base import Format, Record, RecordKind, shown_name
from linkage.terms import join_words

__all__ = ["AUTO", "FORMATS", "FORMAT_NAMES", "Format", "Record", "RecordKind", "format_named", "recognise"]

AUTO: Final = "auto"
"""The format name that asks to recognise the format."""

FORMATS: Final[tuple[Format, ...]] = (
    canonical.REQUESTS,
    litellm_standard.FORMAT,
    litellm_spendlogs.FORMAT,
    canonical.ACCOUNTS,
    litellm_tables.USERS,
    litellm_tables.KEYS,
)
"""All shipped formats; at most one fits a record."""

FORMAT_NAMES: Final[tuple[str, ...]] = (AUTO, *(form.name for form in FORMATS))
"""What ``--format`` takes."""

_SHOWN_FIELDS: Final = 30


def format_named(name: str) -> Format:
    """The format of that name.

    Raises
    ------
    UsageError : no format has that name.
    """
    for form in FORMATS:
        if form.name == name:
            return form
    raise UsageError(f"wanted a format name; found {name!r}. Names: {', '.join(FORMAT_NAMES)}")


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
    fits = {form.name: sum(not form.missing_marks(fields) for fields in samples) for form in FORMATS}
    best = max(FORMATS, key=lambda form: fits[form.name])
    if not fits[best.name] or 2 * fits[best.name] < len(samples):
        raise FormatError(_why_unknown(samples, where=where, kind=kind))
    if kind not in (None, best.kind):
        raise FormatError(
            f"{where}: wanted {_about(kind)}; found {best.title} ({_about(best.kind)}). "
            + ("Pass it with --accounts" if best.kind == "accounts" else "Pass it without --accounts")
        )
    return best


def _about(kind: RecordKind | None) -> str:
    return {"requests": "request records", "accounts": "account records", None: "log records"}[kind]


def _why_unknown(samples: Sequence[Collection[str]], *, where: str, kind: RecordKind | None) -> str:
    fields = sorted({name for fields in samples for name in fields})
    candidates = [form for form in FORMATS if kind in (None, form.kind)]
    nearest = min(candidates, key=lambda form: len(form.missing_marks(fields)) / len(form.marks))
    shown = ", ".join(map(shown_name, fields[:_SHOWN_FIELDS])) or "none"
    more = f" and {len(fields) - _SHOWN_FIELDS} more" if len(fields) > _SHOWN_FIELDS else ""
    return (
        f"{where}: wanted {_about(kind)} in a known format ({join_words([form.name for form in candidates])}). "
        f"Found fields: {shown}{more}; nearest is {nearest.name}, which misses "
        f"{join_words(nearest.missing_marks(fields)) or 'them in most records'}. "
        "Name the format with --format, or say where the fields are with --map FILE.toml"
    )
