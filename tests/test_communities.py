from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from linking_frames import World, run

from linkage.clusters.fragments import join_fragments
from linkage.clusters.ties import build_incidence, rank_habits
from linkage.settings import CommunitySettings, Settings
from linkage.terms import COMMUNITIES, check_frame


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    world = World(seed=51)
    world.add_strangers(300)
    world.add_campaign(120, name="c")
    world.add_campaign(9, name="d", cards=3, day=340.0)
    return world.frames()


def community_of(found: pd.DataFrame, prefix: str) -> pd.Series[int]:
    return found.loc[found["account_id"].str.match(rf"{prefix}\d{{4}}"), "community"]


def test_two_campaigns_are_two_whole_communities(frames: dict[str, pd.DataFrame]) -> None:
    found = run(frames)[2]
    check_frame(found, COMMUNITIES, name="communities")
    large, small = community_of(found, "c"), community_of(found, "d")
    assert (len(large), len(small)) == (120, 9)
    assert large.nunique() == small.nunique() == 1
    assert set(large) != set(small)
    assert found["stability"].between(0, 1).all()
    assert found["account_id"].is_unique


def test_without_joining_a_large_campaign_comes_in_pieces(frames: dict[str, pd.DataFrame]) -> None:
    apart = CommunitySettings(merge_share=10, merge_bits=60, pooled_share=2, resolution=0.5)
    joined = CommunitySettings(resolution=0.5)
    pieces = community_of(run(frames, Settings(communities=apart))[2], "c")
    whole = community_of(run(frames, Settings(communities=joined))[2], "c")
    assert len(set(pieces)) > 1
    assert len(set(whole)) == 1


def test_a_higher_threshold_leaves_fewer_accounts(frames: dict[str, pd.DataFrame]) -> None:
    strict = run(frames, Settings(communities=CommunitySettings(link_bits=15)))[2]
    assert len(strict) < len(run(frames)[2])


def test_small_communities_are_left_out(frames: dict[str, pd.DataFrame]) -> None:
    found = run(frames, Settings(communities=CommunitySettings(min_accounts=10)))[2]
    assert found.groupby("community").size().min() >= 10
    assert community_of(found, "d").empty


def test_fragments_that_share_as_much_as_inside_are_joined(frames: dict[str, pd.DataFrame]) -> None:
    evidence, linked, *_ = run(frames)
    incidence = build_incidence(evidence, linked.values, frames["accounts"])
    large = np.flatnonzero(incidence.accounts.str.match(r"c\d{4}"))
    small = np.flatnonzero(incidence.accounts.str.match(r"d\d{4}"))
    group = np.full(len(incidence.accounts), -1, dtype=np.int64)
    group[large] = np.arange(len(large)) % 4
    group[small] = 4
    ends = np.array([[large[n], large[n + 1]] for n in range(3)] + [[large[0], small[0]]])
    joined = join_fragments(
        group,
        incidence,
        ends=ends,
        habits=rank_habits(frames["conduct"], frames["accounts"]),
        settings=CommunitySettings(),
    )
    assert len(set(joined[large])) == 1
    assert set(joined[small]) != set(joined[large])


def test_the_same_seed_gives_the_same_communities(frames: dict[str, pd.DataFrame]) -> None:
    pd.testing.assert_frame_equal(run(frames)[2], run(frames)[2])
