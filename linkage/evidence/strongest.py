"""The strongest links of each account: all that a small group has, and enough of a large one to hold it together.

Accounts of a campaign of thousands, with a hundred addresses each, have hundreds of links. To know that they belong
together a part of these is enough, and what comes after links costs time and memory for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.evidence.pairs import Bits, Pairs, join_pairs
from linkage.evidence.projection import Small

Draws = npt.NDArray[np.uint64]
"""A number for each account, to choose among links of equal strength."""

_HELD_PAIRS: Final = 4_000_000
"""Pairs that are held before those that cannot be among the strongest are dropped: 150 MB, and while they are compared
twice as much."""


def draw_by_name(names: pd.Index[str]) -> Draws:
    """A hash of each id, whatever other accounts there are: so the choice among equal links lasts over days."""
    return np.asarray(pd.util.hash_array(names.to_numpy(dtype=object), categorize=False), dtype=np.uint64)


def are_strongest(a: Small, b: Small, bits: Bits, *, draws: Draws, links_per_account: int) -> npt.NDArray[np.bool_]:
    """Which links are among the strongest of either end; among equal ones the draws of both ends choose.

    Parameters
    ----------
    a, b : account codes of both ends; no pair twice.
    draws : of all accounts, by code; distinct ones, or some accounts keep more links.
    links_per_account : of each account so many, at least 1.

    Returns
    -------
    One flag per link, true for at most ``links_per_account`` times the accounts. O(links log links).

    Examples
    --------
    >>> star = np.array([0, 0, 0, 1]), np.array([1, 2, 3, 2])
    >>> draws = np.array([5, 6, 7, 8], dtype=np.uint64)
    >>> are_strongest(*star, np.array([5.0, 7.0, 6.0, 6.0]), draws=draws, links_per_account=1).tolist()
    [False, True, True, True]
    """
    are_kept = np.zeros(len(a), dtype=np.bool_)
    _mark_strongest(a, b, bits, draws, links_per_account, are_kept)
    return are_kept


@numba.njit(cache=True, nogil=True)
def _mark_strongest(
    a: Small, b: Small, bits: Bits, draws: Draws, links_per_account: int, are_kept: npt.NDArray[np.bool_]
) -> None:
    start = np.zeros(draws.size + 2, np.int64)
    for link in range(a.size):
        start[a[link] + 2] += 1
        start[b[link] + 2] += 1
    start = np.cumsum(start)
    own = np.empty(2 * a.size, np.int32)
    for link in range(a.size):
        for end in (a[link], b[link]):
            own[start[end + 1]] = link
            start[end + 1] += 1
    for account in range(draws.size):
        mine = own[start[account] : start[account + 1]]
        if mine.size <= links_per_account:
            are_kept[mine] = True
            continue
        least = np.sort(bits[mine])[mine.size - links_per_account]
        are_kept[mine[bits[mine] > least]] = True
        equal = mine[bits[mine] == least]
        order = np.argsort(draws[a[equal]] ^ draws[b[equal]], kind="mergesort")
        are_kept[equal[order[: links_per_account - (bits[mine] > least).sum()]]] = True


def keep_strongest(
    parts: Iterable[Pairs], *, score: Callable[[Pairs], Bits], draws: Draws, links_per_account: int
) -> Pairs:
    """The pairs of all parts that are among the strongest of either account, in their order; at least one part.

    What cannot be among them is dropped on the way, so that few more are held than are kept.

    Parameters
    ----------
    score : bits of each pair.
    draws, links_per_account : as for :func:`are_strongest`.
    """

    def strongest(held: list[Pairs]) -> Pairs:
        pairs = join_pairs(held)
        held.clear()
        return pairs.take(
            are_strongest(pairs.a, pairs.b, score(pairs), draws=draws, links_per_account=links_per_account)
        )

    held: list[Pairs] = []
    most = _HELD_PAIRS
    for part in parts:
        held.append(part)
        if sum(len(each.a) for each in held) > most:
            held = [strongest(held)]
            most = max(_HELD_PAIRS, 2 * len(held[0].a))
    return strongest(held)
