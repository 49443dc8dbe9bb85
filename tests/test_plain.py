"""A cluster as plain text: its verdict, what it lacks for a tier, what to do; nothing from logs breaks a terminal."""

import dataclasses
from typing import Any

import pytest
from details import make_detail

from linkage.outputs.plain import cluster_text
from linkage.outputs.wording import lacks, reading
from linkage.settings import Settings
from linkage.terms import BARS, ClusterDetail


def judged(tier: str, /, **figures: Any) -> ClusterDetail:
    """The made campaign with another verdict, under the shipped settings."""
    detail = make_detail()
    settings: dict[str, Any] = {"verdicts": Settings().to_dict()["verdicts"]}
    cluster = {**detail.cluster, "q_value": 0.001, "tier": tier} | figures
    return dataclasses.replace(detail, run={**detail.run, "settings": settings}, cluster=cluster)


@pytest.mark.parametrize(
    ("controller", "extraction", "q_value", "barred_by", "told"),
    [
        (0.97, 0.02, 0.001, "extraction", "lacks: extraction of 60% or more (2%)."),
        (0.31, 0.02, 0.07, "operator+extraction", "one operator of 50% or more (31%); extraction of 60% or more (2%)."),
        (0.31, 0.02, 0.07, "operator+chance", "; a q-value of at most 0.05 (0.07)."),
        (0.2, 0.7, 0.001, "operator", "one operator of 30% or more (20%)"),
        (0.05, 0.97, 0.001, "operator", "one operator of 10% or more (5%)"),
        (0.9, 0.9, 0.001, "accounts", "lacks: 5 accounts or more that are firmly tied."),
        (0.9, 0.9, 0.001, "evidence", "lacks: 2 independent kinds of evidence or more."),
        (0.9, 0.9, 0.001, "unpaid", "held back: no payment ties half of them, so that all that they send counts (31%"),
        (0.9, 0.9, 0.001, "one_payment", "one payment instrument pays for all, so that all that they send counts (31%"),
        (0.9, 0.9, 0.001, "one_payment", "and not their own work alone (90%)."),
        (0.9, 0.9, 0.001, "open", "held back: fewer than 10 accounts that all share one card and one address come to"),
        (
            0.9,
            0.9,
            0.001,
            "own_domain",
            "held back: accounts under one mail domain of their own come to review at",
        ),
        (0.9, 0.9, 0.001, "hosted", "held back: accounts that only a program and the addresses it is called from tie"),
        (0.9, 0.9, 0.001, "brief", "held back: work of 3 days or less that no payment ties comes to review at most."),
        (0.9, 0.9, 0.001, "organization", "held back: nearly all its accounts declare one organization."),
        (0.9, 0.9, 0.001, "open+cleared", "to review at most; it was cleared, and there is no new evidence since."),
    ],
)
def test_what_bars_a_cluster_from_the_first_tier_is_told(
    controller: float, extraction: float, q_value: float, barred_by: str, told: str
) -> None:
    verdicts = {"controller_probability": controller, "extraction_probability": extraction, "q_value": q_value}
    given = judged("watch", **verdicts, whole_probability=0.31, barred_by=barred_by)
    [sentence] = lacks(given.cluster, run=given.run)
    assert told in sentence
    assert sentence in cluster_text(given).splitlines()


def test_every_bar_has_words_and_what_holds_a_cluster_is_told_apart_from_what_it_lacks() -> None:
    given = judged("watch", barred_by="+".join(BARS))
    lacked, held = lacks(given.cluster, run=given.run)
    assert lacked.startswith("For the tier “enforce” it lacks: ")
    assert held.startswith("It is held back besides: ")
    assert lacked.count(";") + held.count(";") + 2 == len(BARS)


def test_clear_extraction_with_the_operator_in_doubt_is_told_as_that_and_as_what_it_is_a_reason_for() -> None:
    doubtful = judged("enforce", controller_probability=0.35, extraction_probability=0.86, accounts=18)
    doubtful = dataclasses.replace(doubtful, cluster={**doubtful.cluster, "expected_wrong": 12.66})
    said = cluster_text(doubtful)
    assert "The traffic is clear enough to make up for that doubt in this tier" in said
    assert (
        "about 12.7 would be wronged: run by somebody else, or not extracting. About 2.5 of these would not be" in said
    )
    assert "- Look at what each account sends: that one operator runs them all is doubtful (35%)." in said
    sure = cluster_text(judged("enforce", controller_probability=0.9, extraction_probability=0.86))
    assert "in doubt" not in sure
    assert "Look at what each account sends" not in sure
    assert "clear enough" not in reading({**doubtful.cluster, "tier": "review"})


@pytest.mark.parametrize(
    ("controller", "extraction", "is_told"), [(0.99, 0.5, True), (0.99, 0.99, False), (0.5, 0.5, False)]
)
def test_what_one_hand_does_is_true_of_all_its_accounts_or_of_none(
    controller: float, extraction: float, is_told: bool
) -> None:
    said = cluster_text(judged("review", controller_probability=controller, extraction_probability=extraction))
    assert ("they extract together or not at all, and with 50% all of them are wronged." in said) == is_told


@pytest.mark.parametrize(
    ("tier", "controller", "extraction", "told"),
    [
        ("review", 0.4, 0.4, "it is for review because neither can be ruled out"),
        ("watch", 0.4, 0.1, "it is listed because one operator cannot be ruled out"),
        ("review", 0.9, 0.4, "Run as one with extraction in doubt is"),
        ("watch", 0.9, 0.1, "Run as one but not extracting is"),
        ("watch", 0.9, 0.9, "but for what holds this cluster back"),
        ("review", 0.9, 0.9, "but for what holds this cluster back"),
        ("review", 0.1, 0.7, "Extraction with one operator in doubt is"),
    ],
)
def test_what_both_verdicts_mean_agrees_with_the_tier(
    tier: str, controller: float, extraction: float, told: str
) -> None:
    assert told in reading({"tier": tier, "controller_probability": controller, "extraction_probability": extraction})


@pytest.mark.parametrize(
    ("tier", "organizations", "told"),
    [
        ("review", 1, "all of these the same one; the others declare none."),
        ("watch", 1, "Those of them that declare an organization declare the same one."),
        ("review", 3, "Those of them that declare an organization declare 3 different ones."),
    ],
)
def test_organizations_are_told_as_those_of_who_declares_one(tier: str, organizations: int, told: str) -> None:
    assert told in cluster_text(judged(tier, organizations=organizations))


def test_nothing_lacks_where_nothing_bars_or_a_run_of_other_days_did_not_keep_what_did() -> None:
    sure, older = judged("enforce", barred_by=""), judged("watch", barred_by=None)
    assert lacks(sure.cluster, run=sure.run) == []
    assert lacks(older.cluster, run=older.run) == []
    barred = judged("watch", barred_by="chance")
    assert lacks(barred.cluster, run=make_detail().run) == [], "settings of other days are not told by rules of today"


def test_a_cluster_is_told_under_headings_and_ends_in_what_speaks_for_it() -> None:
    acted, watched = (cluster_text(judged(tier)).splitlines() for tier in ("enforce", "watch"))
    headings = ["What to do next", "What ties them, and how rare that is", "What their traffic looks like"]
    assert [line for line in acted if line in headings] == headings
    assert acted[1] == "Tier enforce: strong enough for a person to decide on action"
    assert "What would free them" in acted
    assert "What would free them" not in watched, "nothing is held against them"
    assert "- Nothing needs doing today. The next run follows this cluster under the same id." in watched
    every = set(make_detail().statements.loc[make_detail().statements["topic"] != "free", "sentence"])
    assert {f"- {sentence}" for sentence in every} <= set(watched)


def test_what_logs_say_cannot_reach_the_terminal_as_commands() -> None:
    text = cluster_text(make_detail(hostile=True))
    assert not {"\x1b", "\x00", "\u202e", "\r"} & set(text)
