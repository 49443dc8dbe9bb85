"""From a chance under a null to bits, and the shape in which group tests hand on what they found."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import betainc

from linkage.arrays import Codes, Numbers, Small
from linkage.coding import codes_of, run_starts
from linkage.terms import COUNT, NUMBER, TEXT, TIME, Family, Shape, make_frame

MOST_BITS: Final = 10.0
"""What one pattern of a group adds to one account at most, however improbable it is."""

LEAST_BITS: Final = 4.0
"""A pattern with fewer bits is not told: chance alone gives four to 1 group in 16."""

TESTED_ACCOUNTS: Final = 300
"""Accounts of one group that are looked at together; of a larger group, those with the most to tell."""

FOUND: Final[Shape] = {
    "group": COUNT,
    "account_id": TEXT,
    "family": TEXT,
    "kind": TEXT,
    "request_count": COUNT,
    "first_at": TIME,
    "last_at": TIME,
    "bits": NUMBER,
}
"""One row per account that takes part in a pattern of its group."""


def chance_bits(chance: npt.ArrayLike, *, tries: float = 1.0) -> Numbers:
    """What a chance is worth in bits after ``tries`` tries: ``-log2(chance * tries)``, from 0 to ``MOST_BITS``.

    Examples
    --------
    >>> chance_bits([0.25, 1.0, 0.0]).tolist()
    [2.0, 0.0, 10.0]
    """
    safe = np.maximum(np.asarray(chance, dtype=np.float64), 1e-300)
    bits = np.clip(-np.log2(safe) - np.log2(max(tries, 1.0)), 0.0, MOST_BITS)
    return np.asarray(bits + 0.0, dtype=np.float64)  # no negative zero


def binomial_tail(least: npt.ArrayLike, tries: npt.ArrayLike, chance: npt.ArrayLike) -> Numbers:
    """The chance of at least so many successes in so many tries; 1 where none is asked for, 0 for more than tries.

    Examples
    --------
    >>> binomial_tail([0, 1, 2, 3], 2, 0.5).tolist()
    [1.0, 0.75, 0.25, 0.0]
    """
    asked, tried = np.asarray(least, dtype=np.float64), np.asarray(tries, dtype=np.float64)
    tail = betainc(np.maximum(asked, 1.0), np.maximum(tried - asked + 1.0, 1.0), chance)
    return np.asarray(np.where(asked <= 0, 1.0, np.where(asked > tried, 0.0, tail)), dtype=np.float64)


def found_frame(
    rows: pd.DataFrame,
    *,
    family: Family,
    kind: str,
) -> pd.DataFrame:
    """Rows of a test as a frame of shape ``FOUND``; rows below ``LEAST_BITS`` are left out.

    Parameters
    ----------
    rows : ``group, account_id, bits`` and, where known, ``request_count, first_at, last_at``.
    family, kind : what the rows are called.
    """
    kept = rows.loc[rows["bits"] >= LEAST_BITS]
    columns = {name: kept[name].array for name in FOUND if name in kept.columns}
    return make_frame(FOUND, {**columns, "family": [family] * len(kept), "kind": [kind] * len(kept)})


def none_found() -> pd.DataFrame:
    """An empty frame of shape ``FOUND``."""
    return make_frame(FOUND)


def group_codes(groups: pd.DataFrame, account_ids: pd.Series[str]) -> Small:
    """Group of each account id, -1 for accounts in no group."""
    known = pd.Index(groups["account_id"])
    number = np.append(groups["group"].to_numpy(dtype=np.int32), np.int32(-1))
    if isinstance(account_ids.dtype, pd.CategoricalDtype):  # of many rows, each account is looked up once
        of_category = np.append(number[known.get_indexer(account_ids.cat.categories)], np.int32(-1))
        return np.asarray(of_category[account_ids.cat.codes.to_numpy()], dtype=np.int32)
    return np.asarray(number[codes_of(account_ids, known)], dtype=np.int32)


def rows_by_group(number: Codes | npt.NDArray[np.int32]) -> Iterator[tuple[int, Codes]]:
    """Each group with its rows, ascending; groups ascend, and rows of no group (-1) are left out.

    Examples
    --------
    >>> [(group, rows.tolist()) for group, rows in rows_by_group(np.array([1, -1, 0, 1]))]
    [(0, [2]), (1, [0, 3])]
    """
    inside = np.flatnonzero(number >= 0)
    order = inside[np.argsort(number[inside], kind="stable")]
    starts = run_starts(number[order])
    for start, end in itertools.pairwise([*starts.tolist(), len(order)]):
        yield int(number[order[start]]), order[start:end]
