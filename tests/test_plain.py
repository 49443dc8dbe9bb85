"""A cluster as plain text: its verdict, what it lacks for a tier, what to do; nothing from logs breaks a terminal."""

import dataclasses
from typing import Any

import pytest
from details import make_detail

from linkage.outputs.plain import cluster_text
from linkage.outputs.wording import lacks
from linkage.settings import Settings
from linkage.terms import ClusterDetail


def judged(tier: str, **figures: float) -> ClusterDetail:
    """The made campaign with another verdict, under the shipped settings."""
    detail = make_detail()
    settings: dict[str, Any] = {"verdicts": Settings().to_dict()["verdicts"]}
    cluster = {**detail.cluster, "tier": tier, "q_value": 0.001, **figures}
    return dataclasses.replace(detail, run={**detail.run, "settings": settings}, cluster=cluster)


@pytest.mark.parametrize(
    ("controller", "extraction", "q_value", "told"),
    [
        (0.97, 0.02, 0.001, "extraction of 60% or more (2%)"),
        (0.31, 0.02, 0.07, "one operator of 50% or more (31%); extraction of 60% or more (2%); "),
        (0.31, 0.02, 0.07, "a q-value of at most 0.05 (0.07)"),
        (0.2, 0.7, 0.001, "one operator of 30% or more (20%)"),
        (0.05, 0.97, 0.001, "one operator of 10% or more (5%)"),
        (0.2, 0.9, 0.001, "Both verdicts reach the tier “enforce”; another of its rules"),
    ],
)
def test_what_a_cluster_lacks_for_the_first_tier_is_told(
    controller: float, extraction: float, q_value: float, told: str
) -> None:
    given = judged("watch", controller_probability=controller, extraction_probability=extraction, q_value=q_value)
    [sentence] = lacks(given.cluster, run=given.run)
    assert told in sentence
    assert sentence in cluster_text(given).splitlines()


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
