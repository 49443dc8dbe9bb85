"""Members who pay with an instrument of their own: it speaks for a group as a shared one speaks against it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from linkage.coding import codes_of, text_codes
from linkage.terms import CLUSTER_STATEMENTS, MEMBERS, USES, check_frame, make_frame

TOLD_SHARE = 0.5
"""Share of a cluster's members from which on it is told."""


def find_sole_payers(uses: pd.DataFrame) -> pd.Index[str]:
    """Accounts with a payment instrument none of whose instruments anybody else has.

    Parameters
    ----------
    uses : frame of shape ``USES``, one row per account, kind and value.
    """
    check_frame(uses, USES, name="uses")
    rows = uses[uses["kind"] == "payment"]
    (account, accounts), (value, values) = text_codes(rows["account_id"]), text_codes(rows["value"])
    holders = np.bincount(value, minlength=len(values))
    is_sole = np.bincount(account, minlength=len(accounts)) > 0
    is_sole[account[holders[value] > 1]] = False
    return accounts[is_sole]


def tell_payers(members: pd.DataFrame, payers: pd.Index[str]) -> pd.DataFrame:
    """A sentence per cluster half of whose firm members pay with an instrument that nobody else has.

    Parameters
    ----------
    members : frame of shape ``MEMBERS``, under lasting ids.
    payers : of :func:`find_sole_payers`.

    Returns
    -------
    DataFrame of shape ``CLUSTER_STATEMENTS``; topic ``for``.
    """
    check_frame(members, MEMBERS, name="members")
    firm = members[members["membership"] != "bystander"]
    number, ids = text_codes(firm["cluster_id"])
    is_sole = codes_of(firm["account_id"], payers) >= 0
    size, sole = np.bincount(number, minlength=len(ids)), np.bincount(number[is_sole], minlength=len(ids))
    told = np.flatnonzero((sole >= 2) & (sole >= TOLD_SHARE * size))
    names: list[str] = ids.take(told).tolist()
    columns = {
        "cluster_id": names,
        "topic": ["for"] * len(told),
        "sentence": [
            f"{own:,} of {all_of_them:,} core and probable members pay with instruments that nobody else has."
            for own, all_of_them in zip(sole[told].tolist(), size[told].tolist(), strict=True)
        ],
        "query": ["account_uses"] * len(told),
        "rows": [f"kind=payment; members of cluster_id={name}" for name in names],
    }
    return make_frame(CLUSTER_STATEMENTS, columns)
