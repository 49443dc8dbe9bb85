"""Groups that hide nothing, and groups that work for a few days only: signs of a customer, and of an event."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import pandas as pd

from linkage.arrays import Codes, Flags, Small
from linkage.clusters.ties import Incidence
from linkage.coding import codes_of, distinct, run_starts, sort_rows
from linkage.settings import VerdictSettings
from linkage.terms import HOUR_MS

OPEN_SHARE = 0.9
"""Share of members on one instrument, and on one address, from which on a group hides neither."""

KNOWN_SHARE = 0.75
"""Share of members of whom an instrument, and an address, must be told to say that a group hides neither."""

DOMAIN_SHARE = 0.5
"""Share of members on one mail domain from which on it may be a firm's; as many accounts elsewhere, at most."""

BUSY_SHARE = 0.8
"""Share of a group's requests that its time at work holds; of a hackathon, a few accounts go on afterwards."""


@dataclasses.dataclass(frozen=True)
class Openness:
    """What speaks for a customer in the open, or for an event, whatever else is found; one place per group."""

    have_one_card: Flags
    """:func:`find_common`, of payment."""
    are_open: Flags
    """The same of payment and of addresses."""
    have_domains: Flags
    """:func:`find_domains`."""
    are_named: Flags
    """The same of nearly all members, and of hardly anybody else."""
    are_known: Flags
    """Of most members it is known when they signed up."""
    are_brief: Flags
    """:func:`find_brief`."""


def find_openness(
    incidence: Incidence,
    group: Codes,
    hours: pd.DataFrame,
    *,
    accounts: pd.DataFrame,
    groups: int,
    settings: VerdictSettings,
) -> Openness:
    """Which groups pay, call and sign up in the open, and which worked for a few days only.

    Parameters
    ----------
    incidence : uses as codes.
    group : group number of each account code, from 0, -1 for none.
    hours, accounts : frames of the shapes of those names.
    groups : number of groups.
    settings : thresholds.
    """
    are_brief = find_brief(hours, incidence.accounts, group, groups=groups, days=settings.brief_days)
    size = np.bincount(group[group >= 0], minlength=groups)
    signed_up = np.bincount(group[(group >= 0) & accounts["created_at"].notna().to_numpy()], minlength=groups)
    inside = incidence.uses_inside(group)
    cards, addresses, domains = (
        _most_held(incidence, inside, group, kind, groups=groups) for kind in ("payment", "ip", "email_domain")
    )
    one_card = find_common(cards, size)
    return Openness(
        have_one_card=one_card,
        are_open=one_card & find_common(addresses, size),
        have_domains=find_domains(domains, share=DOMAIN_SHARE),
        are_named=find_common(domains, size) & find_domains(domains, share=OPEN_SHARE),
        are_known=signed_up >= KNOWN_SHARE * size,
        are_brief=are_brief,
    )


class Held(NamedTuple):
    """Of one kind, the value that most members of each group have; one place per group."""

    most: Codes
    """How many members have it."""
    known: Codes
    """How many have any of the kind."""
    elsewhere: Codes
    """How many other accounts have it."""


def find_common(held: Held, size: Codes) -> Flags:
    """Whether nearly all members of each group, of those known, have one value of this kind.

    Whoever spreads work over accounts to stay unseen has neither one instrument nor one address for all; a firm does.
    Of a member whose instrument or address nobody else has, or nobody logs, none is told; where that is more than a
    quarter of a group, it has none in common.

    Parameters
    ----------
    size : members of each group.
    """
    return np.asarray((held.known > 0) & (held.most >= OPEN_SHARE * held.known) & (held.known >= KNOWN_SHARE * size))


def find_domains(held: Held, *, share: float) -> Flags:
    """Whether so many members of each group, of those known, have one mail domain that hardly anybody else has.

    Parameters
    ----------
    held : of mail domains.
    share : of the members; of the accounts elsewhere that have it, as many as are not in it, at most.
    """
    is_usual = (held.most >= 2) & (held.most >= share * held.known)
    return np.asarray(is_usual & (held.elsewhere <= (1 - share) * held.most))


def _most_held(incidence: Incidence, inside: Small, group: Codes, kind: str, *, groups: int) -> Held:
    """The value of a kind that most members of each group have.

    Parameters
    ----------
    inside : uses of members.
    """
    uses = inside[(incidence.table["kind"] == kind).to_numpy(dtype=bool)[incidence.value[inside]]]
    value, account = np.divmod(
        distinct(incidence.value[uses].astype(np.int64) * len(group) + incidence.account[uses]), len(group)
    )
    known = np.bincount(group[np.unique(account)], minlength=groups)
    held = np.sort(group[account] * len(incidence.bits) + value)
    starts = run_starts(held)
    count, (where, what) = np.diff(starts, append=len(held)), np.divmod(held[starts], max(len(incidence.bits), 1))
    order = np.lexsort((what, count, where))
    last = np.flatnonzero(np.diff(where[order], append=-1))
    most, accounts = np.zeros(groups, dtype=np.int64), np.zeros(groups, dtype=np.int64)
    chosen = order[last]
    most[where[chosen]] = count[chosen]
    accounts[where[chosen]] = incidence.table["accounts"].to_numpy(dtype=np.int64)[what[chosen]]
    return Held(most, known, accounts - most)


def find_brief(hours: pd.DataFrame, accounts: pd.Index[str], group: Codes, *, groups: int, days: float) -> Flags:
    """Whether :data:`BUSY_SHARE` of the requests of each group lie within so many days, in logs that go on for longer.

    So do those of an event: a hackathon, a workshop, a benchmark in the week of a release. In logs of which as many
    requests lie within twice as many days, nothing is brief.

    Parameters
    ----------
    hours : frame of shape ``HOURS``.
    accounts : ids of the accounts; their position is their code.
    group : group of each account, by code; -1 for none.
    groups : how many there are.
    days : what is brief.
    """
    hour = hours["hour_at"].to_numpy(dtype="datetime64[ms]").astype(np.int64) // HOUR_MS
    requests = hours["request_count"].to_numpy(dtype=np.int64)
    everybody = np.bincount(hour - hour.min(initial=hour.max(initial=0)), weights=requests).astype(np.int64)
    clock = np.arange(len(everybody))
    if _busy_hours(np.zeros_like(clock), clock, everybody, groups=1)[0] < 2 * 24 * days:
        return np.zeros(groups, dtype=np.bool_)
    code = codes_of(hours["account_id"], accounts)
    known = np.flatnonzero((code >= 0) & (group[code] >= 0))
    busy = _busy_hours(group[code[known]], hour[known], requests[known], groups=groups)
    return np.asarray((busy > 0) & (busy <= 24 * days))


def _busy_hours(group: Codes, hour: Codes, requests: Codes, *, groups: int) -> Codes:
    """Hours of the shortest stretch with :data:`BUSY_SHARE` of each group's requests; 0 for a group without any."""
    order = sort_rows(hour - hour.min(initial=0), group)
    group, hour = group[order], hour[order]
    upto = np.cumsum(requests[order])
    total = np.bincount(group, weights=requests[order], minlength=groups)
    wanted = np.ceil(BUSY_SHARE * total).astype(np.int64)[group]
    last = np.searchsorted(upto, upto - requests[order] + wanted)
    is_inside = np.append(group, -1)[last] == group
    last[~is_inside] = 0
    shortest = np.full(groups, np.iinfo(np.int64).max)
    np.minimum.at(shortest, group[is_inside], (hour[last] - hour + 1)[is_inside])
    return np.where(total > 0, shortest, 0)
