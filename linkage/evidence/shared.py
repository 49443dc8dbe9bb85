"""The one way a room turns uses of an entity into evidence: pick the kinds of a family, and name it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd

from linkage.terms import COUNT, TEXT, TIME, USES, Family, Shape

USE_EVIDENCE: Final[Shape] = {
    "account_id": TEXT,
    "family": TEXT,
    "kind": TEXT,
    "value": TEXT,
    "request_count": COUNT,
    "first_at": TIME,
    "last_at": TIME,
}
"""What each family's room returns: one row per account and value, before it is known who shares it."""

KINDS_OF_FAMILY: Final[Mapping[Family, tuple[str, ...]]] = {
    "network": ("ip", "ip_prefix"),
    "payment": ("payment",),
    "content": ("template", "template_family"),
    "contract": ("contract",),
    "client": ("client",),
    "registration": ("email_domain",),
}
"""Family to the kinds of entity whose uses are evidence of it; other families speak for pairs and groups alone."""


def evidence_of_kinds(uses: pd.DataFrame, *, family: Family) -> pd.DataFrame:
    """The uses of a family's kinds as evidence of it.

    Parameters
    ----------
    uses : frame of shape ``USES``.
    family : one of ``KINDS_OF_FAMILY``.

    Returns
    -------
    DataFrame of shape ``USE_EVIDENCE``; rows without a value are left out, and texts that are categories stay so.
    O(uses).
    """
    chosen = np.flatnonzero(uses["kind"].isin(list(KINDS_OF_FAMILY[family])) & uses["value"].notna())
    first, last = (int(chosen[0]), int(chosen[-1]) + 1) if len(chosen) else (0, 0)
    # Rows that stand together, as those of a kind do in sorted uses, are not copied.
    rows = uses[list(USES)].iloc[slice(first, last) if last - first == len(chosen) else chosen].reset_index(drop=True)
    is_coded = isinstance(rows["kind"].dtype, pd.CategoricalDtype)
    dtype = pd.CategoricalDtype(pd.Index([family])) if is_coded else TEXT
    rows.insert(1, "family", pd.Series(family, index=rows.index, dtype=dtype))
    return rows
