"""What would be found if something were otherwise."""

from pathlib import Path

import pandas as pd
import pytest

import linkage as lk
from linkage.errors import NoSuchAccountError, SettingsError, UsageError
from linkage.notebook.whatif import CLUSTER_CHANGES, MEMBER_CHANGES
from linkage.terms import CLUSTERS, FAMILIES, MEMBERS, check_frame


@pytest.fixture(scope="module")
def run(planted_path: Path) -> lk.Run:
    return lk.open_store(planted_path, create=False).run


@pytest.fixture(scope="module")
def campaign(run: lk.Run) -> lk.Cluster:
    found: lk.Cluster = run.clusters[run.clusters["cluster_id"].iloc[0]]
    return found


def test_nothing_changed_changes_nothing(run: lk.Run) -> None:
    same = run.what_if()
    assert same.change == "as it is"
    pd.testing.assert_frame_equal(same.clusters, pd.DataFrame(run.clusters))
    pd.testing.assert_frame_equal(same.members, run.members)
    check_frame(same.cluster_changes, CLUSTER_CHANGES, name="clusters")
    check_frame(same.member_changes, MEMBER_CHANGES, name="members")
    assert same.cluster_changes.empty
    assert same.member_changes.empty


def test_a_threshold_out_of_reach_takes_the_tier_away(run: lk.Run, campaign: lk.Cluster) -> None:
    changed = run.what_if(settings={"verdicts": {"min_enforce_accounts": 25}})
    assert changed.change == "verdicts.min_enforce_accounts 5 to 25"
    row = changed.cluster_changes.set_index("cluster_id").loc[campaign.cluster_id]
    assert (row["change"], row["tier_before"], row["tier_after"]) == ("tier", "enforce", "review")
    assert (changed.flagged_before, changed.flagged_after) == (24, 0)
    assert set(changed.member_changes["change"]) == {"tier"}
    assert changed.member_changes["flagged_before"].all()


def test_without_shared_addresses_no_cluster_names_the_network(run: lk.Run, campaign: lk.Cluster) -> None:
    before = pd.DataFrame(run.clusters)["families"].str.contains("network")
    changed = run.what_if(without_family="network")
    assert before.any()
    assert not changed.clusters["families"].str.contains("network").any()
    assert changed.change == "without network"
    assert campaign.cluster_id in set(changed.clusters["cluster_id"]), "ids are those of the run"
    check_frame(changed.clusters, CLUSTERS, name="clusters")
    check_frame(changed.members, MEMBERS, name="members")


@pytest.mark.parametrize("family", ["registration", "conduct", "rhythm"])
def test_a_family_left_out_ties_nobody(run: lk.Run, family: str) -> None:
    assert pd.DataFrame(run.clusters)["families"].str.contains(family).any()
    assert not run.what_if(without_family=family).clusters["families"].str.contains(family).any()


def test_without_any_evidence_there_is_no_cluster(run: lk.Run) -> None:
    nothing = run.what_if(without_family=FAMILIES)
    assert nothing.clusters.empty
    assert set(nothing.cluster_changes["change"]) == {"went"}
    assert nothing.cluster_changes["controller_after"].isna().all()
    assert set(nothing.member_changes["account_id"]) == set(run.members["account_id"])


def test_an_account_left_out_is_gone_and_its_fellows_stay(run: lk.Run, campaign: lk.Cluster) -> None:
    account = campaign.members["account_id"].iloc[0]
    changed = run.what_if(without_account=account)
    moves = changed.member_changes.set_index("account_id")
    assert moves.loc[account, "change"] == "went"
    assert account not in set(changed.members["account_id"])
    assert changed.flagged_after == 23


def test_a_value_left_out_is_no_reason(run: lk.Run, campaign: lk.Cluster) -> None:
    shared = campaign.shared
    value = shared.loc[shared["kind"] == "ip", "value"].mode().iloc[0]
    burst = shared.loc[shared["family"] == "registration", "value"].iloc[0]
    changed = run.what_if(without_entity=[value, burst])
    reasons = " ".join(changed.members["reasons"])
    assert value in " ".join(run.members["reasons"])
    assert value not in reasons
    assert burst not in reasons


def test_what_is_not_there_cannot_be_left_out(run: lk.Run) -> None:
    with pytest.raises(UsageError, match="without_family: wanted network, "):
        run.what_if(without_family="addresses")
    with pytest.raises(UsageError, match=r"'198\.51\.100\.99' is nothing that any has"):
        run.what_if(without_entity="198.51.100.99")
    with pytest.raises(NoSuchAccountError, match="'nobody' is none"):
        run.what_if(without_account="nobody")
    with pytest.raises(SettingsError, match="resolution"):
        run.what_if(settings={"communities": {"resolution": 0}})


def test_the_truth_scores_a_what_if(run: lk.Run, planted_world: Path) -> None:
    changed = run.what_if(without_family="payment")
    scores = lk.evaluate(changed, planted_world / "truth.csv").to_dict()
    assert scores["flag_recall"] == changed.flagged_after / 24


def test_the_published_run_and_the_file_stay_as_they_are(planted_path: Path, tmp_path: Path) -> None:
    with lk.open_store(planted_path, create=False) as store:
        store._database.copy_to(tmp_path / "copy.db")
    content = (tmp_path / "copy.db").read_bytes()
    (tmp_path / "copy.db").chmod(0o444)
    with lk.open_store(tmp_path / "copy.db", create=False) as store:
        store.run.what_if(settings={"communities": {"resolution": 0.3}}, without_family="client")
    assert (tmp_path / "copy.db").read_bytes() == content


def test_records_loaded_since_do_not_count_as_the_change(planted: lk.Store, tiny_logs: Path, tmp_path: Path) -> None:
    planted._database.copy_to(tmp_path / "copy.db")
    with lk.open_store(tmp_path / "copy.db", create=False) as store:
        run = store.run
        assert run.what_if().member_changes.empty
        store.ingest(tiny_logs / "requests.ndjson", accounts=tiny_logs / "accounts.csv")
        later = run.what_if()
        assert later.member_changes.empty
        assert {"c1", "c2"} <= set(later.members["account_id"])
