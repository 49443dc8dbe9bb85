"""What a simulated account is: who pays, when it works, from where, with what, and what it writes."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from typing import Final, Literal, Protocol

import numpy as np
import numpy.typing as npt

from linkage.arrays import Ints, Numbers
from linkage.errors import WorldError
from linkage.terms import DAY_MS, HOUR_MS
from linkage.worlds.prompts import Contract, Writer
from linkage.worlds.wording import pick

Purpose = Literal["normal", "resale", "extraction"]
Pace = Literal["sessions", "scattered", "balanced", "cron"]

SESSION_MS: Final = 20 * 60_000
"""Length of a sticky proxy session: the middle of the 10 to 30 minutes that proxy sellers offer."""
BLOCKS: Final = [*range(23, 96), *range(103, 110), *range(128, 169), *range(173, 192)]
"""First octets of simulated addresses; none of them is private, shared or reserved as a whole."""


def _address(number: int) -> str:
    return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


class Space:
    """The address space of one world: home providers, and networks that are handed out once.

    Parameters
    ----------
    rand : where all draws come from.
    providers : number of home providers; each owns three /16.
    """

    def __init__(self, rand: random.Random, *, providers: int = 60) -> None:
        blocks: list[int] = [first << 24 | second << 16 for first in BLOCKS for second in range(256)]
        rand.shuffle(blocks)
        self._rand = rand
        self._homes = [blocks[3 * index : 3 * index + 3] for index in range(providers)]
        self._free: list[int] = blocks[3 * providers :]
        self._networks = 0

    def provider(self) -> int:
        """The number of a home provider; some have many more customers than others."""
        return min(int(self._rand.expovariate(4 / len(self._homes))), len(self._homes) - 1)

    def home(self, rand: random.Random, provider: int) -> str:
        """An address of this provider, as a home connection has it."""
        return _address(pick_int(rand, self._homes[provider]) | int(rand.random() * 65_280) + 128)

    def anywhere(self, rand: random.Random) -> str:
        """A home address of any provider."""
        return self.home(rand, int(rand.random() * len(self._homes)))

    def network(self) -> int:
        """A /24 that nobody else gets, as the number of its first address.

        Raises
        ------
        WorldError : all networks of the world are handed out.
        """
        self._networks += 1
        block, inside = divmod(self._networks * 7, 256)
        if block >= len(self._free):
            raise WorldError("wanted another /24 network; the simulated address space is used up. Fewer accounts")
        return self._free[block] | inside << 8

    def site(self, count: int) -> list[str]:
        """``count`` addresses of one organization: neighbours in as few new /24 as will do."""
        found: list[str] = []
        while len(found) < count:
            network, first = self.network(), 1 + int(self._rand.random() * 40)
            found += [_address(network | first + step) for step in range(min(count - len(found), 200))]
        return found

    def scattered(self, count: int) -> list[str]:
        """``count`` distinct home addresses all over the world, such as a proxy seller has."""
        found: dict[str, None] = {}
        while len(found) < count:
            found[self.anywhere(self._rand)] = None
        return list(found)

    def beside(self, address: str, rand: random.Random) -> str:
        """An address in the /24 of the given one."""
        return f"{address.rsplit('.', 1)[0]}.{1 + int(rand.random() * 254)}"


def pick_int(rand: random.Random, choices: Sequence[int]) -> int:
    """One of the numbers, each as likely as the others."""
    return choices[int(rand.random() * len(choices))]


class Book(Protocol):
    """Where an account's requests come from."""

    sticky: bool
    """True: one address per session; False: a new draw for every request."""

    def address(self, rand: random.Random, *, day: int) -> str:
        """The address of the next session (or request)."""
        ...


@dataclasses.dataclass(slots=True)
class Home:
    """A home connection whose address changes now and then, and places its owner goes to.

    Parameters
    ----------
    space, provider : where new addresses come from.
    drift : chance per day that the provider gives another address (0 to 1).
    others : further addresses, such as an office or a VPN exit.
    away_share : how often a session comes from one of ``others`` (0 to 1).
    """

    space: Space
    provider: int
    drift: float = 0.03
    others: Sequence[str] = ()
    away_share: float = 0.0
    sticky: bool = True
    _current: str = ""
    _day: int = 0

    def address(self, rand: random.Random, *, day: int) -> str:
        """The home address of that day, or one of the other places."""
        if self.others and rand.random() < self.away_share:
            return pick(rand, self.others)
        if not self._current or (day > self._day and rand.random() > (1 - self.drift) ** (day - self._day)):
            self._current = self.space.home(rand, self.provider)
        self._day = day
        return self._current


@dataclasses.dataclass(slots=True)
class Shared:
    """A pool that many accounts use; each sees only some of it on one day.

    Parameters
    ----------
    pool : all addresses.
    daily : least and most addresses one account sees on a day; (0, 0) for no such limit.
    """

    pool: Sequence[str]
    daily: tuple[int, int] = (0, 0)
    sticky: bool = True
    _day: int = -1
    _today: Sequence[str] = ()

    def address(self, rand: random.Random, *, day: int) -> str:
        """One of today's addresses of the pool."""
        if not self.daily[1]:
            return pick(rand, self.pool)
        if day != self._day:
            count = min(rand.randint(*self.daily), len(self.pool))
            self._today, self._day = rand.sample(self.pool, count), day
        return pick(rand, self._today)


@dataclasses.dataclass(slots=True)
class Either:
    """One of two books, drawn anew each time: the first with chance ``share``."""

    first: Book
    second: Book
    share: float
    sticky: bool = True

    def address(self, rand: random.Random, *, day: int) -> str:
        """An address of one of the two."""
        book = self.first if rand.random() < self.share else self.second
        return book.address(rand, day=day)


@dataclasses.dataclass(frozen=True, slots=True)
class Client:
    """User agent and TLS fingerprint of the software an account uses."""

    user_agent: str
    tls_fingerprint: str | None


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """When accounts work. Accounts with the same clock share its hours, pauses and pace.

    Parameters
    ----------
    hours : 24 weights, one per UTC hour.
    pace : ``sessions`` (bouts of a person), ``scattered`` (independent), ``balanced`` (each account's requests
        spread evenly over the hours, as a load balancer does) or ``cron`` (the same minutes every day).
    gap_ms : mean time from the start of a session to a request of it.
    per_session : requests in a usual session.
    paused : day by hour; True where nothing is sent.
    minute : minute of the hour at which a ``cron`` clock fires.
    handover_share : share of requests refused with status 429 and handed to the next account of the clock.
    """

    hours: Sequence[float]
    pace: Pace = "sessions"
    gap_ms: float = 300_000.0
    per_session: int = 5
    paused: npt.NDArray[np.bool_] | None = None
    minute: int = 0
    handover_share: float = 0.0

    def times(self, rng: np.random.Generator, counts: Ints, *, day: int) -> tuple[Ints, Ints]:
        """Milliseconds since midnight and session number of every request of one day.

        Parameters
        ----------
        counts : requests of each account on this day.
        day : day number of the world, from 0.

        Returns
        -------
        Two arrays with ``counts.sum()`` entries, account after account.
        """
        total = int(counts.sum())
        row = np.repeat(np.arange(len(counts)), counts)
        if self.pace == "sessions":
            return self._sessions(rng, counts, row, day=day)
        chance = rng.random(total)
        if self.pace == "balanced":
            rank = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
            chance = (rank + chance) / counts[row]
        at = self._at(chance, day=day)
        if self.pace == "cron":
            at = np.floor(at / HOUR_MS) * HOUR_MS + self.minute * 60_000 + rng.uniform(0, 2_900, total)
        at_ms = np.minimum(at, DAY_MS - 1).astype(np.int64)
        return at_ms, at_ms // SESSION_MS

    def _sessions(self, rng: np.random.Generator, counts: Ints, row: Ints, *, day: int) -> tuple[Ints, Ints]:
        sessions = (counts + self.per_session - 1) // self.per_session
        first = np.cumsum(sessions) - sessions
        starts = self._at(rng.random(int(sessions.sum())), day=day)
        which = np.floor(rng.random(len(row)) * sessions[row]).astype(np.int64)
        at = starts[first[row] + which] + rng.exponential(self.gap_ms, len(row))
        return np.minimum(at, DAY_MS - 1).astype(np.int64), which

    def _at(self, chance: Numbers, *, day: int) -> Numbers:
        weights = np.asarray(self.hours, dtype=np.float64)
        if self.paused is not None:
            weights = np.where(self.paused[day], 0.0, weights)
        if not weights.any():
            weights = np.asarray(self.hours, dtype=np.float64)
        edges = np.concatenate([[0.0], np.cumsum(weights) / weights.sum()])
        return np.asarray(np.interp(chance, edges, np.arange(25.0)) * HOUR_MS, dtype=np.float64)


@dataclasses.dataclass(slots=True, eq=False)
class Account:
    """One account of a world with its truth, its habits and its volume.

    Parameters
    ----------
    volume : expected requests of every day of the world.
    role : ``ordinary``, the id of an innocent recipe or the id of an evasion.
    kind : what it is, in words (``classroom``, ``person``, ...).
    campaign : id of the campaign, empty for innocents.
    models : names and weights of the models it asks for.
    new_model_share : share of its requests that go to the new model once that is out.
    limited_share : share of its requests refused with status 429.
    issuer, serial : batch and number of the payment card as its issuer knows them; kept in the truth only.
    tags : further recipes that apply, such as a public template.
    is_ordinary : overlays may change it.
    """

    account_id: str
    created_ms: int
    email_domain: str
    country: str
    plan: str
    volume: Numbers
    writer: Writer
    book: Book
    client: Client
    clock: Clock
    contract: Contract
    models: tuple[tuple[str, ...], tuple[float, ...]]
    keys: tuple[str, ...]
    organization_id: str | None = None
    payment_method: str | None = None
    role: str = "ordinary"
    kind: str = "person"
    campaign: str = ""
    controller_id: str = ""
    purpose: Purpose = "normal"
    issuer: str = ""
    serial: int = 0
    new_model_share: float = 0.0
    limited_share: float = 0.002
    log_output_sigma: float = 0.6
    tags: tuple[str, ...] = ()
    is_ordinary: bool = False
