from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from linking_frames import World, run

from linkage.clusters.nearness import Nearness
from linkage.clusters.ties import (
    MAX_TIE,
    Incidence,
    best_ties,
    build_incidence,
    conduct_ties,
    group_ties,
    rank_habits,
    tie_matrix,
)
from linkage.errors import ClusterError

GROUPED = 30


@pytest.fixture(scope="module")
def world() -> dict[str, pd.DataFrame]:
    made = World(seed=61)
    made.add_strangers(300)
    made.add_campaign(GROUPED)
    return made.frames()


@pytest.fixture(scope="module")
def incidence(world: dict[str, pd.DataFrame]) -> Incidence:
    evidence, linked, *_ = run(world)
    return build_incidence(evidence, linked.values, world["accounts"])


def group_of(incidence: Incidence, prefix: str) -> np.ndarray:
    picked = np.flatnonzero(incidence.accounts.str.startswith(prefix))[:GROUPED]
    group = np.full(len(incidence.accounts), -1, dtype=np.int64)
    group[picked] = 0
    return group


def test_a_campaign_is_tied_by_more_families_than_strangers(incidence: Incidence) -> None:
    totals = {}
    for prefix in ("c", "s"):
        group = group_of(incidence, prefix)
        matrix = tie_matrix(group_ties(incidence, group, groups=1), incidence)
        totals[prefix] = matrix[group == 0].sum(axis=1).mean()
    assert totals["c"] > 4 * totals["s"]


def test_a_tie_counts_fellows_and_is_bounded(incidence: Incidence) -> None:
    ties = group_ties(incidence, group_of(incidence, "c"), groups=1)
    content = ties.loc[ties["family"] == incidence.families.index("content")]
    assert (content["fellows"] == GROUPED - 1).all()
    assert ties["tie"].between(0, MAX_TIE).all()
    assert not ties.duplicated(["account", "family"]).any()


def test_ties_without_their_values_are_the_same_bits(incidence: Incidence) -> None:
    group = np.random.default_rng(5).integers(-1, 3, len(incidence.accounts))
    told = tie_matrix(group_ties(incidence, group, groups=3), incidence)
    assert (told > 0).any()
    some = np.flatnonzero(group >= 0)[::2]
    np.testing.assert_array_equal(best_ties(incidence, group, groups=3, accounts=some), told[some])


def test_a_card_on_four_of_thirty_is_worth_less_than_on_four_of_four(incidence: Incidence) -> None:
    payment = incidence.families.index("payment")
    many = tie_matrix(group_ties(incidence, group_of(incidence, "c"), groups=1), incidence)[:, payment]
    few = group_of(incidence, "c")
    few[np.flatnonzero(few == 0)[4:]] = -1
    alone = tie_matrix(group_ties(incidence, few, groups=1), incidence)[:, payment]
    first = np.flatnonzero(few == 0)
    assert (alone[first] > many[first]).all()


def test_like_habits_tie_a_campaign_and_not_strangers(incidence: Incidence, world: dict[str, pd.DataFrame]) -> None:
    near = Nearness(rank_habits(world["conduct"], world["accounts"]))
    tied = {p: conduct_ties(near, group_of(incidence, p)).sum() for p in ("c", "s")}
    assert tied["c"] > 5 * max(tied["s"], 1)


def test_values_without_worth_are_refused(world: dict[str, pd.DataFrame]) -> None:
    evidence, linked, *_ = run(world)
    table = linked.values  # noqa: PD011 - a table of ours
    with pytest.raises(ClusterError, match="one row for every value"):
        build_incidence(evidence, table.iloc[1:], world["accounts"])
