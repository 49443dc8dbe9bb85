import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import orjson
import pandas as pd
import pytest
from world_reading import read_requests, read_table

from linkage import terms
from linkage.errors import OutputFileError, UsageError, WorldError
from linkage.worlds.campaigns import CAMPAIGNS
from linkage.worlds.evaluate import read_truth
from linkage.worlds.innocents import INNOCENTS
from linkage.worlds.simulate import World, read_scenarios, simulate


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return simulate(tmp_path_factory.mktemp("world"), accounts=400, days=14, seed=7, scenarios=["E1"])


@pytest.fixture(scope="module")
def requests(world: World) -> pd.DataFrame:
    return read_requests(world.directory)


def digests(directory: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(directory.iterdir())}


def test_the_same_arguments_give_the_same_bytes_under_any_hash_seed(tmp_path: Path) -> None:
    code = (
        "import sys; from linkage.worlds.simulate import simulate; "
        "simulate(sys.argv[1], accounts=120, days=4, seed=3, scenarios=['innocents', 'E6', 'E13', 'E14'])"
    )
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        subprocess.run([sys.executable, "-c", code, str(tmp_path / hash_seed)], check=True, env=environment)
    assert digests(tmp_path / "1") == digests(tmp_path / "2")


def test_another_seed_gives_another_world(tmp_path: Path) -> None:
    for seed in (1, 2):
        simulate(tmp_path / str(seed), accounts=60, days=3, seed=seed, scenarios=["none"])
    first, second = (json.loads((tmp_path / str(seed) / "world.json").read_text()) for seed in (1, 2))
    assert first["habits"] != second["habits"]
    assert digests(tmp_path / "1") != digests(tmp_path / "2")


def test_requests_are_canonical_and_in_time_order(world: World, requests: pd.DataFrame) -> None:
    extra = {"role", "campaign", "kind", "tags", "at_ms", "day"}
    assert set(requests.columns) - extra <= set(terms.REQUEST_FIELDS)
    assert requests["timestamp"].is_monotonic_increasing
    assert requests["request_id"].is_unique
    assert requests["prompt"].str.len().min() > 0
    assert (requests[["input_tokens", "output_tokens", "latency_ms"]].min() >= 0).all()
    assert set(requests["status"]) <= {200, 400, 429, 500, 503}
    assert (requests.loc[requests["status"] != 200, "output_tokens"] == 0).all()
    assert requests["params"].map(lambda contract: "temperature" in contract).all()


def test_accounts_and_truth_tell_about_every_account_once(world: World, requests: pd.DataFrame) -> None:
    accounts, truth = read_table(world.accounts), read_truth(world.truth)
    assert list(accounts.columns) == list(terms.ACCOUNT_FIELDS)
    assert accounts["account_id"].is_unique
    assert set(accounts["account_id"]) == set(truth["account_id"]) == set(requests["account_id"])
    assert len(accounts) == world.account_count
    assert len(requests) == world.request_count


def test_nothing_is_sent_before_the_account_is_opened(world: World, requests: pd.DataFrame) -> None:
    accounts = read_table(world.accounts).set_index("account_id")
    first = pd.to_datetime(requests.groupby("account_id")["timestamp"].min())
    opened = pd.to_datetime(accounts["created_at"]).reindex(first.index)
    assert (first >= opened).all()


def test_a_small_demo_has_one_campaign_of_a_size_one_can_look_at(world: World) -> None:
    assert world.campaign_count == 1
    assert 20 <= world.campaign_account_count <= 30
    assert 380 <= world.account_count <= 450
    assert 10_000 <= world.request_count <= 30_000
    assert "416 accounts" in repr(world) or f"{world.account_count:,} accounts" in repr(world)
    assert "<table>" in world._repr_html_()


def test_campaigns_keep_the_innocents_and_none_leaves_them_out() -> None:
    assert {name for name, _ in read_scenarios(["e1"])} == {"E1", *INNOCENTS}
    assert read_scenarios(["none", "e1:2"]) == [("E1", 2.0)]
    assert read_scenarios(["hn-04"]) == [("HN-04", 1.0)]
    assert [name for name, _ in read_scenarios(None)] == [*INNOCENTS, "E1", "E3", "E6"]


def test_one_scenario_needs_no_list() -> None:
    assert read_scenarios("HN-04:2") == [("HN-04", 2.0)]


def test_framing_brings_along_whom_it_frames() -> None:
    assert [name for name, _ in read_scenarios(["none", "E14"])] == ["HN-06", "E14"]


@pytest.mark.parametrize("name", ["E21", "HN-4", "E1:0", "E1:often", "E1:-1", ""])
def test_an_unknown_scenario_is_told_with_all_that_exist(name: str) -> None:
    with pytest.raises(UsageError, match=r"HN-01.*E20") as caught:
        read_scenarios([name])
    assert repr(name) in str(caught.value)


def test_all_recipes_of_the_scenarios_exist() -> None:
    assert list(INNOCENTS) == [f"HN-{number:02}" for number in range(1, 21)]
    assert list(CAMPAIGNS) == [f"E{number}" for number in range(1, 21)]


def test_strength_multiplies_the_accounts(tmp_path: Path) -> None:
    counts = []
    for strength in ("1", "3"):
        made = simulate(tmp_path / strength, accounts=2_000, days=2, scenarios=["none", f"E1:{strength}"])
        counts.append(made.campaign_account_count)
    assert counts == [25, 75]


@pytest.mark.parametrize(("accounts", "days"), [(49, 10), (100, 1), (100, 401)])
def test_sizes_out_of_range_are_refused(tmp_path: Path, accounts: int, days: int) -> None:
    with pytest.raises(WorldError, match="at least 50 accounts and 2 to 400 days"):
        simulate(tmp_path, accounts=accounts, days=days)


def test_a_seed_below_zero_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="seed is a whole number from 0; got -1"):
        simulate(tmp_path, accounts=60, days=2, scenarios=["none"], seed=-1)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "world" / "accounts.csv").mkdir(parents=True)
    for place in (tmp_path / "file" / "world", tmp_path / "world", tmp_path / ("w" * 300)):
        with pytest.raises(OutputFileError, match="wanted to write a world; ") as failure:
            simulate(place, accounts=60, days=2, scenarios=["none"])
        assert failure.value.exit_code == 74


def test_a_start_that_is_no_date_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="ISO 8601"):
        simulate(tmp_path, accounts=100, days=3, start="yesterday")


def test_the_start_is_the_first_midnight(tmp_path: Path) -> None:
    world = simulate(tmp_path, accounts=60, days=2, start="2025-01-06T00:00Z", scenarios=["none"])
    stamps = read_requests(world.directory)["timestamp"]
    assert stamps.min() >= "2025-01-06T00:00"
    assert stamps.max() < "2025-01-08"


def test_parameters_say_how_to_make_the_world_again(world: World, tmp_path: Path) -> None:
    told = orjson.loads(world.parameters.read_bytes())
    again = simulate(
        tmp_path,
        accounts=told["accounts"],
        days=told["days"],
        seed=told["seed"],
        start=told["start"],
        scenarios=told["scenarios"],
    )
    assert digests(again.directory) == digests(world.directory)
