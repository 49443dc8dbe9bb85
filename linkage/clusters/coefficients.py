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
    "10 frame-level worlds (seeds 101 to 110), 15 simulated ones (seeds 600 to 703), 6 small hand-made ones, 2026-11-24"
)
"""Which worlds the coefficients were fitted on, with which seeds, and when."""

CONTROLLER: Final = Logistic(
    -19.01,
    {
        "strength": 1.61,
        "second": 7.78,
        "families": 0.14,
        "size": 0.18,
        "evenness": 3.05,
        "partition": 6.24,
        "agreement": 4.40,
    },
)

EXTRACTION: Final = Logistic(
    -35.76,
    {
        "output": 3.39,
        "templated": 4.62,
        "shared_work": 0.03,
        "joint_volume": 1.53,
        "exclusive": 1.76,
        "sameness": 6.74,
        "evenness": 7.59,
        "created": 3.27,
        "distinct": 2.60,
        "round_clock": 6.90,
        "partition": 7.01,
        "volume": 4.04,
        "young": 0.38,
    },
)
