from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from linking_frames import World, run

from linkage.clusters.significance import adjust_p_values, measure_cohesion, measure_significance
from linkage.clusters.ties import Incidence, build_incidence
from linkage.settings import VerdictSettings


@pytest.fixture(scope="module")
def made() -> tuple[Incidence, pd.DataFrame]:
    world = World(seed=71)
    world.add_strangers(600)
    world.add_campaign(20)
    frames = world.frames()
    evidence, linked, *_ = run(frames)
    return build_incidence(evidence, linked.values, frames["accounts"]), frames["accounts"]


def test_a_campaign_is_no_coincidence_and_random_accounts_are(made: tuple[Incidence, pd.DataFrame]) -> None:
    incidence, accounts = made
    group = np.full(len(accounts), -1, dtype=np.int64)
    group[np.flatnonzero(incidence.accounts.str.startswith("c"))] = 0
    strangers = np.flatnonzero(incidence.accounts.str.startswith("s"))
    shuffled = np.random.default_rng(72).permutation(strangers)[:400]
    group[shuffled] = 1 + np.arange(400) // 20
    settings = VerdictSettings(permutations=60)
    q_value = measure_significance(incidence, group, groups=21, accounts=accounts, settings=settings, seed=73)
    assert q_value[0] < 0.01
    assert (q_value[1:] < 0.05).sum() <= 1


def test_no_groups_have_no_q_values(made: tuple[Incidence, pd.DataFrame]) -> None:
    incidence, accounts = made
    none = np.full(len(accounts), -1, dtype=np.int64)
    q_value = measure_significance(incidence, none, groups=0, accounts=accounts, settings=VerdictSettings(), seed=1)
    assert q_value.size == 0


def test_q_values_keep_the_order_of_p_values() -> None:
    p = np.array([0.5, 0.001, 0.2, 0.01])
    q = adjust_p_values(p)
    assert (np.argsort(q) == np.argsort(p)).all()
    assert (q >= p).all()
    assert q.max() <= 1


def test_what_chance_searches_find_raises_the_q_value_of_no_firmer_groups(made: tuple[Incidence, pd.DataFrame]) -> None:
    incidence, accounts = made
    group = np.where(incidence.accounts.str.startswith("c"), 0, -1).astype(np.int64)
    settings = VerdictSettings(permutations=20)
    cohesion = float(measure_cohesion(incidence, group, groups=1)[0])

    def q_value(null: np.ndarray) -> float:
        rest = {"groups": 1, "accounts": accounts, "settings": settings, "seed": 73}
        return float(measure_significance(incidence, group, **rest, null_cohesion=null)[0])

    loose, firm = np.linspace(0.1, 0.3, 50) * cohesion, np.linspace(0.5, 1.5, 50) * cohesion
    assert q_value(loose) < 0.01
    assert q_value(firm) > 0.3
    assert q_value(firm[:5]) < 0.01


def test_a_larger_group_as_firmly_tied_is_more_cohesive(made: tuple[Incidence, pd.DataFrame]) -> None:
    incidence, _ = made
    whole = np.where(incidence.accounts.str.startswith("c"), 0, -1).astype(np.int64)
    part = whole.copy()
    part[np.flatnonzero(whole == 0)[4:]] = -1
    large, small = (measure_cohesion(incidence, group, groups=1)[0] for group in (whole, part))
    assert large > small


def test_groups_are_compared_with_chance_in_parts_as_at_once(
    made: tuple[Incidence, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    incidence, accounts = made
    group = np.full(len(accounts), -1, dtype=np.int64)
    group[:40] = np.repeat(np.arange(10), 4)
    rest = {"groups": 10, "accounts": accounts, "settings": VerdictSettings(), "seed": 1}
    null = np.linspace(0.1, 9.0, 40)
    at_once = measure_significance(incidence, group, **rest, null_cohesion=null)
    monkeypatch.setattr("linkage.clusters.significance._TOGETHER", 3)
    np.testing.assert_array_equal(measure_significance(incidence, group, **rest, null_cohesion=null), at_once)
