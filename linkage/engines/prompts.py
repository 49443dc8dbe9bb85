"""The prompts that templates are mined from, and who asked them, wherever they are read from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from linkage.intake.following import Requested
from linkage.intake.mining import Growing
from linkage.store import facts
from linkage.store.facts import Connection, PromptBlock

Ints = npt.NDArray[np.int64]

LAST: int = 2**63 - 1
"""The greatest id, and the greatest number of a row."""


@dataclasses.dataclass(frozen=True, eq=False)
class Prompts:
    """Some distinct prompts, in the order they were stored."""

    ids: Ints
    features: npt.NDArray[np.uint8]
    """Their blobs, one after the other."""
    places: Ints
    """Where each blob begins, the end of the last one included."""
    last_row: int
    """Number of the last of them; prompts are numbered from 1 as they are stored."""
    gateway_templates: Sequence[str | None] = ()
    """Template ids that gateways gave; empty where there are none."""


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

    def requested(self) -> Requested:
        """Account, prompt, time and output length of every request that has a prompt."""
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
        rows = facts.prompt_blocks(self._connection, last_id=last_id, after_row=after_row, until_row=until_row)
        return map(_joined, rows)

    def requested(self) -> Requested:
        """See :class:`Source`; reads the table once."""
        table = Growing()
        for block in facts.requested_prompts(self._connection):
            table.add(block)
        return Requested(*table.take().reshape(-1, 4).T)


def _joined(block: PromptBlock) -> Prompts:
    ids = np.array(block.ids, dtype=np.int64)
    places = np.concatenate([[0], np.cumsum([len(blob) for blob in block.features], dtype=np.int64)])
    features = np.frombuffer(b"".join(block.features), dtype=np.uint8)
    named = block.gateway_templates if any(name is not None for name in block.gateway_templates) else ()
    return Prompts(ids, features, places, block.last_row, named)
