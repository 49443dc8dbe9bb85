"""How firmly an account belongs to its group, and what makes a bystander of it."""

from itertools import compress

import numpy as np
import pandas as pd

from linkage.clusters.membership import find_standing
from linkage.clusters.ties import build_incidence
from linkage.evidence.weights import VALUES
from linkage.settings import VerdictSettings
from linkage.terms import ACCOUNTS, EVIDENCE, EXCLUSIONS, make_frame

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
