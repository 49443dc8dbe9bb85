"""Campaigns of a given shape: so many accounts, requests a day, bought traffic and shared families.

Where the recipes E1 to E20 tell stories, these span a grid, so that recall can be told as a function of what a
campaign shares and how much it works.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from linkage.errors import WorldError
from linkage.worlds.campaigns import Plan, make_plan, own_cards, recruit, reword, share_cards, use_homes, use_proxies
from linkage.worlds.innocents import make_crowd
from linkage.worlds.population import FREE_MAIL, Draft, Mixed, make_contract
from linkage.worlds.traffic import Account

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
    """

    accounts: int
    rate: float
    families: int
    mix: float = 0.0
    templates: int = 12

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
    if shape.mix:
        crowd = make_crowd(draft, draft.scaled(1_000, least=60), templates=draft.scaled(60, least=6))
        for account in members:
            account.writer = Mixed(crowd, account.writer, shape.mix)


def _scatter(draft: Draft, plan: Plan, members: list[Account]) -> None:
    """Clients, contracts, mail and weeks of sign-up as strangers have them."""
    rand = draft.rand
    for account in members:
        account.client = draft.client()
        account.contract = make_contract(rand, careful=True, log_output=draft.habits.campaign_log_output)
        account.created_ms = draft.day_ms(plan.first_day - rand.uniform(0.2, 120))
        account.email_domain = rand.choice(FREE_MAIL)
