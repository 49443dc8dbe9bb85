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


PROVENANCE: Final = (
    "10 simulated worlds (seeds 620 to 627, 690, 691), 4 frame-level ones (seeds 101 to 104), "
    "6 small hand-made ones, 2026-11-24"
)
"""Which worlds the coefficients were fitted on, with which seeds, and when."""

CONTROLLER: Final = Logistic(
    -19.31,
    {
        "strength": 1.37,
        "second": 7.18,
        "families": 0.12,
        "size": 0.17,
        "evenness": 3.03,
        "partition": 8.00,
        "agreement": 2.74,
    },
)

EXTRACTION: Final = Logistic(
    -38.23,
    {
        "output": 5.11,
        "templated": 4.22,
        "shared_work": 0.05,
        "exclusive": 1.99,
        "sameness": 5.69,
        "evenness": 4.96,
        "created": 1.71,
        "distinct": 4.89,
        "round_clock": 7.86,
        "partition": 8.00,
        "volume": 5.06,
    },
)
