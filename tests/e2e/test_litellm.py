"""The real client: LiteLLM's own logger writes the logs, and the group that was driven through it is found."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import linkage as lk

CLIENT = Path(__file__).with_name("litellm_client.py")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with logs that the LiteLLM SDK wrote, and the account records beside it."""
    folder = tmp_path_factory.mktemp("gateway")
    # Without this the SDK asks the network for prices, and waits for the answer.
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    command = [sys.executable, str(CLIENT), str(folder / "log.jsonl"), str(folder / "accounts.csv")]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)
    return folder


@pytest.fixture(scope="module")
def store(gateway: Path) -> lk.Store:
    with lk.open_store(gateway / "s.db") as opened:
        opened.ingest(gateway / "log.jsonl", accounts=gateway / "accounts.csv")
        lk.rebuild(opened)
        yield opened


def test_its_logs_are_recognised_and_read_whole(gateway: Path, tmp_path: Path) -> None:
    with lk.open_store(tmp_path / "s.db") as opened:
        result = opened.ingest(gateway / "log.jsonl")
    assert result.files[0].took_for.startswith("LiteLLM StandardLoggingPayload")
    assert (result.kept, result.set_aside) == (240, 0)
    present = result.coverage[result.coverage["source"] == "requests"].set_index("field")["share"]
    assert present[["api_key_id", "organization_id", "ip", "prompt", "status", "latency_ms"]].eq(1.0).all()


def test_a_refused_call_counts_as_limited(store: lk.Store) -> None:
    conduct = store.query("account_conduct", since_day=0, until_day=40_000).set_index("account_id")
    assert conduct.loc["acct_g03", "limited_count"] == 1
    assert conduct["limited_count"].sum() == 1


def test_the_group_is_found_in_one_cluster_and_nobody_else_is_in_it(store: lk.Store) -> None:
    members = store.run.members
    group = members[members["account_id"].str.startswith("acct_g")]
    assert len(group) == 10
    assert group["cluster_id"].nunique() == 1
    assert set(members.loc[members["cluster_id"] == group["cluster_id"].iloc[0], "account_id"]) == set(
        group["account_id"]
    )
    assert not members.loc[~members["account_id"].isin(group["account_id"]), "flagged"].any()
