"""What tests have other processes do: a module that is imported there, and needs next to nothing."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from linkage.errors import ClusterError, FormatError


def die() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def refuse() -> int:
    raise ClusterError("wanted links; found none. Load logs first")


def own_id() -> int:
    return os.getpid()


def survive(parent: int) -> int:
    """The number of the process that comes to an end; any other is killed."""
    return os.getpid() if os.getpid() == parent else die()


def square(value: int) -> tuple[int, int]:
    return value * value, os.getpid()


def square_here(value: tuple[int, int]) -> int:
    """The square of a number; a process that is not the one named with it dies of it."""
    number, parent = value
    return number * number if os.getpid() == parent else die()


def die_reading(values: Sequence[str], **_: Any) -> list[int]:
    return [die() for _ in values]


def stop_at_five(value: int) -> int:
    if value == 5:
        raise ClusterError("wanted another number; found five. Choose one")
    return value


def tables(count: int) -> Iterator[tuple[int, pa.Table]]:
    for at in range(count):
        sys.stdout.write("printed over there\n")
        yield at, pa.table({"text": [f"text {at} {row}" for row in range(1_000)], "row": list(range(1_000))})


def failing(count: int) -> Iterator[int]:
    yield from range(count)
    raise FormatError("a.json: wanted logs; found poems. Name another file")


def dying(count: int) -> Iterator[int]:
    yield from range(count)
    os.kill(os.getpid(), signal.SIGKILL)


def ids() -> Iterator[int]:
    while True:
        yield os.getpid()
