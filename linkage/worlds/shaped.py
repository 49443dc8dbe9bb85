"""Campaigns of a given shape: so many accounts, requests a day, bought traffic and shared families.

Where the recipes E1 to E20 tell stories, these span a grid, so that recall can be told as a function of what a
campaign shares and how much it works.
"""

from __future__ import annotations

import dataclasses
from typing import Final, Literal

from linkage.errors import WorldError
from linkage.terms import DAY_MS
from linkage.worlds.campaigns import Plan, make_plan, own_cards, recruit, reword, share_cards, use_homes, use_proxies
from linkage.worlds.innocents import make_crowd
from linkage.worlds.population import FREE_MAIL, Draft, Mixed, make_contract
from linkage.worlds.prompts import make_person
from linkage.worlds.traffic import Account

Hours = Literal["machines", "office", "people"]

HOURS: Final[tuple[Hours, ...]] = ("machines", "office", "people")
"""When a campaign works: all day, in one office's hours, or each account in those of a person."""

SHARED_FAMILIES: Final = ("content", "payment", "network, client and registration")
"""What a campaign shares from 1, 2 and 3 families on; from none it shares its work list only."""


@dataclasses.dataclass(frozen=True, slots=True)
class CampaignShape:
    """What one campaign of the grid looks like.

    Parameters
    ----------
    accounts : how many; at least 2.
    rate : mean requests of an account on a day, bought traffic included; above 0.
    families : 0 to 3, how many families it shares, in the order of :data:`SHARED_FAMILIES`. What it does not share
        differs from account to account: wording, card, home addresses, client, contract, and weeks of sign-up.
    mix : share of its traffic that is bought from users of a reseller (0 to below 1).
    templates : templates of the campaign.
    hours : when it works: all day as machines, in one office's hours, or each account in hours of its own.
    is_handing_over : whether a refused request goes to the next account within seconds.
    has_owners : each account's own person writes what is not the campaign's, instead of a reseller's users; the account
        is as old as theirs.
    """

    accounts: int
    rate: float
    families: int
    mix: float = 0.0
    templates: int = 12
    hours: Hours = "machines"
    is_handing_over: bool = True
    has_owners: bool = False

    def __post_init__(self) -> None:
        """Refuse a shape that cannot be.

        Raises
        ------
        WorldError : a number out of its range.
        """
        if self.accounts < 2 or self.rate <= 0 or self.families not in range(4) or not 0 <= self.mix < 1:
            raise WorldError(
                "wanted 2 accounts or more, a rate above 0, 0 to 3 shared families and a mix from 0 to below 1; "
                f"got {self!r}. Change the number that is out of range"
            )

    @property
    def name(self) -> str:
        """The shape in short: families, accounts, rate, and the mix in percent."""
        return f"f{self.families}-n{self.accounts}-r{self.rate:g}-m{round(100 * self.mix)}"


def add_shaped(draft: Draft, shape: CampaignShape, campaign: str) -> None:
    """Adds one campaign of this shape to the draft, under this id, with its name as the role."""
    plan = make_plan(draft, campaign, shape.name, templates=shape.templates)
    members = recruit(plan, shape.accounts, rate=shape.rate)
    use_homes(draft, members)
    own_cards(draft, members)
    if shape.families < 1:
        reword(plan, [[account] for account in members])
    if shape.families > 1:
        share_cards(draft, members)
    if shape.families > 2:
        use_proxies(draft, members)
    else:
        _scatter(draft, plan, members)
    _keep_hours(draft, shape, plan, members)
    if shape.has_owners:
        _give_owners(draft, shape, members)
    elif shape.mix:
        crowd = make_crowd(draft, draft.scaled(1_000, least=60), templates=draft.scaled(60, least=6))
        for account in members:
            account.writer = Mixed(crowd, account.writer, shape.mix)


def _keep_hours(draft: Draft, shape: CampaignShape, plan: Plan, members: list[Account]) -> None:
    """Hours of the day and hand-overs as the shape says; the plan's where it says nothing."""
    clock = plan.clock if shape.is_handing_over else dataclasses.replace(plan.clock, handover_share=0.0)
    if shape.hours == "office":
        clock = dataclasses.replace(clock, hours=draft.clock(shape=0).hours)
    for account in members:
        own = shape.hours == "people"
        account.clock = dataclasses.replace(clock, hours=draft.clock().hours) if own else clock


def _give_owners(draft: Draft, shape: CampaignShape, members: list[Account]) -> None:
    """Mixes what a person of its own writes into each account, which is as old as a person's."""
    rand = draft.rand
    for account in members:
        person = make_person(rand, kind="person", log_output=draft.habits.log_output + rand.gauss(0.0, 0.4))
        account.writer = Mixed(person, account.writer, shape.mix)
        account.created_ms = min(account.created_ms, draft.start_ms - int(rand.uniform(5, 400) * DAY_MS))


def _scatter(draft: Draft, plan: Plan, members: list[Account]) -> None:
    """Clients, contracts, mail and weeks of sign-up as strangers have them."""
    rand = draft.rand
    for account in members:
        account.client = draft.client()
        account.contract = make_contract(rand, careful=True, log_output=draft.habits.campaign_log_output)
        account.created_ms = draft.day_ms(plan.first_day - rand.uniform(0.2, 120))
        account.email_domain = rand.choice(FREE_MAIL)
