"""Innocents that look like campaigns: the recipes HN-01 to HN-20.

Each recipe adds accounts to a :class:`~linkage.worlds.population.Draft`, or changes ordinary ones (an overlay).
The numbers of accounts are those for a world of 20,000; smaller worlds get their share of them.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from linkage.terms import DAY_MS
from linkage.worlds.population import App, Crowd, Draft, Mixed, Wrapped, make_contract, make_models
from linkage.worlds.prompts import Writer, make_person
from linkage.worlds.scaffolds import APP_TASKS, CAPABILITY_TASKS, TASKS, Scaffold, WorkList, make_item, make_scaffold
from linkage.worlds.traffic import Account, Clock, Home, Shared
from linkage.worlds.wording import TOPICS, coin, pick

Recipe = Callable[[Draft, float], None]


def _add(draft: Draft, role: str, what: str, **changes: Any) -> Account:
    """An ordinary account that a recipe then changes; it speaks as anybody may."""
    kind = draft.rand.choices(("person", "developer", "author", "reader", "foreign"), (6, 2, 1, 1, 1))[0]
    account = draft.open_account(kind=kind, **changes)
    account.role, account.kind = role, what
    return account


def _organization(draft: Draft) -> str:
    return f"org_{draft.rand.getrandbits(32):08x}"


def add_carrier_nat(draft: Draft, strength: float) -> None:
    """HN-01: customers of one mobile carrier behind 8 addresses, each seen on 3 to 8 of them a day."""
    pool, zone = draft.space.site(8), int(draft.rand.random() * 6)
    for _ in range(draft.crowd(2_000, strength=strength)):
        book = Shared(pool, daily=(3, 8), sticky=False)
        _add(draft, "HN-01", "carrier NAT", book=book, clock=draft.clock(zone=zone))


def add_corporate_egress(draft: Draft, strength: float) -> None:
    """HN-02: staff of one firm: two addresses, one mail domain, one payer, in-house templates for 60 %."""
    rand, pool, zone = draft.rand, draft.space.site(2), int(draft.rand.random() * 6)
    apps = [draft.make_app(rand) for _ in range(12)]
    organization, domain, payer = _organization(draft), f"{coin(rand, 3)}.example", draft.card()
    for _ in range(draft.crowd(800, strength=strength)):
        account = _add(draft, "HN-02", "corporate egress", payment_method=payer, book=Shared(pool), plan="team")
        account.organization_id, account.email_domain, account.controller_id = organization, domain, organization
        account.clock = draft.clock(zone=zone, shape=0)
        if rand.random() < 0.6:
            own = [App(app.scaffolds, app.items, app.log_output, int(rand.random() * 10**6)) for app in apps]
            account.writer = Mixed(
                Mixed(rand.choice(own), rand.choice(own), 0.7), account.writer, rand.uniform(0.2, 0.7)
            )


def add_campus(draft: Draft, strength: float) -> None:
    """HN-03: students behind 64 addresses of a campus, with cards of three issuers."""
    pool, zone = draft.space.site(64), int(draft.rand.random() * 6)
    issuers = [f"bin-{draft.rand.randint(400_000, 559_999)}" for _ in range(3)]
    for _ in range(draft.crowd(5_000, strength=strength)):
        account = _add(draft, "HN-03", "campus", clock=draft.clock(zone=zone), issuer=draft.rand.choice(issuers))
        account.email_domain = "campus.example"
        away = draft.rand.uniform(0.3, 0.9)
        account.book = Home(draft.space, draft.space.provider(), others=pool, away_share=away)


def add_classroom(draft: Draft, strength: float) -> None:
    """HN-04: one assignment template, most of it in the two days before the deadline, silence after the course."""
    rand, days = draft.rand, draft.days
    assignment = make_scaffold("tutor", rand)
    campus, zone = draft.space.site(2), int(rand.random() * 6)
    end = max(3, days * 2 // 3)
    deadline = min(end, max(2, int(days * rand.uniform(0.4, 0.6))))
    first = max(0, deadline - max(7, days // 4))
    for _ in range(draft.scaled(120, strength=strength, least=15)):
        account = _add(draft, "HN-04", "classroom", clock=draft.clock(zone=zone))
        account.created_ms = draft.day_ms(first + rand.uniform(-6, 0))
        account.email_domain = "students.example"
        account.volume = draft.flat_volume(rand.uniform(0.5, 2), first=first, last=end)
        account.volume[deadline - 2 : deadline] += float(account.volume.sum()) * 0.7 / 0.3 / 2
        account.writer = Mixed(Wrapped(assignment, account.writer), account.writer, 0.7)
        account.book = Home(draft.space, draft.space.provider(), others=campus, away_share=rand.uniform(0.1, 0.8))
        account.payment_method = None if rand.random() < 0.7 else account.payment_method


def add_cloud_egress(draft: Draft, strength: float) -> None:
    """HN-05: jobs of unrelated accounts on 400 shared runner addresses, at most 20 minutes on each at a time."""
    rand = draft.rand
    runners = [address for _ in range(8) for address in draft.space.site(max(6, draft.crowd(400, least=48) // 8))]
    for _ in range(draft.crowd(3_000, strength=strength)):
        account = _add(draft, "HN-05", "cloud egress", book=Shared(runners), clock=draft.clock(shape=3))
        app = draft.make_app(rand)
        account.writer = Mixed(app, account.writer, rand.uniform(0.3, 1.0))
        account.contract = make_contract(rand, careful=True, log_output=app.log_output)


def add_wrapper_app(draft: Draft, strength: float) -> None:
    """HN-06: customers of an app that bring their own key, with one template, and of up to three smaller apps.

    The smaller ones have 15 to 400 customers and one to five tools; some were launched a few days ago, so that their
    customers signed up together, and some have lines about the customer in every prompt.
    """
    rand = draft.rand
    scaffold = make_scaffold("essay", rand)
    draft.wrapper = scaffold
    _add_customers(draft, [scaffold], "essay", draft.crowd(4_000, strength=strength))
    # A world of a few hundred accounts has no room for apps besides.
    for _ in range(min(3, draft.accounts // 500)):
        task = rand.choice(CAPABILITY_TASKS if rand.random() < 0.5 else APP_TASKS)
        tools = [make_scaffold(task, rand) for _ in range(rand.choice((1, 1, 2, 5)))]
        launch = draft.day_ms(rand.uniform(-4, 0.4 * draft.days)) if rand.random() < 0.4 else None
        count = min(int(15 * 27 ** rand.random()), draft.crowd(1_200, strength=strength))
        _add_customers(draft, tools, task, count, launch_ms=launch)


def _add_customers(draft: Draft, tools: list[Scaffold], task: str, count: int, *, launch_ms: int | None = None) -> None:
    rand, client, models = draft.rand, draft.client(), make_models(draft.rand, draft.models)
    is_personal = len(tools) > 1 and draft.rand.random() < 0.5
    contract = make_contract(rand, careful=True, log_output=TASKS[task].log_output)
    for _ in range(count):
        account = _add(draft, "HN-06", "wrapper app", client=client, contract=contract)
        own = [_with_profile(tool, rand) for tool in tools] if is_personal else tools
        wrapped: Writer = Wrapped(rand.choice(own), account.writer, longer=0.5)
        if len(tools) > 1:
            wrapped = Mixed(wrapped, Wrapped(rand.choice(own), account.writer, longer=0.5), 0.6)
        account.writer = Mixed(wrapped, account.writer, 0.95)
        if len(tools) > 1 or launch_ms is not None:
            account.models = models
        if launch_ms is not None:
            account.created_ms = launch_ms + int(DAY_MS * rand.expovariate(1.0))
            account.volume = draft.person_volume(born_ms=account.created_ms)


def _with_profile(tool: Scaffold, rand: random.Random) -> Scaffold:
    """The tool as a customer of its own sees it: with lines about the customer, the same in every prompt."""
    about = " ".join(make_item(rand.choice(("ticket", "question")), rand).split()[: rand.randint(8, 30)])
    return dataclasses.replace(tool, pieces=(f"{tool.pieces[0]}\nAbout the customer: {about}\n", *tool.pieces[1:]))


def make_crowd(draft: Draft, count: int, *, templates: int = 0, names: bool = False) -> Crowd:
    """End users of a reseller: people of all kinds, and apps with ``templates`` templates between them.

    Parameters
    ----------
    names : requests tell an end-user id.
    """
    rand, habits = draft.rand, draft.habits
    kinds = ("person", "developer", "author", "reader", "foreign")
    writers: list[Writer] = [
        make_person(rand, kind=rand.choices(kinds, (5, 2, 1, 1, 1))[0], log_output=habits.log_output)
        for _ in range(max(count, 2))
    ]
    writers += [draft.make_app(rand) for _ in range(templates)]
    ids = tuple(f"eu_{rand.getrandbits(32):08x}" for _ in writers) if names else ()
    contracts = [make_contract(rand) for _ in range(40)]
    return Crowd(writers, ids, contracts)


def add_aggregator(draft: Draft, strength: float) -> None:
    """HN-07: a licensed reseller with 40 keys, 300 templates, all models, and end-user ids in its requests."""
    rand, organization = draft.rand, _organization(draft)
    crowd = make_crowd(draft, draft.scaled(3_000, least=60), templates=draft.scaled(300, least=40), names=True)
    servers, card, domain = draft.space.site(4), draft.card(), f"{coin(rand, 3)}.example"
    total = draft.capped(60_000.0 * draft.days, share=0.04 * strength)
    for _ in range(4):
        account = _add(draft, "HN-07", "aggregator", payment_method=card, book=Shared(servers), purpose="resale")
        account.organization_id, account.email_domain, account.controller_id = organization, domain, organization
        account.keys = tuple(f"key_{rand.getrandbits(32):08x}" for _ in range(10))
        account.models = (("sonata-large", "sonata-medium", "sonata-mini", "sonata-code"), (3.0, 3.0, 2.0, 1.0))
        account.writer, account.clock, account.plan = crowd, draft.clock(shape=3), "contract"
        account.created_ms = draft.day_ms(-rand.uniform(100, 400))
        account.volume = draft.flat_volume(total / 4 / draft.days)


def mark_public_templates(draft: Draft, strength: float) -> None:
    """HN-08 (overlay): 20 % of ordinary accounts use one of 15 public templates for 10 to 90 % of their traffic."""
    rand = draft.rand
    for account in draft.ordinary():
        if rand.random() < 0.2 * strength:
            items = WorkList(rand.getrandbits(40), 10**9, rand.sample(sorted(TOPICS), 3))
            app = App([rand.choice(draft.public)], items, draft.habits.log_output + rand.gauss(0.2, 0.5))
            account.writer = Mixed(app, account.writer, rand.uniform(0.1, 0.9))
            draft.tag(account, "HN-08", "public template")


def add_benchmark(draft: Draft, strength: float) -> None:
    """HN-09: many run the same benchmark, same order, temperature 0, within 72 hours of the release."""
    rand = draft.rand
    count = draft.scaled(200, strength=strength, least=15)
    size = max(40, int(draft.capped(14_000.0 * count * 2, share=0.03) / count / 2))
    scaffold = make_scaffold(rand.choice(("math", "logic", "coding")), rand)
    items = WorkList(rand.getrandbits(40), size, sorted(TOPICS))
    first = min(draft.release_day, draft.days - 2)
    for _ in range(count):
        account = _add(draft, "HN-09", "benchmark harness", clock=draft.clock(shape=3))
        account.created_ms = draft.day_ms(min(0.0, -rand.expovariate(1 / 200)))
        account.contract = {"temperature": 0.0, "max_tokens": 2048}
        account.models, account.new_model_share = (("sonata-large",), (1.0,)), 1.0
        account.writer = App([scaffold], items, 6.2, retry_share=0.0)
        account.volume = draft.flat_volume(
            size * rand.randint(1, 3) / min(3, draft.days - first), first=first, last=first + 3
        )


def add_hackathon(draft: Draft, strength: float) -> None:
    """HN-10: sign-ups within 48 hours at a venue, one starter template, credit instead of cards, soon silent."""
    rand = draft.rand
    venue, starter, client = draft.space.site(2), make_scaffold("agent", rand), draft.client()
    first = int(draft.days * rand.uniform(0.1, 0.5))
    for _ in range(draft.scaled(300, strength=strength, least=18)):
        account = _add(draft, "HN-10", "hackathon", payment_method=None, client=client, plan="promo")
        account.created_ms = draft.day_ms(first + rand.uniform(0, 0.9))
        stays = rand.random() >= 0.8
        account.volume = draft.flat_volume(rand.uniform(8, 40), first=first, last=first + 3)
        if stays:
            account.volume[first + 3 :] = rand.uniform(0.3, 3)
        account.writer = Mixed(Wrapped(starter, account.writer), account.writer, rand.uniform(0.3, 0.8))
        account.book = Home(draft.space, draft.space.provider(), others=venue, away_share=0.85)
        if draft.habits.night_share and rand.random() < draft.habits.night_share:
            account.clock = Clock([1.0] * 24, pace="scattered")


def add_shared_cards(draft: Draft, strength: float) -> None:
    """HN-11: households and teams of 2 to 5 accounts on one card, elsewhere half the time."""
    rand = draft.rand
    for number in range(draft.crowd(400, strength=strength, least=6)):
        card, zone, provider = draft.card(), int(rand.random() * 6), draft.space.provider()
        place = [draft.space.home(rand, provider)]
        for _ in range(rand.randint(2, 5)):
            account = _add(draft, "HN-11", "shared card", payment_method=card, clock=draft.clock(zone=zone))
            account.controller_id = f"household-{number}"
            account.book = Home(draft.space, draft.space.provider(), others=place, away_share=0.5)


def add_agency(draft: Draft, strength: float) -> None:
    """HN-12: an agency pays with one card for its clients, whose templates and domains are unrelated."""
    rand = draft.rand
    card, office, clock = draft.card(), draft.space.site(1), draft.clock(shape=0)
    for _ in range(draft.scaled(30, strength=strength)):
        account = _add(draft, "HN-12", "agency", payment_method=card, clock=clock, controller_id="agency")
        account.email_domain = f"{coin(rand, 3)}.example"
        app = draft.make_app(rand)
        account.writer = Mixed(app, account.writer, rand.uniform(0.6, 0.95))
        account.contract = make_contract(rand, careful=True, log_output=app.log_output)
        account.book = Home(draft.space, draft.space.provider(), others=office, away_share=rand.uniform(0.5, 0.95))


def mark_common_client(draft: Draft, strength: float) -> None:
    """HN-13 (overlay): 40 % of ordinary accounts have the same client and the defaults of its SDK."""
    for account in draft.ordinary():
        if draft.rand.random() < 0.4 * strength:
            account.client = draft.clients[0]
            account.contract = {"temperature": 1.0, "max_tokens": 1024}
            draft.tag(account, "HN-13", "common client")


def mark_cron(draft: Draft, strength: float) -> None:
    """HN-14 (overlay): 15 % of ordinary accounts send everything within 3 s of the same :00 or :30 every day."""
    rand = draft.rand
    clocks = [Clock(np.eye(24)[hour].tolist(), pace="cron", minute=minute) for hour in range(24) for minute in (0, 30)]
    for account in draft.ordinary():
        if rand.random() < 0.15 * strength:
            account.clock = rand.choice(clocks)
            account.writer = draft.make_app(rand)
            account.contract = make_contract(rand, careful=True, log_output=account.writer.log_output)
            first = max(0, (account.created_ms - draft.start_ms) // DAY_MS + 1)
            rate = max(1.0, float(account.volume.sum()) / draft.days)
            account.volume = draft.flat_volume(rate, first=min(first, draft.days - 1))
            draft.tag(account, "HN-14", "cron")


def mark_release_day(draft: Draft, strength: float) -> None:
    """HN-15 (overlay): 30 to 50 % of benign traffic moves to the new model within 24 hours."""
    for account in draft.cast:
        if not account.campaign:
            account.new_model_share = min(1.0, max(account.new_model_share, draft.rand.uniform(0.2, 0.6) * strength))
            account.tags = (*account.tags, "HN-15")


def add_virtual_cards(draft: Draft, strength: float) -> None:
    """HN-16: customers of two fintechs, signed up evenly over the world's days."""
    issuers = [f"bin-{draft.rand.randint(400_000, 559_999)}" for _ in range(2)]
    for _ in range(draft.crowd(1_500, strength=strength)):
        born_ms = draft.day_ms(draft.rand.uniform(0, draft.days - 0.5))
        account = _add(draft, "HN-16", "virtual card", created_ms=born_ms, payment_method=draft.card())
        account.issuer = draft.rand.choice(issuers)


def add_startup(draft: Draft, strength: float) -> None:
    """HN-17: the six accounts of a start-up: same card, addresses and templates, much traffic, broad topics."""
    rand, card, servers = draft.rand, draft.card(), draft.space.site(3)
    tasks = rand.sample(("support", "answer", "digest", "extract", "lint", "describe", "tutor"), 5)
    apps = [draft.make_app(rand, tasks=[task], scaffolds=2) for task in tasks]
    client, contract, domain = draft.client(), make_contract(rand, careful=True), f"{coin(rand, 3)}.example"
    organization = _organization(draft) if rand.random() < 0.5 else None
    total = draft.capped(20_000.0 * draft.days, share=0.03 * strength)
    born_ms = draft.day_ms(-rand.uniform(20, 300))
    for share in (0.03, 0.07, 0.35, 0.3, 0.15, 0.1):
        account = _add(draft, "HN-17", "start-up", payment_method=card, client=client, contract=contract)
        account.organization_id, account.email_domain, account.controller_id = organization, domain, "start-up"
        account.created_ms = born_ms + int(rand.random() * 10 * DAY_MS)
        account.book, account.clock = Shared(servers), draft.clock(shape=3)
        account.volume = draft.flat_volume(total * share / draft.days)
        account.writer = Mixed(rand.choice(apps), Mixed(rand.choice(apps), account.writer, 0.8), 0.5)


def add_permitted(draft: Draft, strength: float) -> None:
    """HN-18: a research organization whose contract permits distillation: three accounts, narrow, much traffic."""
    rand, organization, servers = draft.rand, _organization(draft), draft.space.site(2)
    app = draft.make_app(rand, tasks=[pick(rand, CAPABILITY_TASKS)], scaffolds=3)
    total = draft.capped(500_000.0, share=0.03 * strength)
    contract = make_contract(rand, careful=True, log_output=app.log_output)
    card, domain = draft.card(), f"{coin(rand, 3)}.example"
    for _ in range(3):
        account = _add(draft, "HN-18", "permitted distillation", payment_method=card, contract=contract)
        account.organization_id, account.email_domain, account.controller_id = organization, domain, organization
        account.plan, account.purpose, account.writer = "contract", "extraction", app
        account.created_ms = draft.day_ms(-rand.uniform(100, 400))
        account.book, account.clock = Shared(servers), draft.clock(shape=3)
        account.volume = draft.flat_volume(total / 3 / draft.days)


def add_nomads(draft: Draft, strength: float) -> None:
    """HN-19: single travellers who appear in 5 to 15 countries a month through shared VPN exits."""
    for _ in range(draft.scaled(300, strength=strength)):
        exits = draft.rand.sample(draft.vpn_exits, draft.rand.randint(5, 15))
        _add(draft, "HN-19", "nomad on VPN", book=Shared(exits, daily=(1, 3)))


def make_pool(draft: Draft, crowd: Crowd, *, count: int, role: str, kind: str) -> list[Account]:
    """The accounts of a resale pool: one relay, a proxy for each, hand-over at the quota edge."""
    rand = draft.rand
    hours = draft.clock(shape=1).hours
    clock = Clock(hours, pace="balanced", handover_share=0.03)
    client, models = draft.client(), (("sonata-large", "sonata-medium"), (3.0, 1.0))
    total = draft.capped(count * 30.0 * draft.days, share=0.06)
    bursts = [-rand.uniform(2, 90) for _ in range(1 + count // 20)]
    members = []
    for _ in range(count):
        account = draft.open_account(kind="pool", client=client, models=models, clock=clock, writer=crowd)
        account.role, account.kind, account.purpose = role, kind, "resale"
        account.controller_id = f"{role}-relay"
        account.created_ms = draft.day_ms(rand.choice(bursts) + rand.uniform(0, 0.4))
        account.book = Shared([draft.space.anywhere(rand)])
        account.volume = draft.flat_volume(total / count / draft.days * rand.uniform(0.6, 1.4))
        account.limited_share = 0.0
        members.append(account)
    return members


def add_resale_pool(draft: Draft, strength: float) -> None:
    """HN-20: 250 accounts behind one relay that resells them to 3,000 end users with diverse prompts."""
    crowd = make_crowd(draft, draft.scaled(3_000, least=120), templates=draft.scaled(200, least=15))
    make_pool(draft, crowd, count=draft.scaled(250, strength=strength, least=15), role="HN-20", kind="resale pool")


@dataclasses.dataclass(frozen=True, slots=True)
class Innocent:
    """A recipe, how many accounts it adds to a world of 20,000 (0: it changes others), and whether it is an overlay."""

    recipe: Recipe
    accounts: int = 0

    @property
    def is_overlay(self) -> bool:
        """Whether it changes ordinary accounts instead of adding accounts."""
        return self.accounts == 0


INNOCENTS: Final[Mapping[str, Innocent]] = {
    "HN-01": Innocent(add_carrier_nat, 2_000),
    "HN-02": Innocent(add_corporate_egress, 800),
    "HN-03": Innocent(add_campus, 5_000),
    "HN-04": Innocent(add_classroom, 120),
    "HN-05": Innocent(add_cloud_egress, 3_000),
    "HN-06": Innocent(add_wrapper_app, 4_000),
    "HN-07": Innocent(add_aggregator, 4),
    "HN-08": Innocent(mark_public_templates),
    "HN-09": Innocent(add_benchmark, 200),
    "HN-10": Innocent(add_hackathon, 300),
    "HN-11": Innocent(add_shared_cards, 1_400),
    "HN-12": Innocent(add_agency, 30),
    "HN-13": Innocent(mark_common_client),
    "HN-14": Innocent(mark_cron),
    "HN-15": Innocent(mark_release_day),
    "HN-16": Innocent(add_virtual_cards, 1_500),
    "HN-17": Innocent(add_startup, 6),
    "HN-18": Innocent(add_permitted, 3),
    "HN-19": Innocent(add_nomads, 300),
    "HN-20": Innocent(add_resale_pool, 250),
}
"""Recipe of every kind of innocent."""
