"""Texts of long frames as numbers: categories in the order of their text, and one number for every shared value.

There are tens of rows of evidence for every account. Compared, sorted and joined as numbers they cost a tenth of what
text costs. Ranks and strata of accounts are here too: the wings of evidence and of clusters must mean the same by them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.arrays import Codes, Numbers
from linkage.kernels import kernel
from linkage.terms import TEXT

_VALUE_KEYS = ("family", "kind", "value")

_LARGEST_NUMBER = 2**62

GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio: the upper bits of a number times this are spread evenly, for tables that are looked up
(Knuth 1973, "The Art of Computer Programming", volume 3, section 6.4)."""

VOLUME_STRATA: Final = 4
"""Quarters of the accounts by requests."""

AGE_STRATA: Final = 3
"""Thirds of the accounts by first use."""


def text_codes(column: pd.Series[Any]) -> tuple[npt.NDArray[Any], pd.Index[str]]:
    """The place of each text among the distinct ones (-1 for none), and those, ascending.

    Examples
    --------
    >>> codes, texts = text_codes(pd.Series(["b", "a", "b"], dtype="str"))
    >>> codes.tolist(), texts.tolist()
    ([1, 0, 1], ['a', 'b'])
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        if column.cat.categories.is_monotonic_increasing:
            return column.cat.codes.to_numpy(), column.cat.categories
        column = column.astype(TEXT)
    codes, texts = pd.factorize(column, sort=True)
    return codes, pd.Index(texts, dtype=TEXT)


def codes_of(column: pd.Series[Any], names: pd.Index[str]) -> Codes:
    """The place of each text of a column among names, -1 where it is none of them.

    Costs nothing to speak of where the column's categories are the names, and else little where it has categories.

    Examples
    --------
    >>> codes_of(pd.Series(["b", "c", "a"], dtype="str"), pd.Index(["a", "b"])).tolist()
    [1, -1, 0]
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        known = column.cat.categories
        codes = column.cat.codes.to_numpy()
        if known is names or known.equals(names):
            return codes.astype(np.int64)
        return np.append(names.get_indexer(known), -1)[codes].astype(np.int64)
    return names.get_indexer(pd.Index(column)).astype(np.int64)


def hash_names(names: pd.Index[str]) -> npt.NDArray[np.uint64]:
    """A hash of each name, whatever others there are: what is drawn by it is drawn again on another day."""
    return np.asarray(pd.util.hash_array(names.to_numpy(dtype=object), categorize=False), dtype=np.uint64)


def value_keys(frame: pd.DataFrame) -> Codes:
    """One number per row for its family, kind and value; the numbers ascend as these do.

    Parameters
    ----------
    frame : with the text columns ``family``, ``kind`` and ``value``, none of them null.
    """
    return _join_codes([text_codes(frame[name]) for name in _VALUE_KEYS], slice(None), len(frame))


def value_runs(frame: pd.DataFrame) -> tuple[Codes, Codes]:
    """Where runs of rows of one family, kind and value begin, and the number of each run's, as from :func:`value_keys`.

    Only one row of each run is numbered. O(rows).

    Parameters
    ----------
    frame : as for :func:`value_keys`.

    Examples
    --------
    >>> rows = {"family": ["n", "n", "p"], "kind": ["ip", "ip", "card"], "value": ["x", "x", "x"]}
    >>> heads, keys = value_runs(pd.DataFrame(rows, dtype="str"))
    >>> heads.tolist(), keys.tolist()
    ([0, 2], [1, 2])
    """
    coded = [text_codes(frame[name]) for name in _VALUE_KEYS]
    heads = run_starts(*(codes for codes, _ in coded))
    return heads, _join_codes(coded, heads, len(heads))


def of_runs(values: Codes, heads: Codes, rows: int) -> Codes:
    """The value of each row's run, where runs begin at these rows, of so many."""
    return np.repeat(values, np.diff(heads, append=rows))


def _join_codes(coded: Sequence[tuple[npt.NDArray[Any], pd.Index[str]]], rows: slice | Codes, count: int) -> Codes:
    """One number for the codes of some rows in all columns; the numbers ascend as these do."""
    key = np.zeros(count, dtype=np.int64)
    for codes, texts in coded:
        key *= max(len(texts), 1)
        key += codes[rows]
    return key


def value_codes(frame: pd.DataFrame) -> Codes:
    """The number of each row's family, kind and value, from 0, in the order in which they first appear.

    Parameters
    ----------
    frame : as for :func:`value_keys`.

    Examples
    --------
    >>> rows = {"family": ["p", "n", "p"], "kind": ["card", "ip", "card"], "value": ["x", "x", "x"]}
    >>> value_codes(pd.DataFrame(rows, dtype="str")).tolist()
    [0, 1, 0]
    """
    heads, keys = value_runs(frame)
    return of_runs(pd.factorize(keys)[0].astype(np.int64), heads, len(frame))


def find_values(frame: pd.DataFrame, table: pd.DataFrame) -> Codes:
    """The row of the table that has the family, kind and value of each row of a frame, -1 where none has.

    Parameters
    ----------
    frame, table : as for :func:`value_keys`; no value is in the table twice. O(rows), where rows of a value stand
        together in the frame.

    Examples
    --------
    >>> rows = {"family": ["n", "n", "p"], "kind": ["ip", "ip", "card"], "value": ["x", "x", "x"]}
    >>> frame = pd.DataFrame(rows, dtype="str")
    >>> find_values(frame, frame.iloc[1:2]).tolist()
    [0, 0, -1]
    """
    (heads, keys), wanted = value_runs(frame), np.zeros(len(table), dtype=np.int64)
    for name in _VALUE_KEYS:
        texts = text_codes(frame[name])[1]
        place = codes_of(table[name], texts)
        wanted = np.where((wanted < 0) | (place < 0), -1, wanted * max(len(texts), 1) + place)
    order = np.argsort(wanted, kind="stable")
    row = np.append(order, -1)[np.searchsorted(wanted[order], keys)]
    found = np.where(np.append(wanted, -1)[row] == keys, row, -1)
    return of_runs(found, heads, len(frame))


def is_run_start(*columns: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Whether each row begins a run of rows that are equal in all columns, which are of one length.

    Examples
    --------
    >>> is_run_start(np.array([4, 4, 2])).tolist()
    [True, False, True]
    """
    is_start = np.zeros(len(columns[0]), dtype=np.bool_)
    is_start[:1] = True
    for column in columns:
        is_start[1:] |= column[1:] != column[:-1]
    return is_start


def run_starts(*columns: npt.NDArray[Any]) -> Codes:
    """Where runs of rows begin that are equal in all columns, which are of one length.

    Examples
    --------
    >>> run_starts(np.array([4, 4, 2])).tolist()
    [0, 2]
    >>> run_starts(np.array([4, 4, 2]), np.array([1, 3, 3])).tolist()
    [0, 1, 2]
    """
    return np.flatnonzero(is_run_start(*columns))


def distinct(values: Codes) -> Codes:
    """The distinct values, ascending; several times as fast as ``numpy.unique``, which hashes, on millions of them.

    Examples
    --------
    >>> distinct(np.array([5, 2, 5])).tolist()
    [2, 5]
    """
    ordered = np.sort(values)
    return ordered[is_run_start(ordered)]


def run_places(values: Codes) -> Codes:
    """Place of each row within its run of equal values, from 0.

    Examples
    --------
    >>> run_places(np.array([4, 4, 2])).tolist()
    [0, 1, 0]
    """
    starts = run_starts(values)
    return np.arange(len(values)) - np.repeat(starts, np.diff(np.append(starts, len(values))))


def count_distinct(
    codes: npt.NDArray[np.signedinteger[Any]],
    group: npt.NDArray[np.signedinteger[Any]],
    *,
    groups: int,
    heads: Codes | None = None,
) -> Codes:
    """How many distinct codes the rows of each group have. Sorts nothing: O(rows).

    Parameters
    ----------
    codes : from 0.
    group : of each row, or of each run of rows; -1: none.
    groups : how many there are.
    heads : where these runs begin; None: ``group`` is of each row.

    Examples
    --------
    >>> count_distinct(np.array([5, 5, 2, 5, 7]), np.array([0, 0, 0, 1, -1]), groups=3).tolist()
    [2, 1, 0]
    >>> count_distinct(np.array([5, 5, 2, 5, 7]), np.array([0, 1]), groups=2, heads=np.array([0, 3])).tolist()
    [2, 2]
    """
    if heads is None:
        heads = run_starts(group)
        group = group[heads]
    runs = rows_by_code(group, count=groups)
    counts = np.zeros(groups, dtype=np.int64)
    last = np.full(int(codes.max(initial=-1)) + 1, -1, dtype=np.int32)
    _count_new(codes, np.append(heads, len(codes)), *runs, last, counts)
    return counts


@kernel
def _count_new(codes: Any, heads: Codes, start: Codes, runs: npt.NDArray[np.int32], last: Any, counts: Codes) -> None:
    """Count the codes of each group, run by run of its rows; ``last`` is the last group that had each, -1 at first."""
    for group in range(counts.size):
        for run in runs[start[group] : start[group + 1]]:
            for row in range(heads[run], heads[run + 1]):
                if last[codes[row]] != group:
                    last[codes[row]] = group
                    counts[group] += 1


def rows_by_code(codes: npt.NDArray[np.signedinteger[Any]], *, count: int) -> tuple[Codes, npt.NDArray[np.int32]]:
    """Where the rows of each code begin, and the end; and the rows, by code and then ascending. Sorts nothing: O(rows).

    Parameters
    ----------
    codes : from 0; -1 for none, whose rows come before the first code's.
    count : how many codes there are.

    Examples
    --------
    >>> start, rows = rows_by_code(np.array([2, 0, 2]), count=3)
    >>> start.tolist(), rows.tolist()
    ([0, 1, 1, 3], [1, 0, 2])
    >>> start, rows = rows_by_code(np.array([1, -1, 0]), count=2)
    >>> start.tolist(), rows.tolist()
    ([1, 2, 3], [1, 2, 0])
    """
    start, rows = np.zeros(count + 2, dtype=np.int64), np.empty(len(codes), dtype=np.int32)
    wide = codes if codes.itemsize >= rows.itemsize else codes.astype(rows.dtype)  # of two types, not four
    _place_rows(wide, start, rows)
    return start[:-1], rows


@kernel
def _place_rows(codes: Any, start: Codes, rows: npt.NDArray[np.int32]) -> None:
    for row in range(codes.size):
        start[codes[row] + 2] += 1
    for code in range(2, start.size):
        start[code] += start[code - 1]
    for row in range(codes.size):
        rows[start[codes[row] + 1]] = row
        start[codes[row] + 1] += 1


def rows_by_code_and_figure(codes: Codes, figures: npt.NDArray[np.float64], *, count: int) -> Codes:
    """The rows by code, and those of one code by a figure: ``numpy.lexsort((figures, codes))`` in a third of the time.

    Parameters
    ----------
    codes, count : as for :func:`rows_by_code`; none is -1.

    Examples
    --------
    >>> rows_by_code_and_figure(np.array([1, 0, 1]), np.array([0.7, 0.2, 0.1]), count=2).tolist()
    [1, 2, 0]
    """
    order = np.argsort(figures, kind="stable")
    return order[rows_by_code(codes[order], count=count)[1]]


def ranges(starts: Codes, sizes: Codes) -> Codes:
    """All places of runs that begin at ``starts`` and have these sizes, run after run.

    Examples
    --------
    >>> ranges(np.array([4, 0]), np.array([2, 3])).tolist()
    [4, 5, 0, 1, 2]
    """
    offset = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.repeat(starts, sizes) + offset


def count_holders(account: Codes, *keys: Codes) -> Codes:
    """Per row, how many distinct accounts have rows with its keys; the keys are 0 or more.

    Examples
    --------
    >>> count_holders(np.array([7, 7, 8, 8]), np.array([0, 0, 0, 1])).tolist()
    [2, 2, 2, 1]
    """
    order = sort_rows(account, *keys)
    is_new = is_run_start(*(key[order] for key in keys))
    is_other = is_new | is_run_start(account[order])
    starts = np.flatnonzero(is_new)
    result = np.empty(len(order), dtype=np.int64)
    if len(starts):
        length = np.diff(np.append(starts, len(order)))
        result[order] = np.repeat(np.add.reduceat(is_other.astype(np.int64), starts), length)
    return result


def sort_rows(*keys: npt.NDArray[np.signedinteger[Any]]) -> Codes:
    """Rows in the order of the last key, then of the one before, and so on; of equal rows any is first.

    Like ``numpy.lexsort``, but keys that fit into one number are sorted as one: a third of the time.

    Parameters
    ----------
    keys : 0 or more, all of one length.

    Examples
    --------
    >>> sort_rows(np.array([5, 4, 9]), np.array([1, 1, 0])).tolist()
    [2, 1, 0]
    >>> sort_rows(np.array([2**40, 2**41]), np.array([2**41, 2**40])).tolist()
    [1, 0]
    """
    sizes = [int(key.max(initial=0)) + 1 for key in keys]
    if math.prod(sizes) > _LARGEST_NUMBER:
        return np.lexsort(keys)
    number = keys[-1].astype(np.int64)
    for key, size in zip(keys[-2::-1], sizes[-2::-1], strict=True):
        number *= size
        number += key
    return np.argsort(number)


def first_rows(codes: Codes) -> Codes:
    """The row in which each code first appears, for codes that first appear in their own order, from 0.

    Examples
    --------
    >>> first_rows(np.array([0, 0, 1, 0, 2])).tolist()
    [0, 2, 4]
    """
    return np.flatnonzero(np.diff(np.maximum.accumulate(codes), prepend=-1) > 0) if len(codes) else codes


def mid_ranks(figures: Numbers) -> Numbers:
    """Ranks from 0 to 1 among the finite figures, equal ones at the middle of theirs; NaN where there is none.

    They are compared to the thousandth.

    Examples
    --------
    >>> mid_ranks(np.array([30.0, 10.0, np.nan, 10.0])).round(2).tolist()
    [0.83, 0.33, nan, 0.33]
    """
    known = np.isfinite(figures)
    result = np.full(len(figures), np.nan)
    result[known] = (pd.Series(np.round(figures[known], 3)).rank().to_numpy() - 0.5) / max(int(known.sum()), 1)
    return result


def account_strata(accounts: pd.DataFrame, *, volumes: int = VOLUME_STRATA, ages: int = AGE_STRATA) -> Codes:
    """A number, 0 or more, for each account (shape ``ACCOUNTS``): equal ones are alike in volume and age.

    Parameters
    ----------
    volumes, ages : in how many equal parts accounts fall by their requests, and by their first use.
    """
    volume = accounts["request_count"].rank(method="first", pct=True).to_numpy(dtype=np.float64)
    age = accounts["first_at"].rank(method="first", pct=True).to_numpy(dtype=np.float64)
    coarse = np.ceil(volume * volumes) * (ages + 1) + np.ceil(age * ages)
    return np.asarray(np.nan_to_num(coarse), dtype=np.int64)


def stack_frames(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Rows of frames with the same columns, one after the other; texts become categories, ascending.

    Parameters
    ----------
    frames : at least one; text may be categories, no matter which. They lose their columns, each once it is stacked.
    """
    columns = {}
    for name in list(frames[0].columns):
        parts = [frame.pop(name) for frame in frames]
        is_text = str(parts[0].dtype) in (TEXT, "category")
        columns[name] = _stack_texts(parts) if is_text else pd.concat(parts, ignore_index=True).array
    return pd.DataFrame(columns, copy=False)


def _stack_texts(parts: Sequence[pd.Series[Any]]) -> pd.Categorical[Any]:
    coded = [text_codes(part) for part in parts]
    texts = coded[0][1]
    if all(other is texts or other.equals(texts) for _, other in coded[1:]):
        return pd.Categorical.from_codes(np.concatenate([codes for codes, _ in coded]), texts)
    used = [np.flatnonzero(np.bincount(codes, minlength=len(known))) for codes, known in coded]
    named = pd.concat([pd.Series(known.take(rows)) for rows, (_, known) in zip(used, coded, strict=True)])
    place, joined = pd.factorize(named, sort=True)
    small = place.astype(np.int32)
    renumbered = []
    for rows, (codes, known) in zip(used, coded, strict=True):
        number = np.zeros(len(known), dtype=np.int32)
        number[rows], small = small[: len(rows)], small[len(rows) :]
        renumbered.append(number[codes])
    return pd.Categorical.from_codes(np.concatenate(renumbered), pd.Index(joined, dtype=TEXT))
