"""The one way a room turns uses of an entity into evidence: pick the kinds, name the family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from linkage.terms import TEXT, TIME, USES, Family, Shape

USE_EVIDENCE: Final[Shape] = {
    "account_id": "str",
    "family": "str",
    "kind": "str",
    "value": "str",
    "request_count": "int64",
    "first_at": TIME,
    "last_at": TIME,
}
"""What each family's room returns: one row per account and value, before it is known who shares it."""


def evidence_of_kinds(uses: pd.DataFrame, *, family: Family, kinds: Sequence[str]) -> pd.DataFrame:
    """The uses of these kinds as evidence of one family.

    Parameters
    ----------
    uses : frame of shape ``USES``.
    family : what the rows are called.
    kinds : which kinds of entity to take.

    Returns
    -------
    DataFrame of shape ``USE_EVIDENCE``; rows without a value are left out, and texts that are categories stay so.
    O(uses).
    """
    chosen = np.flatnonzero(uses["kind"].isin(list(kinds)) & uses["value"].notna())
    first, last = (int(chosen[0]), int(chosen[-1]) + 1) if len(chosen) else (0, 0)
    # Rows that stand together, as those of a kind do in sorted uses, are not copied.
    rows = uses[list(USES)].iloc[slice(first, last) if last - first == len(chosen) else chosen].reset_index(drop=True)
    is_coded = isinstance(rows["kind"].dtype, pd.CategoricalDtype)
    dtype = pd.CategoricalDtype(pd.Index([family])) if is_coded else TEXT
    rows.insert(1, "family", pd.Series(family, index=rows.index, dtype=dtype))
    return rows
