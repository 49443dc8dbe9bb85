"""Memory that a step has left, handed back before the next one asks for its own; and how much there is."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

_MMAP_THRESHOLD: Final = -3  # of mallopt(3)

_TRIM_THRESHOLD: Final = -1
_APART_BYTES: Final = 4 << 20
_APART_TRIM_BYTES: Final = 128 << 10  # what the C library begins with
_NEAR_BYTES: Final = 32 << 20  # the most it takes
_NEAR_TRIM_BYTES: Final = 64 << 20
_SELDOM: Final = (200_000, 20, 100)
_MANY_ACCOUNTS: Final = 20_000
_REBUILD_BYTES: Final = 400_000_000  # of a rebuild of next to nothing
_USE_BYTES: Final = 200  # more for each row of uses
_CONTAINER_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")


def rebuild_bytes(uses: int) -> int:
    """About how much memory a rebuild takes, by the rows of uses it reads: what an account had to do with on a day."""
    return _REBUILD_BYTES + _USE_BYTES * uses


def machine_bytes(container_limit: Path = _CONTAINER_LIMIT) -> int | None:
    """How much memory this machine has, or the container this process runs in; None where the system does not say."""
    found = []
    with contextlib.suppress(OSError, ValueError, AttributeError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with contextlib.suppress(OSError, ValueError):  # it may say "max"
        found.append(int(container_limit.read_text(encoding="ascii")))
    return min(found, default=None)


def keep_apart() -> None:
    """From now on hand arrays of 4 MiB and more back to the system as soon as they are freed.

    The C library of Linux takes these from the system one by one at first, but once arrays of up to 32 MiB were freed
    it keeps such memory for itself, in pieces that larger arrays do not fit into. So 3.0 GB became 2.5 where candidate
    pairs of a million accounts are gathered (2026-11-29). Where the C library cannot be asked, nothing happens.
    """
    _set_thresholds(_APART_BYTES, _APART_TRIM_BYTES)


def keep_near() -> None:
    """From now on keep freed memory of up to 32 MiB a piece for those who ask next.

    Where batches of like size follow each other, arrays are taken and freed without end, and the first touch of each
    page that the system hands out costs half a microsecond: 1.5 microseconds a request while reading (2026-11-29).
    Where the C library cannot be asked, nothing happens. Arrow has a pool of its own that hands memory back all the
    time; from now on it asks the C library, too (another 1 to 1.5 microseconds).
    """
    _set_thresholds(_NEAR_BYTES, _NEAR_TRIM_BYTES)
    pa.set_memory_pool(pa.system_memory_pool())


def _set_thresholds(mapped_bytes: int, trimmed_bytes: int) -> None:
    """Arrays of so many bytes are maps of their own; so much free memory at an end of what is held goes back."""
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, mapped_bytes)
        library.mallopt(_TRIM_THRESHOLD, trimmed_bytes)


@contextlib.contextmanager
def seldom_collected() -> Iterator[None]:
    """In a ``with`` block, look for dead cycles of objects after 200 thousand new ones, not after 700.

    Rows on their way to and from SQLite are tuples and lists by the million, and none is part of a cycle: looking for
    cycles took 2 microseconds of 55 a request (2026-11-29).
    """
    before = gc.get_threshold()
    gc.set_threshold(*_SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def join_parts(parts: list[Any]) -> Any:
    """The parts as one array; the list is emptied."""
    whole = np.concatenate(parts)
    parts.clear()
    return whole


def give_back(*, accounts: int = 0) -> None:
    """Hand back what is free in the pools of Arrow and of the C library, and what dead cycles of objects hold.

    Both pools keep what was freed: at a million accounts a gigabyte that no later step makes use of. Where the C
    library cannot be asked, that part is left out.

    Parameters
    ----------
    accounts : how many are worked on. Arrays are few objects, so Python's collector of cycles may not look for long:
        2.4 GB of them stayed after a million accounts were read (2026-11-29). From 20,000 on it looks here; below, what
        cycles hold is not worth the time.
    """
    if accounts >= _MANY_ACCOUNTS:
        gc.collect()
    pa.default_memory_pool().release_unused()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
