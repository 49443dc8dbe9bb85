"""Ordinary accounts: people, developers, authors, and apps with templates of their own.

:class:`Draft` is the world while it is being made; recipes of innocents and of campaigns start from
:meth:`Draft.open_account`, which draws an ordinary account, and change what their recipe states.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from linkage.arrays import Ints, Numbers
from linkage.terms import DAY_MS
from linkage.worlds.paraphrase import make_public
from linkage.worlds.prompts import Contract, Writer, Written, make_person
from linkage.worlds.scaffolds import APP_TASKS, TASKS, Scaffold, WorkList, make_scaffold
from linkage.worlds.traffic import Account, Client, Clock, Home, Pace, Shared, Space
from linkage.worlds.wording import TOPICS, coin, pick

ZONES: Final = (-8, -5, 0, 1, 5, 8)
"""Offsets of the six time zones, in hours; the countries of each are in :data:`COUNTRIES`."""
COUNTRIES: Final = (
    ("US", "CA"),
    ("US", "BR", "CO"),
    ("GB", "PT"),
    ("DE", "FR", "PL", "NG"),
    ("IN", "PK"),
    ("SG", "PH"),
)
MODELS: Final = ("sonata-large", "sonata-medium", "sonata-mini", "sonata-code")
NEW_MODEL: Final = "sonata-next"
ENDPOINT: Final = "/v1/chat/completions"
FREE_MAIL: Final = ("mailbox.example", "postbox.example", "quickmail.example", "letter.example", "webpost.example")
PLANS: Final = ("free", "pay-as-you-go", "pay-as-you-go", "pro", "team")

_DAY_SHAPES: Final = (
    (1, 1, 1, 1, 1, 2, 4, 8, 14, 16, 16, 14, 12, 14, 16, 16, 14, 10, 6, 5, 4, 3, 2, 1),  # office hours
    (3, 2, 1, 1, 1, 1, 2, 4, 5, 6, 6, 7, 8, 7, 6, 6, 7, 9, 11, 13, 15, 15, 11, 6),  # evenings
    (9, 7, 5, 3, 2, 1, 1, 2, 3, 5, 6, 6, 6, 6, 7, 7, 7, 7, 8, 9, 10, 11, 11, 10),  # nights
    (5, 4, 4, 4, 4, 4, 5, 6, 7, 8, 8, 8, 8, 8, 8, 8, 8, 8, 7, 7, 6, 6, 6, 5),  # served to customers
)


@dataclasses.dataclass(frozen=True, slots=True)
class Habits:
    """What differs between worlds of different seeds.

    Parameters
    ----------
    median_volume, volume_sigma : log-normal requests of an ordinary account on a day it works.
    active_share : mean share of days on which an ordinary account works (0 to 1).
    log_output : natural log of the usual output tokens.
    vpn_share, app_share, foreign_share : shares of ordinary accounts.
    repeat_share : how often people send a prompt again.
    campaign_log_output : natural log of the usual output tokens of a campaign.
    campaign_sigma : spread of volumes inside a campaign (0: all alike).
    campaign_repeat_share : how often a campaign asks for another answer to the same prompt.
    aged_share : share of campaign accounts that were bought or opened long before.
    night_share : share of the accounts of a hackathon that work through its nights.
    """

    median_volume: float
    volume_sigma: float
    active_share: float
    log_output: float
    vpn_share: float
    app_share: float
    foreign_share: float
    repeat_share: float
    campaign_log_output: float
    campaign_sigma: float
    campaign_repeat_share: float
    aged_share: float
    night_share: float = 0.0


def draw_habits(rand: random.Random) -> Habits:
    """The habits of a world, drawn at random."""
    return Habits(
        median_volume=rand.uniform(4.5, 7.5),
        volume_sigma=rand.uniform(0.9, 1.3),
        active_share=rand.uniform(0.2, 0.35),
        log_output=rand.uniform(5.3, 6.0),
        vpn_share=rand.uniform(0.03, 0.12),
        app_share=rand.uniform(0.12, 0.2),
        foreign_share=rand.uniform(0.08, 0.25),
        repeat_share=rand.uniform(0.03, 0.07),
        campaign_log_output=rand.uniform(6.5, 7.4),
        campaign_sigma=rand.uniform(0.05, 0.8),
        campaign_repeat_share=rand.uniform(0.0, 0.04),
        aged_share=rand.uniform(0.0, 0.25),
    )


@dataclasses.dataclass(slots=True)
class Mixed:
    """One of two writers, drawn anew each time: the first with chance ``share``."""

    first: Writer
    second: Writer
    share: float

    def write(self, rand: random.Random, *, at_ms: int, limited: bool) -> Written:
        """What one of the two writes."""
        writer = self.first if rand.random() < self.share else self.second
        return writer.write(rand, at_ms=at_ms, limited=limited)


@dataclasses.dataclass(slots=True)
class App:
    """Fills templates with the items of a work list, one after the other from a start of its own.

    Parameters
    ----------
    scaffolds : templates, drawn anew for each prompt.
    items : the list; many apps may share one and start elsewhere.
    position : the next item.
    log_output : natural log of the usual output tokens.
    retry_share : chance that an item is sent again.
    """

    scaffolds: Sequence[Scaffold]
    items: WorkList
    log_output: float
    position: int = 0
    retry_share: float = 0.02
    contract: Contract | None = None

    def write(self, rand: random.Random, *, at_ms: int, limited: bool) -> Written:
        """The next item in one of the templates."""
        scaffold = self.scaffolds[int(rand.random() * len(self.scaffolds))]
        text = self.items.fill(scaffold, self.position)
        if not limited and rand.random() >= self.retry_share:
            self.position += 1
        return Written(text, self.log_output, self.contract, system=scaffold.system or None)


@dataclasses.dataclass(slots=True)
class Wrapped:
    """Puts another writer's prompts into every slot of a template, as a wrapper app does.

    Parameters
    ----------
    longer : added to the natural log of the output tokens, for a template that asks for much.
    """

    scaffold: Scaffold
    inner: Writer
    longer: float = 0.0

    def write(self, rand: random.Random, *, at_ms: int, limited: bool) -> Written:
        """What the inner writer says, inside the template."""
        written = self.inner.write(rand, at_ms=at_ms, limited=limited)
        text = self.scaffold.fill([written.prompt] * len(self.scaffold.slots))
        log_output = written.log_output + self.longer
        return written._replace(prompt=text, system=self.scaffold.system or None, log_output=log_output)


@dataclasses.dataclass(slots=True)
class Crowd:
    """Many writers behind one relay; a request is one of theirs, with a contract of its own.

    Parameters
    ----------
    writers : the end users.
    names : their ids as the relay tells them; empty: it does not.
    contracts : end user ``i`` has contract ``i`` modulo their number.
    """

    writers: Sequence[Writer]
    names: Sequence[str]
    contracts: Sequence[Contract]

    def write(self, rand: random.Random, *, at_ms: int, limited: bool) -> Written:
        """What one of the end users writes."""
        number = int(rand.random() * len(self.writers))
        written = self.writers[number].write(rand, at_ms=at_ms, limited=limited)
        name = self.names[number] if self.names else None
        return written._replace(contract=self.contracts[number % len(self.contracts)], end_user=name)


class Draft:
    """A world while it is being made.

    Parameters
    ----------
    accounts, days : size of the world.
    start_ms : UTC epoch milliseconds of its first midnight.
    seed : the one source of everything random.

    Attributes
    ----------
    cast : the accounts made so far.
    budget : requests the whole world is meant to have.
    release_day : day on which the new model is out, half way.
    clients : clients by popularity.
    models : names of the models there are before the release.
    new_model : name of the one that is released.
    public : the public templates of this world.
    wrapper : the template of its wrapper app, once there is one.
    crowding : factor on the counts of innocent recipes, below 1 where all of them would fill the world.
    """

    def __init__(self, *, accounts: int, days: int, start_ms: int, seed: int) -> None:
        self.accounts, self.days, self.start_ms, self.seed = accounts, days, start_ms, seed
        self.rand = random.Random(seed)
        self.rng = np.random.default_rng(seed)
        self.habits = draw_habits(self.rand)
        self.space = Space(self.rand)
        self.cast: list[Account] = []
        # 50 requests per account in 21 days, 100 in 60 days: the sizes the scenarios ask for.
        self.budget = float(accounts * 50.0 * (days / 21) ** 0.66)
        self.release_day = days // 2
        self.clients = _make_clients(self.rand)
        self.models: Sequence[str] = MODELS
        self.new_model = NEW_MODEL
        self.vpn_exits = [address for _ in range(12) for address in self.space.site(6)]
        self.clocks = _make_clocks()
        self.public = make_public(self.rand)
        self.wrapper: Scaffold | None = None
        self.crowding = 1.0

    def ordinary(self) -> list[Account]:
        """The accounts without a recipe of their own, which overlays change."""
        return [account for account in self.cast if account.is_ordinary]

    def tag(self, account: Account, role: str, kind: str) -> None:
        """Notes that a recipe applies; the first one gives an ordinary account its role and kind."""
        account.tags = (*account.tags, role)
        if account.role == "ordinary":
            account.role, account.kind = role, kind

    def scaled(self, count: int, *, strength: float = 1.0, least: int = 12) -> int:
        """How many of a recipe written for 20,000 accounts this world gets, at least ``least``."""
        return max(least, round(count * strength * self.accounts / 20_000))

    def crowd(self, count: int, *, strength: float = 1.0, least: int = 12) -> int:
        """Like :meth:`scaled`, for innocents: they leave room for ordinary accounts."""
        return max(least, round(count * strength * self.crowding * self.accounts / 20_000))

    def capped(self, requests: float, *, share: float) -> float:
        """A recipe's total requests, at most ``share`` of the world's budget (0 to 1)."""
        return min(requests, share * self.budget)

    def day_ms(self, day: float) -> int:
        """UTC epoch milliseconds of a day number; negative days lie before the world starts."""
        return self.start_ms + int(day * DAY_MS)

    def open_account(self, *, kind: str = "person", **changes: Any) -> Account:
        """An ordinary account of this kind with the given fields changed, added to the cast.

        Parameters
        ----------
        kind : ``person``, ``developer``, ``author``, ``reader``, ``foreign``, or any other word for what
            the recipe makes of it (drawn as a person).
        changes : fields of :class:`~linkage.worlds.traffic.Account`.
        """
        rand, habits = self.rand, self.habits
        zone = int(rand.random() * len(ZONES))
        speaks = kind if kind in ("developer", "author", "reader", "foreign") else "person"
        fields: dict[str, Any] = {
            "account_id": f"acct_{rand.getrandbits(40):010x}",
            "created_ms": self.day_ms(self.days * 0.9 - rand.expovariate(1 / 200)),
            "email_domain": pick(rand, FREE_MAIL) if rand.random() < 0.7 else f"{coin(rand, 3)}.example",
            "country": pick(rand, COUNTRIES[zone]),
            "plan": pick(rand, PLANS),
            "payment_method": None if rand.random() < 0.12 else self.card(),
            "clock": self.clock(zone=zone),
            "client": self.client(),
            "contract": make_contract(rand),
            "models": make_models(rand, self.models),
            "keys": tuple(f"key_{rand.getrandbits(32):08x}" for _ in range(1 + (rand.random() < 0.15))),
            "new_model_share": rand.uniform(0.0, 0.15),
            "kind": kind,
            **changes,
        }
        if "book" not in fields:
            fields["book"] = self._home(rand)
        if "writer" not in fields:
            fields["writer"] = make_person(
                rand, kind=speaks, log_output=habits.log_output, repeat_share=habits.repeat_share
            )
        if "volume" not in fields:
            fields["volume"] = self.person_volume(born_ms=fields["created_ms"])
        if kind == "author" and "contract" not in changes:
            fields["contract"] = {**fields["contract"], "max_tokens": rand.choice((3000, 4096, 8192))}
        account = Account(**fields)
        account.controller_id = account.controller_id or f"own-{account.account_id[5:]}"
        self.cast.append(account)
        return account

    def card(self) -> str:
        """The token of a new payment card; it tells nothing about the card's number."""
        return f"pm_{self.rand.getrandbits(48):012x}"

    def client(self) -> Client:
        """A client, drawn by popularity."""
        return self.clients[min(int(self.rand.expovariate(0.14)), len(self.clients) - 1)]

    def clock(self, *, zone: int | None = None, shape: int | None = None) -> Clock:
        """The clock of a person in this zone (index into :data:`ZONES`), drawn where not given."""
        zone = int(self.rand.random() * len(ZONES)) if zone is None else zone
        shape = int(self.rand.random() * 3) if shape is None else shape
        return self.clocks[zone * len(_DAY_SHAPES) + shape]

    def person_volume(self, *, born_ms: int, mean: float | None = None) -> Numbers:
        """Expected requests per day of an ordinary account: few days at work, log-normal volume on them.

        Parameters
        ----------
        born_ms : nothing is sent before this time.
        mean : wanted mean over all days; None draws from the habits.
        """
        rng, habits, days = self.rng, self.habits, self.days
        rate = habits.median_volume * math.exp(habits.volume_sigma * rng.standard_normal())
        if rng.random() < 0.02:
            rate *= 6
        first = max(0, -((self.start_ms - born_ms) // DAY_MS)) if born_ms > self.start_ms else 0
        share = rng.beta(0.6, 0.6 / habits.active_share - 0.6)
        weekend = np.array([0.45 if day % 7 in (4, 5) else 1.0 for day in range(days)])
        works = rng.random(days) < share * weekend
        works[min(first, days - 1) + int(rng.random() * max(1, days - first - 1))] = True
        volume = np.where(works, np.minimum(rate, 250.0) * rng.lognormal(-0.15, 0.55, days), 0.0)
        volume[:first] = 0.0
        if mean is not None and volume.sum() > 0:
            volume *= mean * days / volume.sum()
        return volume

    def flat_volume(self, rate: float, *, first: float = 0, last: float | None = None) -> Numbers:
        """The same expected requests on every day from ``first`` until before ``last``."""
        volume = np.zeros(self.days)
        volume[int(first) : None if last is None else max(int(last), int(first) + 1)] = rate
        return volume

    def make_app(self, rand: random.Random, *, tasks: Sequence[str] = (), scaffolds: int = 1) -> App:
        """The writer of an app with templates of its own and a work list of its own."""
        task = pick(rand, tasks or (APP_TASKS if rand.random() < 0.8 else tuple(TASKS)))
        return App(
            scaffolds=[make_scaffold(task, rand) for _ in range(scaffolds)],
            items=WorkList(rand.getrandbits(40), 10**9, rand.sample(sorted(TOPICS), 3)),
            log_output=TASKS[task].log_output + rand.gauss(0, 0.4),
            retry_share=rand.uniform(0.0, 0.08),
        )

    def _home(self, rand: random.Random) -> Home:
        away: list[str] = []
        if rand.random() < self.habits.vpn_share:
            away = rand.sample(self.vpn_exits, 4)
        elif rand.random() < 0.4:
            away = [self.space.anywhere(rand) for _ in range(2)]
        return Home(self.space, self.space.provider(), others=away, away_share=rand.uniform(0.05, 0.6))


def make_contract(rand: random.Random, *, careful: bool = False, log_output: float | None = None) -> dict[str, Any]:
    """The request contract of an account: SDK defaults for many, choices of its own for the others.

    Parameters
    ----------
    careful : never the defaults; what somebody sets who harvests or serves.
    log_output : natural log of the usual output tokens; where that is long, ``max_tokens`` leaves room for it.
    """
    if not careful and rand.random() < 0.55:
        return {"temperature": 1.0, "max_tokens": 1024}
    contract: dict[str, Any] = {
        "temperature": rand.choice((0.0, 0.0, 0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)),
        "max_tokens": rand.choice((256, 512, 800, 1000, 1024, 1500, 2000, 2048, 3000, 4000, 4096, 6000, 8192)),
    }
    if log_output is not None and log_output > 6.2:
        contract["max_tokens"] = rand.choice((2048, 3000, 4000, 4096, 6000, 8192))
    if rand.random() < 0.3:
        contract["top_p"] = rand.choice((0.8, 0.9, 0.95, 0.99))
    if rand.random() < 0.35:
        contract["stream"] = True
    if rand.random() < 0.2:
        contract["response_format"] = "json_object"
    if rand.random() < 0.15:
        contract["stop"] = [rand.choice(("\n\n", "###", "END", "</answer>", "---"))]
    if rand.random() < 0.12:
        contract["tools"] = sorted(
            {rand.choice(("search", "calculator", "fetch", "python", "lookup")) for _ in range(3)}
        )
    return contract


def make_models(rand: random.Random, models: Sequence[str]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Which of the models an account asks for: mostly one, sometimes two."""
    names = rand.sample(models, min(1 + (rand.random() < 0.35), len(models)))
    return tuple(names), tuple(rand.uniform(0.1, 1.0) for _ in names)


def _make_clients(rand: random.Random) -> list[Client]:
    """Clients of a world, most popular first; the same library on another platform has another fingerprint."""
    found = []
    libraries = ("openai-python", "httpx", "node-fetch", "axios", "langchain", "okhttp", "curl", "go-http-client")
    for rank in range(60):
        name = pick(rand, libraries) if rank % 5 else f"{coin(rand, 2)}-sdk"
        agent = f"{name}/{rand.randint(0, 4)}.{rand.randint(0, 90)}.{rand.randint(0, 9)}"
        suites = f"t13d{rand.randint(10, 19)}{rand.randint(10, 19)}h2"
        fingerprint = f"{suites}_{rand.getrandbits(48):012x}_{rand.getrandbits(48):012x}"
        found.append(Client(agent, fingerprint if rand.random() < 0.9 else None))
    return found


def _make_clocks() -> list[Clock]:
    """One clock per time zone and shape of day."""
    paces: tuple[Pace, ...] = ("sessions", "sessions", "sessions", "scattered")
    return [
        Clock(hours=[float(shape[(hour + zone) % 24]) for hour in range(24)], pace=pace)
        for zone in ZONES
        for shape, pace in zip(_DAY_SHAPES, paces, strict=True)
    ]


def add_ordinary(draft: Draft, count: int) -> None:
    """``count`` ordinary accounts: people of several kinds, and apps with templates of their own."""
    rand, habits = draft.rand, draft.habits
    kinds = ("person", "developer", "author", "reader", "foreign", "app", "pipeline", "visitor")
    weights = (0.44, 0.13, 0.07, 0.06, habits.foreign_share, habits.app_share, 0.03, 0.08)
    for _ in range(count):
        kind = rand.choices(kinds, weights)[0]
        account = draft.open_account(kind=kind, is_ordinary=True)
        if kind == "visitor":
            account.volume = np.where(account.volume > 0, np.minimum(account.volume, 1.5), 0.0)
        if kind in ("app", "pipeline"):
            _make_served(draft, account, bulk=kind == "pipeline")


def _make_served(draft: Draft, account: Account, *, bulk: bool) -> None:
    """Turns an account into an app or a bulk pipeline: own templates, servers, hours of its customers."""
    rand = draft.rand
    app = draft.make_app(rand, scaffolds=1 + int(rand.expovariate(0.6)))
    account.writer = Mixed(app, account.writer, rand.uniform(0.6, 1.0))
    account.contract = make_contract(rand, careful=True, log_output=app.log_output)
    account.clock = draft.clock(shape=3)
    if rand.random() < 0.6:
        account.book = Shared(draft.space.site(rand.randint(1, 3)))
    if bulk:
        share = _small_share(rand)
        account.volume = draft.person_volume(born_ms=account.created_ms, mean=rand.uniform(8, 40) * share)
        account.limited_share = 0.01


def _small_share(rand: random.Random) -> float:
    """A share between 0.2 and 1, small ones more likely."""
    return 0.2 + 0.8 * rand.random() ** 2


def thin_out(draft: Draft, accounts: Sequence[Account], *, budget: float) -> None:
    """Takes days away from these accounts until they expect ``budget`` requests; the rate of a day stays.

    Some accounts keep nearly all their days and others a few, so regular and rare ones both remain. Every account
    keeps its first day. Does nothing where they expect less already.
    """
    totals = np.array([float(account.volume.sum()) for account in accounts])
    if totals.sum() <= budget:
        return
    first = np.array([float(account.volume[account.volume > 0][:1].sum()) for account in accounts])
    luck = draft.rng.random(len(accounts))
    low, high = 0.0, 60.0
    for _ in range(40):
        power = (low + high) / 2
        low, high = (power, high) if (first + (totals - first) * luck**power).sum() > budget else (low, power)
    for account, share in zip(accounts, luck**high, strict=True):
        keeps = draft.rng.random(draft.days) < share
        days: Ints = np.flatnonzero(account.volume)
        keeps[days[:1]] = True
        account.volume = np.where(keeps, account.volume, 0.0)
