"""Where the files beside a store are: what SQLite keeps there, and the lock."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

UNFINISHED: Final = ("-wal", "-journal")
"""Endings of what holds a part of the store that is not in it yet, or was to be undone."""

LOCK: Final = ".lock"

OWN: Final = ("", "-shm", *UNFINISHED, LOCK)
"""Endings of all of a store's files, its own first."""


def beside(store: Path, ending: str) -> Path:
    """The file of this ending; of a link to a store the one beside the store itself, where SQLite has its own."""
    real = Path(os.path.realpath(store))
    return real.with_name(real.name + ending)
