"""Numbers that rollups have for accounts, entities and what records declare, and the names they stand for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from linkage.arrays import Ints
from linkage.errors import StoreError
from linkage.kernels import kernel
from linkage.sorting import find_place
from linkage.store.store import Database
from linkage.terms import TEXT


class Names:
    """Numbers of a rollup and the places of their names.

    Parameters
    ----------
    ids : numbers, 0 or more, in the order of what they stand for.
    """

    def __init__(self, ids: Ints) -> None:
        self._order = np.argsort(ids)
        self._ids = ids[self._order]
        bits = len(ids).bit_length()  # ids are hashes, so about one of them begins with each value of so many bits
        self._shift = max(int(ids.max(initial=0)).bit_length() - bits, 0)
        starts = np.searchsorted(self._ids, np.arange(1 << bits) << self._shift)
        self._starts = np.append(starts, len(ids))

    def places(self, ids: Ints) -> Ints:
        """The place of each number in the order of the names, -1 for those that have none."""
        places = np.empty(len(ids), dtype=np.int64)
        _find_places(np.ascontiguousarray(ids), self._ids, self._order, self._starts, self._shift, places)
        return places


@kernel
def _find_places(ids: Ints, known: Ints, order: Ints, starts: Ints, shift: int, places: Ints) -> None:
    """Look each number up among the known ones that begin with the same bits."""
    for row in range(len(ids)):
        number = ids[row]
        places[row] = -1
        if number < 0 or number >> shift >= len(starts) - 1:
            continue
        first, last = starts[number >> shift], starts[(number >> shift) + 1]
        at = first + find_place(known[first:last], number)
        if at < len(known) and known[at] == number:
            places[row] = order[at]


class AccountNames(NamedTuple):
    """All accounts a store knows, in the order of their ids."""

    numbers: Ints
    ids: pd.Index[str]


def read_account_names(database: Database) -> AccountNames:
    """The accounts that the store knows."""
    numbers, ids = read_names(database, "account_names")
    return AccountNames(numbers, pd.Index(ids))


def read_names(database: Database, name: str) -> tuple[Ints, pd.Series[str]]:
    """Numbers and texts of the whole answer of a named query of both."""
    ids, texts = [], []
    for numbers, ends, data in database.packed(name):
        ids.append(numbers[:, 0])
        texts.append(pd.Series(packed_texts(ends, data, about=f"{database.path}: wanted {name}"), dtype=TEXT))
    return np.concatenate(ids), pd.concat(texts, ignore_index=True)


def packed_texts(ends: Ints, data: npt.NDArray[np.uint8], *, about: str) -> pa.LargeStringArray:
    """Texts behind rows of numbers, as :class:`linkage.store.stepping.Packed` has them; no copy is made.

    Raises
    ------
    StoreError : they are no text; ``about`` says what was wanted.
    """
    offsets = pa.py_buffer(np.append(0, ends).astype(np.int64))
    texts = pa.LargeStringArray.from_buffers(len(ends), offsets, pa.py_buffer(data))
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid as error:
        raise StoreError(f"{about} as text; {error}. The store is damaged: restore a backup") from error
    return texts
