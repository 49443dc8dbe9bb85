"""The alignment null: the same evidence, with only the agreement between families taken away.

Accounts are permuted in each family on their own, inside strata of volume and age. Every family keeps how many
values each account of a stratum has and which of them go together; what is lost is that the accounts that share a
card are the ones that share a template. A search through such evidence finds what chance alone has to offer.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from linkage.arrays import Codes
from linkage.coding import (
    AGE_STRATA,
    VOLUME_STRATA,
    account_strata,
    codes_of,
    rows_by_code,
    rows_by_code_and_figure,
    text_codes,
)
from linkage.terms import ACCOUNTS, EVIDENCE, check_frame

LEAST_STRATUM: Final = 100
"""Accounts of a stratum, on average: in a smaller one a campaign would mostly be permuted into itself."""


def permute_evidence(evidence: pd.DataFrame, accounts: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Evidence in which families do not agree but by chance.

    Parameters
    ----------
    evidence : frame of shape ``EVIDENCE``.
    accounts : frame of shape ``ACCOUNTS``; gives the strata.
    seed : of the permutations, one per family.

    Returns
    -------
    DataFrame of shape ``EVIDENCE``, row by row the one given but for its accounts: the same values with as many
    accounts each, in no order within a value. ``unrelated_accounts`` stays that of the real accounts. O(rows), and
    nothing but the accounts is copied.

    References
    ----------
    Good 2005, "Permutation, Parametric, and Bootstrap Tests of Hypotheses", chapter 7 (permutation within blocks).
    """
    check_frame(evidence, EVIDENCE, name="evidence")
    check_frame(accounts, ACCOUNTS, name="accounts")
    names = pd.Index(accounts["account_id"])
    moved = codes_of(evidence["account_id"], names).astype(np.int32)
    family, families = text_codes(evidence["family"])
    strata = _strata(accounts)
    draw = np.random.default_rng(seed)
    for number in np.flatnonzero(np.bincount(family, minlength=len(families))):
        mine = family == number
        moved[mine] = _permutation(strata, draw)[moved[mine]]
    columns = {name: evidence[name].array for name in EVIDENCE}
    columns["account_id"] = pd.Categorical.from_codes(moved, names)
    return pd.DataFrame(columns, copy=False)


def _strata(accounts: pd.DataFrame) -> Codes:
    volumes = int(np.clip(len(accounts) // (AGE_STRATA * LEAST_STRATUM), 1, VOLUME_STRATA))
    ages = int(np.clip(len(accounts) // (volumes * LEAST_STRATUM), 1, AGE_STRATA))
    return account_strata(accounts, volumes=volumes, ages=ages)


def _permutation(strata: Codes, draw: np.random.Generator) -> Codes:
    """A permutation of account codes that keeps each account inside its stratum."""
    result = np.empty(len(strata), dtype=np.int64)
    count = int(strata.max(initial=-1)) + 1
    shuffled = rows_by_code_and_figure(strata, draw.random(len(strata)), count=count)
    result[rows_by_code(strata, count=count)[1]] = shuffled
    return result
