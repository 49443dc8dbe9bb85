"""Tables as CSV that no spreadsheet runs, and as JSON that every parser reads."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from linkage.outputs.text import is_null, visible
from linkage.terms import ClusterDetail

REPORT_FORMAT: Final = 1
"""Raised when a key of the report's JSON changes its meaning or goes away."""

_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def to_csv(frame: pd.DataFrame) -> str:
    r"""The table as CSV text (comma, ``\n``, header line, no index) that a spreadsheet opens as data.

    Text cells and headers that begin like a formula (``= + - @``, tab, line break, their full-width twins)
    gain a leading apostrophe; hidden characters are written out as escapes. Numbers stay numbers, flags are
    ``true`` and ``false``, times are ISO 8601 in UTC with milliseconds and ``Z``, nulls are empty.

    Examples
    --------
    >>> print(to_csv(pd.DataFrame({"account_id": ["=1+1", "a"], "requests": [-3, 4]})), end="")
    account_id,requests
    '=1+1,-3
    a,4
    """
    cells = {_safe_cell(str(name)): _csv_column(frame[name]) for name in frame.columns}
    return pd.DataFrame(cells, dtype=object).to_csv(index=False, lineterminator="\n")


def _csv_column(column: pd.Series[Any]) -> list[Any]:
    return [_csv_cell(value) for value in column]


def _csv_cell(value: Any) -> Any:
    plain = plain_value(value)
    if isinstance(plain, bool):
        return "true" if plain else "false"
    if isinstance(plain, dict | list):
        return json.dumps(plain)
    return _safe_cell(plain) if isinstance(plain, str) else plain


def _safe_cell(text: str) -> str:
    shown = visible(text.replace("\r\n", "\n"))
    return f"'{shown}" if text.startswith(_FORMULA_STARTS) else shown


def to_json(frame: pd.DataFrame) -> str:
    """The table as a JSON array of one object per row, ASCII only, ending in a line break.

    Times are ISO 8601 in UTC with milliseconds and ``Z``; nulls and numbers that JSON lacks (NaN,
    infinity) are ``null``; lone surrogates, which strict parsers refuse, are written out as escapes.

    Examples
    --------
    >>> print(to_json(pd.DataFrame({"account_id": ["a"], "bits": [float("nan")]})), end="")
    [
      {"account_id": "a", "bits": null}
    ]
    """
    rows = [json.dumps(record, allow_nan=False) for record in records(frame)]
    return "[\n  " + ",\n  ".join(rows) + "\n]\n" if rows else "[]\n"


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as dicts of plain JSON values, keys in column order.

    Examples
    --------
    >>> records(pd.DataFrame({"n": [1], "at": pd.to_datetime(["2026-11-20T09:00Z"])}))
    [{'n': 1, 'at': '2026-11-20T09:00:00.000Z'}]
    """
    names = [str(name) for name in frame.columns]
    columns = [_plain_column(frame[name]) for name in frame.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _plain_column(column: pd.Series[Any]) -> list[Any]:
    """What :func:`plain_value` makes of each value; of texts and times, once for each that is there."""
    if isinstance(column.dtype, pd.CategoricalDtype | pd.StringDtype | pd.DatetimeTZDtype):
        return _take_each(column, plain_value, missing=None)
    return [plain_value(value) for value in column]


def _take_each(column: pd.Series[Any], make: Callable[[Any], Any], *, missing: Any) -> list[Any]:
    """What a function makes of each value of a column, made once for each distinct one."""
    codes, known = pd.factorize(column)
    made = np.empty(len(known) + 1, dtype=object)
    made[:] = [*map(make, known), missing]
    return list(made[codes])


def plain_value(value: Any) -> Any:
    """Any cell or nested setting as something JSON has: text, number, flag, null, list or object.

    Examples
    --------
    >>> plain_value({"seeds": np.int64(8), "at": pd.Timestamp("2026-11-20", tz="UTC")})
    {'seeds': 8, 'at': '2026-11-20T00:00:00.000Z'}
    """
    if isinstance(value, str):
        return _LONE_SURROGATE.sub(lambda match: visible(match.group()), value)
    if isinstance(value, Mapping):
        return {str(plain_value(str(key))): plain_value(inner) for key, inner in value.items()}
    if isinstance(value, Sequence | set | frozenset | np.ndarray):
        return _plain_list(value)
    if is_null(value) or value is pd.NaT:
        return None
    return _plain_scalar(value)


def _plain_list(values: Any) -> list[Any]:
    ordered = sorted(values, key=repr) if isinstance(values, set | frozenset) else values
    return [plain_value(value) for value in ordered]


def _plain_scalar(value: Any) -> Any:
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "isoformat"):
        return iso_time(value)
    return plain_value(str(value))


def iso_time(moment: Any) -> str:
    """A time as ISO 8601 in UTC with milliseconds; a time without zone is taken as UTC.

    Examples
    --------
    >>> iso_time(pd.Timestamp("2026-11-20T10:00:00.5+01:00"))
    '2026-11-20T09:00:00.500Z'
    """
    stamp = as_utc(moment)
    return f"{stamp.strftime('%Y-%m-%dT%H:%M:%S')}.{stamp.microsecond // 1000:03d}Z"


def as_utc(moment: Any) -> pd.Timestamp:
    """A time in UTC; one without zone is taken as UTC."""
    stamp = pd.Timestamp(moment)
    return stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")


def detail_json(detail: ClusterDetail) -> dict[str, Any]:
    """Everything the report of one cluster says, as plain JSON values.

    Keys: ``format`` (see ``REPORT_FORMAT``), ``run``, ``cluster``, then one list of objects per table of
    :class:`~linkage.terms.ClusterDetail`, named as there. Where tables list only a part, ``listed`` says how many rows
    of how many and which, and ``values`` tells of the values that tie most, each once. Nothing is masked here: hand in
    a masked detail where personal data must not leave.
    """
    return _detail_head(detail) | {name: records(frame) for name, frame in _detail_tables(detail).items()}


def detail_text(detail: ClusterDetail) -> str:
    """:func:`detail_json` as indented JSON text; a cluster may have many thousand links, and no row is made twice.

    The same text as ``json.dumps(detail_json(detail), allow_nan=False, indent=1)``, but that rows stand on one line
    each where only a part of them is listed.
    """
    head = json.dumps(_detail_head(detail), allow_nan=False, indent=1).removesuffix("\n}")
    write = _rows_text if detail.whole is None else _lines_text
    parts = [f',\n "{name}": {write(frame)}' for name, frame in _detail_tables(detail).items()]
    return "".join([head, *parts, "\n}"])


_MOST_VALUES: Final = 2_000
"""Values that the JSON of a large cluster tells of; those of each member are among its shared values."""

_WHICH: Final = {
    "links": "of each member the reasons worth most of its strongest pairs; a pair may have more reasons",
    "shared": "of each member the values worth most bits, then the rarest",
    "activity": "of each member its busiest hours",
    "values": "those that tie most: bits times members",
}


def _detail_tables(detail: ClusterDetail) -> dict[str, pd.DataFrame]:
    values = {"values": detail.whole.value_ties.head(_MOST_VALUES)} if detail.whole else {}
    first = {name: getattr(detail, name) for name in ("members", "links", "shared")}
    return first | values | {name: getattr(detail, name) for name in _LATER_TABLES}


_LATER_TABLES: Final = ("activity", "templates", "statements", "events", "case_notes")


def _detail_head(detail: ClusterDetail) -> dict[str, Any]:
    head = {"format": REPORT_FORMAT, "run": plain_value(detail.run), "cluster": plain_value(detail.cluster)}
    return head if detail.whole is None else head | {"listed": listed_rows(detail)}


def listed_rows(detail: ClusterDetail) -> dict[str, Any]:
    """Of each table that lists only a part: how many rows of how many and which; and where all of them are.

    Figures (counts, medians, totals) are of all of the cluster in any case. Empty where everything is listed.
    """
    if detail.whole is None:
        return {}
    tables = _detail_tables(detail)
    every = {**detail.whole.rows, "values": len(detail.whole.value_ties)}
    told = {
        name: {"rows": len(tables[name]), "of": of, "which": _WHICH[name]}
        for name, of in every.items()
        if len(tables[name]) < of
    }
    return {**told, "all": f"linkage show STORE {visible(str(detail.cluster['cluster_id']))} --json"}


def _rows_text(frame: pd.DataFrame) -> str:
    """The rows of a table as indented JSON text, one level below the top."""
    return _table_text(frame, opened="  {\n   ", between=",\n   ", closed="\n  }")


def _lines_text(frame: pd.DataFrame) -> str:
    """The rows of a table as JSON text, a line each."""
    return _table_text(frame, opened="  {", between=", ", closed="}")


def _table_text(frame: pd.DataFrame, *, opened: str, between: str, closed: str) -> str:
    if frame.empty:
        return "[]"
    names = [json.dumps(str(name)).replace("%", "%%") for name in frame.columns]
    row = opened + between.join(f"{name}: %s" for name in names) + closed
    cells = zip(*(_cell_texts(frame[name]) for name in frame.columns), strict=True)
    return "[\n" + ",\n".join(map(row.__mod__, cells)) + "\n ]"


def _cell_texts(column: pd.Series[Any]) -> list[str]:
    """Each value of a column as indented JSON text."""
    if column.dtype == np.int64:
        return [str(number) for number in column.tolist()]
    if column.dtype == np.float64:
        return [repr(number) if math.isfinite(number) else "null" for number in column.tolist()]
    if column.dtype == object or column.dtype == bool:
        return [_cell_text(value) for value in column]
    return _take_each(column, _cell_text, missing="null")


def _cell_text(value: Any) -> str:
    return json.dumps(plain_value(value), allow_nan=False, indent=1).replace("\n", "\n   ")
