"""Templates and items of all prompts of a store; of many, half are assigned by a second thread or process."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

from linkage.arrays import Ints
from linkage.engines.ahead import map_ahead
from linkage.engines.beside import Worker, has_two_cores
from linkage.engines.kept import Kept
from linkage.engines.prompts import StoredPrompts
from linkage.errors import SourceError
from linkage.intake.entities import entity_id
from linkage.intake.mining import Assigned, Assigning, Assignment, Features, Model, assign
from linkage.store.facts import Prompts
from linkage.store.store import Database

Watch = Callable[[Iterator[Prompts], int], Iterator[Prompts]]
"""Hands blocks on and tells how far mining is, where each stands for so many."""

_BESIDE_PROMPTS: Final = 500_000
"""So many are worth the start of a process, and the way of what was learned to it."""


class Told(NamedTuple):
    """What is assigned to the prompts of a block."""

    last_row: int
    """As the block has it."""
    ids: Ints
    template_ids: Ints
    """What stands at last: a template that the gateway named goes before a mined one."""
    assignment: Assignment
    gateway_names: frozenset[str]


class _Gathering:
    """Gathers what is told of blocks, in any order; two threads may add at the same time."""

    def __init__(self) -> None:
        self._lock, self._assigning = threading.Lock(), Assigning()
        self._gateway_names: set[str] = set()

    def add(self, told: Told) -> None:
        with self._lock:
            self._assigning.add(told.ids, told.template_ids, told.assignment)
            self._gateway_names |= told.gateway_names

    def finish(self) -> tuple[Assigned, set[str]]:
        return self._assigning.finish(), self._gateway_names


def assign_kept(kept: Kept[Any], model: Model, *, watch: Watch) -> Assigned:
    """Template and items of every prompt that a first load kept, by two threads; gateways named no templates."""
    gathering, middle = _Gathering(), kept.count() // 2
    with ThreadPoolExecutor(1) as pool:
        there = pool.submit(lambda: _gather(_assign(kept.blocks(after_row=middle), model), gathering))
        _gather(_assign(watch(kept.blocks(until_row=middle), 2), model), gathering)
        there.result()
    return gathering.finish()[0]


def assign_prompts(
    database: Database, model: Model, *, worker: Worker | None, watch: Watch
) -> tuple[Assigned, set[str]]:
    """Template and items of every prompt in the store, and the names of templates that gateways gave.

    What the process beside has not told when it dies, is assigned here.
    """
    prompts, gathering = StoredPrompts(database.connection), _Gathering()
    last, done = prompts.count(), 0
    if worker and last >= _BESIDE_PROMPTS and has_two_cores():
        middle = last // 2
        with ThreadPoolExecutor(1) as pool:
            there = pool.submit(_gather_there, worker, database.path, model, middle, gathering)
            try:
                _gather(_assign(watch(prompts.blocks(until_row=middle), 2), model), gathering)
            except BaseException:
                worker.close()  # so that nobody waits for it
                raise
            done = there.result()
    _gather(_assign(watch(prompts.blocks(after_row=done), 1), model), gathering)
    return gathering.finish()


def _gather(told: Iterable[Told], gathering: _Gathering) -> None:
    for part in told:
        gathering.add(part)


def _gather_there(worker: Worker, path: Path, model: Model, after_row: int, gathering: _Gathering) -> int:
    """Gather what the process beside tells of the rows after one; the last row that it told of."""
    arguments = {"path": path, "model": model, "after_row": after_row}
    with contextlib.suppress(SourceError):
        for part in worker.stream(assign_rows, arguments, about="templates"):
            gathering.add(part)
            after_row = part.last_row
    return after_row


def assign_rows(path: Path, model: Model, after_row: int) -> Iterator[Told]:
    """What is assigned to the prompts of a store after a row, to be called in another process."""
    with Database(path, create=False) as database:
        yield from _assign(StoredPrompts(database.connection).blocks(after_row=after_row), model)


def _assign(blocks: Iterable[Prompts], model: Model) -> Iterator[Told]:
    def assign_block(block: Prompts) -> Assignment:
        return assign(Features.from_packed(block.ids, block.features, block.places), model)

    with contextlib.closing(map_ahead(assign_block, blocks)) as assigned:
        for block, part in assigned:
            names = frozenset(name for name in block.gateway_templates if name is not None)
            chosen = _with_gateway(block, part.template_ids) if names else part.template_ids
            yield Told(block.last_row, block.ids, chosen, part, names)


def _with_gateway(block: Prompts, template_ids: Ints) -> Ints:
    chosen = template_ids.copy()
    for row, name in enumerate(block.gateway_templates):
        if name is not None:
            chosen[row] = entity_id("gateway_template", name)
    return chosen
