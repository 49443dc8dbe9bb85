from __future__ import annotations

import pandas as pd
import pytest
from linking_frames import World, flagged, run

from linkage.clusters.explain import explain
from linkage.settings import VerdictSettings
from linkage.terms import CLUSTER_STATEMENTS, CLUSTERS, EVIDENCE, LINKS, MEMBERS, UNRELATED, check_frame, make_frame


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    world = World(seed=81)
    world.add_strangers(200)
    world.add_campaign(14)
    return world.frames()


def statements(
    frames: dict[str, pd.DataFrame],
    settings: VerdictSettings | None = None,
    *,
    links_per_account: int = 100,
    links_kept: int = 30,
) -> pd.DataFrame:
    evidence, linked, _, verdicts = run(frames)
    return explain(
        verdicts.clusters.iloc[:1],
        members=verdicts.members,
        links=linked.links,
        evidence=evidence,
        settings=settings or VerdictSettings(),
        links_per_account=links_per_account,
        links_kept=links_kept,
    )


def without(frames: dict[str, pd.DataFrame], rows: str) -> dict[str, pd.DataFrame]:
    """The frames without the uses and creation times a statement names."""
    named = [pair.split("=", 1) for pair in rows.split("; ")]
    uses, accounts = frames["uses"].copy(), frames["accounts"].copy()
    for kind, value in named:
        uses = uses.loc[~((uses["kind"] == kind) & (uses["value"] == value))]
        if kind.startswith("signup"):
            accounts.loc[accounts["account_id"].str.startswith("c"), "created_at"] = pd.NaT
    return {**frames, "uses": uses, "accounts": accounts}


def test_every_topic_is_covered_in_order(frames: dict[str, pd.DataFrame]) -> None:
    found = statements(frames)
    check_frame(found, CLUSTER_STATEMENTS, name="statements")
    assert list(dict.fromkeys(found["topic"])) == ["why", "rare", "extraction", "free", "for"]
    assert found["sentence"].str.endswith(".").all()
    assert (found["rows"].str.len() > 0).all()


def test_the_shared_template_is_named_with_its_count(frames: dict[str, pd.DataFrame]) -> None:
    why = statements(frames).query("topic == 'why'")["sentence"]
    assert why.str.contains("of 14 members, 14 share template t-c", regex=False).any()


def test_removing_the_named_evidence_frees_the_members(frames: dict[str, pd.DataFrame]) -> None:
    assert len(flagged(run(frames)[3])) == 14
    free = statements(frames).query("topic == 'free'").iloc[0]
    assert flagged(run(without(frames, free["rows"]))[3]) == []


def test_removing_as_many_other_values_does_not(frames: dict[str, pd.DataFrame]) -> None:
    free = statements(frames).query("topic == 'free'").iloc[0]
    count = len(free["rows"].split("; "))
    uses = frames["uses"]
    ours = uses.loc[uses["account_id"].str.startswith("c"), "value"]
    others = uses.loc[~uses["value"].isin(ours), "value"].drop_duplicates().iloc[:count]
    spared = {**frames, "uses": uses.loc[~uses["value"].isin(others)]}
    assert len(flagged(run(spared)[3])) == 14


def test_more_families_wanted_free_with_less(frames: dict[str, pd.DataFrame]) -> None:
    two = statements(frames).query("topic == 'free'")["rows"].iloc[0]
    three = statements(frames, VerdictSettings(min_families=3)).query("topic == 'free'")["rows"].iloc[0]
    assert len(three) < len(two)


def test_a_cluster_without_evidence_still_says_what_speaks_for_it(frames: dict[str, pd.DataFrame]) -> None:
    verdicts = run(frames)[3]
    found = explain(
        verdicts.clusters.iloc[:1].assign(families="", readings=""),
        members=verdicts.members,
        links=make_frame(LINKS),
        evidence=make_frame(EVIDENCE),
        settings=VerdictSettings(),
        links_per_account=100,
        links_kept=30,
    )
    assert found["topic"].tolist() == ["extraction", "for"]


def test_a_cluster_with_more_links_than_a_run_keeps_says_so(frames: dict[str, pd.DataFrame]) -> None:
    whole = statements(frames).query("topic == 'extraction'")["sentence"].item()
    assert whole.endswith("pairs of members are linked.")
    for bounds, told in (((100, 3), "3 are listed"), ((7, 3), "7 count and 3 are listed")):
        said = statements(frames, links_per_account=bounds[0], links_kept=bounds[1])
        bounded = said.query("topic == 'extraction'")["sentence"].item()
        assert bounded == whole.removesuffix(".") + f" (of each account the strongest {told})."


def test_one_account_value_or_pair_is_told_as_one() -> None:
    row = {"cluster_id": "c", "families": "payment", "requests": 9, "readings": "", "expected_wrong": 0.1}
    members = {"account_id": ["a", "b"], "cluster_id": ["c", "c"], "membership": ["core", "probable"]}
    card = {"family": "payment", "kind": "payment", "value": "card", "accounts": 3, "unrelated_accounts": 1}
    said = explain(
        make_frame(CLUSTERS, {name: [value] for name, value in row.items()}),
        members=make_frame(MEMBERS, members),
        links=make_frame(LINKS, {"account_a": ["a"], "account_b": ["b"], "bits": [9.0], "families": [1]}),
        evidence=make_frame(EVIDENCE, {"account_id": ["a", "b", "x"], **{name: [card[name]] * 3 for name in card}}),
        settings=VerdictSettings(min_families=2),
        links_per_account=100,
        links_kept=30,
    )
    told = dict(said.drop_duplicates("topic", keep="last").set_index("topic")["sentence"])
    assert said.loc[said["topic"] == "rare", "sentence"].tolist() == [
        "Payment instrument card is on 3 accounts: 2 members and 1 other; 1 of the accounts is otherwise unrelated.",
        UNRELATED,
    ]
    assert told["extraction"].endswith("; 1 of 1 pair of members is linked.")
    assert told["free"].startswith("Without what its members share in payment (1 value), 0 independent kinds of")
    assert told["for"].startswith("1 of 2 accounts is tied less firmly than the core. ")


def test_no_figure_claims_what_nothing_here_can_and_no_pair_is_counted_where_there_is_none() -> None:
    row = {"cluster_id": "c", "families": "", "requests": 1, "readings": "", "expected_wrong": 0.004}
    members = {"account_id": ["a", "b"], "cluster_id": ["c", "c"], "membership": ["core", "bystander"]}
    said = explain(
        make_frame(CLUSTERS, {name: [value] for name, value in {**row, "extraction_probability": 0.999}.items()}),
        members=make_frame(MEMBERS, members),
        links=make_frame(LINKS),
        evidence=make_frame(EVIDENCE),
        settings=VerdictSettings(),
        links_per_account=100,
        links_kept=30,
    )
    told = dict(zip(said["topic"], said["sentence"], strict=True))
    assert told["extraction"] == "The joint traffic of 1 request reads as extraction with a probability over 0.99."
    assert "acted on, fewer than 0.1 of them would be wronged" in told["for"]
