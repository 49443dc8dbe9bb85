"""Places for the dots of a drawn graph: computed once, here, so that a page that opens does not move.

igraph ships no types and draws from a generator of its own; both stay inside this room. It is loaded when a graph is
drawn, as :mod:`linkage.clusters.graph` says.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Places = npt.NDArray[np.float64]

_ROUNDS: Final = 300
_FULL_DOTS: Final = 5_000
_FEWEST_ROUNDS: Final = 60
"""A round takes a second for 25,000 dots: from 5,000 on there are fewer of them, but never less than these."""
_PULL: Final = 20.0  # of a value on an account: this, over the number of its accounts to the power of 1.5
_TO_MIDDLE: Final = 0.05
_AIR: Final = 2.2  # how many times the radius of a disc that the dots would just fill
_APART_ROUNDS: Final = 60
_TURN: Final = math.pi * (3 - math.sqrt(5))  # the angle of a sunflower: no two seeds in one direction
_DIGITS: Final = 6  # of the first places: sine and cosine differ in the last digits from machine to machine


def place_dots(accounts: int, holders: Sequence[Sequence[int]], *, radii: Sequence[float]) -> npt.NDArray[np.int64]:
    """Where accounts and the values that tie them stand: what is tied is near, and no two dots touch.

    Springs after Fruchterman and Reingold, from a start that is the same each time; a value that many accounts hold
    pulls each of them less. Then dots that lie on each other are moved apart.

    Parameters
    ----------
    accounts : how many there are.
    holders : for each value, the numbers of the accounts that hold it.
    radii : of each dot, accounts first, then values; above 0.

    Returns
    -------
    Dots x 2, whole numbers around (0, 0), in the units of ``radii``. The same arguments give the same places.
    About 2 s for 2,000 accounts and 20,000 ties, 30 s for 18,000 accounts.

    References
    ----------
    Fruchterman and Reingold (1991), Graph drawing by force-directed placement, doi:10.1002/spe.4380211102. Departure:
    a weak spring to the middle holds dots that nothing else ties.
    """
    if len(radii) < 2:
        return np.zeros((len(radii), 2), dtype=np.int64)
    start = _start(accounts, holders)
    places = _springs(accounts, holders, start)
    sizes = np.asarray(radii, dtype=np.float64)
    places = places - places.mean(axis=0)
    return np.rint(_move_apart(places * _scale(places, sizes), sizes)).astype(np.int64)


def _start(accounts: int, holders: Sequence[Sequence[int]]) -> Places:
    """Values in a ring in their order; accounts at the middle of their values, spread a little."""
    turns = [2 * math.pi * place / len(holders) for place in range(len(holders))]
    values = np.asarray([(math.cos(turn), math.sin(turn)) for turn in turns], dtype=np.float64).reshape(-1, 2)
    sums, counts = np.zeros((accounts, 2)), np.zeros(accounts)
    for place, held in zip(values, holders, strict=True):
        share = 1 / max(1, len(held)) ** 1.5
        sums[list(held)] += place * share
        counts[list(held)] += share
    steps = np.arange(accounts)
    spread = np.column_stack([[math.cos(_TURN * n) for n in steps], [math.sin(_TURN * n) for n in steps]])
    spread = spread.reshape(-1, 2) * np.sqrt((steps + 0.5) / max(1, accounts))[:, None]
    middles = sums / np.maximum(counts, 1e-9)[:, None] + 0.35 * spread
    size = math.sqrt(accounts + len(holders))
    places: Places = np.round(np.vstack([middles, values]) * size, _DIGITS)
    return places


def _springs(accounts: int, holders: Sequence[Sequence[int]], start: Places) -> Places:
    import igraph

    dots = len(start)
    ends = [(account, accounts + value) for value, held in enumerate(holders) for account in held]
    weights = [_PULL / len(held) ** 1.5 for held in holders for _ in held]
    ends += [(dot, dots) for dot in range(dots)]
    weights += [_TO_MIDDLE] * dots
    graph: Any = igraph.Graph(n=dots + 1, edges=ends)
    igraph.set_random_number_generator(random.Random(0))
    try:
        found = graph.layout_fruchterman_reingold(
            weights=weights,
            niter=round(min(_ROUNDS, max(_FEWEST_ROUNDS, _ROUNDS * (_FULL_DOTS / dots) ** 2))),
            start_temp=math.sqrt(dots) / 4,
            seed=[*start.tolist(), [0.0, 0.0]],
            grid="nogrid",
        )
    finally:
        igraph.set_random_number_generator(random)
    return np.asarray(found.coords, dtype=np.float64)[:dots]


def _scale(places: Places, radii: Places) -> float:
    """What makes nine in ten dots fill the disc that all of them need, with air between them."""
    reach = float(np.quantile(np.sqrt((places**2).sum(axis=1)), 0.9))
    return _AIR * math.sqrt(float((radii**2).sum())) / max(reach, 1e-6)


def _move_apart(places: Places, radii: npt.NDArray[np.float64]) -> Places:
    """The places once pairs that overlap were pushed from each other, half of what is missing each, some rounds."""
    moved = places.copy()
    for _ in range(_APART_ROUNDS):
        pairs = cKDTree(moved).query_pairs(2 * float(radii.max()), output_type="ndarray")
        pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
        between = moved[pairs[:, 1]] - moved[pairs[:, 0]]
        distance = np.sqrt((between**2).sum(axis=1))
        missing = radii[pairs].sum(axis=1) - distance
        touching = missing > 0.5
        if not touching.any():
            break
        push = (missing / 2 / np.maximum(distance, 1e-6))[touching, None] * np.where(
            distance[touching, None] > 1e-6, between[touching], [1e-6, 0.0]
        )
        np.add.at(moved, pairs[touching, 1], push)
        np.subtract.at(moved, pairs[touching, 0], push)
    return moved
