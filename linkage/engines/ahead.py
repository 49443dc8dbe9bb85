"""Work one step ahead: the next batch is made in a second thread while this one is stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def read_ahead(values: Iterable[T]) -> Iterator[T]:
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


def _take(source: Iterator[T]) -> tuple[T, ...]:
    """The next value in a tuple of its own; an empty one at the end."""
    for value in source:
        return (value,)
    return ()
