"""What tests have other processes do: a module that is imported there, and needs next to nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any

from linkage.errors import ClusterError


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
