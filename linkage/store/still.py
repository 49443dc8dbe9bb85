"""A store that lies where nothing can be written: on a medium or share to be read only, or in somebody else's folder.

SQLite shares a store among processes by a file beside it, and where it cannot make that file it opens no store at all.
As a file that never changes it can: then whether that is true is for us to see.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from linkage.errors import StoreBusyError, StoreError
from linkage.store.library import has_code
from linkage.store.places import UNFINISHED, beside


def file_uri(path: Path) -> str:
    """A file's name as a URI; any name can be told so."""
    return f"file:{quote(os.fsencode(path.absolute()))}"


class Still(NamedTuple):
    """A store as it was found, to be read as one that never changes."""

    path: Path
    size: int
    changed_ns: int

    @property
    def uri(self) -> str:
        """How SQLite is told to open it."""
        return f"{file_uri(self.path)}?immutable=1"

    def need_unchanged(self, action: str) -> None:
        """Raise ``StoreBusyError`` where the file has changed, so that what was read may be of two states.

        Parameters
        ----------
        action : what was done with it, for the message.
        """
        if find_still(self.path) != self:
            raise StoreBusyError(
                f"{self.path}: wanted to {action}; somebody wrote to it meanwhile, and whoever cannot write beside a "
                "store cannot wait for others. Try again later, or read a copy in a folder you can write in"
            )


def cannot_share(error: sqlite3.Error) -> bool:
    """Whether SQLite could not open a store because it has to write beside it."""
    return has_code(error, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)


def find_still(path: Path) -> Still | None:
    """The store as it is now; None where there is none to be read."""
    try:
        found = path.stat()
    except OSError:
        return None
    return Still(path, found.st_size, found.st_mtime_ns) if found.st_size else None


def need_whole(still: Still) -> None:
    """Raise ``StoreError`` where a file beside the store holds what is not in it yet, or what was to be undone."""
    for ending in UNFINISHED:
        part = beside(still.path, ending)
        if find_still(part) is not None:
            raise StoreError(
                f"{still.path}: wanted to read a store beside which nothing can be written; found {part.name}, which "
                "holds a part of it. Copy both to a folder you can write in, and read the copy"
            )
