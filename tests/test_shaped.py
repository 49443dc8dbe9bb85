"""Campaigns by shape: what they share is what was asked for, and no more."""

from pathlib import Path

import pandas as pd
import pytest
from world_reading import read_requests, read_table

from linkage.errors import WorldError
from linkage.worlds.shaped import CampaignShape
from linkage.worlds.simulate import simulate


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("shaped")
    shapes = [CampaignShape(10, 20.0, families) for families in range(4)] + [CampaignShape(6, 30.0, 3, mix=0.9)]
    simulate(folder, accounts=80, days=6, seed=31, scenarios=["none"], shapes=shapes, habits={"campaign_sigma": 0.1})
    truth = read_table(folder / "truth.csv")
    requests = read_requests(folder)
    return {
        "truth": truth[truth["campaign"] != ""],
        "accounts": read_table(folder / "accounts.csv").merge(truth[["account_id", "role"]], on="account_id"),
        "requests": requests,
    }


def sharing(tables: dict[str, pd.DataFrame], families: int, column: str) -> int:
    """Distinct values of a column of the account records of one campaign."""
    accounts = tables["accounts"]
    return int(accounts.loc[accounts["role"] == f"f{families}-n10-r20-m0", column].nunique())


def test_a_campaign_has_the_accounts_and_the_rate_of_its_shape(tables: dict[str, pd.DataFrame]) -> None:
    sizes = tables["truth"].groupby("role").size()
    assert sizes.to_dict() == {**{f"f{families}-n10-r20-m0": 10 for families in range(4)}, "f3-n6-r30-m90": 6}
    per_account = tables["requests"].groupby("account_id").size().reindex(tables["truth"]["account_id"])
    assert 40 < per_account.mean() < 160


def test_cards_are_shared_from_two_families_on(tables: dict[str, pd.DataFrame]) -> None:
    assert [sharing(tables, families, "payment_method") for families in range(4)] == [10, 10, 2, 2]


def test_addresses_are_shared_from_three_families_on(tables: dict[str, pd.DataFrame]) -> None:
    requests = tables["requests"].merge(tables["truth"][["account_id", "role"]], on="account_id", suffixes=("", "_"))
    role = requests["role_"] if "role_" in requests else requests["role"]
    shared = requests.groupby([role, "ip"])["account_id"].nunique().groupby(level=0).max()
    assert shared["f3-n10-r20-m0"] > shared["f0-n10-r20-m0"]


@pytest.mark.parametrize("wrong", [{"accounts": 1}, {"rate": 0.0}, {"families": 4}, {"mix": 1.0}])
def test_a_shape_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(WorldError, match="Change the number"):
        CampaignShape(**{"accounts": 5, "rate": 5.0, "families": 1, **wrong})  # type: ignore[arg-type]


def test_a_habit_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="got luck"):
        simulate(tmp_path, accounts=60, days=3, habits={"luck": 1.0})
