"""Many who are left out of a community only since they may have been copied become a community of their own."""

import pandas as pd
import pytest
from linking_frames import World

from linkage.clusters.parting import part_left_out
from linkage.evidence.table import gather_evidence
from linkage.evidence.weights import link_accounts
from linkage.settings import Settings
from linkage.terms import COMMUNITIES, check_frame, make_frame


def part(world: World, together: list[str]) -> pd.DataFrame:
    """One community of these accounts, after parting."""
    frames, settings = world.frames(), Settings()
    evidence = gather_evidence(**frames, settings=settings.evidence)
    parts = {name: frames[name] for name in ("accounts", "conduct")}
    linked = link_accounts(evidence, **parts, uses=frames["uses"], settings=settings.evidence)
    columns = {"account_id": together, "community": [0] * len(together), "stability": [1.0] * len(together)}
    communities = make_frame(COMMUNITIES, columns)
    found = part_left_out(communities, evidence=evidence, values=linked.values, **parts, settings=settings.verdicts)
    check_frame(found, COMMUNITIES, name="found")
    return found


def parted(*, members: int, alike: int, strangers: int = 0) -> pd.DataFrame:
    """One community of members on one card, others that do as they do, and strangers to both, after parting."""
    world = World(seed=5)
    world.add_strangers(200)
    values = {"template": ["t-kit"], "ip": ["office"], "client": ["client-kit"]}
    habits = {"requests": 100, "output": 5.5, "templated": 1.0}
    for number in range(members):
        world.add(f"m{number:02}", values={**values, "payment": ["card"]}, created_day=100.0 + number / 50, **habits)
    for number in range(alike):
        world.add(f"k{number:02}", values=values, created_day=2.0 + 7 * number, **habits)
    ids = world.frames()["accounts"]["account_id"]
    together = [*ids[ids.str.match("[mk]")], *ids[~ids.str.match("[mk]")].head(strangers)]
    found = part(world, together)
    assert sorted(found["account_id"]) == sorted(together)
    return found


@pytest.mark.parametrize(("members", "alike"), [(24, 12), (40, 10)])
def test_many_who_do_as_members_do_and_share_nothing_else_with_them_are_a_community_of_their_own(
    members: int, alike: int
) -> None:
    found = parted(members=members, alike=alike)
    sets = [set(mine.str[0]) for _, mine in found.groupby("community")["account_id"]]
    assert sets == [{"m"}, {"k"}]


@pytest.mark.parametrize(("members", "alike"), [(24, 9), (41, 10)])
def test_a_few_stay_where_they_are_and_become_bystanders(members: int, alike: int) -> None:
    assert set(parted(members=members, alike=alike)["community"]) == {0}


def test_strangers_to_both_are_not_parted_with_them() -> None:
    found = parted(members=24, alike=12, strangers=12)
    strangers = ~found["account_id"].str.match("[mk]")
    assert strangers.sum() == 12
    assert set(found.loc[strangers, "community"]) == {0}
    assert set(found.loc[found["account_id"].str.startswith("k"), "community"]) == {1}


def test_no_communities_give_none() -> None:
    world = World(seed=5)
    world.add_strangers(5)
    assert part(world, []).equals(make_frame(COMMUNITIES))
