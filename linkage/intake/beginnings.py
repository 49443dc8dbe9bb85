"""Which texts begin with others, row by row: what Arrow asks of one beginning for all rows only."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from linkage.arrays import Ints

_Bytes = npt.NDArray[np.uint8]


def begin_with(texts: Any, beginnings: Any) -> npt.NDArray[np.bool_]:
    """Whether each text begins with the other one of its row.

    Parameters
    ----------
    texts, beginnings : Arrow arrays of strings of one length; null is as good as empty.

    Examples
    --------
    >>> begin_with(pa.array(["abc", "abc", None]), pa.array(["ab", "b", None])).tolist()
    [True, False, True]
    """
    are_alike = np.empty(len(texts), np.bool_)
    _compare(*_buffers(texts), *_buffers(beginnings), are_alike)
    return are_alike


def _buffers(texts: Any) -> tuple[_Bytes, Ints]:
    """All letters, and where each text begins, the end of the last one included."""
    plain = texts.fill_null("").cast(pa.large_string())
    if not len(plain):
        return np.frombuffer(b"", np.uint8), np.frombuffer(bytes(8), np.int64)
    _, offsets, letters = plain.buffers()
    starts = np.frombuffer(offsets, np.int64)[plain.offset : plain.offset + len(plain) + 1]
    return np.frombuffer(letters or b"", np.uint8), starts


@numba.njit(cache=True, nogil=True)
def _compare(
    text: _Bytes, text_starts: Ints, other: _Bytes, other_starts: Ints, are_alike: npt.NDArray[np.bool_]
) -> None:
    for row in range(are_alike.size):
        first, start = text_starts[row], other_starts[row]
        length = other_starts[row + 1] - start
        is_alike = length <= text_starts[row + 1] - first
        at = 0
        while is_alike and at < length:
            is_alike = text[first + at] == other[start + at]
            at += 1
        are_alike[row] = is_alike
