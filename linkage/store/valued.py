"""What links accounts and what members share, told once for a run: rows of links and of uses name it by its number."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from linkage.arrays import Codes
from linkage.coding import first_rows, stack_frames, text_codes, value_codes
from linkage.terms import TIME

VALUE_COLUMNS: Final = ("family", "kind", "value", "accounts", "unrelated_accounts", "first_at", "last_at")
_TEXTS, _COUNTS, _TIMES = VALUE_COLUMNS[:3], VALUE_COLUMNS[3:5], VALUE_COLUMNS[5:]


class RunValues(NamedTuple):
    """The values of a run, and where its links and shared values name them."""

    table: pd.DataFrame
    """``VALUE_COLUMNS``, ascending, texts as categories. The number of a value is the place of its row."""
    of_links: Codes
    """The number of the value of each link."""
    of_shared: Codes
    """The number of the value of each row of shared values."""


def number_values(links: pd.DataFrame, shared: pd.DataFrame) -> RunValues:
    """The distinct values of links and shared values, with their figures; one with other figures is another one.

    Parameters
    ----------
    links : ``VALUE_COLUMNS``; the times are those of the value.
    shared : the same without times, which it tells of each account; a value has those that links tell of it.
    """
    link_codes, link_rows = _distinct(links, (*_COUNTS, *_TIMES))
    shared_codes, shared_rows = _distinct(shared, _COUNTS)
    untold = pd.Series(pd.NaT, index=range(len(shared_rows)), dtype=TIME)
    of_links = links[list(VALUE_COLUMNS)].take(link_rows)
    of_shared = shared[[*_TEXTS, *_COUNTS]].take(shared_rows).reset_index(drop=True)
    table = stack_frames([of_links, of_shared.assign(first_at=untold, last_at=untold)])
    same, first = _distinct(table, _COUNTS)
    row = np.where(np.arange(len(table)) < len(link_rows), np.arange(len(table)), first[same])  # links come first
    table = table.assign(**{name: table[name].array.take(row) for name in _TIMES})
    same, first = _distinct(table, (*_COUNTS, *_TIMES))
    table = table.take(first)
    keys = [text_codes(table[name])[0] for name in _TEXTS] + [_whole(table[name]) for name in (*_COUNTS, *_TIMES)]
    order = np.lexsort(keys[::-1])
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.arange(len(order))
    number = number[same]
    ends = number[: len(link_rows)][link_codes], number[len(link_rows) :][shared_codes]
    return RunValues(table.take(order).reset_index(drop=True), *ends)


def _distinct(frame: pd.DataFrame, figures: tuple[str, ...]) -> tuple[Codes, Codes]:
    """The number of each row's value with its figures, in the order in which they first appear, and its first row."""
    codes = value_codes(frame)
    rows = first_rows(codes)
    for name in figures:
        column = _whole(frame[name])
        if (column != column[rows][codes]).any():
            other, levels = pd.factorize(column)
            codes = pd.factorize(codes * len(levels) + other)[0].astype(np.int64)
            rows = first_rows(codes)
    return codes, rows


def _whole(column: pd.Series[Any]) -> Codes:
    """Whole numbers as they are, times as numbers."""
    return column.to_numpy("datetime64[ms]").view(np.int64) if column.dtype.kind == "M" else column.to_numpy(np.int64)
