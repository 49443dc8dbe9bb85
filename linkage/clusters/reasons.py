"""What ties a member to its group, in words: the strongest ties, each with who else has it."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from linkage.arrays import Codes
from linkage.clusters.ties import Incidence
from linkage.coding import run_places
from linkage.terms import counted

NOUNS: Final = {
    "ip": "address",
    "ip_prefix": "address prefix",
    "payment": "payment instrument",
    "template": "template",
    "template_family": "template family",
    "contract": "request contract",
    "client": "client",
    "email_domain": "mail domain",
    "signup_window": "creation window",
    "signup_mail_window": "creation window and mail domain",
    "signup_wide_mail_window": "wide creation window and mail domain",
    "signup_burst": "burst of sign-ups",
    "hand_over": "work handed over within minutes",
    "joint_pauses": "pauses",
    "work_list": "shared-out work list",
    "replacement": "chain of replacements",
}
"""Kind of a value to the words a reader knows it by."""

REASONS: Final = 4
"""Ties a member's reasons name, strongest first."""


def tell_reasons(accounts: Codes, *, ties: pd.DataFrame, patterns: pd.DataFrame, incidence: Incidence) -> list[str]:
    """The strongest ties of each of these accounts (codes) in words; only those that are told are put into words.

    Parameters
    ----------
    ties : as from ``group_ties``.
    patterns : frame of shape ``GROUP_EVIDENCE``.
    incidence : uses as codes.
    """
    patterned = incidence.accounts.get_indexer(pd.Index(patterns["account_id"]))
    code = np.concatenate([ties["account"].to_numpy(dtype=np.int64), patterned])
    bits = np.concatenate([ties["tie"].to_numpy(dtype=np.float64), patterns["bits"].to_numpy(dtype=np.float64)])
    order = np.lexsort((-bits, code))
    is_told = run_places(code[order] + 1) < REASONS
    told = order[is_told & np.isin(code[order], accounts)]
    is_value = told < len(ties)
    of_values = iter(_value_reasons(ties.iloc[told[is_value]], incidence))
    of_patterns = iter(_pattern_reasons(patterns.iloc[told[~is_value] - len(ties)]))
    said: dict[int, list[str]] = {}
    for account, of_value in zip(code[told].tolist(), is_value.tolist(), strict=True):
        said.setdefault(account, []).append(next(of_values if of_value else of_patterns))
    return [
        "; ".join(said.get(account, ["none of its ties counts among the members that remain"]))
        for account in accounts.tolist()
    ]


def _value_reasons(ties: pd.DataFrame, incidence: Incidence) -> list[str]:
    """Shared values in words."""
    values = incidence.table.iloc[ties["value"].to_numpy(dtype=np.int64)]
    names = ("kind", "value", "accounts", "unrelated_accounts")
    return [
        f"same {noun(kind)} {value} as {counted(fellows, 'other')} ({accounts:,} accounts in all, {unrelated:,} of "
        "them otherwise unrelated)"
        for kind, value, accounts, unrelated, fellows in zip(
            *(values[name] for name in names), ties["fellows"], strict=True
        )
    ]


def _pattern_reasons(found: pd.DataFrame) -> list[str]:
    """Patterns of groups in words."""
    names = ("kind", "accounts", "unrelated_accounts")
    return [
        f"same {NOUNS[kind]} as {counted(accounts - 1, 'other')} ({unrelated:,} of the {accounts:,} otherwise "
        "unrelated)"
        for kind, accounts, unrelated in zip(*(found[name] for name in names), strict=True)
    ]


def probability_words(share: float) -> str:
    """A probability in two digits, which may be NaN; never 0 or 1, which nothing here can claim.

    Examples
    --------
    >>> probability_words(0.833), probability_words(0.001)
    ('probability 0.83', 'a probability under 0.01')
    """
    if share != share:
        return "a probability that is not known"
    if share < 0.01:
        return "a probability under 0.01"
    return "a probability over 0.99" if share > 0.99 else f"probability {share:.2f}"


def noun(kind: str) -> str:
    """The words a reader knows a kind of value by."""
    return NOUNS.get(kind, kind.replace("_", " "))
