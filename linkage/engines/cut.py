"""What a store held at a time, for replays: a copy without later requests, its rollups and templates made anew."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from linkage.engines.load import count_replaced
from linkage.engines.templates import mine_store
from linkage.settings import TemplateSettings
from linkage.store.cut import cut_off
from linkage.store.store import Database


@contextlib.contextmanager
def store_until(database: Database, until_ms: int, *, settings: TemplateSettings) -> Iterator[Database]:
    """The store with the requests before a time only; the store itself where it has no later ones.

    The copy lies in the system's folder for temporary files and goes at the end of the ``with`` block. It holds what
    these requests give when they are loaded alone, with one limit: a template that is new in the copy, because it was
    never mined from just these prompts, has no readable text and is left out there.

    Parameters
    ----------
    until_ms : UTC epoch milliseconds; requests at this time or later do not count.
    settings : how templates are mined.
    """
    volumes = database.query("day_volumes")
    if volumes.empty or volumes["last_at"].max().timestamp() * 1000 < until_ms:
        yield database
        return
    with tempfile.TemporaryDirectory(prefix="linkage-as-of-") as name:
        path = Path(name) / "store.db"
        database.copy_to(path)
        with Database(path, create=False) as copy:
            with copy.writing(), copy.transaction("cut a copy") as connection:
                cut_off(connection, until_ms)
                count_replaced(connection)
            mine_store(copy, settings=settings)
            yield copy
