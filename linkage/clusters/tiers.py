"""Which tier each group comes to, told by what bars it from tier ``enforce``."""

from __future__ import annotations

import dataclasses
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.arrays import Codes, Flags, Numbers
from linkage.clusters.openness import Openness
from linkage.clusters.pools import find_pooled
from linkage.clusters.ties import Incidence
from linkage.settings import VerdictSettings
from linkage.terms import BARS, Bar


@dataclasses.dataclass(frozen=True)
class Weighed:
    """What the tiers of groups go by, one place per group."""

    accounts: Codes
    """How many are left after pruning."""
    controller: Numbers
    """Probability of one controller."""
    own: Numbers
    """Probability of extraction of all that the accounts send, or of their own work where that reads more like it."""
    whole: Numbers
    """The same of all that they send."""
    q_value: Numbers
    voices: Codes
    """Independent kinds of evidence that link the group."""
    is_paid: Flags
    """Payment ties half the members."""
    is_tied_beyond: Flags
    """Something links them besides a program and the addresses that it is called from."""
    declared: Numbers
    """Share of the members that declare the organization that most of them do."""


@dataclasses.dataclass(frozen=True)
class Graded:
    """Tiers of groups, and why they are none higher."""

    tier: npt.NDArray[np.object_]
    bars: Flags
    """Groups x ``BARS``; a group without any is of tier ``enforce``."""

    def names(self, number: int) -> list[Bar]:
        """Bars of one group."""
        return [name for name, holds in zip(BARS, self.bars[number].tolist(), strict=True) if holds]


def grade(
    weighed: Weighed, openness: Openness, *, group: Codes, incidence: Incidence, settings: VerdictSettings
) -> Graded:
    """Bars and tiers of groups.

    Tier ``enforce`` is for groups that nothing bars: enough of both probabilities (less than
    ``settings.enforce_controller`` of one controller, where both add up to ``settings.enforce_both``), a small q-value,
    enough accounts and voices, no organization that ``settings.declared_share`` of the members declare, and neither few
    accounts in the open (``settings.open_accounts``), or any number with a mail domain of their own, nor accounts that
    only a program and its addresses tie, nor work of few days that no payment ties (``settings.brief_days``). Their own
    work speaks for itself only where payment ties them, and by more than one instrument.

    Tier ``review`` is for groups that are barred, with ``settings.review_probability`` of both, or with extraction as
    clear as tier ``enforce`` asks that is no coincidence, or with ``settings.review_extraction`` of enough accounts:
    who runs these is for people to ask. A declared organization is watched.

    Parameters
    ----------
    weighed, openness : what is known of each group.
    group : group number of each account code, from 0, -1 for none.
    incidence : uses as codes.
    settings : thresholds.
    """
    held = {**_verdict_bars(weighed, openness, settings), **_firmness_bars(weighed, settings)}
    held["organization"] = weighed.declared >= settings.declared_share
    could = ~np.any([*held.values()], axis=0)
    is_few = weighed.accounts < settings.open_accounts
    is_pooled = find_pooled(group, incidence, could, least=settings.open_accounts)
    held |= {
        "open": openness.are_open & is_few & ~is_pooled,
        "own_domain": ((openness.are_open & openness.have_domains & ~is_few) | openness.are_named) & ~is_pooled,
        "hosted": openness.are_known & ~weighed.is_tied_beyond,
        "brief": openness.are_brief & ~weighed.is_paid,
    }
    bars = np.column_stack([held.get(name, np.zeros_like(could)) for name in BARS])
    review = np.minimum(weighed.controller, weighed.own) >= settings.review_probability
    is_firm = ~np.any([held[name] for name in _FIRMNESS], axis=0)
    review |= is_firm & (weighed.own >= settings.enforce_extraction)
    review |= ~held["accounts"] & (weighed.own >= settings.review_extraction)
    tier = np.where(~bars.any(axis=1), "enforce", np.where(review & ~held["organization"], "review", "watch"))
    return Graded(tier.astype(object), bars)


_FIRMNESS: Final = ("chance", "accounts", "evidence")


def _firmness_bars(weighed: Weighed, settings: VerdictSettings) -> dict[str, Flags]:
    """Which groups may be a coincidence, are too small to be told, or are tied by too few voices."""
    return {
        "chance": weighed.q_value > settings.max_q_value,
        "accounts": weighed.accounts < settings.min_enforce_accounts,
        "evidence": weighed.voices < settings.min_families,
    }


def _verdict_bars(weighed: Weighed, openness: Openness, settings: VerdictSettings) -> dict[str, Flags]:
    """Whose two verdicts are not enough; what one has to spare makes up for what the other lacks."""
    own, whole = (_lacks(weighed.controller, extraction, settings) for extraction in (weighed.own, weighed.whole))
    # A class's, a bureau's or a shop's own work is narrow and long, too, but no card ties them, or one that all have.
    is_spread = weighed.is_paid & ~openness.have_one_card
    counts_all = ~is_spread & (whole & ~own).any(axis=0)
    return {
        "operator": own[0],
        "extraction": own[1],
        "unpaid": counts_all & ~weighed.is_paid,
        "one_payment": counts_all & weighed.is_paid,
    }


def _lacks(controller: Numbers, extraction: Numbers, settings: VerdictSettings) -> Flags:
    """Too little of one controller, and too little of extraction, by groups."""
    needed = np.clip(settings.enforce_both - extraction, settings.least_controller, settings.enforce_controller)
    return np.stack([controller < needed, extraction < settings.enforce_extraction])


def most_declared(group: Codes, organizations: pd.Series[str], groups: int) -> tuple[Codes, Numbers]:
    """How many organizations the members of each group declare, and which share of them the one that most do."""
    members = pd.DataFrame({"group": group, "organization": organizations.array})
    size = np.bincount(group[group >= 0], minlength=groups)
    counts = members.loc[members["group"] >= 0].value_counts().groupby("group").agg(["size", "max"])
    number, most = counts.reindex(range(groups), fill_value=0).to_numpy(dtype=np.int64).T
    return number, most / np.maximum(size, 1)
