from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from linking_frames import World

from linkage.evidence.conduct import LEVEL_SHARES, conduct_order, level_edges, measure_habits, pair_levels
from linkage.settings import EvidenceSettings


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    world = World(seed=21)
    world.add_strangers(300)
    world.add_campaign(20)
    return world.frames()


def habits(frames: dict[str, pd.DataFrame], settings: EvidenceSettings | None = None) -> np.ndarray:
    return measure_habits(
        frames["accounts"],
        conduct=frames["conduct"],
        uses=frames["uses"],
        settings=settings or EvidenceSettings(),
    )


def test_accounts_of_one_hand_are_closer_than_strangers(frames: dict[str, pd.DataFrame]) -> None:
    vectors = habits(frames)
    edges = level_edges(vectors, seed=1)
    ours = np.flatnonzero(frames["accounts"]["account_id"].str.startswith("c"))
    a, b = np.triu_indices(len(ours), 1)
    level = pair_levels(vectors, ours[a], ours[b], edges=edges)
    assert np.mean(level <= 2) > 4 * LEVEL_SHARES[2]


def test_levels_hold_the_shares_of_random_pairs_they_are_named_for(frames: dict[str, pd.DataFrame]) -> None:
    vectors = habits(frames)
    edges = level_edges(vectors, seed=1)
    draw = np.random.default_rng(2)
    known = np.flatnonzero(np.isfinite(vectors).all(axis=1))
    a, b = draw.choice(known, 50_000), draw.choice(known, 50_000)
    level = pair_levels(vectors, a[a != b], b[a != b], edges=edges)
    assert np.mean(level == 0) == pytest.approx(LEVEL_SHARES[0], abs=0.003)
    assert np.mean(level <= 2) == pytest.approx(LEVEL_SHARES[2], abs=0.02)


def test_an_account_of_few_requests_has_no_level(frames: dict[str, pd.DataFrame]) -> None:
    few = np.flatnonzero(frames["accounts"]["request_count"] < 5)
    vectors = habits(frames)
    level = pair_levels(vectors, few, np.roll(few, 1), edges=level_edges(vectors, seed=1))
    assert set(level) == {-1}


def test_a_lower_bound_on_requests_tells_more_accounts(frames: dict[str, pd.DataFrame]) -> None:
    told = np.isfinite(habits(frames)).all(axis=1).sum()
    more = np.isfinite(habits(frames, EvidenceSettings(conduct_requests=1))).all(axis=1).sum()
    assert more > told


def test_too_few_accounts_have_no_levels() -> None:
    world = World(seed=22)
    world.add_campaign(3)
    vectors = habits(world.frames())
    assert level_edges(vectors, seed=1).size == 0
    zero = np.zeros(1, dtype=np.int64)
    assert pair_levels(vectors, zero, zero + 1, edges=level_edges(vectors, seed=1)).tolist() == [-1]


def test_the_order_puts_alike_accounts_near_each_other(frames: dict[str, pd.DataFrame]) -> None:
    vectors = habits(frames)
    order = np.argsort(conduct_order(vectors), kind="stable")
    step = np.linalg.norm(np.diff(np.nan_to_num(vectors[order][:, :3]), axis=0), axis=1)
    shuffled = np.random.default_rng(3).permutation(len(vectors))
    other = np.linalg.norm(np.diff(np.nan_to_num(vectors[shuffled][:, :3]), axis=0), axis=1)
    assert np.median(step) < 0.5 * np.median(other)
