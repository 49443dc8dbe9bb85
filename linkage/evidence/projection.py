"""The bounded projection: which pairs of accounts to look at, and the rarest value each pair shares.

All pairs of a hub would be quadratic. A value on few accounts proposes all its pairs; a value on many
proposes, for each account, only the neighbours in a few orders of its accounts (by creation, by conduct,
by what else they share), so that accounts which agree on more than the hub stand side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.terms import TEXT

Codes = npt.NDArray[np.int64]
"""Integer codes: accounts in the order of the account frame, or values in the order of the value table."""

SIGNATURE_ACCOUNTS: Final = 1_000
"""A value on more accounts than this does not shape the order by what else accounts share."""


def value_table(evidence: pd.DataFrame) -> tuple[pd.DataFrame, Codes]:
    """The distinct values of the evidence, and for each row of evidence the row of its value.

    Returns
    -------
    DataFrame of ``family, kind, value`` (str), ``accounts, unrelated_accounts`` (int64), one row per
    value in the order the evidence has them, and an array of row numbers into it.
    """
    keys = ["family", "kind", "value"]
    code = evidence.groupby(keys, sort=False).ngroup().to_numpy(dtype=np.int64)
    first = np.unique(code, return_index=True)[1]
    columns = [*keys, "accounts", "unrelated_accounts"]
    table = evidence.iloc[first][columns].reset_index(drop=True)
    return table.astype(dict.fromkeys(keys, TEXT)), np.asarray(code, dtype=np.int64)


def propose_pairs(account: Codes, value: Codes, *, orders: Sequence[Codes], links_per_use: int) -> tuple[Codes, Codes]:
    """Pairs of accounts worth scoring; at most ``links_per_use`` for each account and value.

    Parameters
    ----------
    account, value : one entry per use of a shared value.
    orders : one array per order: a sort key for each account code.
    links_per_use : bound, at least 1.

    Returns
    -------
    Two arrays of account codes, ``a < b``, without repeats, sorted. O(uses * links_per_use).

    Examples
    --------
    >>> hub = np.zeros(5, dtype=np.int64)
    >>> line = np.arange(5, dtype=np.int64)
    >>> a, b = propose_pairs(line, hub, orders=[line], links_per_use=1)
    >>> list(zip(a.tolist(), b.tolist()))
    [(0, 1), (1, 2), (2, 3), (3, 4)]
    """
    size = np.bincount(value)[value] if len(value) else np.empty(0, dtype=np.int64)
    total = int(account.max(initial=0)) + 1
    small = size <= links_per_use + 1
    few = (account[small], value[small])
    found = [_neighbours(*few, account[small], reach=links_per_use, total=total)]
    shares = _split(links_per_use, len(orders))
    for key, reach in zip(orders, shares, strict=True):
        hub_account, hub_value = account[~small], value[~small]
        found.append(_neighbours(hub_account, hub_value, key[hub_account], reach=reach, total=total))
    coded = np.unique(np.concatenate(found))
    return coded // total, coded % total


def _split(total: int, parts: int) -> list[int]:
    """``total`` shared out over ``parts`` as evenly as can be, the first ones getting the rest."""
    return [total // parts + (1 if number < total % parts else 0) for number in range(parts)]


def _neighbours(account: Codes, value: Codes, key: Codes, *, reach: int, total: int) -> Codes:
    """Coded pairs of accounts at most ``reach`` apart in the order of ``key`` within each value."""
    order = np.lexsort((account, key, value))
    account, value = account[order], value[order]
    found: list[Codes] = []
    for step in range(1, reach + 1):
        if step >= len(account):
            break
        same = (value[:-step] == value[step:]) & (account[:-step] != account[step:])
        left, right = account[:-step][same], account[step:][same]
        found.append(np.minimum(left, right) * total + np.maximum(left, right))
    return np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)


def signature(account: Codes, value: Codes, *, accounts: int, seed: int) -> Codes:
    """Per account a min-hash of its values: accounts that share most values likely get the same one.

    Parameters
    ----------
    account, value : one entry per use; values on more than ``SIGNATURE_ACCOUNTS`` accounts are ignored.
    accounts : how many account codes there are.
    seed : of the permutation.

    References
    ----------
    Broder 1997, "On the resemblance and containment of documents", doi:10.1109/SEQUEN.1997.666900.
    """
    values = int(value.max()) + 1 if len(value) else 0
    shuffled = np.random.default_rng(seed).permutation(values)
    result = np.full(accounts, values, dtype=np.int64)
    if values:
        small = np.bincount(value)[value] <= SIGNATURE_ACCOUNTS
        np.minimum.at(result, account[small], shuffled[value[small]])
    return result


class ValueIndex:
    """Values per account in order of worth, to find the best value any two accounts share.

    Parameters
    ----------
    account : account code of each use.
    rank : worth of each use's value: 0 is best; one rank per value.
    accounts : how many account codes there are.
    """

    def __init__(self, account: Codes, rank: Codes, *, accounts: int) -> None:
        order = np.lexsort((rank, account))
        self._rank = np.ascontiguousarray(rank[order])
        counts = np.bincount(account, minlength=accounts)
        self._start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    def best_shared(self, a: Codes, b: Codes) -> Codes:
        """Per pair the lowest rank both accounts have, or -1; O(pairs * values per account)."""
        return np.asarray(_best_shared(self._start, self._rank, a, b), dtype=np.int64)


def _best_shared_plain(start: Codes, rank: Codes, a: Codes, b: Codes) -> Any:
    result = np.full(len(a), -1, dtype=np.int64)
    for pair in range(len(a)):
        left, right = start[a[pair]], start[b[pair]]
        left_end, right_end = start[a[pair] + 1], start[b[pair] + 1]
        while left < left_end and right < right_end:
            if rank[left] == rank[right]:
                result[pair] = rank[left]
                break
            if rank[left] < rank[right]:
                left += 1
            else:
                right += 1
    return result


_best_shared: Any = numba.njit(cache=True)(_best_shared_plain)
