"""Regrowth: what became of a cluster after its accounts were acted on, day by day."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import pandas as pd

from linkage.clusters.cases import Decisions
from linkage.terms import (
    ACCOUNTS,
    ACTIVITY,
    CLUSTER_STATEMENTS,
    COUNT,
    MEMBERS,
    TIME,
    Shape,
    check_frame,
    make_frame,
)

REGROWTH: Final[Shape] = {
    "day_at": TIME,
    "enforced_accounts": COUNT,
    "enforced_requests": COUNT,
    "spared_accounts": COUNT,
    "spared_requests": COUNT,
    "new_accounts": COUNT,
    "new_requests": COUNT,
}
"""One row per UTC day: accounts at work and their requests. ``enforced``: those that were acted on; ``new``: members
that began after; ``spared``: members from before that were not acted on."""


def regrowth_curve(activity: pd.DataFrame, enforced: Iterable[str], *, enforced_at: pd.Timestamp) -> pd.DataFrame:
    """How a cluster's work went on after its accounts were acted on.

    Parameters
    ----------
    activity : frame of shape ``ACTIVITY``: the cluster's accounts, those that were acted on among them.
    enforced : accounts that were acted on.
    enforced_at : when (UTC).

    Returns
    -------
    DataFrame of shape ``REGROWTH``: every day from the first request to the last, days without any as zeros.

    Examples
    --------
    >>> regrowth_curve(make_frame(ACTIVITY), [], enforced_at=pd.Timestamp("2026-09-01", tz="UTC")).empty
    True
    """
    check_frame(activity, ACTIVITY, name="activity")
    if activity.empty:
        return make_frame(REGROWTH)
    first = activity.groupby("account_id")["hour_at"].transform("min")
    is_enforced = activity["account_id"].isin(list(enforced))
    part = np.where(is_enforced, "enforced", np.where(first >= enforced_at, "new", "spared"))
    daily = activity.assign(day_at=activity["hour_at"].dt.floor("D"), part=part).groupby(["day_at", "part"])
    table = daily.agg(accounts=("account_id", "nunique"), requests=("request_count", "sum")).reset_index()
    days = pd.date_range(table["day_at"].min(), table["day_at"].max(), freq="D")
    columns = {
        f"{name}_{what}": table[table["part"] == name].set_index("day_at")[what].reindex(days, fill_value=0).array
        for name in ("enforced", "spared", "new")
        for what in ("accounts", "requests")
    }
    return make_frame(REGROWTH, {"day_at": days.as_unit("ms"), **columns})


def tell_regrowth(members: pd.DataFrame, accounts: pd.DataFrame, *, decided: Decisions) -> pd.DataFrame:
    """A sentence per cluster whose last decision was to act on it: who still works, and who began since.

    Parameters
    ----------
    members : frame of shape ``MEMBERS``, under lasting ids.
    accounts : frame of shape ``ACCOUNTS``.
    decided : last decisions.

    Returns
    -------
    DataFrame of shape ``CLUSTER_STATEMENTS``; topic ``since``.
    """
    check_frame(accounts, ACCOUNTS, name="accounts")
    check_frame(members, MEMBERS, name="members")
    acted = decided.decisions[decided.decisions["state"].eq("enforced") & decided.decisions["account_id"].isna()]
    spans = accounts.set_index("account_id")
    rows = []
    for note in acted.sort_values("note_id").itertuples(index=False):
        who = decided.members.loc[decided.members["note_id"] == note.note_id, "account_id"]
        mine = members[(members["cluster_id"] == note.cluster_id) & (members["membership"] != "bystander")]
        if mine.empty:
            continue
        still = int((spans["last_at"].reindex(who) > note.noted_at).sum())
        new = int((spans["first_at"].reindex(mine["account_id"]) > note.noted_at).sum())
        sentence = (
            f"{len(who)} accounts were acted on at {note.noted_at:%Y-%m-%d %H:%M}: {still} of them made requests "
            f"after it, and {new} of the {len(mine)} firm members of now began after it."
        )
        rows.append((str(note.cluster_id), "since", sentence, "case_notes", f"cluster_id={note.cluster_id}"))
    columns = dict(zip(CLUSTER_STATEMENTS, zip(*rows, strict=True), strict=True)) if rows else None
    return make_frame(CLUSTER_STATEMENTS, columns)
