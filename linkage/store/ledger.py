"""The ledger of rebuilds: one entry per run that was published or failed, kept when the run itself goes."""

from __future__ import annotations

import dataclasses
import itertools
import json
import sqlite3
from collections.abc import Callable
from typing import Any, Final

from linkage.store.store import Database

_ADD_ENTRY: Final = """
insert into run_entry (run_id, exit_code, error, began_ms, ended_ms, steps, as_of_ms, since_ms, seed, input_digest,
                       settings_digest, versions, counts, anomalies)
values (:run_id, :exit_code, :error, :began_ms, :ended_ms, :steps, :as_of_ms, :since_ms, :seed, :input_digest,
        :settings_digest, :versions, :counts, :anomalies)
"""


@dataclasses.dataclass(frozen=True)
class RunEntry:
    """What is remembered of a rebuild; ``steps``, ``versions``, ``counts`` and ``anomalies`` are JSON."""

    seed: int
    settings_digest: str
    versions: str
    run_id: str | None = None
    exit_code: int = 0
    error: str | None = None
    began_ms: int | None = None
    """UTC epoch milliseconds; None where nobody gave a clock."""
    ended_ms: int | None = None
    steps: str = "{}"
    as_of_ms: int | None = None
    since_ms: int | None = None
    input_digest: str | None = None
    counts: str | None = None
    anomalies: str = "[]"


class StepTimes:
    """Tells each step on as it begins, and takes its time where the caller gave a clock.

    Parameters
    ----------
    step : told the name of each step; None: nobody is.
    clock : gives UTC epoch milliseconds; None: no times are taken, so that the library itself looks at no clock.

    Examples
    --------
    >>> ticks = iter([1000, 1000, 1250, 1600])
    >>> times = StepTimes(None, lambda: next(ticks))
    >>> times.tell("read"); times.tell("links")
    >>> times.taken()
    {'began_ms': 1000, 'ended_ms': 1600, 'steps': '{"read": 250, "links": 350}'}
    """

    def __init__(self, step: Callable[[str], None] | None, clock: Callable[[], int] | None) -> None:
        self._step = step
        self._clock = clock
        self._began = clock() if clock else None
        self._marks: list[tuple[str, int]] = []
        self.current = "begin"
        """The step that began last."""

    def tell(self, name: str) -> None:
        """A step begins."""
        self.current = name
        if self._clock:
            self._marks.append((name, self._clock()))
        if self._step:
            self._step(name)

    def taken(self) -> dict[str, Any]:
        """``began_ms``, ``ended_ms`` and ``steps`` of an entry, as of now."""
        if self._clock is None:
            return {}
        ended = self._clock()
        spent: dict[str, int] = {}
        for (name, begin), (_, end) in itertools.pairwise([*self._marks, ("", ended)]):
            spent[name] = spent.get(name, 0) + end - begin
        return {"began_ms": self._began, "ended_ms": ended, "steps": json.dumps(spent)}


def add_entry(connection: sqlite3.Connection, entry: RunEntry) -> None:
    """Write an entry, inside the transaction of what it tells of."""
    connection.execute(_ADD_ENTRY, dataclasses.asdict(entry))


def add_failure(database: Database, entry: RunEntry) -> None:
    """Write the entry of a rebuild that failed, in a transaction of its own."""
    with database.transaction("note a failed rebuild") as connection:
        add_entry(connection, entry)
