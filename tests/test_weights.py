from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from linking_frames import World, run

from linkage.evidence import pairs
from linkage.evidence.table import gather_evidence
from linkage.evidence.weights import MARGIN_BITS, VALUES, WEIGHTS, Linked, _pair_fellows, link_accounts
from linkage.settings import EvidenceSettings, Settings
from linkage.terms import LINK_EVIDENCE, LINKS, check_frame


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    world = World(seed=31)
    world.add_strangers(250)
    world.add_campaign(14)
    for number in range(120):
        world.add(f"n{number:03d}", values={"ip": ["carrier"]}, created_day=float(world.draw.uniform(0, 360)))
    return world.frames()


@pytest.fixture(scope="module")
def linked(frames: dict[str, pd.DataFrame]) -> Linked:
    return run(frames)[1]


def link(frames: dict[str, pd.DataFrame], settings: EvidenceSettings, *, margin_bits: float = MARGIN_BITS) -> Linked:
    evidence = gather_evidence(uses=frames["uses"], accounts=frames["accounts"], settings=settings)
    return link_accounts(
        evidence,
        accounts=frames["accounts"],
        conduct=frames["conduct"],
        uses=frames["uses"],
        settings=settings,
        margin_bits=margin_bits,
    )


def worth(linked: Linked) -> pd.DataFrame:
    return linked.values  # noqa: PD011 - a table of ours, not what pandas calls values


def test_frames_have_their_shapes(linked: Linked) -> None:
    check_frame(linked.links, LINKS, name="links")
    check_frame(linked.evidence, LINK_EVIDENCE, name="evidence")
    check_frame(linked.weights, WEIGHTS, name="weights")
    check_frame(worth(linked), VALUES, name="values")
    assert (linked.links["account_a"].astype("str") < linked.links["account_b"].astype("str")).all()


def test_a_links_bits_are_the_sum_of_its_evidence(linked: Linked) -> None:
    summed = linked.evidence.groupby(["account_a", "account_b"])["bits"].sum()
    whole = linked.links.set_index(["account_a", "account_b"])["bits"]
    assert np.allclose(whole, summed.reindex(whole.index).fillna(0))


def test_a_rarer_value_of_a_kind_is_never_worth_less(linked: Linked) -> None:
    for _, values in worth(linked).groupby("kind"):
        ordered = values.sort_values("accounts")
        rarest = ordered.groupby("accounts")["bits"].min().to_numpy()
        assert (np.diff(rarest) <= 1e-9).all()


def test_a_popular_address_is_discounted_but_not_dropped(linked: Linked) -> None:
    carrier = worth(linked).loc[worth(linked)["value"] == "carrier"].iloc[0]
    assert carrier["accounts"] == 120
    rare = worth(linked).loc[(worth(linked)["kind"] == "payment"), "bits"].max()
    assert 0 <= carrier["bits"] < 0.5 * rare


def test_the_campaign_is_linked_above_even_odds(linked: Linked) -> None:
    links = linked.links
    inside = links["account_a"].str.startswith("c") & links["account_b"].str.startswith("c")
    assert inside.sum() == 14 * 13 / 2
    assert (links.loc[inside, "bits"] > linked.prior_bits).all()


def test_one_value_adds_at_most_the_bound(frames: dict[str, pd.DataFrame]) -> None:
    capped = link(frames, EvidenceSettings(max_bits=3.0))
    assert capped.evidence["bits"].max() <= 3.0
    assert worth(capped)["bits"].max() <= 3.0


def test_conduct_adds_at_most_what_the_rest_gives(linked: Linked) -> None:
    table = linked.evidence.assign(soft=linked.evidence["family"] == "conduct")
    bits = table.pivot_table(index=["account_a", "account_b"], columns="soft", values="bits", aggfunc="sum")
    bits = bits.fillna(0.0)
    assert (bits[True] <= bits[False] + 1e-9).all()


def test_pairs_of_one_declared_organization_are_no_links(frames: dict[str, pd.DataFrame]) -> None:
    accounts = frames["accounts"].copy()
    accounts.loc[accounts["account_id"].str.startswith("c"), "organization_id"] = "org-one"
    found = run({**frames, "accounts": accounts})[1].links
    both = found["account_a"].str.startswith("c") & found["account_b"].str.startswith("c")
    assert not both.any()


def test_with_nothing_to_learn_from_the_shipped_weights_stand(frames: dict[str, pd.DataFrame]) -> None:
    sure = link(frames, EvidenceSettings(prior_pairs=1e9)).weights
    shared = sure.loc[sure["family"] != "conduct"]
    expected = shared["prior_bits"].clip(0, EvidenceSettings().max_bits)
    assert np.allclose(shared["bits"], expected, atol=0.2)
    learned = link(frames, EvidenceSettings(prior_pairs=100)).weights
    assert not np.allclose(learned["bits"], sure["bits"], atol=0.2)


def test_unseen_accounts_make_few_accounts_less_rare(frames: dict[str, pd.DataFrame]) -> None:
    alone = worth(link(frames, EvidenceSettings(prior_accounts=0)))["chance"]
    assert (worth(link(frames, EvidenceSettings()))["chance"] < alone).any()


def test_twelve_accounts_are_enough_to_link_three_of_them() -> None:
    world = World(seed=32)
    world.add_strangers(9)
    world.add_campaign(3)
    linked = run(world.frames())[1]
    strong = linked.links.nlargest(3, "bits")
    assert (strong["bits"] > linked.prior_bits + 3).all()
    assert set(strong["account_a"]) | set(strong["account_b"]) == {"c0000", "c0001", "c0002"}


def test_fewer_links_per_use_bound_the_links() -> None:
    world = World(seed=33)
    for number in range(200):
        world.add(f"n{number:03d}", values={"payment": ["one-card"]}, created_day=100.0, mail="one.example")
    frames = world.frames()
    many = link(frames, EvidenceSettings(), margin_bits=20.0).links
    few = link(frames, EvidenceSettings(links_per_use=2), margin_bits=20.0).links
    assert 0 < len(few) < len(many) <= 10 * len(run(frames)[0]) + 10 * 200


def test_pairs_well_below_even_odds_are_no_links(frames: dict[str, pd.DataFrame]) -> None:
    wide, close = (link(frames, EvidenceSettings(), margin_bits=bits) for bits in (6.0, 1.0))
    kept = wide.links.loc[wide.links["bits"] >= wide.prior_bits - 1.0].reset_index(drop=True)
    assert 0 < len(kept) < len(wide.links)
    pd.testing.assert_frame_equal(close.links, kept)


def test_of_each_account_so_many_links_are_kept(frames: dict[str, pd.DataFrame]) -> None:
    every = link(frames, EvidenceSettings(links_per_account=10_000), margin_bits=6.0).links
    bounded = link(frames, EvidenceSettings(links_per_account=3), margin_bits=6.0).links
    ends = every.astype({"account_a": "str", "account_b": "str"})
    most = pd.concat([ends["account_a"], ends["account_b"]]).value_counts()
    assert most.max() > 3
    assert len(bounded) <= 3 * len(most) < len(every)
    assert set(pd.concat([bounded["account_a"], bounded["account_b"]])) == set(most.index)


def test_no_evidence_gives_empty_frames() -> None:
    world = World(seed=34)
    world.add("a", values={}, created_day=10)
    _, linked, communities, verdicts = run(world.frames())
    assert linked.links.empty
    assert linked.evidence.empty
    assert communities.empty
    assert verdicts.members.empty
    assert verdicts.clusters.empty


def test_what_ties_the_links_inside_groups_is_the_rest_left_out() -> None:
    world = World(seed=4)
    world.add_strangers(20)
    for name in "abc":
        world.add(name, values={"ip": ["hidden"], "payment": ["one card"]}, created_day=3)
    frames, settings = world.frames(), Settings().evidence
    known = {**{name: frames[name] for name in ("accounts", "conduct", "uses")}, "settings": settings}
    evidence = gather_evidence(uses=frames["uses"], accounts=frames["accounts"], settings=settings)
    linked = link_accounts(evidence, **known)
    groups = pd.Series({"a": "x", "c": "x", "b": "y"})
    inside = linked.evidence.query("account_a == 'a' and account_b == 'c'").reset_index(drop=True)
    assert set(inside["family"]) >= {"network", "payment"}
    found = linked.evidence_within(groups, links_per_account=5)
    assert isinstance(found["value"].dtype, pd.CategoricalDtype)
    pd.testing.assert_frame_equal(found.astype(inside.dtypes), inside)
    assert linked.evidence_within(groups.iloc[:0], links_per_account=5).empty


def test_of_each_account_its_strongest_links_inside_the_group_are_told(linked: Linked) -> None:
    ids = sorted(set(linked.links["account_a"]) | set(linked.links["account_b"]))
    groups = pd.Series("all", index=pd.Index(ids))
    told = linked.evidence_within(groups, links_per_account=2).astype({"account_a": "str", "account_b": "str"})
    kept = set(told.groupby(["account_a", "account_b"]).groups)
    links = linked.links.astype({"account_a": "str", "account_b": "str"})
    assert 0 < len(kept) < len(links)
    links["is_kept"] = [pair in kept for pair in zip(links["account_a"], links["account_b"], strict=True)]
    for account in ids:
        own = links[(links["account_a"] == account) | (links["account_b"] == account)]
        best = own["bits"].nlargest(2).tolist()
        assert own.loc[own["is_kept"], "bits"].nlargest(2).tolist() == best
    assert len(kept) <= 2 * len(ids)


def test_links_are_the_same_in_parts_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(seed=6)
    world.add_strangers(60)
    for number in range(30):
        values = {"ip": [f"10.0.0.{number % 5}"], "payment": [f"card {number % 3}"]}
        world.add(f"m{number:02}", values=values, created_day=number)
    frames, settings = world.frames(), Settings().evidence
    known = {**{name: frames[name] for name in ("accounts", "conduct", "uses")}, "settings": settings}
    evidence = gather_evidence(uses=frames["uses"], accounts=frames["accounts"], settings=settings)
    whole = link_accounts(evidence, **known)
    monkeypatch.setattr(pairs, "PART_PAIRS", 7)
    parted = link_accounts(evidence, **known)
    assert len(whole.links) > 100
    pd.testing.assert_frame_equal(parted.links, whole.links)
    pd.testing.assert_frame_equal(parted.weights, whole.weights)
    pd.testing.assert_frame_equal(parted.evidence, whole.evidence)


def test_fellows_of_one_account_are_paired_as_a_join_pairs_them() -> None:
    accounts = 40
    drawn = np.random.default_rng(3).integers(0, accounts, (200, 2))
    via, fellow = np.unique(drawn[drawn[:, 0] != drawn[:, 1]], axis=0).T
    frame = pd.DataFrame({"via": via, "fellow": fellow})
    joined = frame.merge(frame, on="via")[["fellow_x", "fellow_y"]].to_numpy()
    wanted = np.unique(joined[joined[:, 0] < joined[:, 1]], axis=0)
    found = np.column_stack(_pair_fellows(via, fellow, accounts))
    assert 0 < len(found) < len(joined) // 2
    assert found.tolist() == wanted.tolist()
