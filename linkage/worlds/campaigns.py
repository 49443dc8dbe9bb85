"""Campaigns that share one extraction out over many accounts: the recipes E1 to E20."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from linkage.errors import WorldError
from linkage.terms import DAY_MS, HOUR_MS
from linkage.worlds.innocents import make_crowd, make_pool
from linkage.worlds.paraphrase import make_intent, make_traces, word_intent
from linkage.worlds.population import FREE_MAIL, PLANS, Draft, Mixed, make_contract, make_models
from linkage.worlds.prompts import Contract, Writer, Written, make_person
from linkage.worlds.scaffolds import CAPABILITY_TASKS, TASKS, Scaffold, WorkList, make_scaffold
from linkage.worlds.traffic import Account, Client, Clock, Either, Pace, Shared
from linkage.worlds.wording import TOPICS, coin, pick

_ONE_CONTRACT: Final = ("E5", "E6", "E17")
"""Campaigns that the contract must give away, as their recipes say."""

Recipe = Callable[[Draft, float, str], None]


@dataclasses.dataclass(slots=True)
class Queue:
    """The work of a campaign: which item goes into which template next.

    Parameters
    ----------
    templates : number of templates; each job has one.
    items : what fills them; no item is given out twice, but for refused requests and second answers.
    position, step : the next item, and how far it is to the one after (above 1: a shard of the list).
    repeat_share : how often the last job is done again for another answer (0 to 1).
    """

    templates: int
    items: WorkList
    position: int = 0
    step: int = 1
    repeat_share: float = 0.0
    last: tuple[int, int] | None = None
    refused: list[tuple[int, int]] = dataclasses.field(default_factory=list)

    def take(self, rand: random.Random, *, limited: bool) -> tuple[int, int]:
        """Template and item of the next job; a job that will be refused stays for the next account."""
        if self.refused:
            job = self.refused.pop()
        elif self.last and rand.random() < self.repeat_share:
            job = self.last
        else:
            job = (int(rand.random() * self.templates), self.position)
            self.position += self.step
        self.last = job
        if limited:
            self.refused.append(job)
        return job


@dataclasses.dataclass(slots=True)
class Worker:
    """One account's hand on a campaign's queue.

    Parameters
    ----------
    queue : where jobs come from.
    scaffolds : this account's wording of each of the campaign's templates, in the queue's order.
    log_outputs : natural log of the expected output tokens of each template.
    contract : the request contract; None for the account's.
    """

    queue: Queue
    scaffolds: Sequence[Scaffold]
    log_outputs: Sequence[float]
    contract: Contract | None = None

    def write(self, rand: random.Random, *, at_ms: int, limited: bool) -> Written:
        """The next job of the queue as a prompt."""
        template, item = self.queue.take(rand, limited=limited)
        scaffold = self.scaffolds[template]
        text = self.queue.items.fill(scaffold, item)
        return Written(text, self.log_outputs[template], self.contract, system=scaffold.system or None)


@dataclasses.dataclass(slots=True)
class Switch:
    """One writer until a time, another from then on."""

    before: Writer
    after: Writer
    at_ms: int

    def write(self, rand: random.Random, *, at_ms: int, limited: bool) -> Written:
        """What the writer of that time writes."""
        writer = self.before if at_ms < self.at_ms else self.after
        return writer.write(rand, at_ms=at_ms, limited=limited)


@dataclasses.dataclass(slots=True)
class Plan:
    """What the accounts of one campaign have in common, drawn once by :func:`make_plan`."""

    draft: Draft
    campaign: str
    role: str
    scaffolds: list[Scaffold]
    log_outputs: list[float]
    queue: Queue
    contracts: list[Contract]
    models: list[tuple[tuple[str, ...], tuple[float, ...]]]
    clock: Clock
    first_day: int
    last_day: int
    domains: list[str]
    plans: list[str]
    clients: list[Client]
    sign_up_days: list[float]

    def worker(self, scaffolds: Sequence[Scaffold] | None = None) -> Worker:
        """A writer for one account, with its own wording of the templates if given."""
        return Worker(self.queue, scaffolds or self.scaffolds, self.log_outputs)

    def use(self, scaffolds: Sequence[Scaffold], *, log_output: float) -> None:
        """Takes these templates instead of the drawn ones."""
        self.scaffolds = list(scaffolds)
        self.log_outputs = [log_output] * len(self.scaffolds)
        self.queue.templates = len(self.scaffolds)


def make_plan(draft: Draft, campaign: str, role: str, *, templates: int = 12, one_contract: bool = False) -> Plan:
    """A campaign of its own: templates on (up to) three capabilities, one queue, hours and pauses.

    How alike its accounts are otherwise is drawn too: one contract or several, one client or several, sign-up in
    bursts or spread over weeks.

    Parameters
    ----------
    one_contract : all accounts send the same contract, and no SDK's defaults.
    """
    rand, habits = draft.rand, draft.habits
    tasks = rand.sample(CAPABILITY_TASKS, 3)
    chosen = [tasks[number % 3] for number in range(templates)]
    first = int(draft.days * rand.uniform(0.0, 0.15))
    several = 1 if one_contract or rand.random() < 0.5 else rand.randint(2, 4)
    contracts = [make_contract(rand, careful=True, log_output=habits.campaign_log_output) for _ in range(several)]
    models = [make_models(rand, draft.models) for _ in range(rand.choice((1, 1, 3)))]
    return Plan(
        draft=draft,
        campaign=campaign,
        role=role,
        scaffolds=[make_scaffold(task, rand) for task in chosen],
        log_outputs=[habits.campaign_log_output + (TASKS[task].log_output - 7.2) for task in chosen],
        queue=Queue(
            templates,
            WorkList(rand.getrandbits(40), 10**9, sorted(TOPICS)),
            repeat_share=habits.campaign_repeat_share,
        ),
        contracts=list(contracts),
        models=models,
        clock=_machine_clock(draft),
        first_day=first,
        last_day=max(first + 2, first + round(draft.days * 0.75)),
        domains=[pick(rand, FREE_MAIL), pick(rand, FREE_MAIL), f"{coin(rand, 3)}.example"],
        plans=[pick(rand, PLANS)] if rand.random() < 0.5 else list(PLANS),
        clients=[draft.client() for _ in range(rand.choice((1, 1, 2, 4)))],
        sign_up_days=_sign_up_days(draft, first),
    )


def _sign_up_days(draft: Draft, first: int) -> list[float]:
    """Days on which a campaign opens accounts: a few bursts, or many days over some weeks."""
    rand = draft.rand
    if rand.random() < 0.6:
        return [first - rand.uniform(0.2, 9) for _ in range(1 + draft.scaled(250) // 25)]
    weeks = rand.uniform(1, 8)
    return [first - rand.uniform(0.2, 7 * weeks) for _ in range(200)]


def _machine_clock(draft: Draft) -> Clock:
    """Hours of machines: all day with a swell, often spread evenly, often with pauses that all accounts share."""
    swell, rng = draft.rand.uniform(0, 0.8), draft.rng
    pace: Pace = "balanced" if draft.rand.random() < 0.7 else "scattered"
    pause_share = draft.rand.choice((0.0, 0.2, 0.4))
    phase = draft.rand.random() * 24
    hours = [1 + swell * float(np.cos((hour - phase) / 24 * 2 * np.pi)) for hour in range(24)]
    paused = np.zeros((draft.days, 24), dtype=bool)
    for day in range(draft.days):
        if rng.random() < pause_share:
            start = int(rng.integers(0, 22))
            paused[day, start : start + int(rng.integers(1, 6))] = True
    return Clock(hours, pace=pace, paused=paused, handover_share=0.01)


def recruit(plan: Plan, count: int, *, rate: float = 26.0) -> list[Account]:
    """Opens the accounts of a campaign: signed up in bursts (some long before), volumes as the habits say.

    Parameters
    ----------
    rate : mean requests of an account on a day of the campaign.
    """
    draft, rand = plan.draft, plan.draft.rand
    spread = draft.rng.lognormal(0, draft.habits.campaign_sigma, count)
    members = []
    for share in spread / spread.mean():
        born = -rand.uniform(60, 500) if rand.random() < draft.habits.aged_share else rand.choice(plan.sign_up_days)
        account = draft.open_account(
            kind="campaign",
            created_ms=draft.day_ms(born + rand.uniform(0, 0.3)),
            role=plan.role,
            campaign=plan.campaign,
            controller_id=plan.campaign,
            purpose="extraction",
            email_domain=pick(rand, plan.domains),
            plan=pick(rand, plan.plans),
            writer=plan.worker(),
            contract=rand.choice(plan.contracts),
            models=rand.choice(plan.models),
            clock=plan.clock,
            client=rand.choice(plan.clients),
            keys=(f"key_{rand.getrandbits(32):08x}",),
            volume=draft.flat_volume(rate * float(share), first=plan.first_day, last=plan.last_day),
            log_output_sigma=0.45,
            limited_share=0.0,
        )
        account.payment_method = draft.card()
        members.append(account)
    return members


def share_cards(draft: Draft, members: Sequence[Account], *, each: int = 8) -> None:
    """One payment card for every ``each`` accounts."""
    for first in range(0, len(members), each):
        card = draft.card()
        for account in members[first : first + each]:
            account.payment_method = card


def use_proxies(draft: Draft, members: Sequence[Account]) -> None:
    """Rotating proxies, 10 thousand for a world of 20,000 accounts."""
    pool = draft.space.scattered(draft.scaled(10_000, least=300))
    for account in members:
        account.book = Shared(pool)


def use_homes(draft: Draft, members: Sequence[Account]) -> None:
    """A new home address per session, out of 200 thousand for a world of 20,000 accounts."""
    pool = draft.space.scattered(draft.scaled(200_000, least=100_000))
    for account in members:
        account.book = Shared(pool)


def _hydra(draft: Draft, strength: float, campaign: str, role: str) -> tuple[Plan, list[Account]]:
    """Plan and accounts of E1; the other wide campaigns start from it."""
    plan = make_plan(draft, campaign, role, one_contract=role in _ONE_CONTRACT)
    members = recruit(plan, draft.scaled(250, strength=strength, least=24))
    share_cards(draft, members)
    use_proxies(draft, members)
    return plan, members


def _hidden(draft: Draft, strength: float, campaign: str, role: str) -> tuple[Plan, list[Account]]:
    """Plan and accounts of E3: as E1, from residential proxies."""
    plan = make_plan(draft, campaign, role, one_contract=role in _ONE_CONTRACT)
    members = recruit(plan, draft.scaled(250, strength=strength, least=24))
    share_cards(draft, members)
    use_homes(draft, members)
    return plan, members


def own_cards(draft: Draft, members: Sequence[Account]) -> None:
    """A card of its own for every account, of unrelated issuers."""
    for account in members:
        account.payment_method, account.issuer = draft.card(), f"bin-{draft.rand.randint(400_000, 559_999)}"


def add_hydra(draft: Draft, strength: float, campaign: str) -> None:
    """E1, wide and thin: light accounts, 12 templates, a card for 8 accounts, rotating proxies."""
    _hydra(draft, strength, campaign, "E1")


def _narrow(draft: Draft, strength: float, campaign: str, role: str, *, requests: float) -> tuple[Plan, list[Account]]:
    """Plan and accounts of E2: few, busy, over three access paths, with cards of their own."""
    count = max(5, round(12 * strength))
    plan = make_plan(draft, campaign, role, templates=2)
    busy_days = plan.last_day - plan.first_day
    total = draft.capped(requests * count * draft.days / 60, share=0.12)
    members = recruit(plan, count, rate=max(80.0, total / count / busy_days))
    paths = [draft.space.site(3), draft.space.site(2), draft.rand.sample(draft.vpn_exits, 3)]
    for index, account in enumerate(members):
        account.book = Shared(paths[index % 3])
        account.email_domain = f"{coin(draft.rand, 3)}.example"
        account.client = draft.client() if index % 3 else plan.clients[0]
    return plan, members


def add_narrow(draft: Draft, strength: float, campaign: str) -> None:
    """E2, narrow and fat: 12 busy accounts over three access paths, own cards, two templates."""
    _narrow(draft, strength, campaign, "E2", requests=10_000)


def add_residential(draft: Draft, strength: float, campaign: str) -> None:
    """E3: E1 with a fresh home address per session."""
    _hidden(draft, strength, campaign, "E3")


def add_virtual_cards(draft: Draft, strength: float, campaign: str) -> None:
    """E4: E1 with one virtual card per account, numbered in a row in batches of 20 that sign up together."""
    rand = draft.rand
    plan, members = _hydra(draft, strength, campaign, "E4")
    issuer = f"bin-{rand.randint(400_000, 559_999)}"
    for first in range(0, len(members), 20):
        serial, born = rand.randint(10_000, 10**9), plan.first_day - rand.uniform(0.2, 6)
        for step, account in enumerate(members[first : first + 20]):
            account.payment_method, account.issuer, account.serial = draft.card(), issuer, serial + step
            account.created_ms = draft.day_ms(born + rand.uniform(0, 0.1))


def add_untraced(draft: Draft, strength: float, campaign: str) -> None:
    """E5: E3 with unrelated cards; contract and shared-out work remain."""
    _, members = _hidden(draft, strength, campaign, "E5")
    own_cards(draft, members)


def reword(plan: Plan, groups: Sequence[Sequence[Account]]) -> None:
    """Paraphrases every template for each group of accounts; slots and output format stay."""
    rand = plan.draft.rand
    intents = [make_intent(rand, slot=rand.choice(("math", "logic", "code", "tool"))) for _ in range(4)]
    plan.use([word_intent(intent, rand) for intent in intents], log_output=plan.draft.habits.campaign_log_output)
    for accounts in groups:
        worker = plan.worker([word_intent(intent, rand) for intent in intents])
        for account in accounts:
            account.writer = worker


def add_paraphrase(draft: Draft, strength: float, campaign: str) -> None:
    """E6: E1 with the templates rewritten for each account; slots and output format stay."""
    plan, members = _hydra(draft, strength, campaign, "E6")
    reword(plan, [[account] for account in members])


def add_jitter(draft: Draft, strength: float, campaign: str) -> None:
    """E7: E3 at the hours of benign accounts; only pauses are common."""
    _, members = _hidden(draft, strength, campaign, "E7")
    paused = np.zeros((draft.days, 24), dtype=bool)
    for day in draft.rng.choice(draft.days, size=max(1, draft.days // 10), replace=False):
        paused[day, int(draft.rng.integers(0, 12)) :][:9] = True
    for account in members:
        benign = draft.clock()
        account.clock = dataclasses.replace(benign, paused=paused)
        account.volume = account.volume * draft.rng.lognormal(-0.1, 0.45, draft.days)


def add_dilution(draft: Draft, strength: float, campaign: str) -> None:
    """E8: E3 with most traffic bought from users of a reseller: 30, 60, 90 or 95 % at strength 0.5, 1, 2, 3."""
    share = next((share for limit, share in ((0.75, 0.3), (1.5, 0.6), (2.5, 0.9)) if strength < limit), 0.95)
    _, members = _hidden(draft, 1.0, campaign, "E8")
    crowd = make_crowd(draft, draft.scaled(1_000, least=60), templates=draft.scaled(60, least=6))
    for account in members:
        account.writer = Mixed(crowd, account.writer, share)
        account.volume = account.volume * min(3.0, 1 / (1 - share))


def add_slow_ramp(draft: Draft, strength: float, campaign: str) -> None:
    """E9: 2 requests a day, doubling weekly up to 60; all accounts on the same curve, give or take 10 %."""
    _, members = _hidden(draft, strength, campaign, "E9")
    curve = np.minimum(2 * 2 ** (np.arange(draft.days) / 7), 60.0)
    for account in members:
        account.created_ms = min(account.created_ms, draft.start_ms - DAY_MS)
        account.volume = curve * draft.rng.uniform(0.9, 1.1)


def add_aged(draft: Draft, strength: float, campaign: str) -> None:
    """E10: signed up a few a day over months, then 1 to 3 harmless requests a week, then all wake up on one day."""
    rand = draft.rand
    plan, members = _hidden(draft, strength, campaign, "E10")
    wakes = int(draft.days * rand.uniform(0.35, 0.55))
    for account in members:
        account.created_ms = draft.day_ms(wakes - rand.uniform(max(30, wakes), 120))
        account.volume[:wakes] = rand.uniform(1, 3) / 7
        account.volume[wakes:] = account.volume[plan.first_day : plan.last_day].max()
        person = make_person(rand, kind="person", log_output=draft.habits.log_output)
        account.writer = Switch(person, account.writer, draft.day_ms(wakes))


def add_regrowth(draft: Draft, strength: float, campaign: str) -> None:
    """E11: half of the accounts are banned half way; each is replaced within a day, with new card and address."""
    rand = draft.rand
    plan, members = _hidden(draft, strength, campaign, "E11")
    banned_day = draft.days // 2
    banned = members[: len(members) // 2]
    successors = recruit(plan, len(banned))
    own_cards(draft, successors)
    use_homes(draft, successors)
    for account in members:
        account.volume[plan.last_day :] = account.volume.max()
    for account, successor in zip(banned, successors, strict=True):
        account.volume[banned_day:] = 0.0
        account.tags = ("banned",)
        successor.created_ms = draft.day_ms(banned_day) + int(rand.uniform(1, 24) * HOUR_MS)
        successor.volume[:] = successor.volume.max()
        successor.volume[:banned_day] = 0.0
        successor.tags = ("successor",)


def _share_out(draft: Draft, plan: Plan, members: Sequence[Account], *, shards: int) -> None:
    """Gives every account a shard of one work list: no item goes to two accounts, none twice."""
    size = draft.scaled(200_000, least=20_000)
    items = dataclasses.replace(plan.queue.items, size=size, topics=draft.rand.sample(sorted(TOPICS), 8))
    plan.clock = dataclasses.replace(plan.clock, handover_share=0.0)
    for index, account in enumerate(members):
        shard = Queue(plan.queue.templates, items, position=index, step=shards)
        account.writer = Worker(shard, plan.scaffolds, plan.log_outputs)
        account.clock = plan.clock


def add_shards(draft: Draft, strength: float, campaign: str) -> None:
    """E12: E5 with one work list of 200,000 items shared out, no item twice."""
    plan, members = _hidden(draft, strength, campaign, "E12")
    own_cards(draft, members)
    _share_out(draft, plan, members, shards=len(members))


def add_cells(draft: Draft, strength: float, campaign: str) -> None:
    """E13: cells of 8 that share card and address; between cells only the paraphrased templates."""
    plan = make_plan(draft, campaign, "E13")
    cells = draft.scaled(25, strength=strength, least=4)
    members = recruit(plan, cells * 8)
    groups = [members[first : first + 8] for first in range(0, len(members), 8)]
    reword(plan, groups)
    for number, accounts in enumerate(groups):
        share_cards(draft, accounts)
        place, client = Shared([draft.space.anywhere(draft.rand) for _ in range(2)]), draft.client()
        for account in accounts:
            account.book, account.client, account.tags = place, client, (f"cell-{number}",)


def add_framing(draft: Draft, strength: float, campaign: str) -> None:
    """E14: E1 that takes the wrapper app's template for 30 % of its traffic and the networks of 20 of its users."""
    rand = draft.rand
    plan, members = _hydra(draft, strength, campaign, "E14")
    framed = [account for account in draft.cast if account.role == "HN-06"]
    if not framed or draft.wrapper is None:
        raise WorldError("E14 frames the customers of HN-06; this world has none. Add HN-06 to the scenarios")
    victims = rand.sample(framed, min(20, len(framed)))
    homes = [account.book.address(rand, day=0) for account in victims]
    for account in victims:
        account.tags = (*account.tags, "E14-victim")
    own = Worker(plan.queue, [draft.wrapper] * plan.queue.templates, plan.log_outputs)
    beside = Shared([draft.space.beside(home, rand) for home in homes for _ in range(4)])
    for account in members:
        account.writer = Mixed(own, account.writer, 0.3)
        account.book = Either(beside, account.book, 0.3)


def add_split(draft: Draft, strength: float, campaign: str) -> None:
    """E15: E12 of which this provider sees one third; the other items never appear here."""
    plan = make_plan(draft, campaign, "E15")
    members = recruit(plan, draft.scaled(250, strength=strength / 3, least=12))
    own_cards(draft, members)
    use_homes(draft, members)
    _share_out(draft, plan, members, shards=3 * len(members))


def add_pool_slice(draft: Draft, strength: float, campaign: str) -> None:
    """E16: a resale pool, 20 % of whose requests are an extraction queue that the relay spreads."""
    crowd = make_crowd(draft, draft.scaled(3_000, least=120), templates=draft.scaled(200, least=15))
    plan = make_plan(draft, campaign, "E16")
    count = draft.scaled(250, strength=strength, least=15)
    worker = Worker(plan.queue, plan.scaffolds, plan.log_outputs, plan.contracts[0])
    for account in make_pool(draft, crowd, count=count, role="E16", kind="resale pool"):
        account.campaign, account.purpose = campaign, "extraction"
        account.writer = Mixed(worker, account.writer, 0.2)
        account.tags = ("slice",)


def add_public_scaffold(draft: Draft, strength: float, campaign: str) -> None:
    """E17: E5 with the public templates of HN-08; only what fills them is a campaign's."""
    plan, members = _hidden(draft, strength, campaign, "E17")
    own_cards(draft, members)
    plan.use(draft.public, log_output=draft.habits.campaign_log_output)
    for account in members:
        account.writer = plan.worker()


def add_pivot(draft: Draft, strength: float, campaign: str) -> None:
    """E18: E3 that moves half of its traffic to the new model on release day."""
    plan, members = _hidden(draft, strength, campaign, "E18")
    for account in members:
        account.new_model_share = 0.5
        account.volume[plan.first_day :] = account.volume.max()


def add_adaptive(draft: Draft, strength: float, campaign: str) -> None:
    """E19: three waves of accounts, each without the evidence that gave the one before away.

    The first is E1; the second has own cards and home addresses; the third also other clients and wordings.
    """
    plan = make_plan(draft, campaign, "E19")
    each = max(8, draft.scaled(250, strength=strength, least=24) // 3)
    edges = [round(draft.days * part / 3) for part in range(4)]
    for wave in range(3):
        members = recruit(plan, each)
        share_cards(draft, members)
        use_proxies(draft, members)
        if wave > 0:
            own_cards(draft, members)
            use_homes(draft, members)
        if wave > 1:
            reword(plan, [[account] for account in members])
        for account in members:
            rate = float(account.volume.max())
            account.created_ms = draft.day_ms(edges[wave] - draft.rand.uniform(0.3, 3))
            account.volume = draft.flat_volume(rate, first=edges[wave], last=edges[wave + 1])
            account.tags = (f"wave-{wave + 1}",)
            account.client = draft.client() if wave > 1 else account.client


def add_traces(draft: Draft, strength: float, campaign: str) -> None:
    """E20: E2 that asks for reasoning traces in eight languages."""
    plan, members = _narrow(draft, strength, campaign, "E20", requests=100_000 / 12)
    slot = draft.rand.choice(("math", "logic"))
    plan.use(make_traces(draft.rand, slot=slot), log_output=draft.habits.campaign_log_output + 0.3)
    for account in members:
        account.writer = plan.worker()


CAMPAIGNS: Final[Mapping[str, Recipe]] = {
    "E1": add_hydra,
    "E2": add_narrow,
    "E3": add_residential,
    "E4": add_virtual_cards,
    "E5": add_untraced,
    "E6": add_paraphrase,
    "E7": add_jitter,
    "E8": add_dilution,
    "E9": add_slow_ramp,
    "E10": add_aged,
    "E11": add_regrowth,
    "E12": add_shards,
    "E13": add_cells,
    "E14": add_framing,
    "E15": add_split,
    "E16": add_pool_slice,
    "E17": add_public_scaffold,
    "E18": add_pivot,
    "E19": add_adaptive,
    "E20": add_traces,
}
"""Evasion to its recipe: adds one campaign of this strength under this id to the draft."""
