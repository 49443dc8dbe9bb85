from __future__ import annotations

import pandas as pd
import pytest
from group_frames import accounts_of, conduct_of, groups_of, hours_of, items_of, no_evidence

from linkage.errors import ShapeError
from linkage.evidence.groups import gather_group_evidence
from linkage.evidence.nulls import chance_bits
from linkage.evidence.rhythm import find_passed_items
from linkage.terms import EVIDENCE, GROUP_EVIDENCE, check_frame, make_frame

BURST = [(f"w{n}", 50.0 + 0.01 * n, 60.0, 70.0) for n in range(6)]
CROWD = [(f"s{n:02d}", float(n), 60.0, 70.0) for n in range(100)]


def _gather(groups: pd.DataFrame, *, evidence: pd.DataFrame) -> pd.DataFrame:
    sent = {"items": items_of([]), "hours": hours_of({})}
    return gather_group_evidence(
        groups,
        evidence=evidence,
        accounts=accounts_of([*BURST, *CROWD]),
        conduct=conduct_of({}),
        **sent,
        passed=find_passed_items(groups_of(), **sent),
        seed=1,
    )


def _card(ids: list[str]) -> pd.DataFrame:
    columns = {"account_id": ids, "family": ["payment"] * len(ids), "kind": ["payment"] * len(ids)}
    return make_frame(EVIDENCE, {**columns, "value": ["card"] * len(ids), "accounts": [len(ids)] * len(ids)})


def test_a_pattern_counts_who_takes_part_and_who_of_them_is_otherwise_unrelated() -> None:
    found = _gather(groups_of([row[0] for row in BURST]), evidence=_card(["w0", "w1"]))
    check_frame(found, GROUP_EVIDENCE, name="found")
    assert list(found["account_id"]) == [row[0] for row in BURST]
    assert set(found["family"]) == {"registration"}
    assert set(found["value"]) == {"with w0"}
    assert set(found["accounts"]) == {6}
    assert set(found["unrelated_accounts"]) == {4}


def test_a_group_of_the_crowd_shows_nothing() -> None:
    assert _gather(groups_of([row[0] for row in CROWD[::9]]), evidence=no_evidence()).empty


def test_more_candidate_groups_make_the_same_pattern_weaker() -> None:
    alone = groups_of([row[0] for row in BURST])
    among = groups_of([row[0] for row in BURST], *[[row[0] for row in CROWD[n : n + 3]] for n in range(0, 90, 3)])
    one, many = (_gather(groups, evidence=no_evidence()) for groups in (alone, among))
    assert many["bits"].max() <= one["bits"].max()


def test_no_groups_give_an_empty_frame() -> None:
    check_frame(_gather(groups_of(), evidence=no_evidence()), GROUP_EVIDENCE, name="found")


def test_a_frame_of_another_shape_is_told_by_name() -> None:
    with pytest.raises(ShapeError, match="groups"):
        _gather(pd.DataFrame({"account_id": ["a"]}), evidence=no_evidence())


def test_a_chance_tried_more_often_is_worth_less() -> None:
    assert chance_bits(1 / 64).item() == pytest.approx(6)
    assert chance_bits(1 / 64, tries=4).item() == pytest.approx(4)
    assert chance_bits(1.0, tries=4).item() == 0
