"""What people decided stays decided: cleared clusters and overturned accounts do not come back without new evidence."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from linkage.terms import (
    CLUSTER_STATEMENTS,
    CLUSTERS,
    COUNT,
    MEMBERS,
    TEXT,
    TIME,
    Shape,
    check_frame,
    join_words,
    make_frame,
)

DECISIONS: Final[Shape] = {"note_id": COUNT, "cluster_id": TEXT, "state": TEXT, "account_id": TEXT, "noted_at": TIME}
"""One row per last decision about a cluster (``account_id`` null) or about one account of it."""
DECIDED_MEMBERS: Final[Shape] = {"note_id": COUNT, "account_id": TEXT}
"""Whom each decision was about."""
DECIDED_VALUES: Final[Shape] = {"note_id": COUNT, "family": TEXT, "kind": TEXT, "value": TEXT}
"""What tied them when it was made."""

SAME_SHARE: Final = 0.5
"""Share of a cluster's firm members that were in a cleared cluster, from which it is that cluster under another id."""
JOINED_SHARE: Final = 1 / 3
"""New members, as a share of those who were cleared, from which the cluster is another one: churn of a few percent a
day turns over less in the weeks a decision is fresh, a campaign that hides in a cleared class grows by more."""
LEAST_SHARING: Final = 3
"""Members that must share a new payment instrument: two are a household."""

_HARD: Final = "payment"


@dataclasses.dataclass(frozen=True)
class Decisions:
    """What people decided, as far as a run may know of it."""

    decisions: pd.DataFrame = dataclasses.field(default_factory=lambda: make_frame(DECISIONS))
    """Shape ``DECISIONS``."""
    members: pd.DataFrame = dataclasses.field(default_factory=lambda: make_frame(DECIDED_MEMBERS))
    """Shape ``DECIDED_MEMBERS``."""
    ties: pd.DataFrame = dataclasses.field(default_factory=lambda: make_frame(DECIDED_VALUES))
    """Shape ``DECIDED_VALUES``."""


@dataclasses.dataclass(frozen=True)
class Settled:
    """Clusters and members as decisions leave them, and what is new where they were decided otherwise."""

    clusters: pd.DataFrame
    """Shape ``CLUSTERS``; a cleared one without new evidence is of tier ``watch``."""
    members: pd.DataFrame
    """Shape ``MEMBERS``; an overturned account without new evidence is a bystander."""
    statements: pd.DataFrame
    """Shape ``CLUSTER_STATEMENTS``: one sentence per decided cluster or account."""


def settle(clusters: pd.DataFrame, members: pd.DataFrame, shared: pd.DataFrame, *, decided: Decisions) -> Settled:
    """Hold people's decisions against what a run found.

    A cluster counts as cleared when its id was, or when ``SAME_SHARE`` of its firm members were in a cleared one. New
    is: a payment instrument that ``LEAST_SHARING`` members share and did not; a family of evidence among what its
    members share that was not there; or new members, ``JOINED_SHARE`` as many as were cleared. Addresses and templates
    change by themselves: a new one of a family that was there is not new. For an overturned account new is a family,
    or a payment instrument, that it did not share with its fellows.

    Parameters
    ----------
    clusters, members : under lasting ids, shapes ``CLUSTERS`` and ``MEMBERS``.
    shared : values that members of one cluster share, shape ``EVIDENCE`` with ``cluster_id``.
    decided : last decisions.
    """
    check_frame(clusters, CLUSTERS, name="clusters")
    check_frame(members, MEMBERS, name="members")
    rows: list[dict[str, str]] = []
    clusters, members = clusters.copy(), members.copy()
    firm = members[members["membership"] != "bystander"]
    accounts_of = {str(name): set(part) for name, part in firm.groupby("cluster_id")["account_id"]}
    for cluster_id, accounts in accounts_of.items():
        note = _clearing(cluster_id, accounts, decided)
        if note is None:
            continue
        inside = shared[(shared["cluster_id"] == cluster_id) & shared["account_id"].isin(accounts)]
        new = _new_of_cluster(accounts, inside, note, decided)
        rows.append(_told(cluster_id, "it was cleared", note, new))
        if not new:
            _hold_cluster(clusters, members, cluster_id, note)
    rows += _settle_accounts(members, shared, decided)
    statements = make_frame(
        CLUSTER_STATEMENTS,
        {name: [row[name] for row in rows] for name in CLUSTER_STATEMENTS} if rows else None,
    )
    return Settled(clusters, members, statements)


def _clearing(cluster_id: str, accounts: set[str], decided: Decisions) -> Mapping[str, Any] | None:
    """The decision that cleared this cluster, the newest; None: nobody did, or it was taken back."""
    if decided.decisions.empty:
        return None
    whole = decided.decisions[decided.decisions["account_id"].isna()]
    own = whole[whole["cluster_id"] == cluster_id]
    if len(own):
        last = _notes(own)[-1]
        return last if last["state"] == "cleared" else None
    found = None
    for note in _notes(whole[whole["state"] == "cleared"]):
        if len(accounts & _members(decided, note)) >= SAME_SHARE * len(accounts):
            found = note
    return found


def _notes(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Decisions as rows, the oldest first."""
    rows = table.sort_values(["noted_at", "note_id"]).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def _members(decided: Decisions, note: Mapping[str, Any]) -> set[str]:
    return set(decided.members.loc[decided.members["note_id"] == note["note_id"], "account_id"])


def _ties(decided: Decisions, note: Mapping[str, Any]) -> pd.DataFrame:
    return decided.ties.loc[decided.ties["note_id"].eq(int(note["note_id"]))]


def _new_of_cluster(accounts: set[str], inside: pd.DataFrame, note: Mapping[str, Any], decided: Decisions) -> list[str]:
    known, before = _ties(decided, note), _members(decided, note)
    new = []
    cards = inside[inside["family"] == _HARD].groupby("value")["account_id"].nunique()
    for value, count in cards[cards >= LEAST_SHARING].items():
        if value not in set(known.loc[known["family"] == _HARD, "value"]):
            new.append(f"{count} members share payment instrument {value}")
    families = sorted(set(inside["family"]) - set(known["family"]))
    if families:
        new.append(f"{join_words(families)} evidence ties its members")
    joined = len(accounts - before)
    if joined >= JOINED_SHARE * max(len(before), 1):
        new.append(f"{joined} accounts joined the {len(before)} of then")
    return new


def _settle_accounts(members: pd.DataFrame, shared: pd.DataFrame, decided: Decisions) -> list[dict[str, str]]:
    rows = []
    place = {account: row for row, account in zip(members.index, members["account_id"], strict=True)}
    for account, note in sorted(_overturned(decided).items()):
        if account not in place:
            continue
        row = place[account]
        cluster_id = str(members["cluster_id"].loc[row])
        own = shared[(shared["account_id"] == account) & (shared["cluster_id"] == cluster_id)]
        new = _new_of_account(own, _ties(decided, note))
        rows.append(_told(cluster_id, f"account {account} was overturned", note, new))
        members.loc[row, "reasons"] = f"{_since('overturned', note, new)}; " + str(members["reasons"].loc[row])
        if not new:
            members.loc[row, "membership"] = "bystander"
            members.loc[row, "flagged"] = False
            others = str(members["left_out_by"].fillna("").loc[row])
            members.loc[row, "left_out_by"] = f"{others}+overturned".removeprefix("+")
    return rows


def _overturned(decided: Decisions) -> dict[str, Mapping[str, Any]]:
    """Accounts whose last decision freed them, with that decision."""
    found: dict[str, Mapping[str, Any]] = {}
    for note in _notes(decided.decisions):
        found |= dict.fromkeys(_members(decided, note), note)
    return {account: note for account, note in found.items() if note["state"] == "overturned"}


def _new_of_account(own: pd.DataFrame, known: pd.DataFrame) -> list[str]:
    cards = set(own.loc[own["family"] == _HARD, "value"]) - set(known["value"])
    new = [f"it shares payment instrument {value}" for value in sorted(cards)]
    families = sorted(set(own["family"]) - set(known["family"]))
    return [*new, f"{join_words(families)} evidence ties it"] if families else new


def _hold_cluster(clusters: pd.DataFrame, members: pd.DataFrame, cluster_id: str, note: Mapping[str, Any]) -> None:
    held = clusters["cluster_id"] == cluster_id
    clusters.loc[held, "tier"] = "watch"
    others = clusters.loc[held, "barred_by"].fillna("")
    clusters.loc[held, "barred_by"] = (others + "+cleared").str.removeprefix("+")
    mine = members["cluster_id"] == cluster_id
    members.loc[mine, "tier"] = "watch"
    members.loc[mine, "flagged"] = False
    members.loc[mine, "reasons"] = f"{_since('cleared', note, [])}; " + members.loc[mine, "reasons"]


def _since(word: str, note: Mapping[str, Any], new: list[str]) -> str:
    what = join_words(new) if new else "nothing"
    return f"{word} on {note['noted_at']:%Y-%m-%d}, new since: {what}"


def _told(cluster_id: str, what: str, note: Mapping[str, Any], new: list[str]) -> dict[str, str]:
    """One sentence on a decision, and what is new since."""
    day = f"{note['noted_at']:%Y-%m-%d}"
    sentence = f"New since {what} on {day}: {join_words(new) if new else 'nothing'}."
    return {
        "cluster_id": cluster_id,
        "topic": "why" if new else "for",
        "sentence": sentence,
        "query": "case_notes",
        "rows": f"cluster_id={note['cluster_id']}",
    }
