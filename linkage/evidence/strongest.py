"""The strongest links of each account: all that a small group has, and enough of a large one to hold it together.

Accounts of a campaign of thousands, with a hundred addresses each, have hundreds of links. To know that they belong
together a part of these is enough, and what comes after links costs time and memory for each.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from linkage.arrays import Small
from linkage.evidence.pairs import Bits, Pairs, join_pairs
from linkage.kernels import kernel
from linkage.sorting import SIGN, order_of, put_in_order

Draws = npt.NDArray[np.uint64]
"""A number for each account, to choose among links of equal strength."""

_HELD_PAIRS: Final = 4_000_000
"""Pairs that are held before those that cannot be among the strongest are dropped: 150 MB, and while they are compared
twice as much."""


def are_strongest(a: Small, b: Small, bits: Bits, *, draws: Draws, links_per_account: int) -> npt.NDArray[np.bool_]:
    """Which links are among the strongest of either end; among equal ones the draws of both ends choose.

    Parameters
    ----------
    a, b : account codes of both ends; no pair twice.
    draws : of all accounts, by code, such as hashes of their ids, so that the choice lasts over days; distinct ones,
        or some accounts keep more links.
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
    return _mark_strongest(a, b, bits, draws=draws, links_per_account=links_per_account)[0]


def _mark_strongest(
    a: Small, b: Small, bits: Bits, *, draws: Draws, links_per_account: int
) -> tuple[npt.NDArray[np.bool_], Bits]:
    """The flags of :func:`are_strongest`, and per account the bits below which no more link of it can be kept."""
    are_kept, least = np.zeros(len(a), dtype=np.bool_), np.full(len(draws), -np.inf)
    _mark_links(a, b, bits, draws, links_per_account, are_kept, least)
    return are_kept, least


@kernel
def _mark_links(
    a: Small, b: Small, bits: Bits, draws: Draws, links_per_account: int, are_kept: npt.NDArray[np.bool_], least: Bits
) -> None:
    start = np.zeros(draws.size + 2, np.int64)
    for link in range(a.size):
        start[a[link] + 2] += 1
        start[b[link] + 2] += 1
    for account in range(draws.size + 1):
        start[account + 1] += start[account]
    own = np.empty(2 * a.size, np.int32)
    for link in range(a.size):
        for end in (a[link], b[link]):
            own[start[end + 1]] = link
            start[end + 1] += 1
    for account in range(draws.size):
        mine = own[start[account] : start[account + 1]]
        if mine.size <= links_per_account:
            for link in mine:
                are_kept[link] = True
            continue
        known = np.empty(mine.size)
        for at in range(mine.size):
            known[at] = bits[mine[at]]
        put_in_order(known, mine.size - links_per_account)
        bound, left, end = known[mine.size - links_per_account], links_per_account, 0
        equal, drawn = np.empty(mine.size, np.int32), np.empty(mine.size, np.int64)
        for link in mine:
            if bits[link] > bound:
                are_kept[link] = True
                left -= 1
            elif bits[link] == bound:
                equal[end], drawn[end] = link, np.int64(draws[a[link]] ^ draws[b[link]] ^ SIGN)
                end += 1
        for place in order_of(drawn[:end])[:left]:
            are_kept[equal[place]] = True
        least[account] = bound


def keep_strongest(parts: Iterable[tuple[Pairs, Bits]], *, draws: Draws, links_per_account: int) -> tuple[Pairs, Bits]:
    """The pairs of all parts that are among the strongest of either account, in their order, and the bits of each.

    What cannot be among them is dropped on the way, so that few more are held than are kept.

    Parameters
    ----------
    parts : pairs and the bits of each; at least one.
    draws, links_per_account : as for :func:`are_strongest`.
    """
    least = np.full(len(draws), -np.inf)

    def strongest(held: list[tuple[Pairs, Bits]]) -> tuple[Pairs, Bits]:
        pairs, bits = join_pairs([part for part, _ in held]), np.concatenate([known for _, known in held])
        held.clear()
        kept, least[:] = _mark_strongest(pairs.a, pairs.b, bits, draws=draws, links_per_account=links_per_account)
        return pairs.take(kept), bits[kept]

    held: list[tuple[Pairs, Bits]] = []
    most = _HELD_PAIRS
    for pairs, bits in parts:
        able = (bits >= least[pairs.a]) | (bits >= least[pairs.b])
        held.append((pairs.take(able), bits[able]))
        if sum(len(known) for _, known in held) > most:
            held = [strongest(held)]
            most = max(_HELD_PAIRS, 2 * len(held[0][1]))
    return strongest(held)
