"""A group's own work is judged apart: what else its accounts send does not hide it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from group_frames import accounts_of

from linkage.clusters.slices import OWN_FEATURES, UNTOLD, measure_slices, tell_slices
from linkage.terms import CLUSTER_STATEMENTS, CONDUCT, MEMBERS, WORKS, make_frame

MEMBERS_IDS = [f"m{number:02d}" for number in range(10)]
OTHERS = [f"o{number:02d}" for number in range(190)]
EVERYBODY = [*MEMBERS_IDS, *OTHERS]
ALL_DAY, OFFICE = 2**24 - 1, 0b11111111 << 9
Row = tuple[str, str, int, float, int]
"""Account, work, requests a day, mean log output and hours."""


def works_of(rows: Sequence[Row], *, days: int = 6, told: bool = True) -> pd.DataFrame:
    """The same work on so many days."""
    spread = [(day, *row) for day in range(days) for row in rows]
    micros = [round(requests * output * 1e6) * told for _, _, _, requests, output, _ in spread]
    columns: dict[str, Any] = {
        "account_id": [row[1] for row in spread],
        "day": [20_000 + row[0] for row in spread],
        "kind": ["template_family"] * len(spread),
        "work": [row[2] for row in spread],
        "request_count": [row[3] for row in spread],
        "output_count": [row[3] * told for row in spread],
        "log_output_micros": micros,
        "hours": [row[5] for row in spread],
    }
    return make_frame(WORKS, columns)


def measured(works: pd.DataFrame, *, requests: int = 60) -> dict[str, float]:
    """Slice features of the group of all members."""
    accounts = accounts_of([(account, 0.0, 1.0, 8.0) for account in EVERYBODY])
    outputs = [5.0 + 0.01 * number for number in range(len(EVERYBODY))]
    columns: dict[str, Any] = {"account_id": EVERYBODY, "request_count": [requests] * len(EVERYBODY)}
    conduct = make_frame(CONDUCT, {**columns, "log_output_mean": outputs})
    group = np.where(accounts["account_id"].isin(MEMBERS_IDS), 0, -1).astype(np.int64)
    found = measure_slices(works, group, accounts=accounts, conduct=conduct, groups=1)
    assert tuple(found) == OWN_FEATURES
    return {name: float(values[0]) for name, values in found.items()}


def own(*, output: float = 7.0, hours: int = ALL_DAY, requests: int = 10) -> list[Row]:
    return [(account, "f-own", requests, output, hours) for account in MEMBERS_IDS]


def test_long_outputs_of_own_work_show_however_much_else_the_accounts_send() -> None:
    alone = measured(works_of(own()))
    bought = [(account, "f-app", 30, 4.0, OFFICE) for account in EVERYBODY]
    diluted = measured(works_of([*own(), *bought]))
    assert alone["own_output"] > 0.9
    assert diluted["own_output"] > 0.65
    assert measured(works_of(own(output=4.0)))["own_output"] < 0.1
    assert alone["own_sameness"] > 0.6


def test_work_that_everybody_has_is_hardly_theirs() -> None:
    shared = measured(works_of([(account, "f-own", 10, 7.0, ALL_DAY) for account in EVERYBODY]))
    assert shared["own_volume"] < measured(works_of(own()))["own_volume"]
    assert shared["own_round_clock"] == UNTOLD["own_round_clock"]
    assert shared["own_sleepless"] == pytest.approx(UNTOLD["own_sleepless"])


@pytest.mark.parametrize(("strangers", "is_own"), [(40, True), (41, False)])
def test_work_of_which_strangers_have_more_than_four_fifths_is_not_theirs(strangers: int, is_own: bool) -> None:
    rows = [(account, "f-assistant", 10, 7.0, ALL_DAY) for account in [*MEMBERS_IDS, *OTHERS[:strangers]]]
    found = measured(works_of(rows))
    assert (found["own_volume"] > 0) == is_own
    assert (found["own_output"] > UNTOLD["own_output"]) == is_own


def test_hours_are_those_of_the_own_work() -> None:
    """Machines behind accounts whose owners keep office hours, and the other way round."""
    others = [(account, "f-app", 50, 5.0, OFFICE) for account in EVERYBODY]
    machines, office = measured(works_of([*own(), *others])), measured(works_of(own(hours=OFFICE)))
    assert machines["own_round_clock"] == pytest.approx(1.0)
    assert machines["own_sleepless"] > 0.8
    assert office["own_round_clock"] < 0.7
    assert office["own_sleepless"] < 0.5


def test_thin_slices_tell_little_and_no_slice_nothing() -> None:
    thin = measured(works_of([(account, "f-own", 1, 7.0, 1) for account in MEMBERS_IDS[:2]], days=1))
    assert abs(thin["own_output"] - UNTOLD["own_output"]) < 0.1
    none = measured(make_frame(WORKS))
    assert none["own_output"] == UNTOLD["own_output"]
    assert none["own_round_clock"] == UNTOLD["own_round_clock"]
    assert none["own_volume"] == 0.0
    assert none["own_sameness"] == pytest.approx(0.0)


def test_outputs_nobody_tells_leave_the_middle_value() -> None:
    assert measured(works_of(own(), told=False))["own_output"] == UNTOLD["own_output"]


def test_equal_volumes_are_even_and_one_worker_among_idlers_is_not() -> None:
    even = measured(works_of(own()))["own_evenness"]
    rows = [(account, "f-own", 500 if number == 0 else 1, 7.0, ALL_DAY) for number, account in enumerate(MEMBERS_IDS)]
    assert even > measured(works_of(rows))["own_evenness"]


def told(*, whole: float, own_probability: float) -> pd.DataFrame:
    columns: dict[str, Any] = {
        "account_id": MEMBERS_IDS,
        "cluster_id": ["c-1"] * len(MEMBERS_IDS),
        "membership": ["core"] * (len(MEMBERS_IDS) - 1) + ["bystander"],
        "requests": [600] * len(MEMBERS_IDS),
    }
    groups = pd.DataFrame(
        {"community": [4], "whole_probability": [whole], "slice_probability": [own_probability], "accounts": [10]}
    )
    assigned = pd.DataFrame({"account_id": pd.Series(MEMBERS_IDS, dtype="str"), "community": 4})
    works = works_of([*own(), ("o00", "f-own", 1, 5.0, 1)])
    return tell_slices(make_frame(MEMBERS, columns), works, groups=groups, assigned=assigned)


def test_the_sentence_names_the_work_and_both_probabilities() -> None:
    said = told(whole=0.2, own_probability=0.83)
    assert said["cluster_id"].tolist() == ["c-1"]
    assert said["topic"].tolist() == ["extraction"]
    # Nine firm members with ten requests on each of six days.
    assert said["sentence"].iloc[0] == (
        "The verdict is of their own work, 540 of their 5,400 requests in template family f-own (9 of the 11 accounts "
        "that have it). By itself it reads as extraction with probability 0.83, all that they send with 0.20."
    )
    assert said["rows"].iloc[0] == "template_family=f-own"


@pytest.mark.parametrize(("whole", "own_probability"), [(0.9, 0.8), (0.1, 0.2)])
def test_nothing_is_said_where_the_own_work_does_not_decide(whole: float, own_probability: float) -> None:
    pd.testing.assert_frame_equal(told(whole=whole, own_probability=own_probability), make_frame(CLUSTER_STATEMENTS))
