"""From a chance under a null to bits, and the shape in which group tests hand on what they found."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.terms import COUNT, NUMBER, TEXT, TIME, Family, Shape, make_frame

Numbers = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

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


def group_codes(groups: pd.DataFrame, account_ids: pd.Series[str]) -> Codes:
    """Group of each account id, -1 for accounts in no group."""
    known = pd.Index(groups["account_id"])
    place = known.get_indexer(pd.Index(account_ids))
    number = np.append(groups["group"].to_numpy(dtype=np.int64), -1)
    return np.asarray(number[place], dtype=np.int64)
