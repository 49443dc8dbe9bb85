"""Arrow's texts as the bytes and places that compiled code walks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from linkage.arrays import Ints

_NO_STARTS = np.zeros(1, np.int64)


def letters_of(texts: Any) -> tuple[npt.NDArray[np.uint8], Ints]:
    """The bytes around the texts, and where each text begins in them, the end of the last one included.

    Neither can be written: of one type for the compiler, wherever they come from.

    Parameters
    ----------
    texts : Arrow array of strings, sliced ones too; none null.

    Examples
    --------
    >>> letters, starts = letters_of(pa.array(["ab", "", "c"]).slice(1))
    >>> letters[starts[0] : starts[-1]].tobytes(), np.diff(starts).tolist()
    (b'c', [0, 1])
    """
    plain = texts.cast(pa.large_string())
    _, places, data = plain.buffers()
    starts = np.frombuffer(places, np.int64)[plain.offset : plain.offset + len(plain) + 1] if len(plain) else _NO_STARTS
    letters = np.frombuffer(data or b"", np.uint8)
    for array in (letters, starts):
        array.setflags(write=False)
    return letters, starts
