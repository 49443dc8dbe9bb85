"""A cluster as plain text: its verdict, what it lacks for a tier, what to do; nothing from logs breaks a terminal."""

import dataclasses
from typing import Any

import pytest
from details import make_detail

from linkage.outputs.plain import cluster_text
from linkage.outputs.wording import BRIEF_READING, OPEN_READING, lacks, reading
from linkage.settings import Settings
from linkage.terms import ClusterDetail


def judged(tier: str, /, **figures: Any) -> ClusterDetail:
    """The made campaign with another verdict, under the shipped settings."""
    detail = make_detail()
    settings: dict[str, Any] = {"verdicts": Settings().to_dict()["verdicts"]}
    cluster = {**detail.cluster, "q_value": 0.001, "tier": tier} | figures
    return dataclasses.replace(detail, run={**detail.run, "settings": settings}, cluster=cluster)


@pytest.mark.parametrize(
    ("controller", "extraction", "q_value", "told"),
    [
        (0.97, 0.02, 0.001, "extraction of 60% or more (2%)"),
        (0.31, 0.02, 0.07, "one operator of 50% or more (31%); extraction of 60% or more (2%); "),
        (0.31, 0.02, 0.07, "a q-value of at most 0.05 (0.07)"),
        (0.2, 0.7, 0.001, "one operator of 30% or more (20%)"),
        (0.05, 0.97, 0.001, "one operator of 10% or more (5%)"),
        (
            0.2,
            0.9,
            0.001,
            "Both verdicts reach the tier “enforce”; it is held back: one payment instrument is that of all",
        ),
    ],
)
def test_what_a_cluster_lacks_for_the_first_tier_is_told(
    controller: float, extraction: float, q_value: float, told: str
) -> None:
    given = judged("watch", controller_probability=controller, extraction_probability=extraction, q_value=q_value)
    [sentence] = lacks(given.cluster, run=given.run)
    assert told in sentence
    assert sentence in cluster_text(given).splitlines()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"readings": OPEN_READING, "accounts": 9},
            "held back: fewer than 10 accounts that all share one card and one",
        ),
        ({"readings": OPEN_READING, "accounts": 20}, "held back: accounts with a mail domain of their own that share"),
        ({"readings": BRIEF_READING}, "held back: work of 3 days or less that no payment ties"),
        ({"families": "network+content"}, "held back: no payment ties half of them, so that all that they send counts"),
        ({"families": "content+client"}, "lacks: 2 independent kinds of evidence or more (1)."),
        ({"accounts": 4}, "lacks: 5 accounts or more (4)."),
        ({"tier": "watch", "organizations": 1}, "held back: nearly all its accounts declare one organization."),
    ],
)
def test_the_rule_that_bars_a_cluster_is_named(changes: dict[str, Any], told: str) -> None:
    given = judged("review", controller_probability=0.99, extraction_probability=0.9, **changes)
    [sentence] = lacks(given.cluster, run=given.run)
    assert told in sentence


def test_the_decision_that_holds_a_cluster_is_named_and_values_cannot_feign_one() -> None:
    given = judged("watch", controller_probability=0.99, extraction_probability=0.9)
    cleared = "cleared on 2026-11-20, new since: nothing; same client"
    for reasons, is_told in (
        (cleared, True),
        (f"overturned on 2026-11-21, new since: nothing; {cleared}", True),
        (f"same client {cleared}", False),
    ):
        [sentence] = lacks(given.cluster, run=given.run, reasons=reasons)
        assert ("it was cleared on 2026-11-20, and there is no new evidence since" in sentence) == is_told
    members = given.members.assign(reasons=cleared)
    assert "it was cleared on 2026-11-20" in cluster_text(dataclasses.replace(given, members=members))


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
    ("tier", "controller", "extraction", "told"),
    [
        ("review", 0.4, 0.4, "it is for review because neither can be ruled out"),
        ("watch", 0.4, 0.1, "it is listed because one operator cannot be ruled out"),
        ("review", 0.9, 0.4, "Run as one with extraction in doubt is"),
        ("watch", 0.9, 0.1, "Run as one but not extracting is"),
        ("watch", 0.9, 0.9, "but for what holds this cluster back"),
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


def test_nothing_lacks_where_nothing_is_asked() -> None:
    sure, older = judged("enforce", controller_probability=0.9, extraction_probability=0.9), make_detail()
    assert lacks(sure.cluster, run=sure.run) == []
    assert lacks(older.cluster, run=older.run) == [], "a run of other days is not judged by rules of today"


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
