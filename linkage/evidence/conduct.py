"""Conduct: how alike two accounts work, by rank.

Output length, prompt length and share of templated prompts as ranks among all accounts, and the mix of
models. Nobody shares a value of it: it is a distance, and the distance counts by how few random pairs are
closer. Many people behave alike, so it counts only beside harder evidence (see ``weights``).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.coding import codes_of, mid_ranks
from linkage.evidence.prefetch import STEPS_AHEAD, prefetch
from linkage.kernels import kernel
from linkage.settings import EvidenceSettings

Vectors = npt.NDArray[np.float64]
"""One row per account, one column per habit; NaN where an account has too few requests to tell."""

HABIT_WEIGHT: Final = 1.5
"""What a whole rank's difference in one habit weighs beside a whole model mix (core prototype, 2026-11)."""

MODELS: Final = 8
"""How many models, most requested first, the mix is compared over."""

LEVEL_SHARES: Final = (0.003, 0.02, 0.1, 0.5)
"""Levels of closeness: shares of random pairs that are closer."""

SAMPLED_PAIRS: Final = 200_000
"""Random pairs that set the levels; the rarest level then rests on 600 of them."""


def measure_habits(
    accounts: pd.DataFrame, *, conduct: pd.DataFrame, uses: pd.DataFrame, settings: EvidenceSettings
) -> Vectors:
    """Habits of each account, comparable by Euclidean distance.

    Parameters
    ----------
    accounts : frame of shape ``ACCOUNTS``; gives the order of the rows.
    conduct : frame of shape ``CONDUCT``.
    uses : frame of shape ``USES``; its kind ``model`` gives the mix. May be empty.
    settings : ``conduct_requests`` is how many requests an account needs.

    Returns
    -------
    Array, accounts x habits; whole rows are NaN for accounts with too few requests. A habit that the
    input does not tell at all is 0 for everybody.
    """
    table = conduct.set_index("account_id").reindex(accounts["account_id"])
    requests = table["request_count"].fillna(0).to_numpy(dtype=np.float64)
    enough = requests >= settings.conduct_requests
    templated = table["templated_count"].to_numpy(dtype=np.float64) / np.maximum(requests, 1)
    habits = [
        table["log_output_mean"].to_numpy(dtype=np.float64),
        table["log_input_mean"].to_numpy(dtype=np.float64),
        templated,
    ]
    ranks = [np.nan_to_num(mid_ranks(np.where(enough, habit, np.nan)), nan=0.5) for habit in habits]
    columns = [HABIT_WEIGHT * rank for rank in ranks]
    vectors = np.column_stack([*columns, *_model_mix(accounts, uses)])
    vectors[~enough] = np.nan
    return vectors


def _model_mix(accounts: pd.DataFrame, uses: pd.DataFrame) -> list[Vectors]:
    rows = uses.loc[uses["kind"] == "model"]
    code = codes_of(rows["account_id"], pd.Index(accounts["account_id"]))
    count = rows["request_count"].to_numpy(dtype=np.float64)
    total = np.bincount(code[code >= 0], weights=count[code >= 0], minlength=len(accounts))
    by_model = rows.groupby("value")["request_count"].sum().sort_index()
    ranked = by_model.sort_values(ascending=False, kind="stable").index[:MODELS]
    mixes = []
    for model in ranked:
        mine = (rows["value"] == model).to_numpy() & (code >= 0)
        share = np.bincount(code[mine], weights=count[mine], minlength=len(accounts))
        mixes.append(share / np.maximum(total, 1))
    return mixes


def level_edges(habits: Vectors, *, seed: int) -> Vectors:
    """Distances that split random pairs at ``LEVEL_SHARES``; empty when fewer than ten accounts tell."""
    known = np.flatnonzero(np.isfinite(habits).all(axis=1)) if habits.size else np.empty(0, dtype=np.int64)
    if len(known) < 10:
        return np.empty(0)
    draw = np.random.default_rng(seed)
    a = draw.choice(known, SAMPLED_PAIRS)
    b = draw.choice(known, SAMPLED_PAIRS)
    return np.quantile(distances(habits, a[a != b], b[a != b]), LEVEL_SHARES)


def distances(habits: Vectors, a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> Vectors:
    """Euclidean distance between the habits of each pair; NaN where either is unknown."""
    total = np.zeros(len(a))
    for column in range(habits.shape[1]):
        total += (habits[a, column] - habits[b, column]) ** 2
    return np.sqrt(total)


def pair_levels(habits: Vectors, a: Any, b: Any, *, edges: Vectors) -> npt.NDArray[np.int8]:
    """Level of closeness of each pair of codes, 0 the closest; -1 where it cannot be told."""
    level = np.full(len(a), -1, dtype=np.int8)
    if len(edges):
        _fill_levels(np.ascontiguousarray(habits), a, b, edges, level)
    return level


@kernel
def _fill_levels(habits: Vectors, a: Any, b: Any, edges: Vectors, level: Any) -> None:
    """Fill the levels; how many edges are nearer is counted without a branch, which nobody could guess."""
    flat, width, last = habits.ravel(), habits.shape[1], len(a) - 1
    for pair in range(len(a)):
        ahead = width * b[min(pair + STEPS_AHEAD, last)]
        prefetch(flat, ahead)
        prefetch(flat, ahead + width - 1)
        total = 0.0
        for column in range(width):
            gap = habits[a[pair], column] - habits[b[pair], column]
            total += gap * gap
        distance = np.sqrt(total)
        place = 0
        for edge in edges:
            place += edge < distance
        level[pair] = place if np.isfinite(distance) else -1


def conduct_order(habits: Vectors) -> npt.NDArray[np.int64]:
    """A sort key per account that puts alike accounts near each other (bits of three habits interleaved).

    References
    ----------
    Morton 1966, "A computer oriented geodetic data base and a new technique in file sequencing".
    """
    key = np.zeros(len(habits), dtype=np.int64)
    if not habits.size:
        return key
    cells = np.clip(np.nan_to_num(habits[:, :3], nan=0.0) / HABIT_WEIGHT * 32, 0, 31).astype(np.int64)
    for bit in range(4, -1, -1):
        for column in range(3):
            key = key * 2 + ((cells[:, column] >> bit) & 1)
    return key
