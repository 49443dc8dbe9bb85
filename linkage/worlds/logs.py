"""Turns the accounts of a draft into request records, day by day and in time order."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from linkage.arrays import Ints
from linkage.terms import DAY_MS
from linkage.worlds.population import ENDPOINT, Draft
from linkage.worlds.prompts import Written
from linkage.worlds.traffic import SESSION_MS, Account, Clock

FAILURES: Final = (500, 503, 400)
_FAILED_SHARE: Final = 0.004


def write_requests(draft: Draft, path: Path) -> Ints:
    """Writes the canonical request records of a world, gzip-compressed, one JSON object a line.

    Returns
    -------
    How many requests each account of the draft sent, in its order.
    """
    rand = random.Random(draft.seed + 1)
    schedule = _Schedule(draft)
    with path.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=3, fileobj=raw, mtime=0) as packed:
        for day in range(draft.days):
            packed.writelines(_day_lines(draft, schedule, rand, day=day))
    return schedule.sent


class _Schedule:
    """Who sends when: draws counts and times of a day for all accounts at once."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._rng = np.random.default_rng([draft.seed, 1])
        self._volume = np.stack([account.volume for account in draft.cast]).astype(np.float32)
        self._limited = np.array([account.limited_share for account in draft.cast])
        self._born = np.array([account.created_ms for account in draft.cast], dtype=np.int64)
        self._clocks = _accounts_by_clock(draft.cast)
        busy = self._volume > 0
        self._last_day = np.where(busy.any(axis=1), draft.days - 1 - np.argmax(busy[:, ::-1], axis=1), draft.days - 1)
        self.sent: Ints = np.zeros(len(draft.cast), dtype=np.int64)

    def day(self, day: int) -> tuple[Ints, Ints, Ints, Ints]:
        """Account index, milliseconds of the day, session and refusal (0 or 1) of every request, by time."""
        counts = self._rng.poisson(self._volume[:, day]).astype(np.int64)
        counts[(self._last_day == day) & (self.sent == 0) & (counts == 0)] = 1
        parts = [self._clock_day(clock, members, counts[members], day) for clock, members in self._clocks]
        rows, at_ms, session, limited = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        at_ms = self._after_birth(rows, at_ms, day)
        self.sent += np.bincount(rows, minlength=len(self.sent))
        order = np.lexsort((rows, at_ms))
        return rows[order], at_ms[order], session[order], limited[order]

    def _after_birth(self, rows: Ints, at_ms: Ints, day: int) -> Ints:
        """Moves what would be sent before its account was opened to somewhere later that day."""
        born = np.clip(self._born[rows] - self._draft.day_ms(day), 0, DAY_MS - 1)
        early = np.flatnonzero(at_ms < born)
        left = DAY_MS - born[early]
        at_ms[early] = born[early] + (self._rng.random(len(early)) * left).astype(np.int64)
        return at_ms

    def _clock_day(self, clock: Clock, members: Ints, counts: Ints, day: int) -> tuple[Ints, Ints, Ints, Ints]:
        at_ms, session = clock.times(self._rng, counts, day=day)
        rows = np.repeat(members, counts)
        limited = (self._rng.random(len(rows)) < self._limited[rows]).astype(np.int64)
        active = members[counts > 0]
        if clock.handover_share and len(active) > 1:
            rows, at_ms, session, limited = self._hand_over(clock, active, (rows, at_ms, session, limited))
        return rows, at_ms, session, limited

    def _hand_over(
        self, clock: Clock, members: Ints, requests: tuple[Ints, Ints, Ints, Ints]
    ) -> tuple[Ints, Ints, Ints, Ints]:
        """Refuses some requests; the next account of the clock sends each again after a second or two."""
        rows, at_ms, session, limited = requests
        refused = np.flatnonzero(self._rng.random(len(rows)) < clock.handover_share)
        limited[refused] = 1
        place = np.searchsorted(members, rows[refused])
        takers = members[(place + 1) % len(members)]
        again = np.minimum(at_ms[refused] + self._rng.integers(400, 2_500, len(refused)), DAY_MS - 1)
        return (
            np.concatenate([rows, takers]),
            np.concatenate([at_ms, again]),
            np.concatenate([session, again // SESSION_MS]),
            np.concatenate([limited, np.zeros(len(refused), dtype=np.int64)]),
        )


def _accounts_by_clock(cast: list[Account]) -> list[tuple[Clock, Ints]]:
    members: dict[int, list[int]] = {}
    clocks: dict[int, Clock] = {}
    for index, account in enumerate(cast):
        clocks[id(account.clock)] = account.clock
        members.setdefault(id(account.clock), []).append(index)
    return [(clocks[key], np.array(indexes, dtype=np.int64)) for key, indexes in members.items()]


def _day_lines(draft: Draft, schedule: _Schedule, rand: random.Random, *, day: int) -> Iterator[bytes]:
    rows, at_ms, session, limited = schedule.day(day)
    rng = np.random.default_rng([draft.seed, 2, day])
    stamps = np.datetime_as_string((at_ms + draft.day_ms(day)).astype("datetime64[ms]"), unit="ms")
    noise, failed = rng.standard_normal((2, len(rows))), rng.random(len(rows)) < _FAILED_SHARE
    places: dict[tuple[int, int], str] = {}
    for index, (row, visit, refused) in enumerate(zip(rows.tolist(), session.tolist(), limited.tolist(), strict=True)):
        account = draft.cast[row]
        ip = places.get((row, visit)) if account.book.sticky else None
        if ip is None:
            ip = places[row, visit] = account.book.address(rand, day=day)
        at = draft.day_ms(day) + int(at_ms[index])
        written = account.writer.write(rand, at_ms=at, limited=bool(refused))
        status = 429 if refused else rand.choice(FAILURES) if failed[index] else 200
        record = _record(draft, account, written, rand, status=status, day=day, noise=noise[:, index].tolist())
        record["timestamp"], record["ip"] = f"{stamps[index]}Z", ip
        yield orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


def _record(
    draft: Draft,
    account: Account,
    written: Written,
    rand: random.Random,
    *,
    status: int,
    day: int,
    noise: list[float],
) -> dict[str, Any]:
    contract = account.contract if written.contract is None else written.contract
    output = int(np.exp(min(written.log_output + account.log_output_sigma * noise[0], 12))) + 1
    output = min(output, contract.get("max_tokens", 8192)) if status == 200 else 0
    record: dict[str, Any] = {
        "timestamp": "",
        "request_id": f"req_{rand.getrandbits(64):016x}",
        "account_id": account.account_id,
        "api_key_id": account.keys[int(rand.random() * len(account.keys))],
        "ip": "",
        "user_agent": account.client.user_agent,
        "tls_fingerprint": account.client.tls_fingerprint,
        "model": _model(draft, account, rand, day=day),
        "endpoint": ENDPOINT,
        "prompt": written.prompt,
        "input_tokens": int(len(written.prompt) / 4.1 * (1 + 0.03 * noise[1])) + 8,
        "output_tokens": output,
        "status": status,
        "latency_ms": int(180 + abs(noise[1]) * 90 + output * (14 + noise[0])),
        "params": contract,
    }
    if written.system:
        record["system_prompt"] = written.system
    if written.end_user:
        record["end_user"] = written.end_user
    return record


def _model(draft: Draft, account: Account, rand: random.Random, *, day: int) -> str:
    if day >= draft.release_day and rand.random() < account.new_model_share:
        return draft.new_model
    names, weights = account.models
    return names[0] if len(names) == 1 else rand.choices(names, weights)[0]
