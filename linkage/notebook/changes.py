"""What differs between two tables of clusters or of members."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import pandas as pd

LEAST_CHANGE: Final = 0.005
"""A probability that changes by less is the same: it is read with two digits."""

_SHORT: Final = {
    "cluster_id": "cluster",
    "controller_probability": "controller",
    "extraction_probability": "extraction",
}


def side_by_side(before: pd.DataFrame, after: pd.DataFrame, *, on: str, columns: Iterable[str]) -> pd.DataFrame:
    """Rows that either table has, with columns such as ``tier_before`` and ``tier_after``, sorted by ``on``.

    Parameters
    ----------
    on : names a row; no table has it twice.
    columns : the others to take, null where a table lacks the row; clusters and probabilities come under short names:
        ``cluster``, ``controller`` and ``extraction``.
    """
    chosen = {name: _SHORT.get(name, name) for name in columns}
    one, other = (frame[[on, *chosen]].rename(columns=chosen) for frame in (before, after))
    return one.merge(other, on=on, how="outer", suffixes=("_before", "_after"), sort=True, indicator=True)


def differing(both: pd.DataFrame, changes: Mapping[str, str]) -> pd.DataFrame:
    """The rows that differ, with ``change``: ``came``, ``went``, or the word for what is another now.

    Parameters
    ----------
    both : as from :func:`side_by_side`.
    changes : name of a column, without ``_before``, to its word; of several that differ the last named counts.

    Examples
    --------
    >>> before = pd.DataFrame({"account_id": ["a", "b"], "tier": ["watch", "watch"]})
    >>> after = pd.DataFrame({"account_id": ["b", "c"], "tier": ["review", "watch"]})
    >>> both = side_by_side(before, after, on="account_id", columns=["tier"])
    >>> differing(both, {"tier": "tier"})[["account_id", "change"]].to_numpy().tolist()
    [['a', 'went'], ['b', 'tier'], ['c', 'came']]
    """
    change = pd.Series("", index=both.index, dtype="object")
    for name, word in changes.items():
        one, other = both[f"{name}_before"], both[f"{name}_after"]
        differs = (one - other).abs() >= LEAST_CHANGE if pd.api.types.is_float_dtype(one) else one != other
        change = change.mask(differs, word)
    change = change.mask(both["_merge"] == "left_only", "went").mask(both["_merge"] == "right_only", "came")
    marked = both.assign(change=change.astype("str"))
    return marked[marked["change"] != ""].reset_index(drop=True)
