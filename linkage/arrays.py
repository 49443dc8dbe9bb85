"""Kinds of arrays, named for what they hold; for annotations."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
"""Whole numbers: ids, times, counts, places."""

Codes = npt.NDArray[np.int64]
"""Places of accounts, values or groups in a list of these; -1 for none."""

Small = npt.NDArray[np.int32]
"""Codes where there are many of them, in four bytes each."""

Numbers = npt.NDArray[np.float64]

Flags = npt.NDArray[np.bool_]
