"""A part of the work beside the rest: in threads, or where it holds Python's lock, by what is handed down.

No stage starts a process by itself.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, Final, TypeVar

_Value = TypeVar("_Value")
_Made = TypeVar("_Made")

Beside = Callable[[Callable[..., Any], Mapping[str, Any]], AbstractContextManager[Callable[[], Any]]]
"""Starts a function with these arguments beside what is done meanwhile; what it hands out waits for the value."""

BESIDE_ACCOUNTS: Final = 20_000
"""Accounts from which on a part of a rebuild is worth a process of its own, which takes a second or two to start and
memory of its own."""


def worth_beside(beside: Beside | None, *, accounts: int) -> Beside | None:
    """What was handed down, where there are :data:`BESIDE_ACCOUNTS`."""
    return beside if accounts >= BESIDE_ACCOUNTS else None


@contextlib.contextmanager
def afterwards(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Iterator[Callable[[], Any]]:
    """Nothing beside: the function is run when its value is asked for."""
    yield lambda: function(**arguments)


THREADS: Final = 2
"""Threads for compiled code, which lets go of Python's lock; what comes out does not depend on how many there are."""

PARTS_AHEAD: Final = 2 * THREADS
"""Values that are made before they are asked for, where nobody says how many."""

_NICER: Final = 5


def stand_back() -> None:
    """From now on this thread, and those it begins, leave a busy core to the others of this process.

    So what runs beside does not hold up the one thread that all else waits for. Where threads have no priority of their
    own (they have on Linux), nothing happens.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICER)


def at_once(other: Callable[[], _Value], here: Callable[[], _Made]) -> tuple[_Value, _Made]:
    """What two functions give that do not need each other: one of them in a thread, while the other runs here.

    Examples
    --------
    >>> at_once(lambda: 2, lambda: "3")
    (2, '3')
    """
    with ThreadPoolExecutor(1) as pool:
        begun = pool.submit(other)
        made = here()
        return begun.result(), made


def in_halves(length: int, work: Callable[[slice], _Made]) -> list[_Made]:
    """What a function makes of the first half of so many places and of the second, each in a thread.

    Examples
    --------
    >>> in_halves(5, lambda part: (part.start, part.stop))
    [(0, 2), (2, 5)]
    """
    middle = length // 2
    return list(in_threads(work, (slice(0, middle), slice(middle, length))))


def in_threads(
    function: Callable[[_Value], _Made],
    values: Iterable[_Value],
    *,
    threads: int = THREADS,
    ahead: int = PARTS_AHEAD,
    begin: Callable[[], None] | None = None,
) -> Generator[_Made]:
    """What a function makes of each value, in their order; at most ``ahead`` are made before they are asked for.

    Each thread does ``begin`` at first, such as :func:`stand_back`.

    Examples
    --------
    >>> list(in_threads(abs, [-2, 3]))
    [2, 3]
    """
    with ThreadPoolExecutor(threads, initializer=begin) as pool:
        begun: deque[Future[_Made]] = deque()
        for value in values:
            begun.append(pool.submit(function, value))
            if len(begun) > ahead:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
