"""Features of groups of accounts: what each says of groups whose answer is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from group_frames import accounts_of, conduct_of, hours_of

from linkage.clusters.features import (
    EXTRACTION_FEATURES,
    GROUP_PATTERNS,
    hear_voices,
    measure_extraction,
)
from linkage.clusters.ties import build_incidence
from linkage.terms import EVIDENCE, ITEMS, make_frame

MEMBERS = [f"m{number:02d}" for number in range(8)]
ALWAYS = np.ones(24 * 7, dtype=bool)


def measured(
    uses: Mapping[str, Sequence[tuple[str, str, int]]] | None = None,
    hours: Mapping[str, Any] | None = None,
    others: int = 0,
    hand_over: float = 0.0,
) -> pd.Series[float]:
    """Features of the group of all members but the last ``others``, which are a group of their own.

    Parameters
    ----------
    uses : ``(kind, value, requests)`` per account.
    hours : hours at work per account.
    hand_over : bits of hand-overs of every account.
    """
    rows = [(account, *use) for account, some in (uses or {}).items() for use in some]
    columns: dict[str, Any] = {
        "account_id": [row[0] for row in rows],
        "family": ["content"] * len(rows),
        "kind": [row[1] for row in rows],
        "value": [row[2] for row in rows],
        "request_count": [row[3] for row in rows],
    }
    evidence = make_frame(EVIDENCE, columns)
    values = evidence.groupby(["family", "kind", "value"], as_index=False).agg(accounts=("account_id", "size"))
    values = values.assign(unrelated_accounts=values["accounts"], unseen=0.0, chance=0.01, bits=5.0)
    accounts = accounts_of([(member, 0.0, 1.0, 8.0) for member in MEMBERS])
    found = measure_extraction(
        build_incidence(evidence, values, accounts),
        (np.arange(len(MEMBERS)) >= len(MEMBERS) - others).astype(np.int64),
        groups=2 if others else 1,
        evidence=evidence,
        accounts=accounts,
        conduct=conduct_of(dict.fromkeys(MEMBERS, 30)),
        items=make_frame(ITEMS),
        hours=hours_of(dict(hours or {})),
        patterns={name: np.full(len(MEMBERS), hand_over * (name == "hand_over")) for name in GROUP_PATTERNS},
    )
    return found.iloc[0]


def office(start: int) -> np.ndarray[Any, Any]:
    clock = np.arange(24 * 7) % 24
    return (clock - start) % 24 < 8


def test_who_works_at_all_hours_is_sleepless_and_eight_hours_a_day_are_not() -> None:
    always = measured(hours=dict.fromkeys(MEMBERS, ALWAYS))
    daily = measured(hours=dict.fromkeys(MEMBERS, office(9)))
    assert always["sleepless"] == pytest.approx(1, abs=0.01)
    assert daily["sleepless"] < 0.4


def test_people_all_over_the_world_sleep_though_together_they_never_do() -> None:
    found = measured(hours={member: office(3 * number) for number, member in enumerate(MEMBERS)})
    assert found["round_clock"] == pytest.approx(1, abs=0.01)
    assert found["sleepless"] < 0.4


def test_few_busy_hours_count_right_on_average() -> None:
    draw = np.random.default_rng(5)
    hours = {}
    for member in MEMBERS:
        hours[member] = np.zeros(24 * 7, dtype=bool)
        hours[member][draw.choice(24 * 7, 6, replace=False)] = True
    assert measured(hours=hours)["sleepless"] > 0.6


def test_a_template_of_ones_own_per_account_in_one_family_is_reworded() -> None:
    own = {member: [("template", f"t-{member}", 30), ("template_family", "f", 30)] for member in MEMBERS}
    same = {member: [("template", "t", 30), ("template_family", "f", 30)] for member in MEMBERS}
    assert measured(own)["reworded"] == 1
    assert measured(same)["reworded"] == 0


def test_work_evenness_looks_at_the_common_work_alone() -> None:
    mixed = {
        member: [("template_family", "f", 20), ("template_family", f"own-{member}", 7**number)]
        for number, member in enumerate(MEMBERS)
    }
    uneven = {member: [("template_family", "f", 3**number)] for number, member in enumerate(MEMBERS)}
    assert measured(mixed)["work_evenness"] == 1
    assert measured(uneven)["work_evenness"] < 0.4


def test_all_that_one_program_brings_is_one_voice() -> None:
    families = ("client", "content", "contract", "network", "conduct")
    matrix = np.array([[3.0, 9.0, 4.0, 2.0, 1.0], [0.0, 0.0, 0.0, 6.0, 0.0]])
    voices, beside = hear_voices(matrix, families)
    assert voices.tolist() == [[9.0, 2.0], [0.0, 6.0]]
    assert beside.tolist() == [8.0, 0.0]


def test_common_work_does_not_fall_when_other_work_is_mixed_in() -> None:
    pure = {member: [("template_family", "f", 30)] for member in MEMBERS}
    mixed = {member: [("template_family", "f", 30), ("template_family", f"own-{member}", 90)] for member in MEMBERS}
    little = {member: [("template_family", "f", 2), ("template_family", f"own-{member}", 90)] for member in MEMBERS}
    assert measured(mixed)["common_work"] == measured(pure)["common_work"]
    assert measured(little)["common_work"] == 0


def test_a_template_in_no_family_is_common_work_though_another_group_has_families() -> None:
    alone = {member: [("template", "t", 40)] for member in MEMBERS[:4]}
    both = {member: [("template", "u", 30), ("template_family", "f", 30)] for member in MEMBERS[4:]}
    found = measured({**alone, **both}, others=4)
    assert found["common_work"] == measured(alone, others=4)["common_work"] > 0
    assert found["work_evenness"] == 1


def test_hand_overs_speak_for_extraction_as_far_as_the_work_is_the_groups_own() -> None:
    assert "hand_over" not in EXTRACTION_FEATURES
    own = {member: [("template", "t", 30)] for member in MEMBERS}
    assert measured(own, hand_over=8.0)["own_queue"] == pytest.approx(0.8)
    assert measured(own)["own_queue"] == 0
    unlike = {member: [("template", f"t-{member}", 30)] for member in MEMBERS}
    assert measured(unlike, hand_over=8.0)["hand_over"] == pytest.approx(0.8)
    assert measured(unlike, hand_over=8.0)["own_queue"] == 0
