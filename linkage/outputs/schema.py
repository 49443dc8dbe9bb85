"""The JSON Schema of a cluster's report, made from the same shapes as the report itself."""

from __future__ import annotations

import json
from typing import Any, Final

from linkage.outputs.tables import REPORT_FORMAT
from linkage.outputs.ties import SHARED_VALUES
from linkage.terms import (
    ACTIVITY,
    CASE_NOTES,
    CLUSTERS,
    COUNT,
    EVENT_KINDS,
    EVENTS,
    EVIDENCE,
    FAMILIES,
    FLAG,
    LINK_EVIDENCE,
    MEMBERS,
    MEMBERSHIPS,
    NUMBER,
    STATEMENTS,
    TEMPLATES,
    TEXT,
    TIERS,
    TIME,
    Shape,
)

SCHEMA_FILE: Final = "report.schema.json"
"""Its name beside the JSON files of a report."""

SCHEMA_ID: Final = f"urn:linkage:report:{REPORT_FORMAT}"

_TABLES: Final = {
    "members": (MEMBERS, "The accounts, and how firmly each belongs."),
    "links": (LINK_EVIDENCE, "Per linked pair and family the rarest shared value, and what it is worth in bits."),
    "shared": (EVIDENCE, "Per account and value: what two or more members share."),
    "activity": (ACTIVITY, "Requests per account and clock hour, UTC."),
    "templates": (TEMPLATES, "Prompt templates that two or more members use; <*> marks a slot."),
    "statements": (STATEMENTS, "Plain sentences, each with the query and rows behind it."),
    "events": (EVENTS, "What happened to the cluster from run to run."),
    "case_notes": (CASE_NOTES, "What people decided, oldest first."),
}
_CHOICES: Final = {"tier": TIERS, "membership": MEMBERSHIPS, "family": FAMILIES, "event": EVENT_KINDS}
_TIME_FORM: Final = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"
_TYPES: Final[dict[str, dict[str, Any]]] = {
    TEXT: {"type": ["string", "null"]},
    COUNT: {"type": "integer"},
    NUMBER: {"type": ["number", "null"]},
    TIME: {"type": ["string", "null"], "format": "date-time", "pattern": _TIME_FORM},
    FLAG: {"type": "boolean"},
}
_SHARES: Final = frozenset(
    {"controller_probability", "extraction_probability", "whole_probability", "q_value", "stability"}
)


def report_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of ``<cluster>.json`` in a report folder.

    A column may be added without a new format; one that changes its meaning or goes away raises ``format``.

    Examples
    --------
    >>> report_schema()["$id"]
    'urn:linkage:report:1'
    """
    tables = {
        name: {"type": "array", "description": told, "items": _row(shape)} for name, (shape, told) in _TABLES.items()
    }
    properties = {"format": {"const": REPORT_FORMAT}, "run": _run(), "cluster": _row(CLUSTERS), **tables}
    values = {"type": "array", "description": "Where links are not all listed: values that tie most, each once."}
    of_large = {"listed": _listed(), "values": {**values, "items": _row(SHARED_VALUES)}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Report of one cluster of linked accounts",
        "type": "object",
        "required": list(properties),
        "properties": properties | of_large,
    }


def schema_bytes() -> bytes:
    """The schema as a file."""
    return (json.dumps(report_schema(), indent=1) + "\n").encode()


def _row(shape: Shape) -> dict[str, Any]:
    return {"type": "object", "required": list(shape), "properties": {name: _cell(name, shape[name]) for name in shape}}


def _cell(name: str, dtype: str) -> dict[str, Any]:
    if name in _CHOICES:
        return {"enum": list(_CHOICES[name])}
    bounds = {"minimum": 0, "maximum": 1} if name in _SHARES else {"minimum": 0} if dtype == COUNT else {}
    return {**_TYPES[dtype], **bounds}


def _listed() -> dict[str, Any]:
    count = {"type": "integer", "minimum": 0}
    table = {
        "type": "object",
        "required": ["rows", "of", "which"],
        "properties": {"rows": count, "of": count, "which": {"type": "string"}},
    }
    return {
        "type": "object",
        "description": "There only where a table lists a part: how many rows of how many, which, and how to see all. "
        "Figures are of the whole cluster.",
        "required": ["all"],
        "properties": {"all": {"type": "string", "description": "The command that prints everything."}},
        "additionalProperties": table,
    }


def _run() -> dict[str, Any]:
    moment = _TYPES[TIME]
    return {
        "type": "object",
        "required": ["run_id", "as_of", "since", "seed", "settings", "settings_digest", "versions", "inputs"],
        "properties": {
            "run_id": {"type": "string"},
            "as_of": moment,
            "since": moment,
            "seed": {"type": "integer"},
            "window_days": {"type": "integer", "minimum": 1},
            "settings": {"type": "object"},
            "settings_digest": {"type": "string"},
            "versions": {"type": "object", "additionalProperties": {"type": "string"}},
            "inputs": {"type": "object"},
        },
    }
