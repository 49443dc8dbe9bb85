"""The shipped coefficients of the two verdicts, as data.

Two logistic models, one row per feature, every coefficient at least 0 so that a verdict never falls when
its evidence grows. Where they come from stands below, beside them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd


@dataclasses.dataclass(frozen=True)
class Logistic:
    """A logistic model with named features: ``1 / (1 + exp(-(intercept + sum of weight * feature)))``."""

    intercept: float
    weights: Mapping[str, float]

    def probability(self, features: pd.DataFrame) -> npt.NDArray[np.float64]:
        """One probability per row; ``features`` has a column per weight.

        Examples
        --------
        >>> Logistic(-2.0, {"size": 1.0}).probability(pd.DataFrame({"size": [2.0]})).tolist()
        [0.5]
        """
        logit = np.full(len(features), self.intercept)
        for name, weight in self.weights.items():
            logit += weight * features[name].to_numpy(dtype=np.float64)
        return np.asarray(1 / (1 + np.exp(-np.clip(logit, -30, 30))), dtype=np.float64)


PROVENANCE: Final = "20 frame-level worlds, seeds 101 to 120, 2026-11-24"
"""Which worlds the coefficients were fitted on, with which seeds, and when."""

CONTROLLER: Final = Logistic(
    -23.65,
    {
        "strength": 2.12,
        "second": 8.27,
        "families": 0.27,
        "size": 0.26,
        "evenness": 4.37,
        "partition": 7.27,
        "agreement": 7.79,
    },
)

EXTRACTION: Final = Logistic(
    -41.69,
    {
        "output": 4.11,
        "templated": 3.50,
        "exclusive": 2.29,
        "sameness": 6.92,
        "evenness": 8.54,
        "created": 4.14,
        "distinct": 9.68,
        "round_clock": 7.83,
        "partition": 4.97,
        "volume": 5.06,
    },
)
