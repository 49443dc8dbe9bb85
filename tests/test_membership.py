"""How firmly an account belongs to its group, and what makes a bystander of it."""

from itertools import compress

import numpy as np
import pandas as pd

from linkage.clusters.membership import find_standing
from linkage.clusters.ties import Incidence, build_incidence
from linkage.evidence.weights import VALUES
from linkage.settings import VerdictSettings
from linkage.terms import ACCOUNTS, CONDUCT, EVIDENCE, EXCLUSIONS, make_frame

FAMILIES = ("network", "payment", "content")
USUAL = (12.0, 0.0, 12.0)
PAID = (6.0, 6.0, 6.0)


def excluded(*ties: tuple[float, float, float]) -> list[str]:
    """What excludes each account of a group with these ties in bits, ``+``-joined."""
    ids = [f"a{number}" for number in range(len(ties))]
    created = [pd.Timestamp("2026-01-01", tz="UTC")] * len(ties)
    accounts = make_frame(ACCOUNTS, {"account_id": ids, "created_at": created})
    standing = find_standing(
        np.array(ties),
        np.zeros(len(ties), dtype=np.int64),
        families=FAMILIES,
        incidence=build_incidence(make_frame(EVIDENCE), make_frame(VALUES), accounts),
        accounts=accounts,
        conduct=make_frame(CONDUCT),
        settings=VerdictSettings(linked_bits=2.5, linked_share=0.5, probable_share=0.25),
    )
    assert (standing.group < 0).tolist() == standing.excluded.any(axis=1).tolist()
    return ["+".join(compress(EXCLUSIONS, row)) for row in standing.excluded]


def test_each_rule_that_leaves_an_account_out_is_told_by_itself() -> None:
    lone, little, both = (12.0, 0.0, 0.0), (2.6, 0.0, 2.6), (3.0, 0.0, 0.0)
    assert excluded(*[USUAL] * 4, lone, little, both) == [*[""] * 4, "families", "share", "families+share"]


def test_an_account_that_may_have_been_copied_is_told_apart_from_one_that_is_tied_by_little() -> None:
    copied, lone = (6.0, 0.0, 6.0), (6.0, 0.0, 0.0)
    assert excluded(*[PAID] * 4, copied, lone) == [*[""] * 4, "copyable", "families+copyable"]


def test_what_cannot_be_copied_is_asked_for_in_proportion_to_what_members_have_of_it() -> None:
    weakly = (6.0, 2.6, 6.0)
    quarter, less = (6.0, 0.7, 6.0), (6.0, 0.6, 6.0)
    assert excluded(*[weakly] * 4, quarter, less) == [*[""] * 5, "copyable"]


def test_who_is_tied_less_firmly_and_sends_nothing_of_the_members_own_work_is_a_bystander() -> None:
    """Eight members send a template of their own; of the four others one is tied firmly and one has no prompts."""
    ids = [f"a{number:02}" for number in range(13)]
    senders = [*range(8), 12]  # one of them is in no group
    values = pd.DataFrame({"family": ["content"], "accounts": [len(senders)]})
    blank, uses = np.ones(1), np.zeros(len(senders), dtype=np.int64)
    known = (blank.astype(np.int64) * 0, blank, blank, blank, np.array(senders), uses)
    firm, weak = (8.0, 8.0, 8.0), (3.0, 0.0, 3.0)
    standing = find_standing(
        np.array([*[firm] * 9, *[weak] * 3, (0.0, 0.0, 0.0)]),
        np.array([0] * 12 + [-1]),
        families=("payment", "registration", "rhythm"),
        incidence=Incidence(pd.Index(ids), ("content",), values, *known),
        accounts=make_frame(ACCOUNTS, {"account_id": ids, "created_at": [pd.Timestamp("2026-01-01", tz="UTC")] * 13}),
        conduct=make_frame(CONDUCT, {"account_id": ids[:11], "prompt_count": [5] * 11}),
        settings=VerdictSettings(probable_share=0.2, core_share=0.7),
    )
    told = ["+".join(compress(EXCLUSIONS, row)) for row in standing.excluded]
    assert told == [*[""] * 9, "work", "work", "", ""]
    assert (standing.group < 0).tolist() == [False] * 9 + [True, True, False, True]
