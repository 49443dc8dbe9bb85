import numpy as np
import pandas as pd
import pytest
from linking_frames import World

from linkage.clusters.cells import join_cells
from linkage.clusters.communities import find_communities, partition_links
from linkage.evidence.table import gather_evidence
from linkage.evidence.weights import Linked, link_accounts
from linkage.settings import CommunitySettings, Settings
from linkage.terms import COMMUNITIES, GROUP_RELATIONS, check_frame, make_frame

Cells = tuple[dict[str, pd.DataFrame], pd.DataFrame, Linked, pd.DataFrame]


@pytest.fixture(scope="module")
def cells() -> Cells:
    """Two cells with their own cards and addresses and one template family, and a campaign of another hand."""
    world = World(seed=21)
    world.add_strangers(200)
    for cell in range(2):
        for number in range(8):
            world.add(
                f"c{cell}-{number}",
                values={
                    "template": [f"t-cell-{cell}"],
                    "template_family": ["f-queue"],
                    "payment": [f"card-{cell}"],
                    "ip": [f"office-{cell}"],
                },
                created_day=100.0 + 90 * cell + float(world.draw.uniform(0, 2)),
                requests=100,
                output=5.5,
                templated=1.0,
            )
    world.add_campaign(10, name="x")
    frames = world.frames()
    settings = Settings()
    evidence = gather_evidence(**frames, settings=settings.evidence)
    parts = {name: frames[name] for name in ("accounts", "conduct")}
    linked = link_accounts(evidence, **parts, uses=frames["uses"], settings=settings.evidence)
    chosen = settings.communities
    with partition_links(linked.links, prior_bits=linked.prior_bits, settings=chosen, seed=1) as partitioned:
        communities = find_communities(partitioned, evidence=evidence, values=linked.values, **parts, settings=chosen)
    return frames, evidence, linked, communities


def _numbers(communities: pd.DataFrame, start: str) -> list[int]:
    mine = communities["account_id"].str.startswith(start)
    return sorted(set(communities.loc[mine, "community"]))


def _join(cells: Cells, pairs: list[tuple[int, int]], *, bits: float = 10.0) -> pd.DataFrame:
    frames, evidence, linked, communities = cells
    columns = {"group_a": [min(pair) for pair in pairs], "group_b": [max(pair) for pair in pairs]}
    relations = make_frame(GROUP_RELATIONS, {**columns, "hand_overs": [9] * len(pairs), "bits": [bits] * len(pairs)})
    return join_cells(
        communities,
        relations,
        evidence=evidence,
        values=linked.values,
        accounts=frames["accounts"],
        conduct=frames["conduct"],
        settings=CommunitySettings(),
    )


def test_cells_come_apart_without_hand_overs(cells: Cells) -> None:
    communities = cells[3]
    assert _numbers(communities, "c0") != _numbers(communities, "c1")
    assert _join(cells, []).equals(communities)


def test_cells_that_hand_work_over_are_one_community(cells: Cells) -> None:
    first, second = (_numbers(cells[3], name)[0] for name in ("c0", "c1"))
    joined = _join(cells, [(first, second)])
    check_frame(joined, COMMUNITIES, name="joined")
    assert _numbers(joined, "c0") == _numbers(joined, "c1")
    assert _numbers(joined, "x") != _numbers(joined, "c0")
    assert sorted(set(joined["community"])) == list(range(joined["community"].nunique()))
    assert np.all(np.diff(joined.groupby("community").size()) <= 0)


def test_a_hand_over_that_chance_explains_joins_nothing(cells: Cells) -> None:
    first, second = (_numbers(cells[3], name)[0] for name in ("c0", "c1"))
    assert _join(cells, [(first, second)], bits=3.9).equals(cells[3])


def test_communities_that_share_nothing_else_are_not_joined(cells: Cells) -> None:
    frames, evidence, linked, communities = cells
    first, second = _numbers(communities, "c0")[0], _numbers(communities, "x")[0]
    private = evidence.loc[evidence["kind"].isin(["template", "payment"])].reset_index(drop=True)
    unlike = frames["conduct"].assign(log_output_mean=np.nan)
    bare = (frames | {"conduct": unlike}, private, linked, communities)
    joined = _join(bare, [(first, second)])
    assert _numbers(joined, "x") != _numbers(joined, "c0")
