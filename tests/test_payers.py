"""Who pays with an instrument of their own, and where that is told."""

import pandas as pd
import pytest

from linkage.clusters.payers import find_sole_payers, tell_payers
from linkage.terms import MEMBERS, USES, make_frame


def uses(rows: list[tuple[str, str, str]]) -> pd.DataFrame:
    names = ("account_id", "kind", "value")
    return make_frame(USES, {name: [row[place] for row in rows] for place, name in enumerate(names)})


def test_who_has_an_instrument_alone_and_none_with_others_is_a_sole_payer() -> None:
    found = find_sole_payers(
        uses(
            [
                *[("alone", "payment", "card-1"), ("alone", "payment", "card-2"), ("alone", "ip", "door")],
                *[("both", "payment", "card-3"), ("both", "payment", "shared")],
                *[("other", "payment", "shared"), ("unknown", "ip", "door")],
            ]
        )
    )
    assert found.tolist() == ["alone"]
    assert find_sole_payers(uses([])).tolist() == []


@pytest.mark.parametrize(("payers", "told"), [("abc", True), ("ab", True), ("a", False), ("xyz", False)])
def test_it_is_told_of_a_cluster_where_half_of_the_firm_members_do(payers: str, told: bool) -> None:
    rows = {
        "account_id": [*"abcd", "x", "y"],
        "cluster_id": ["c-1"] * 5 + ["c-2"],
        "membership": [*["core"] * 4, "bystander", "core"],
    }
    said = tell_payers(make_frame(MEMBERS, rows), pd.Index(list(payers), dtype="str"))
    sentence = f"{len(payers)} of 4 core and probable members pay with instruments that nobody else has."
    assert said["sentence"].tolist() == ([sentence] if told else [])
    assert set(said["cluster_id"]) <= {"c-1"}
    assert set(said["topic"]) <= {"for"}
