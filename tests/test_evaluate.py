import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from linkage.errors import ShapeError, WorldError
from linkage.terms import MEMBERS, TIME, make_frame
from linkage.worlds.evaluate import DELAYS, TRUTH, Evaluation, detection_delays, effective_number, evaluate, read_truth


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def truth_of(campaigns: dict[str, str], **columns: dict[str, str]) -> pd.DataFrame:
    """Truth from account to campaign; further columns as account to value."""
    accounts = list(campaigns)
    made: dict[str, list[str]] = {
        "account_id": accounts,
        "campaign": list(campaigns.values()),
        "role": [columns.get("role", {}).get(a, "E1" if campaigns[a] else "ordinary") for a in accounts],
        "kind": ["any"] * len(accounts),
        "controller_id": [columns.get("controller_id", {}).get(a, campaigns[a] or a) for a in accounts],
        "purpose": ["extraction" if campaigns[a] else "normal" for a in accounts],
    }
    return make_frame(TRUTH, made)


def members_of(clusters: dict[str, list[str]], *, tier: str = "enforce", probability: float = 0.9) -> pd.DataFrame:
    rows = [(account, cluster) for cluster, accounts in clusters.items() for account in accounts]
    return make_frame(
        MEMBERS,
        {
            "account_id": [account for account, _ in rows],
            "cluster_id": [cluster for _, cluster in rows],
            "membership": ["core"] * len(rows),
            "tier": [tier] * len(rows),
            "controller_probability": [probability] * len(rows),
            "extraction_probability": [probability] * len(rows),
            "flagged": [tier == "enforce"] * len(rows),
        },
    )


A = {f"a{number}": "A" for number in range(6)}
B = {f"b{number}": "B" for number in range(6)}
INNOCENT = {f"i{number}": "" for number in range(8)}
WORLD = {**A, **B, **INNOCENT}


def test_a_perfect_run_scores_one_everywhere() -> None:
    scores = evaluate(members_of({"c-1": list(A), "c-2": list(B)}), truth_of(WORLD))
    assert (scores.flag_precision, scores.flag_recall) == (1.0, 1.0)
    assert (scores.pairwise_f1, scores.bcubed_f1, scores.fragments) == (1.0, 1.0, 1.0)
    assert (scores.campaigns_found, scores.campaigns_merged, scores.campaigns_swallowed) == (2, 0, 0)
    assert scores.innocents_flagged == 0
    assert scores.controller_error == pytest.approx(0.1)


def test_a_flagged_innocent_costs_precision_and_is_named_by_kind() -> None:
    truth = truth_of(WORLD, role={"i0": "HN-04", "i1": "HN-04"})
    scores = evaluate(members_of({"c-1": [*A, "i0", "i2"]}), truth)
    assert scores.flag_precision == 6 / 8
    assert scores.flag_recall == 0.5
    innocents = scores.innocents.set_index("role")
    assert innocents.loc["HN-04", ["accounts", "flagged"]].tolist() == [2, 1]
    assert innocents.loc["HN-04", "flagged_share"] == 0.5
    assert innocents.loc["ordinary", "flagged"] == 1


def test_the_worst_kind_of_innocents_is_one_with_accounts_enough() -> None:
    many = {f"m{number}": "" for number in range(20)}
    few = {f"f{number}": "" for number in range(3)}
    role = {**dict.fromkeys(many, "HN-10"), **dict.fromkeys(few, "HN-18")}
    scores = evaluate(members_of({"c-1": [*A, "m0", *few]}), truth_of({**A, **many, **few}, role=role))
    assert scores.worst_innocent_share == 1 / 20
    assert math.isnan(evaluate(make_frame(MEMBERS), truth_of(A)).worst_innocent_share)


def test_a_campaign_in_two_halves_is_two_fragments() -> None:
    scores = evaluate(members_of({"c-1": ["a0", "a1", "a2"], "c-2": ["a3", "a4", "a5"]}), truth_of(A))
    assert scores.fragments == pytest.approx(2.0)
    assert scores.pairwise_precision == 1.0
    assert scores.pairwise_recall == pytest.approx(6 / 15)
    assert scores.bcubed_recall == pytest.approx(0.5)


def test_two_campaigns_in_one_cluster_are_merged() -> None:
    scores = evaluate(members_of({"c-1": [*A, *B]}), truth_of(WORLD))
    assert scores.campaigns_merged == 2
    assert scores.pairwise_recall == 1.0
    assert scores.pairwise_precision == pytest.approx(30 / 66)
    assert scores.bcubed_precision == pytest.approx(0.5)


def test_a_few_strays_do_not_make_a_merger() -> None:
    scores = evaluate(members_of({"c-1": [*A, "b0"], "c-2": ["b1", "b2", "b3", "b4", "b5"]}), truth_of(WORLD))
    assert scores.campaigns_merged == 0


def test_a_campaign_among_more_innocents_is_swallowed() -> None:
    scores = evaluate(members_of({"c-1": [*A, *INNOCENT]}), truth_of(WORLD))
    assert scores.campaigns_swallowed == 1
    row = scores.campaigns.set_index("campaign").loc["A"]
    assert row["innocent_share"] == pytest.approx(8 / 14)


def test_recall_is_told_by_tier() -> None:
    strong = members_of({"c-1": ["a0", "a1"]})
    weak = members_of({"c-2": ["a2"]}, tier="review")
    weakest = members_of({"c-3": ["a3"]}, tier="watch")
    scores = evaluate(pd.concat([strong, weak, weakest], ignore_index=True), truth_of(A))
    row = scores.campaigns.iloc[0]
    assert row["flag_recall"] == pytest.approx(2 / 6)
    assert row["review_recall"] == pytest.approx(3 / 6)
    assert row["watch_recall"] == pytest.approx(4 / 6)
    assert (scores.review_recall, scores.watch_recall) == pytest.approx((3 / 6, 4 / 6))


def test_accounts_the_truth_does_not_know_are_counted_apart() -> None:
    scores = evaluate(members_of({"c-1": [*A, "stranger"]}), truth_of(WORLD))
    assert scores.unknown_flagged == 1
    assert scores.flag_precision == 1.0


def test_nothing_found_is_zero_recall_and_no_precision() -> None:
    scores = evaluate(make_frame(MEMBERS), truth_of(WORLD))
    assert scores.flag_recall == 0.0
    assert math.isnan(scores.flag_precision)
    assert scores.pairwise_f1 == 0.0
    assert scores.campaigns["fragments"].tolist() == [0.0, 0.0]


def test_a_world_without_campaigns_has_no_recall() -> None:
    scores = evaluate(members_of({"c-1": ["i0", "i1"]}), truth_of(INNOCENT))
    assert math.isnan(scores.flag_recall)
    assert scores.flag_precision == 0.0
    assert scores.campaigns.empty
    assert scores.innocents_flagged == 2


def test_calibration_compares_probability_with_what_came_true() -> None:
    truth = truth_of(WORLD, controller_id={"i0": "firm", "i1": "firm"})
    right = members_of({"c-1": list(A)}, probability=0.95)
    wrong = members_of({"c-2": ["i2", "i3", "i4", "i5"]}, probability=0.65, tier="watch")
    firm = members_of({"c-3": ["i0", "i1"]}, probability=0.35, tier="watch")
    scores = evaluate(pd.concat([right, wrong, firm], ignore_index=True), truth)
    assert scores.controller_error == pytest.approx((6 * 0.05 + 4 * 0.65 + 2 * 0.65) / 12)
    assert scores.extraction_error == pytest.approx((6 * 0.05 + 4 * 0.65 + 2 * 0.35) / 12)
    curve = scores.calibration[scores.calibration["verdict"] == "controller"]
    assert curve["observed_share"].tolist() == [1.0, 0.0, 1.0]


def test_effective_number_lies_between_one_and_the_count() -> None:
    assert effective_number(np.array([10.0])) == 1.0
    assert effective_number(np.array([1.0, 1.0, 1.0])) == pytest.approx(3.0)
    assert 1.0 < effective_number(np.array([9.0, 1.0])) < 2.0
    assert effective_number(np.array([])) == 0.0


def test_results_show_themselves_and_go_to_json() -> None:
    scores = evaluate(members_of({"c-1": list(A)}), truth_of(WORLD))
    assert "1 of 2 campaigns found" in repr(scores)
    assert "<table" in scores._repr_html_()
    told: dict[str, Any] = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    assert told["flag_recall"] == 0.5
    assert told["campaigns"][0]["campaign"] == "A"
    table = scores.table()
    assert list(table.columns) == ["figure", "value"]
    assert table.set_index("figure").loc["flag_precision", "value"] == 1.0
    assert repr(table.set_index("figure").loc["flagged", "value"]) == str(len(A)), "a count is a whole number"


def test_where_nothing_can_be_counted_a_dash_is_shown() -> None:
    calm = evaluate(members_of({}), truth_of(dict.fromkeys(WORLD, "")))
    assert repr(calm) == ("Evaluation(precision -, recall -, pairwise F1 -; no campaign to find, 0 innocents flagged)")
    assert "<td>-</td>" in calm._repr_html_()
    assert "NaN" not in calm._repr_html_()


def test_inputs_are_left_alone() -> None:
    members, truth = members_of({"c-1": list(A)}), truth_of(WORLD)
    before = members.copy(), truth.copy()
    assert isinstance(evaluate(members, truth), Evaluation)
    pd.testing.assert_frame_equal(members, before[0])
    pd.testing.assert_frame_equal(truth, before[1])


def test_an_account_in_two_clusters_is_refused() -> None:
    with pytest.raises(ShapeError, match="'a0' has several"):
        evaluate(members_of({"c-1": ["a0"], "c-2": ["a0"]}), truth_of(A))


def test_two_columns_are_enough_for_a_truth_file(tmp_path: Path) -> None:
    truth = read_truth(write(tmp_path / "truth.csv", "account_id,campaign\n007,A\n7,\n"))
    assert list(truth.columns) == list(TRUTH)
    assert truth["account_id"].tolist() == ["007", "7"]
    assert truth["role"].tolist() == ["campaign", "innocent"]
    assert truth["controller_id"].tolist() == ["A", "7"]
    assert truth["purpose"].tolist() == ["extraction", "normal"]


def test_a_table_counts_like_the_file_it_was_read_from(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "account_id,campaign,role,tags\nb,,,x\na,A,E1,\nnull,,ordinary,\n")
    wanted = read_truth(path)
    as_read = pd.read_csv(path, keep_default_na=False, na_values=[""])
    assert as_read["campaign"].isna().sum() == 2
    pd.testing.assert_frame_equal(read_truth(as_read), wanted)
    pd.testing.assert_frame_equal(read_truth(wanted), wanted)
    pd.testing.assert_frame_equal(
        read_truth(pd.DataFrame({"campaign": [None, "A"], "account_id": ["b", "a"]})),
        read_truth(write(tmp_path / "two.csv", "account_id,campaign\na,A\nb,\n")),
    )


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"account_id": ["a"]}, "no campaign. Found: account_id"),
        ({"account_id": ["a", "a"], "campaign": ["A", ""]}, "truth, row 1: .*'a' is there twice, first in line 0"),
        ({"account_id": ["a", None], "campaign": ["A", ""]}, "truth, row 1: .*no account_id"),
        ({"account_id": [7], "campaign": ["A"]}, "wanted account ids as text; found 7. Read them so: dtype=str"),
    ],
)
def test_a_table_that_is_no_truth_says_what_is_wrong(table: dict[str, Any], message: str) -> None:
    with pytest.raises(WorldError, match=message):
        read_truth(pd.DataFrame(table))


def test_words_that_look_like_nulls_stay_words(tmp_path: Path) -> None:
    truth = read_truth(write(tmp_path / "truth.csv", "account_id,campaign,role\nNA,null,None\n"))
    assert truth.iloc[0][["account_id", "campaign", "role"]].tolist() == ["NA", "null", "None"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("account,campaign\na,A\n", r"no account_id\. Found: account, campaign"),
        ("", "Found: nothing"),
        ("account_id,campaign\na,A\nb,\na,\n", r"line 4: .*'a' is there twice, first in line 2"),
        ("account_id,campaign\n,A\n", r"line 2: .*no account_id"),
        ("account_id,campaign\na\n\n", None),
    ],
)
def test_a_bad_truth_file_says_what_is_wrong(tmp_path: Path, text: str, message: str | None) -> None:
    path = write(tmp_path / "truth.csv", text)
    if message is None:
        assert read_truth(path)["campaign"].tolist() == [""]
        return
    with pytest.raises(WorldError, match=message):
        read_truth(path)


def test_a_missing_truth_file_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match=r"gone\.csv: wanted a readable CSV"):
        read_truth(tmp_path / "gone.csv")


def test_delay_counts_from_the_twentieth_account_to_the_first_flag() -> None:
    big = {f"a{number:02}": "A" for number in range(25)}
    truth = truth_of({**big, "b0": "B", "b1": "B", "c0": "C", "i0": ""})
    day = pd.Timedelta(days=1)
    start = pd.Timestamp("2026-09-01", tz="UTC")
    seen = [start + day * number for number in range(25)] + [start, start + 4 * day, start, start]
    accounts = make_frame(
        {"account_id": "str", "first_at": TIME}, {"account_id": [*big, "b0", "b1", "c0", "i0"], "first_at": seen}
    )
    runs = [
        (start + 30 * day, members_of({"c-1": ["a00", "a03"], "c-2": ["b0", "b1"]})),
        (start + 22 * day, members_of({"c-1": ["a00", "a03"]})),
        (start + 21 * day, members_of({"c-1": ["a00", "a03"]}, tier="review")),
        (start + 2 * day, members_of({"c-2": ["b0", "i0"]})),
    ]
    delays = detection_delays(runs, truth, accounts).set_index("campaign")
    assert delays.loc["A", "delay_days"] == 3.0
    assert delays.loc["B", "delay_days"] == -2.0
    assert math.isnan(delays.loc["C", "delay_days"])
    assert delays.loc["C", "detected_at"] is pd.NaT


def test_delays_of_a_world_without_campaigns_are_an_empty_table() -> None:
    accounts = make_frame({"account_id": "str", "first_at": TIME})
    delays = detection_delays([], truth_of(INNOCENT), accounts)
    assert list(delays.columns) == list(DELAYS)
    assert delays.empty
