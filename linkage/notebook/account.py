"""One account as a run saw it, in a cluster or in none."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from linkage.clusters.membership import COPYABLE_FAMILIES
from linkage.clusters.reasons import NOUNS, noun
from linkage.errors import NoSuchAccountError
from linkage.notebook.neighbours import Place, Shared, find_neighbours, shared_values, surest_first
from linkage.outputs.account import (
    ACCOUNT_HISTORY,
    ACCOUNT_LINKS,
    ACCOUNT_NOTES,
    ACCOUNT_USES,
    AccountDetail,
    mask_account,
)
from linkage.outputs.account_text import account_text
from linkage.outputs.html import notebook_table
from linkage.outputs.wording import exclusions, family_names
from linkage.settings import EvidenceSettings
from linkage.store.inputs import Window
from linkage.store.store import Database
from linkage.terms import CLUSTERS, FAMILIES, MEMBERS, join_words, make_frame, rows_of

_PATTERNS: Final = {
    "signup_burst": "registration",
    "hand_over": "rhythm",
    "joint_pauses": "rhythm",
    "work_list": "partition",
    "replacement": "succession",
}
"""Kinds of patterns that only show in a group, and their families."""

_NEAR_IDS: Final = 3


class Account:
    """One account: whether it is flagged, what ties it to others, and why that is or is not enough.

    Examples
    --------
    >>> run.account("c1")
    <Account c1: in cluster c-969594, watch, core, 8 requests>
    >>> run.account("p1")
    <Account p1: in no cluster, 4 requests>
    """

    def __init__(self, detail: AccountDetail) -> None:
        self.detail = detail
        """All that is told of it, as the outputs take it."""

    def __repr__(self) -> str:
        member, own = self.detail.member, self.detail.account
        where = self.status
        if member is not None:
            where = f"{self.status} {'in ' if member['flagged'] else ''}{member['cluster_id']}"
            where += f", {member['tier']}, {member['membership']}"
        return f"<Account {own['account_id']}: {where}, {own['requests']:,} requests>"

    def _repr_html_(self) -> str:
        return notebook_table(self.uses, caption=repr(self).strip("<>")) + notebook_table(self.links)

    @property
    def status(self) -> str:
        """``flagged``, ``in cluster``, ``in no cluster`` or ``not seen`` (no request in the run's window)."""
        return self.detail.status

    @property
    def uses(self) -> pd.DataFrame:
        """What it has in the window, on how many accounts, and what that is worth; shape ``ACCOUNT_USES``."""
        return self.detail.uses

    @property
    def links(self) -> pd.DataFrame:
        """The accounts that share most with it, the surest first; shape ``ACCOUNT_LINKS``.

        Of an account in a cluster these are its links there, habits included. Of one in no cluster they are told by
        shared values alone: links outside clusters are not kept with a run, and habits are compared in a rebuild.
        """
        return self.detail.links

    def why(self, *, personal_data: bool = True) -> str:
        """Why it is flagged or not, in words: what ties it, how much that says, what is not known, what to do next.

        Parameters
        ----------
        personal_data : full addresses and payment tokens instead of prefixes and fingerprints.

        Examples
        --------
        >>> print(run.account("p1").why().splitlines()[4])
        Nothing it shares ties it to anybody more than chance would.
        """
        return account_text(self.detail if personal_data else mask_account(self.detail))


def find_account(account_id: str, *, database: Database, row: Mapping[str, Any], info: Mapping[str, Any]) -> Account:
    """The account of this id as a run saw it: looked up, nothing is rebuilt.

    Parameters
    ----------
    row, info : of the run.

    Returns
    -------
    :class:`Account`. Records are read whole, all else by an index.

    Raises
    ------
    NoSuchAccountError : the store has no such account.
    """
    days = Window(row["since_ms"], row["as_of_ms"]).days
    place = Place(
        database,
        run_id=str(row["run_id"]),
        days=days,
        weights=pd.DataFrame(json.loads(row["weights"])),
        accounts=int(json.loads(row["counts"])["accounts"]),
        settings=_evidence_settings(row),
    )
    with database.snapshot():
        work = _one(database.query("account_window", account_id=account_id, **days))
        if work is None:
            raise no_such_account(database, account_id)
        is_behind = database.revision()[0] > int(row["input_revision"])
        return Account(dataclasses.replace(_gather(place, info, work), is_behind=is_behind))


def no_such_account(database: Database, account_id: str) -> NoSuchAccountError:
    """What to say where the store has no account of this id."""
    near = database.query("near_ids", text=account_id, max_accounts=_NEAR_IDS)["account_id"].tolist()
    told = f"part of {join_words(near)}" if near else "part of no id either"
    owners = database.query("key_accounts", text=account_id, max_accounts=_NEAR_IDS)["account_id"].tolist()
    key = f"; it is an API key of {join_words(owners)}" if owners else ""
    return NoSuchAccountError(
        f"wanted an account of this store; {account_id!r} is none, and {told}{key}. Ids are compared letter by letter"
    )


def _evidence_settings(row: Mapping[str, Any]) -> EvidenceSettings:
    """Those of a run, also of one that another version made."""
    names = {field.name for field in dataclasses.fields(EvidenceSettings)}
    told = json.loads(row["settings"]).get("evidence", {})
    return EvidenceSettings(**{name: value for name, value in told.items() if name in names})


def _gather(place: Place, info: Mapping[str, Any], work: Mapping[str, Any]) -> AccountDetail:
    database, number = place.database, int(work["number"])
    facts = _one(place.facts([number])) or {}
    own = {"run_id": place.run_id, "account_id": str(facts["account_id"])}
    member = _one(database.frame("one_member", MEMBERS, **own))
    cluster_id = str(member["cluster_id"]) if member else ""
    shared = shared_values(place, number, facts) if work["requests"] else None
    found = find_neighbours(place, shared, facts) if shared and not member else None
    links = found.links if found else _kept_links(place, own, member)
    held_by = _held_by(links, str(member["reasons"]), info) if member else ()
    cluster = _one(database.frame("one_cluster", CLUSTERS, run_id=place.run_id, cluster_id=cluster_id))
    conduct = place.weights.loc[place.weights["family"] == "conduct", "bits"]
    known = {"account_id": own["account_id"]}
    return AccountDetail(
        account={**{name: facts[name] for name in _DECLARED}, **{name: work[name] for name in _WORK}},
        run=info,
        member=member,
        cluster=cluster,
        uses=shared.uses if shared else make_frame(ACCOUNT_USES),
        links=links,
        history=database.frame("account_history", ACCOUNT_HISTORY, **known),
        case_notes=database.frame("account_notes", ACCOUNT_NOTES, **known, cluster_id=cluster_id),
        accounts=place.accounts,
        habit_bits=float(conduct.max()) if len(conduct) else 0.0,
        templates=_templates(place, shared, links, member) if shared else {},
        held_by=held_by,
        lacking=_lacking(member, cluster) if member and cluster else (),
        missing=_missing(shared.uses, work, facts) if shared else (),
        related=found.related if found else 0,
        is_cut=found.is_cut if found else False,
    )


_DECLARED: Final = ("account_id", "organization_id", "email_domain", "created_at", "country", "plan", "records")
_WORK: Final = ("requests", "active_days", "first_at", "last_at", "all_requests", "earliest_at", "latest_at")


def _one(frame: pd.DataFrame) -> dict[str, Any] | None:
    """The only row of a table; None: it has none."""
    return next(iter(rows_of(frame)), None)


def _kept_links(place: Place, own: Mapping[str, str], member: Mapping[str, Any] | None) -> pd.DataFrame:
    """The links that the run kept of an account, those in its cluster."""
    found = place.database.query("links_of_account", **own)
    if found.empty or not member:
        return make_frame(ACCOUNT_LINKS)
    told = surest_first(found.assign(noun=found["kind"].map(noun)))
    columns = {name: told[name].array for name in ACCOUNT_LINKS if name != "tier"}
    return make_frame(ACCOUNT_LINKS, {**columns, "tier": [member["tier"]] * len(told)})


def _templates(place: Place, shared: Shared, links: pd.DataFrame, member: Mapping[str, Any] | None) -> dict[str, str]:
    """How the templates read that tie an account, and of those it shares the one that tells most."""
    own = shared.uses[(shared.uses["kind"] == "template") & (shared.uses["accounts"] > 1)]
    own = own.sort_values(["bits", "value"], ascending=[False, True])
    reasons = str(member["reasons"]) if member else ""
    told = [*own["value"].head(1), *own.loc[own["value"].isin(links["value"]), "value"]]
    told += [name for name in own["value"] if name in reasons]
    found = place.database.query("named_templates", names=json.dumps(sorted(set(told))))
    return dict(zip(found["template_id"], found["text"], strict=True))


def _held_by(links: pd.DataFrame, reasons: str, info: Mapping[str, Any]) -> tuple[str, ...]:
    """Families that tie a member: of its links, and of the patterns among its reasons."""
    least = info["settings"].get("verdicts", {}).get("linked_bits", 0.0)
    found = {*links.loc[links["bits"] >= least, "family"]}
    found |= {family for kind, family in _PATTERNS.items() if f"same {NOUNS[kind]} as" in reasons}
    return tuple(family for family in FAMILIES if family in found)


def _lacking(member: Mapping[str, Any], cluster: Mapping[str, Any]) -> tuple[str, ...]:
    """Families of its cluster that cannot be copied, of a bystander that lacks them."""
    if "copyable" not in (exclusions(member) or ()):
        return ()
    return tuple(family for family in family_names(cluster) if family not in COPYABLE_FAMILIES)


def _missing(values: pd.DataFrame, work: Mapping[str, Any], facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Families that nothing in the logs of an account speaks of."""
    told = {*values["family"]} - {"registration"}
    told |= {"content"} if work["prompts"] else set()
    told |= {"conduct"} if work["outputs"] else set()
    told |= {"registration"} if not pd.isna(facts["created_at"]) else set()
    asked = ("network", "payment", "content", "contract", "client", "registration", "conduct")
    return tuple(family for family in asked if family not in told)
