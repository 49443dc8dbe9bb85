"""Half of the work in a process of its own, while the other half goes on here."""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from linkage.engines.beside import Worker, has_two_cores
from linkage.errors import SourceError
from linkage.parallel import Beside
from linkage.settings import Settings

SPREAD_VALUES: Final = 12
"""Values from which on a second process is worth its start, when each takes about a second."""

Make = Callable[[Iterable[Any]], Iterable[Any]]
"""Makes something of each value, in their order."""

_AHEAD: Final = 8


@contextlib.contextmanager
def run_beside(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Iterator[Callable[[], Any]]:
    """Run a function in another process for the length of a ``with`` block.

    Parameters
    ----------
    function : stands in a module; its arguments and its value can be pickled.

    Returns
    -------
    What waits for the value. Where the process cannot be started or dies (memory?), the value is computed here. What
    the function raises comes as it is.
    """
    with Worker() as worker, ThreadPoolExecutor(1) as pool:
        about = f"{function.__module__}.{function.__qualname__}"
        values = worker.stream(once, {"function": function, "arguments": dict(arguments)}, about=about)
        found = pool.submit(list, values)

        def ask() -> Any:
            try:
                return found.result()[0]
            except SourceError:
                return function(**arguments)

        try:
            yield ask
        finally:
            worker.close()  # so that nobody waits for a value that is not asked for any more


def beside_here(settings: Settings) -> Beside | None:
    """What runs a part of a rebuild beside the rest: another process where one is allowed and has a core."""
    return run_beside if settings.run.processes > 1 and has_two_cores() else None


def once(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Iterator[Any]:
    """The value of a function, as the only one of a stream."""
    yield function(**arguments)


def spread(
    function: Callable[[Any], Any],
    values: Sequence[Any],
    *,
    costs: Sequence[float] | None = None,
    there: Make | None = None,
    worker: Worker | None = None,
) -> Iterator[Any]:
    """What a function makes of each value, in their order; about half of them are made in another process.

    Parameters
    ----------
    function : stands in a module, unless ``there`` is given; what it makes can be pickled.
    values : can be pickled.
    costs : about how long each value takes, in seconds; None: all take one. Below ``SPREAD_VALUES`` seconds together,
        or on one core, all is made here.
    there : makes the same of values in the other process; stands in a module. None: the function does.
    worker : the other process, which is there for the next values then; None: one that ends with these.

    Raises
    ------
    Whatever the function raises. Where the other process cannot be started or dies, its values are made here, too.
    """
    chosen = _choose([1.0] * len(values) if costs is None else costs)
    if not chosen or not has_two_cores():
        yield from map(function, values)
        return
    made: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(_AHEAD)
    is_over = threading.Event()

    def put(value: Any, error: BaseException | None) -> None:
        while not is_over.is_set():
            with contextlib.suppress(queue.Full):
                return made.put((value, error), timeout=0.1)
        return None

    def fetch(beside: Worker) -> None:
        try:
            asked = {"values": [values[place] for place in sorted(chosen)]}
            for value in beside.stream(there or functools.partial(each, function), asked, about=f"{function}"):
                put(value, None)
        except BaseException as error:  # whatever it is, it is raised where the values are used
            put(None, error)

    with contextlib.nullcontext(worker) if worker else Worker() as beside, ThreadPoolExecutor(1) as pool:
        pool.submit(fetch, beside)
        try:
            yield from _merge(function, values, chosen, made)
        except BaseException:  # whoever wants no more of them closes this generator
            is_over.set()
            beside.close()
            raise


def _choose(costs: Sequence[float]) -> frozenset[int]:
    """Places of the values that are made elsewhere: the dearest first, each goes where there is less to do."""
    if sum(costs) < SPREAD_VALUES:
        return frozenset()
    here, elsewhere, chosen = 0.0, 0.0, set()
    for place in sorted(range(len(costs)), key=lambda place: -costs[place]):
        if here <= elsewhere:
            here += costs[place]
        else:
            elsewhere += costs[place]
            chosen.add(place)
    return frozenset(chosen)


def _merge(
    function: Callable[[Any], Any],
    values: Sequence[Any],
    chosen: Container[int],
    made: queue.Queue[tuple[Any, BaseException | None]],
) -> Iterator[Any]:
    """Values of chosen places from the queue while there is somebody to fill it, all others made here.

    Some of these are made before their turn, where it is the turn of one that is not there yet.
    """
    is_alone, early = False, dict[int, Any]()
    for place, value in enumerate(values):
        if place in early:
            yield early.pop(place)
            continue
        if place not in chosen or is_alone:
            yield function(value)
            continue
        for later in range(place + 1, len(values)):
            if not made.empty() or len(early) == _AHEAD:
                break
            if later not in chosen and later not in early:
                early[later] = function(values[later])
        found, error = made.get()
        if error is not None and not isinstance(error, SourceError):
            raise error
        is_alone = error is not None
        yield function(value) if is_alone else found


def each(function: Callable[[Any], Any], values: Iterable[Any]) -> Iterator[Any]:
    """What a function makes of each value; a generator, as a stream needs it."""
    yield from map(function, values)
