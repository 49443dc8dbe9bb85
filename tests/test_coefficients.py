from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from linkage.clusters.coefficients import CONTROLLER, EXTRACTION, PROVENANCE, Logistic
from linkage.clusters.features import CONTROLLER_FEATURES, EXTRACTION_FEATURES

MODELS = pytest.mark.parametrize(
    ("model", "names"), [(CONTROLLER, CONTROLLER_FEATURES), (EXTRACTION, EXTRACTION_FEATURES)]
)


@MODELS
def test_no_evidence_lowers_a_verdict(model: Logistic, names: tuple[str, ...]) -> None:
    assert set(model.weights) <= set(names)
    assert min(model.weights.values()) >= 0
    table = pd.DataFrame({name: np.linspace(0, 1, 11) for name in names})
    assert (np.diff(model.probability(table)) >= 0).all()
    assert model.probability(table)[-1] > 0.9 > 0.1 > model.probability(table)[0]


@MODELS
def test_no_single_feature_decides_a_verdict(model: Logistic, names: tuple[str, ...]) -> None:
    low = pd.DataFrame({name: [0.3] for name in names})
    for name in names:
        assert model.probability(low.assign(**{name: 1.0}))[0] < 0.5


def test_the_coefficients_say_where_they_come_from() -> None:
    assert "seeds" in PROVENANCE
