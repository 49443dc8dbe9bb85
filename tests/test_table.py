from __future__ import annotations

import pandas as pd
import pytest
from linking_frames import World

from linkage.errors import ShapeError
from linkage.evidence.table import gather_evidence
from linkage.settings import EvidenceSettings
from linkage.terms import ACCOUNTS, EVIDENCE, USES, check_frame, make_frame


def gathered(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return gather_evidence(uses=frames["uses"], accounts=frames["accounts"], settings=EvidenceSettings())


def counts(evidence: pd.DataFrame, value: str) -> tuple[int, int]:
    rows = evidence.loc[evidence["value"] == value]
    assert len(rows) == rows["accounts"].iloc[0]
    return int(rows["accounts"].iloc[0]), int(rows["unrelated_accounts"].iloc[0])


def small_world() -> World:
    """Five accounts of template t; a and b share a card, c and d one organization, e shares nothing else."""
    world = World(seed=1)
    for name, day, organization, card in (
        ("a", 10, None, "card-1"),
        ("b", 40, None, "card-1"),
        ("c", 80, "org-1", "card-c"),
        ("d", 120, "org-1", "card-d"),
        ("e", 160, None, "card-e"),
    ):
        values = {"template": ["t"], "payment": [card]}
        world.add(name, values=values, created_day=day, organization=organization, mail=f"{name}.example")
    return world


def test_a_value_counts_the_accounts_that_share_it() -> None:
    evidence = gathered(small_world().frames())
    assert counts(evidence, "t") == (5, 1)
    assert counts(evidence, "card-1") == (2, 2)


def test_a_value_of_one_account_is_no_evidence() -> None:
    evidence = gathered(small_world().frames())
    assert not evidence["value"].isin(["card-c", "ip-a"]).any()


def test_rows_told_twice_and_in_any_order_are_counted_once() -> None:
    frames = small_world().frames()
    once = gathered(frames)
    twice = {"uses": pd.concat([frames["uses"]] * 2), "accounts": frames["accounts"].iloc[::-1]}
    twice = {name: frame.sample(frac=1, random_state=1).reset_index(drop=True) for name, frame in twice.items()}
    found = gathered(twice)
    names = ["family", "kind", "value", "account_id", "accounts"]
    told = found.astype(dict.fromkeys(names[:4], "str"))[names].drop_duplicates(ignore_index=True)
    pd.testing.assert_frame_equal(told, once.astype(dict.fromkeys(names[:4], "str"))[names])


def test_accounts_of_one_address_are_related_for_a_card() -> None:
    world = World(seed=2)
    for name in ("a", "b"):
        world.add(name, values={"ip": ["home"], "payment": ["card"]}, created_day=10, mail=f"{name}.example")
    evidence = gathered(world.frames())
    assert counts(evidence, "card") == (2, 0)
    assert counts(evidence, "home") == (2, 0)


def test_accounts_outside_the_window_do_not_count() -> None:
    frames = small_world().frames()
    frames["accounts"] = frames["accounts"].loc[frames["accounts"]["account_id"] != "e"]
    assert counts(gathered(frames), "t") == (4, 0)


def test_nothing_in_gives_an_empty_frame_of_the_same_shape() -> None:
    evidence = gathered({"uses": make_frame(USES), "accounts": make_frame(ACCOUNTS)})
    full = gathered(small_world().frames())
    assert evidence.empty
    assert evidence.dtypes.map(str).to_dict() == full.dtypes.map(str).to_dict()
    assert list(check_frame(evidence, EVIDENCE, name="evidence")) == list(EVIDENCE)


def test_a_frame_of_another_shape_is_told_by_name() -> None:
    frames = small_world().frames()
    with pytest.raises(ShapeError, match="uses: no column 'value'"):
        gathered({**frames, "uses": frames["uses"].drop(columns="value")})
