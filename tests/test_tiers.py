"""What bars a group decides its tier, and nothing else does."""

from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from linkage.clusters.openness import Openness
from linkage.clusters.tiers import Weighed, grade, most_declared
from linkage.clusters.ties import build_incidence
from linkage.settings import VerdictSettings
from linkage.terms import ACCOUNTS, BARS, EVIDENCE, TEXT, Bar, make_frame

NOTHING_SHARED = build_incidence(
    make_frame(EVIDENCE),
    pd.DataFrame({name: [] for name in ("family", "kind", "value", "accounts", "unseen", "chance", "bits")}),
    make_frame(ACCOUNTS),
)
NOBODY = np.zeros(0, dtype=np.int64)

FLAGS = (
    *("is_paid", "is_tied_beyond", "have_one_card", "are_open", "have_domains", "are_named", "are_known"),
    "are_brief",
)
SHARES = st.floats(0, 1)
GROUPS = st.lists(
    st.fixed_dictionaries(
        {
            "accounts": st.integers(1, 30),
            "controller": SHARES,
            "own": SHARES,
            "whole_of_own": SHARES,
            "q_value": SHARES,
            "voices": st.integers(0, 5),
            "declared": SHARES,
            **{name: st.booleans() for name in FLAGS},
        }
    ),
    min_size=1,
    max_size=20,
)


def graded(rows: list[dict[str, Any]], **changed: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tiers and bars of groups that share nothing with one another, beside what was given."""
    table = pd.DataFrame(rows)
    table["whole"] = table["own"] * table["whole_of_own"]
    table["are_open"] &= table["have_one_card"]
    weighed, openness = (
        kind(**{name: table[name].to_numpy() for name in kind.__dataclass_fields__}) for kind in (Weighed, Openness)
    )
    settings = VerdictSettings(**changed)
    found = grade(weighed, openness, group=NOBODY, incidence=NOTHING_SHARED, settings=settings)
    bars = pd.DataFrame(found.bars, columns=pd.Index(BARS)).assign(tier=found.tier)
    bars["barred_by"] = ["+".join(found.names(number)) for number in range(len(table))]
    return table, bars


@given(rows=GROUPS)
def test_a_group_is_enforced_exactly_where_nothing_bars_it(rows: list[dict[str, Any]]) -> None:
    _, bars = graded(rows)
    assert ((bars["tier"] == "enforce") == (bars["barred_by"] == "")).all()
    assert (bars.loc[bars["organization"], "tier"] == "watch").all()
    assert not bars["cleared"].any(), "that is for people"


@given(rows=GROUPS)
def test_whoever_pays_with_several_cards_is_judged_by_own_work_and_all_others_by_all_they_send(
    rows: list[dict[str, Any]],
) -> None:
    settings = VerdictSettings()
    table, bars = graded(rows)
    is_spread = table["is_paid"] & ~table["have_one_card"]
    counts = table["own"].where(is_spread, table["whole"])
    needed = (settings.enforce_both - counts).clip(settings.least_controller, settings.enforce_controller)
    reaches = (table["controller"] >= needed) & (counts >= settings.enforce_extraction)
    verdict_bars: list[Bar] = ["operator", "extraction", "unpaid", "one_payment"]
    assert (reaches == ~bars[verdict_bars].any(axis=1)).all()
    assert not bars.loc[is_spread, ["unpaid", "one_payment"]].to_numpy().any()
    assert not (bars["unpaid"] & bars["one_payment"]).any()


@given(rows=GROUPS)
def test_extraction_that_is_clear_and_no_coincidence_or_so_sure_that_it_need_not_be_is_for_people(
    rows: list[dict[str, Any]],
) -> None:
    settings = VerdictSettings()
    table, bars = graded(rows)
    is_clear = (table["own"] >= settings.enforce_extraction) & ~bars[["chance", "accounts", "evidence"]].any(axis=1)
    is_sure = (table["own"] >= settings.review_extraction) & ~bars["accounts"]
    assert (bars.loc[(is_clear | is_sure) & ~bars["organization"], "tier"] != "watch").all()
    both = table[["controller", "own"]].min(axis=1) >= settings.review_probability
    assert (bars.loc[~(is_clear | is_sure | both), "tier"] == "watch").all()


def test_who_declares_nothing_takes_nothing_from_the_share_of_those_who_do() -> None:
    group = np.array([0, 0, 0, 0, 1, 1, -1])
    declared = pd.Series(["a", "a", "b", None, None, None, "c"], dtype=TEXT)
    number, share = most_declared(group, declared, 2)
    assert number.tolist() == [2, 0]
    assert share.tolist() == [0.5, 0.0]
