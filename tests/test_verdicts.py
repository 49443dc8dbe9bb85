from __future__ import annotations

import dataclasses
import functools

import pandas as pd
import pytest
import scipy.special
from linking_frames import START, World, flagged, run

from linkage.clusters.coefficients import SHIPPED
from linkage.clusters.verdicts import Verdicts, judge
from linkage.evidence.groups import gather_group_evidence
from linkage.evidence.rhythm import find_passed_items
from linkage.settings import Settings
from linkage.terms import COMMUNITIES, GROUPS, make_frame


def campaign_of_14() -> dict[str, pd.DataFrame]:
    world = World(seed=11)
    world.add_strangers(180)
    world.add_campaign(14)
    return world.frames()


@functools.cache
def undoubted() -> Verdicts:
    """What is told of a planted campaign as it is; tests must not change it."""
    return run(campaign_of_14())[3]


def test_a_planted_campaign_of_14_is_one_enforced_cluster() -> None:
    verdicts = undoubted()
    assert flagged(verdicts) == [f"c{number:04d}" for number in range(14)]
    clusters = verdicts.members.loc[verdicts.members["flagged"], "cluster_id"]
    assert len(set(clusters)) == 1


def test_strangers_alone_are_not_enforced() -> None:
    world = World(seed=12)
    world.add_strangers(300)
    *_, verdicts = run(world.frames())
    assert flagged(verdicts) == []


def test_a_shared_office_is_not_a_cluster() -> None:
    world = World(seed=13)
    world.add_strangers(200)
    for number in range(25):
        world.add(
            f"o{number:02d}",
            values={"ip": ["office"], "ip_prefix": ["office-prefix"], "template": [f"t-own-{number}"]},
            created_day=float(world.draw.uniform(0, 360)),
            output=float(world.draw.normal(4, 1)),
            requests=int(world.draw.integers(5, 60)),
        )
    *_, verdicts = run(world.frames())
    assert flagged(verdicts) == []


def test_a_carrier_address_is_not_a_cluster() -> None:
    world = World(seed=14)
    world.add_strangers(200)
    for number in range(200):
        world.add(
            f"n{number:03d}",
            values={"ip": [f"carrier-{world.draw.integers(4)}"], "ip_prefix": ["carrier-prefix"]},
            created_day=float(world.draw.uniform(0, 360)),
            output=float(world.draw.normal(4, 1)),
            requests=int(world.draw.integers(5, 60)),
        )
    *_, verdicts = run(world.frames())
    assert flagged(verdicts) == []


def test_a_class_is_not_enforced() -> None:
    world = World(seed=15)
    world.add_strangers(300)
    for number in range(60):
        world.add(
            f"p{number:03d}",
            values={"ip": [f"campus-{number % 3}"], "template": ["t-assignment"]},
            created_day=200 + float(world.draw.uniform(0, 6)),
            output=float(world.draw.normal(4, 0.7)),
            requests=int(world.draw.integers(3, 60)),
            templated=float(world.draw.uniform(0.2, 0.7)),
            mail="campus.example",
        )
    *_, verdicts = run(world.frames())
    assert flagged(verdicts) == []


def test_an_agency_is_not_enforced() -> None:
    world = World(seed=16)
    world.add_strangers(300)
    for number in range(30):
        world.add(
            f"a{number:02d}",
            values={"payment": ["card-agency"], "ip": ["agency-office"], "template": [f"t-client-{number}"]},
            created_day=float(world.draw.uniform(0, 360)),
            output=float(world.draw.normal(4, 1)),
            requests=int(world.draw.integers(3, 200)),
            templated=float(world.draw.uniform(0.2, 0.8)),
            mail=f"client{number}.example",
        )
    *_, verdicts = run(world.frames())
    assert flagged(verdicts) == []


def test_one_declared_organization_is_explained_away() -> None:
    world = World(seed=17)
    world.add_strangers(200)
    world.add_campaign(14)
    frames = world.frames()
    ours = frames["accounts"]["account_id"].str.startswith("c")
    frames["accounts"].loc[ours, "organization_id"] = "org-one"
    *_, verdicts = run(frames)
    assert flagged(verdicts) == []


@pytest.mark.parametrize(("declaring", "tier"), [(12, "watch"), (10, "enforce")])
def test_a_stray_account_does_not_undo_a_declared_organization(declaring: int, tier: str) -> None:
    world = World(seed=17)
    world.add_strangers(200)
    world.add_campaign(14)
    frames = world.frames()
    ours = frames["accounts"].index[frames["accounts"]["account_id"].str.startswith("c")]
    frames["accounts"].loc[ours[:declaring], "organization_id"] = "org-one"
    first = run(frames)[3].clusters.iloc[0]
    assert (first["tier"], first["accounts"]) == (tier, 14)
    assert first["barred_by"] == ("organization" if tier == "watch" else "")


@pytest.mark.parametrize(
    ("domain", "carded", "tier"),
    [("insurer.example", 18, "review"), ("gmail.com", 18, "enforce"), ("insurer.example", 12, "enforce")],
)
def test_one_card_one_address_and_a_mail_domain_of_their_own_are_a_firm_whatever_its_size(
    domain: str, carded: int, tier: str
) -> None:
    world = World(seed=21)
    world.add_strangers(180)
    world.add_campaign(20, cards=20)
    for use in world.uses:
        number = int(str(use["account_id"])[1:])
        if str(use["account_id"]).startswith("c"):
            if use["kind"] == "payment" and number >= carded:
                use["value"] = f"card-{number}"
            changed = {"ip": "firm-address", "email_domain": domain if number % 3 else "gmail.com"}
            use["value"] = changed.get(str(use["kind"]), use["value"])
    first = run(world.frames())[3].clusters.iloc[0]
    assert first["tier"] == tier
    assert first["accounts"] >= 18
    assert first["barred_by"] == ("own_domain" if tier == "review" else "")
    assert ("one customer with a mail domain of its own" in first["readings"]) == (tier == "review")


@pytest.mark.parametrize(
    ("named", "elsewhere", "tier"), [(20, 0, "review"), (18, 0, "review"), (17, 0, "enforce"), (20, 10, "enforce")]
)
def test_whoever_signs_up_nearly_all_accounts_under_a_domain_of_its_own_is_known(
    named: int, elsewhere: int, tier: str
) -> None:
    world = World(seed=27)
    world.add_strangers(180)
    world.add_campaign(20)
    for use in world.uses:
        account = str(use["account_id"])
        if use["kind"] == "email_domain" and int(account[1:]) < (named if account.startswith("c") else elsewhere):
            use["value"] = "shop.example"
    first = run(world.frames())[3].clusters.iloc[0]
    assert (first["tier"], first["accounts"]) == (tier, 20)
    assert first["barred_by"] == ("own_domain" if tier == "review" else "")


@pytest.mark.parametrize(
    ("cards", "is_recorded", "tier"), [(1, True, "review"), (1, False, "enforce"), (4, True, "enforce")]
)
def test_what_only_a_program_and_its_addresses_tie_may_be_customers_with_keys_of_their_own(
    cards: int, is_recorded: bool, tier: str
) -> None:
    """Where nothing is known of when they signed up, that nothing else ties them says nothing."""
    world = World(seed=31)
    world.add_strangers(200)
    world.add_campaign(20, cards=cards)
    for use in world.uses:
        account, kind = str(use["account_id"]), str(use["kind"])
        if account.startswith("c"):
            changed = {"ip": f"server-{int(account[1:]) % 2}", "email_domain": f"{account}.example"}
            use["value"] = changed.get(kind, use["value"])
    frames = world.frames()
    table = frames["accounts"]
    ours = table.index[table["account_id"].str.startswith("c")]
    table.loc[ours, "email_domain"] = table.loc[ours, "account_id"] + ".example"
    spread = [START - pd.Timedelta(days=17 * number) for number in range(20)]
    table.loc[ours, "created_at"] = spread if is_recorded else pd.NaT
    first = run(frames)[3].clusters.iloc[0]
    assert (first["tier"], first["accounts"]) == (tier, 20)
    assert first["barred_by"] == ("hosted" if tier == "review" else "")


def openly_shared(*, open_accounts: int) -> pd.DataFrame:
    """Clusters of a world in which eight accounts like a campaign's use one card and one address between them."""
    world = World(seed=21)
    world.add_strangers(180)
    world.add_campaign(8, cards=8)
    for use in world.uses:
        if use["kind"] == "ip" and str(use["account_id"]).startswith("c0"):
            use["value"] = "firm-address"
    settings = Settings()
    verdicts = dataclasses.replace(settings.verdicts, open_accounts=open_accounts)
    *_, judged = run(world.frames(), settings=dataclasses.replace(settings, verdicts=verdicts))
    return judged.clusters


def test_few_accounts_that_hide_neither_card_nor_address_are_for_review() -> None:
    first = openly_shared(open_accounts=10).iloc[0]
    assert (first["tier"], first["accounts"], first["barred_by"]) == ("review", 8, "open")
    assert "one customer with a few accounts, who hides neither card nor address" in first["readings"]


def test_from_open_accounts_on_sharing_openly_spares_nobody() -> None:
    assert openly_shared(open_accounts=8).iloc[0]["tier"] == "enforce"


@pytest.mark.parametrize(("client", "tier"), [("client-odd", "enforce"), ("client-0", "review")])
def test_two_openly_shared_groups_with_a_client_that_only_they_have_are_not_one_customer_each(
    client: str, tier: str
) -> None:
    world = World(seed=21)
    world.add_strangers(180)
    world.add_campaign(8, cards=8)
    world.add_campaign(8, cards=8, name="d", day=200.0)
    for use in world.uses:
        if use["kind"] in ("ip", "client") and str(use["account_id"])[0] in "cd":
            use["value"] = client if use["kind"] == "client" else f"address-{str(use['account_id'])[0]}"
    clusters = run(world.frames())[3].clusters
    assert set(clusters.loc[clusters["extraction_probability"] > 0.6, "tier"]) == {tier}


def hurried(*, hours: int, cards: int, brief_days: float = 3.0, strangers_too: bool = False) -> pd.DataFrame:
    """Clusters of a world of ten days in which twenty accounts of one queue do all their work in so many hours."""
    world = World(seed=23)
    world.add_strangers(180)
    world.add_campaign(20, cards=cards)
    world.add_hand_overs([f"c{number:04d}" for number in range(20)], count=120)
    world.hurry("c0", hours=hours)
    if strangers_too:
        world.hurry("s", hours=100)
    settings = Settings()
    verdicts = dataclasses.replace(settings.verdicts, brief_days=brief_days)
    *_, judged = run(world.frames(), settings=dataclasses.replace(settings, verdicts=verdicts))
    return judged.clusters


def test_work_of_two_days_that_no_payment_ties_is_for_review_as_an_event() -> None:
    first = hurried(hours=48, cards=1).iloc[0]
    assert (first["tier"], first["accounts"], first["barred_by"]) == ("review", 20, "brief")
    assert "an event of a few days" in first["readings"]


def test_the_same_work_is_enforced_once_it_lasts_or_a_card_ties_it_or_the_setting_is_off() -> None:
    for lasting in (hurried(hours=120, cards=1), hurried(hours=48, cards=4), hurried(hours=48, cards=1, brief_days=0)):
        assert lasting.iloc[0]["tier"] == "enforce"
        assert "event" not in lasting.iloc[0]["readings"]


@pytest.mark.parametrize(
    ("cards", "tier", "bar"), [(4, "enforce", ""), (1, "review", "unpaid"), (20, "review", "one_payment")]
)
def test_own_work_alone_enforces_only_where_payment_ties_by_more_than_one_card(cards: int, tier: str, bar: str) -> None:
    world = World(seed=23)
    world.add_strangers(180)
    world.add_campaign(20, cards=cards)
    world.add_hand_overs([f"c{number:04d}" for number in range(20)], count=120)
    tables = SHIPPED.to_tables()
    tables["extraction"] |= {"intercept": -99.0}
    tables["slice"] |= {"intercept": 99.0}
    settings = dataclasses.replace(Settings(), coefficients=tables)
    first = run(world.frames(), settings=settings)[3].clusters.iloc[0]
    assert first["whole_probability"] < 0.01 < 0.99 < first["extraction_probability"]
    assert (first["tier"], first["accounts"], first["barred_by"]) == (tier, 20, bar)


def test_in_logs_of_few_days_nothing_is_an_event() -> None:
    assert hurried(hours=48, cards=1, strangers_too=True).iloc[0]["tier"] == "enforce"


def doubted(controller: float, **changed: float) -> pd.DataFrame:
    """Clusters of the same world when so little of one controller is told, with these settings of verdicts."""
    settings = Settings()
    told = undoubted().clusters.iloc[0]
    assert told["extraction_probability"] >= settings.verdicts.enforce_extraction
    doubt = float(scipy.special.logit(told["controller_probability"]) - scipy.special.logit(controller))
    tables = SHIPPED.to_tables()
    tables["controller"] |= {"intercept": tables["controller"]["intercept"] - doubt}
    verdicts = dataclasses.replace(settings.verdicts, **changed)
    changed_settings = dataclasses.replace(settings, verdicts=verdicts, coefficients=tables)
    return run(campaign_of_14(), settings=changed_settings)[3].clusters


@pytest.mark.parametrize(
    ("controller", "enforce_both", "tier"),
    [
        (0.15, 1.0, "enforce"),
        (0.05, 1.0, "review"),
        (0.05, 0.0, "review"),
        (0.45, 2.0, "review"),
        (0.55, 2.0, "enforce"),
    ],
)
def test_what_one_verdict_lacks_the_other_makes_up_for(controller: float, enforce_both: float, tier: str) -> None:
    first = doubted(controller, enforce_both=enforce_both).iloc[0]
    assert first["controller_probability"] == pytest.approx(controller)
    assert first["extraction_probability"] == pytest.approx(0.9, abs=0.05)
    assert (first["tier"], first["accounts"]) == (tier, 14)
    assert first["barred_by"] == ("operator" if tier == "review" else "")
    assert ("several hands" in first["readings"]) == (controller < 0.5)


@pytest.mark.parametrize(("linked_share", "told"), [(0.5, {"conduct"}), (0.8, set()), (0.0, {"conduct", "network"})])
def test_families_and_readings_tell_what_counts_by_the_setting(linked_share: float, told: set[str]) -> None:
    first = doubted(0.55, linked_share=linked_share).iloc[0]
    assert {"conduct", "network"} & set(first["families"].split("+")) == told
    assert ("shared office or network" in first["readings"]) == ("network" in told)


def test_the_two_verdicts_must_add_up() -> None:
    first = doubted(0.15).iloc[0]
    both = float(first["controller_probability"] + first["extraction_probability"])
    assert doubted(0.15, enforce_both=both - 0.01).iloc[0]["tier"] == "enforce"
    assert doubted(0.15, enforce_both=both + 0.01).iloc[0]["tier"] == "review"


def test_however_sure_extraction_is_some_of_the_controller_verdict_is_needed() -> None:
    assert doubted(0.15, enforce_both=0.0, least_controller=0.2).iloc[0]["tier"] == "review"


def test_extraction_by_who_knows_whom_is_for_review_only_if_it_is_no_coincidence_or_very_sure() -> None:
    assert doubted(0.01).iloc[0]["tier"] == "review"
    for less_firm in ({"max_q_value": 0.0}, {"min_families": 8}):
        for sure, tier in ((1.0, "watch"), (0.8, "review")):
            [shown] = doubted(0.01, review_extraction=sure, **less_firm).query("accounts == 14")["tier"]
            assert shown == tier  # clear extraction is never left out
    assert (doubted(0.01, min_enforce_accounts=15, review_extraction=0.8)["accounts"] < 14).all()


def test_work_handed_over_is_no_coincidence_however_few_values_are_shared() -> None:
    world = World(seed=23)
    world.add_strangers(200)
    members = [f"h{number}" for number in range(6)]
    for member in members:
        world.add(member, values={"client": ["client-1"]}, created_day=float(world.draw.uniform(0, 360)))
    alike = world.frames()
    world.add_hand_overs(members, count=80)
    q_values = [judged_q_value(frames, members) for frames in (alike, world.frames())]
    assert q_values[0] > 0.05
    assert q_values[1] <= 2 * 2**-10


def judged_q_value(frames: dict[str, pd.DataFrame], members: list[str]) -> float:
    """The q-value of the community made of these members, whatever the search finds."""
    settings = Settings()
    evidence, linked, _, _ = run(frames)
    communities = make_frame(COMMUNITIES, {"account_id": members, "community": [0] * len(members)})
    tables = {name: frames[name] for name in ("accounts", "conduct", "items", "hours")}
    groups = make_frame(GROUPS, {"account_id": members, "group": [0] * len(members)})
    passed = find_passed_items(groups, items=frames["items"], hours=frames["hours"])
    found = gather_group_evidence(groups, evidence=evidence, passed=passed, seed=1, **tables)
    verdicts = judge(
        communities,
        evidence=evidence,
        values=linked.values,
        accounts=frames["accounts"],
        conduct=frames["conduct"],
        items=frames["items"],
        hours=frames["hours"],
        settings=dataclasses.replace(settings.verdicts, review_probability=0.0),
        seed=1,
        group_evidence=found,
    )
    return float(verdicts.clusters["q_value"].iloc[0])
