"""How far the nearest share of accounts reaches: exactly the quantile of all distances."""

from __future__ import annotations

import numpy as np
import pytest

from linkage.clusters.nearness import Nearness


@pytest.mark.parametrize("accounts", [10, 11, 60, 3_000])
@pytest.mark.parametrize("digits", [1, 16])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.37, 1.0])
def test_the_reach_is_the_quantile_of_all_distances(accounts: int, digits: int, share: float) -> None:
    draw = np.random.default_rng(accounts)
    habits = np.round(draw.random((accounts, 3)), digits)
    near = Nearness(habits)
    for center in [*habits[:5], draw.random(3), np.array([2.0, -1.0, 0.5])]:
        gap = np.sqrt(((habits - center) ** 2).sum(axis=1))
        assert near.reach(center, share) == np.quantile(gap, share)


def test_accounts_that_are_all_alike_have_one_distance() -> None:
    habits = np.full((40, 3), 0.25)
    assert Nearness(habits).reach(np.array([0.25, 0.25, 1.25]), 0.05) == 1.0
