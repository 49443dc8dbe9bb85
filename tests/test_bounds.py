"""What can be done to an account that shares nothing, or little, with a campaign."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from linking_frames import World, flagged, judged, run

from linkage.clusters.features import GROUP_PATTERNS, SOFTWARE
from linkage.clusters.ties import MAX_TIE, build_incidence, group_ties, tie_matrix
from linkage.evidence.nulls import MOST_BITS
from linkage.settings import Settings, VerdictSettings
from linkage.stages import Judged
from linkage.terms import USES, make_frame

MEMBERS = [f"c{number:04d}" for number in range(14)]


def _campaign(seed: int, *, strangers: int = 200) -> World:
    world = World(seed=seed)
    world.add_strangers(strangers)
    world.add_campaign(14)
    world.add_hand_overs(MEMBERS, count=80)
    return world


def _membership(made: Judged, account: str) -> str:
    members = made.verdicts.members.set_index("account_id")
    return str(members.loc[account, "membership"]) if account in members.index else "none"


def _ties(made: Judged, frames: dict[str, pd.DataFrame], group: Sequence[str]) -> pd.Series[float]:
    """Bits of shared values that tie each account of the group to the others."""
    incidence = build_incidence(made.evidence, made.linked.values, frames["accounts"])
    number = np.where(incidence.accounts.isin(list(group)), 0, -1).astype(np.int64)
    matrix = tie_matrix(group_ties(incidence, number, groups=1), incidence)
    return pd.Series(matrix.sum(axis=1), index=incidence.accounts)


@pytest.mark.parametrize(
    "shared",
    [{"template": ["t-c"]}, {"payment": ["card-c-0"]}, {"contract": ["contract-c"]}, {"client": ["client-0"]}],
    ids=lambda shared: next(iter(shared)),
)
def test_one_shared_value_adds_at_most_the_bound_and_names_nobody(shared: dict[str, list[str]]) -> None:
    world = _campaign(31)
    world.add("victim", values=shared, created_day=20.0, requests=25)
    frames = world.frames()
    made = judged(frames)
    assert _ties(made, frames, [*MEMBERS, "victim"])["victim"] <= MAX_TIE
    assert _membership(made, "victim") in {"none", "bystander"}
    assert flagged(made.verdicts) == MEMBERS


def test_one_hub_that_all_use_adds_less_than_links() -> None:
    world = _campaign(32)
    frames = world.frames()
    ids = frames["accounts"]["account_id"]
    span = frames["accounts"][["request_count", "first_at", "last_at"]]
    columns = {name: span[name].array for name in span.columns}
    hub = make_frame(
        USES, {**columns, "account_id": ids.array, "kind": ["ip"] * len(ids), "value": ["door"] * len(ids)}
    )
    both = {**frames, "uses": pd.concat([frames["uses"], hub], ignore_index=True)}
    plain, behind = judged(frames), judged(both)
    assert flagged(behind.verdicts) == flagged(plain.verdicts) == MEMBERS
    strangers = [account for account in ids if account.startswith("s")][:20]
    before, after = _ties(plain, frames, strangers), _ties(behind, both, strangers)
    assert (after - before)[strangers].max() < VerdictSettings().linked_bits


def test_one_newcomer_adds_little_to_a_member_who_shares_one_value_with_it() -> None:
    frames = _campaign(33).frames()
    world = _campaign(33)
    world.add("victim", values={"payment": ["card-c-0"]}, created_day=20.0, requests=25)
    with_newcomer = world.frames()
    before = _ties(judged(frames), frames, MEMBERS)
    after = _ties(judged(with_newcomer), with_newcomer, [*MEMBERS, "victim"])
    assert (after[MEMBERS] - before[MEMBERS]).max() < 1.0


def test_a_campaign_that_copies_its_victims_frames_nobody() -> None:
    """E14: the template of an app on a third of the traffic, and the networks of twenty of its people."""
    world = World(seed=34)
    world.add_strangers(200)
    victims = [f"v{number:02d}" for number in range(60)]
    for number, victim in enumerate(victims):
        own = {"template": ["t-app"], "template_family": ["f-app"], "ip_prefix": [f"net-{number}"]}
        world.add(victim, values=own, created_day=float(6 * number), requests=40, templated=0.95)
    for number, member in enumerate(MEMBERS):
        world.add(
            member,
            values={
                "template": ["t-c", "t-app"],
                "template_family": ["f-app"],
                "payment": [f"card-c-{number // 4}"],
                "contract": ["contract-c"],
                "ip_prefix": [f"net-{net}" for net in range(20)],
            },
            created_day=300.0 + float(world.draw.uniform(0, 2)),
            requests=110,
            output=5.5,
            templated=1.0,
        )
    world.add_hand_overs(MEMBERS, count=80)
    made = judged(world.frames())
    assert flagged(made.verdicts) == MEMBERS
    assert {_membership(made, victim) for victim in victims} <= {"none", "bystander"}


@pytest.mark.parametrize("kind", ["template", "payment", "ip"])
def test_one_family_never_enforces(kind: str) -> None:
    """Everything else speaks for extraction: long outputs, all templated, much traffic at even volume."""
    world = World(seed=35)
    world.add_strangers(200)
    for number, member in enumerate(MEMBERS):
        world.add(
            member, values={kind: ["the-one"]}, created_day=25.0 * number, requests=400, output=6.0, templated=1.0
        )
    frames = world.frames()
    alone = frames["conduct"].assign(log_output_mean=np.nan, log_input_mean=np.nan)
    made = judged({**frames, "conduct": alone, "hours": frames["hours"].iloc[:0], "items": frames["items"].iloc[:0]})
    assert flagged(made.verdicts) == []


def test_what_callers_choose_is_no_evidence() -> None:
    world = World(seed=36)
    world.add_strangers(120)
    for number in range(14):
        ids = {"end_user": ["the-same"], "metadata": ["the-same"]}
        world.add(f"x{number:02d}", values=ids, created_day=25.0 * number, requests=100, output=5.5, templated=1.0)
    made = judged(world.frames())
    assert not set(made.evidence["kind"]) & {"end_user", "metadata"}
    assert flagged(made.verdicts) == []


def test_patterns_of_a_group_tie_only_those_who_take_part_and_at_most_the_bound() -> None:
    world = _campaign(37)
    world.add("victim", values={"template": ["t-c"]}, created_day=20.0, requests=25)
    made = judged(world.frames())
    found = made.group_evidence.loc[made.group_evidence["kind"].isin(GROUP_PATTERNS)]
    assert set(found["account_id"]) <= set(MEMBERS)
    assert len(found) >= 12
    assert found["bits"].max() <= MOST_BITS


def test_without_any_hard_family_nobody_is_enforced() -> None:
    world = World(seed=38)
    world.add_strangers(200)
    for number, member in enumerate(MEMBERS):
        soft = {"client": ["client-x"], "contract": ["contract-x"]}
        world.add(member, values=soft, created_day=25.0 * number, requests=400, output=6.0, templated=1.0)
    made = judged(world.frames())
    enforced = made.verdicts.clusters.loc[made.verdicts.clusters["tier"] == "enforce", "families"]
    assert all(set(families.split("+")) - set(SOFTWARE) for families in enforced)
    assert flagged(made.verdicts) == []


def test_removing_the_named_evidence_frees_and_as_much_other_evidence_does_not() -> None:
    """Hand-overs are among what is named: without the shared values they are no group any more."""
    frames = _campaign(39).frames()
    made = judged(frames)
    cluster = made.verdicts.clusters.iloc[0]
    assert "rhythm" in cluster["families"].split("+")
    assert flagged(made.verdicts) == MEMBERS
    uses = frames["uses"]
    ours = uses["account_id"].isin(MEMBERS)
    named = ours & uses["value"].isin(["t-c", "contract-c", "client-0"])
    named |= ours & uses["value"].str.startswith("card-c-")
    rest = {**frames, "uses": uses.loc[~named].reset_index(drop=True)}
    assert flagged(run(rest)[3]) == []
    others = np.flatnonzero(~ours)[: int(named.sum())]
    spared = {**frames, "uses": uses.drop(index=others).reset_index(drop=True)}
    assert flagged(run(spared)[3]) == MEMBERS


def test_a_dozen_accounts_among_sixty_are_surely_one_controller_and_few_are_expected_wrong() -> None:
    world = World(seed=41)
    world.add_strangers(46)
    world.add_campaign(14)
    world.add_hand_overs(MEMBERS, count=60)
    made = judged(world.frames(), Settings())
    cluster = made.verdicts.clusters.iloc[0]
    members = made.verdicts.members.query("membership != 'bystander'")
    assert cluster["controller_probability"] > 0.8
    assert cluster["expected_wrong"] < 3
    assert (members["controller_probability"] / cluster["controller_probability"]).min() > 0.95
