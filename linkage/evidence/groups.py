"""Evidence that no pair shows: patterns of whole candidate groups, each against its own null.

Candidate groups are handed in; where they come from is not known here. Every pattern is tested once per
group, the number of groups is paid for (Bonferroni), and an account is named only for its own part in a
pattern, so that a newcomer to a group gains nothing from what its fellows do.
"""

from __future__ import annotations

import functools

import pandas as pd

from linkage.coding import codes_of
from linkage.evidence.partition import find_shared_out_work
from linkage.evidence.registration import find_signup_bursts
from linkage.evidence.rhythm import find_hand_overs, find_joint_pauses
from linkage.evidence.succession import find_replacements
from linkage.evidence.table import count_unrelated
from linkage.parallel import at_once
from linkage.terms import (
    ACCOUNTS,
    CONDUCT,
    EVIDENCE,
    GROUP_EVIDENCE,
    GROUPS,
    HOURS,
    ITEMS,
    check_frame,
    make_frame,
)


def gather_group_evidence(
    groups: pd.DataFrame,
    *,
    evidence: pd.DataFrame,
    accounts: pd.DataFrame,
    conduct: pd.DataFrame,
    items: pd.DataFrame,
    hours: pd.DataFrame,
    passed: pd.DataFrame,
    seed: int,
    other_items: pd.DataFrame | None = None,
    own_items: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """What whole groups show: work handed over, joint pauses, work shared out, replacements, sign-up bursts.

    Parameters
    ----------
    groups : frame of shape ``GROUPS``; an account may be in one group only.
    evidence : frame of shape ``EVIDENCE``; says which accounts are related otherwise.
    accounts, conduct, items, hours : frames of the shapes of those names.
    passed : items that accounts passed on, as from ``find_passed_items``.
    seed : of the permutations behind the null of joint pauses.
    other_items : frame of shape ``OTHER_ITEMS``: who else has these items, beside whom ``items`` lists; None: nobody.
    own_items : frame of shape ``OWN_ITEMS``: items that neither of them lists; None: none.

    Returns
    -------
    DataFrame of shape ``GROUP_EVIDENCE``, sorted by group, family, kind and account. A value is named after the
    first account (by id) that takes part, so the same pattern keeps its name while that account does.

    Raises
    ------
    ShapeError : a frame is not of its shape.
    """
    shapes = {"groups": (groups, GROUPS), "evidence": (evidence, EVIDENCE), "accounts": (accounts, ACCOUNTS)}
    shapes |= {"conduct": (conduct, CONDUCT), "items": (items, ITEMS), "hours": (hours, HOURS)}
    for name, (frame, shape) in shapes.items():
        check_frame(frame, shape, name=name)

    def find_others() -> pd.DataFrame:
        found = [
            find_hand_overs(groups, passed=passed),
            find_joint_pauses(groups, hours=hours, seed=seed),
            find_replacements(groups, accounts=accounts),
            find_signup_bursts(groups, accounts=accounts),
        ]
        return pd.concat(found, ignore_index=True)

    shared_out = functools.partial(
        find_shared_out_work, groups, items=items, conduct=conduct, other_items=other_items, own_items=own_items
    )
    parts = at_once(shared_out, find_others)
    rows = pd.concat(parts, ignore_index=True).sort_values(["group", "family", "kind", "account_id"], kind="stable")
    pattern = rows.groupby(["group", "family", "kind"], sort=False)["account_id"]
    size = pattern.transform("size")
    value = "with " + pattern.transform("first")
    rows = rows.assign(accounts=size, value=value, unrelated_accounts=0)
    rows = rows.loc[(size >= 2) & (codes_of(rows["account_id"], pd.Index(accounts["account_id"])) >= 0)]
    made = make_frame(GROUP_EVIDENCE, {name: rows[name].array for name in rows.columns})
    made["unrelated_accounts"] = count_unrelated(made[list(EVIDENCE)], accounts, relations=evidence)
    return made
