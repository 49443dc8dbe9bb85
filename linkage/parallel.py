"""A part of the work beside the rest: what does it is handed down, so that no stage starts a process by itself."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

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
