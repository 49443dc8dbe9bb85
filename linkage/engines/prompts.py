"""The prompts that templates are mined from, and who asked them, wherever they are read from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

import numpy as np

from linkage.engines.waiting import Waiting
from linkage.intake.following import Requested
from linkage.store import facts
from linkage.store.facts import Connection, Prompts

LAST: int = 2**63 - 1
"""The greatest id, and the greatest number of a row."""

_HELD_BYTES: Final = 64_000_000


class Source(Protocol):
    """Where prompts are read from."""

    def count(self) -> int:
        """The number of the last row."""
        ...

    def last_of_lowest(self, most: int) -> int:
        """The greatest of the ``most`` lowest prompt ids; the greatest possible id where there are fewer."""
        ...

    def blocks(self, *, last_id: int = LAST, after_row: int = 0, until_row: int = LAST) -> Iterator[Prompts]:
        """Distinct prompts with an id up to ``last_id``, of the rows (or parts that begin there) between two."""
        ...

    def requested(self) -> Iterator[Requested]:
        """Every request that has a prompt, those of some whole accounts at a time; to be asked for once."""
        ...


class StoredPrompts:
    """Prompts and requests as the store has them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def count(self) -> int:
        """See :class:`Source`."""
        return facts.stored_prompts(self._connection)

    def last_of_lowest(self, most: int) -> int:
        """See :class:`Source`."""
        return facts.last_of_lowest(self._connection, most)

    def blocks(self, *, last_id: int = LAST, after_row: int = 0, until_row: int = LAST) -> Iterator[Prompts]:
        """See :class:`Source`; reads the table once."""
        return facts.prompt_blocks(self._connection, last_id=last_id, after_row=after_row, until_row=until_row)

    def requested(self) -> Iterator[Requested]:
        """See :class:`Source`; reads the table once."""
        with wait_for_following() as waiting:
            for block in facts.requested_prompts(self._connection):
                waiting.add(block)
            yield from take_accounts(waiting)


def wait_for_following() -> Waiting:
    """Where requests, with the columns of :class:`Requested`, wait until templates are mined."""
    holds = "who asked prompts until templates are mined"
    return Waiting(holds, columns=len(Requested._fields), memory_bytes=_HELD_BYTES)


def take_accounts(waiting: Waiting) -> Iterator[Requested]:
    """What waits, some whole accounts at a time."""
    return (Requested(*np.ascontiguousarray(rows.T)) for rows in waiting.take(whole=True))
