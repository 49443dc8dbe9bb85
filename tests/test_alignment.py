from __future__ import annotations

import pandas as pd
import pytest
from group_frames import accounts_of
from linking_frames import World

from linkage.evidence.alignment import permute_evidence
from linkage.evidence.table import gather_evidence
from linkage.settings import Settings
from linkage.terms import EVIDENCE, check_frame, make_frame

Frames = tuple[pd.DataFrame, pd.DataFrame]


@pytest.fixture(scope="module")
def made() -> Frames:
    world = World(seed=61)
    world.add_strangers(400)
    world.add_campaign(14)
    frames = world.frames()
    return gather_evidence(**frames, settings=Settings().evidence), frames["accounts"]


def _together(evidence: pd.DataFrame, accounts: pd.Series[str]) -> int:
    """How many of the accounts that share the campaign's template share its contract, too."""
    by_value = {value: set(rows["account_id"]) for value, rows in evidence.groupby("value")}
    return len(by_value["t-c"] & by_value["contract-c"] & set(accounts))


def test_values_keep_how_many_accounts_share_them(made: Frames) -> None:
    evidence, accounts = made
    permuted = permute_evidence(evidence, accounts, seed=1)
    check_frame(permuted, EVIDENCE, name="permuted")
    keys = ["family", "kind", "value"]
    assert permuted.groupby(keys)["account_id"].nunique().equals(evidence.groupby(keys)["account_id"].nunique())


def test_families_no_longer_agree(made: Frames) -> None:
    evidence, accounts = made
    assert _together(evidence, accounts["account_id"]) == 14
    assert _together(permute_evidence(evidence, accounts, seed=1), accounts["account_id"]) < 7


def test_rows_differ_in_nothing_but_their_accounts(made: Frames) -> None:
    evidence, accounts = made
    permuted = permute_evidence(evidence, accounts, seed=1)
    pd.testing.assert_frame_equal(permuted.drop(columns="account_id"), evidence.drop(columns="account_id"))
    assert (permuted["account_id"].astype("str") != evidence["account_id"].astype("str")).mean() > 0.9


def test_values_of_one_family_stay_together(made: Frames) -> None:
    evidence, accounts = made
    permuted = permute_evidence(evidence, accounts, seed=2)
    for frame in (evidence, permuted):
        cards = frame.loc[frame["value"].str.startswith("card-c-")].groupby("value")["account_id"].nunique()
        assert cards.tolist() == [4, 4, 4, 2]


def test_accounts_move_within_their_stratum_only() -> None:
    ids = [f"a{number:04d}" for number in range(1_200)]
    accounts = accounts_of([(account, 0.0, 1.0, 9.0) for account in ids])
    accounts["request_count"] = range(1, 1_201)
    columns = {"account_id": ids[900:], "family": ["content"] * 300, "kind": ["template"] * 300, "value": ["t"] * 300}
    busiest = make_frame(EVIDENCE, {**columns, "accounts": [300] * 300})
    assert sorted(permute_evidence(busiest, accounts, seed=3)["account_id"]) == ids[900:]
    some = busiest.iloc[:50].reset_index(drop=True)
    moved = set(permute_evidence(some, accounts, seed=3)["account_id"])
    assert moved != set(some["account_id"])
    assert moved <= set(ids[900:])


def test_the_same_seed_permutes_alike_and_another_does_not(made: Frames) -> None:
    evidence, accounts = made
    first = permute_evidence(evidence, accounts, seed=4)
    assert first.equals(permute_evidence(evidence, accounts, seed=4))
    assert not first.equals(permute_evidence(evidence, accounts, seed=5))


def test_nothing_permutes_to_nothing(made: Frames) -> None:
    assert permute_evidence(make_frame(EVIDENCE), made[1], seed=1).empty
