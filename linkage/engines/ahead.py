"""Work one step ahead: the next batch is made in a second thread while this one is stored."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from linkage.parallel import in_threads

T = TypeVar("T")
Result = TypeVar("Result")


def read_ahead(values: Iterable[T]) -> Generator[T]:
    """The values in their order, each made while the one before it is in use.

    Parsing, fingerprints and SQLite run outside Python's lock, so two cores are busy. What making a value raises is
    raised where it is due. At most two values exist at once.

    Examples
    --------
    >>> list(read_ahead(range(3)))
    [0, 1, 2]
    """
    source = iter(values)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="linkage-read-ahead") as pool:
        waiting = pool.submit(_take, source)
        while taken := waiting.result():
            waiting = pool.submit(_take, source)
            yield taken[0]


def map_ahead(
    function: Callable[[T], Result],
    values: Iterable[T],
    *,
    threads: int = 1,
    begin: Callable[[], None] | None = None,
) -> Generator[tuple[T, Result]]:
    """Each value and what the function makes of it, in other threads while the next value is made here.

    For values that only this thread may make, such as rows of an open connection. At most one value more than there
    are threads exists at once. Each of these threads does ``begin`` at first.

    Examples
    --------
    >>> list(map_ahead(str, range(3)))
    [(0, '0'), (1, '1'), (2, '2')]
    """
    return in_threads(lambda value: (value, function(value)), values, threads=threads, ahead=threads, begin=begin)


def _take(source: Iterator[T]) -> tuple[T, ...]:
    """The next value in a tuple of its own; an empty one at the end."""
    for value in source:
        return (value,)
    return ()
