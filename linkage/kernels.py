"""Decorators for what numba compiles: called by Python, called by compiled functions alone, or put into these.

A wrapper around a function is one more to compile. Nobody calls any of ours from C, and those that others are made of
need none for Python either: so a first run on a machine compiles a twelfth less (2026-11-30).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numba

_compiled: Any = numba.njit  # its hints do not know all of its options
_CALLED: Final = {"cache": True, "nogil": True, "no_cfunc_wrapper": True}


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, compiled for the types it is called with when Python calls it; it lets go of Python's lock."""
    compiled: Callable[..., Any] = _compiled(**_CALLED)(function)
    return compiled


def inner_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, compiled when one that calls it is.

    Called from Python it ends the process, for there is nothing at its address: ``tests/test_architecture.py`` looks
    for such calls.
    """
    compiled: Callable[..., Any] = _compiled(**_CALLED, no_cpython_wrapper=True)(function)
    return compiled


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, put into those that call it: none is compiled by itself, and no call is left."""
    compiled: Callable[..., Any] = _compiled(cache=True, nogil=True, inline="always")(function)
    return compiled
