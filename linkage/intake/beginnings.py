"""Which texts begin with others, row by row: what Arrow asks of one beginning for all rows only."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from linkage.arrays import Ints
from linkage.intake.letters import letters_of
from linkage.kernels import kernel

_Bytes = npt.NDArray[np.uint8]


def begin_with(texts: Any, beginnings: Any) -> npt.NDArray[np.bool_]:
    """Whether each text begins with the other one of its row.

    Parameters
    ----------
    texts, beginnings : Arrow arrays of strings of one length; null is as good as empty.

    Examples
    --------
    >>> import pyarrow as pa
    >>> begin_with(pa.array(["abc", "abc", None]), pa.array(["ab", "b", None])).tolist()
    [True, False, True]
    """
    are_alike = np.empty(len(texts), np.bool_)
    _compare(*letters_of(texts.fill_null("")), *letters_of(beginnings.fill_null("")), are_alike)
    return are_alike


@kernel
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
