"""Coefficients are learned: what speaks for a verdict gets weight, probabilities come true, nothing decides alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from linkage.clusters.calibration import (
    LABEL_TRUTH,
    MAX_WEIGHT,
    Fit,
    calibration_error,
    fit_coefficients,
    label_groups,
    reliability,
)
from linkage.clusters.coefficients import FEATURES, SHIPPED, coefficients_from
from linkage.errors import ClusterError
from linkage.terms import make_frame

COLUMNS = [f"{verdict}_{name}" for verdict, names in FEATURES.items() for name in names]


def groups_of(*, worlds: int, seed: int, each: int = 60, share: float = 0.2) -> pd.DataFrame:
    """Labelled groups whose features are higher where the verdict is true, but overlap."""
    draw = np.random.default_rng(seed)
    parts = []
    for world in range(worlds):
        right = (draw.random(each) < share).astype(float)
        features = {name: np.clip(draw.normal(0.4 + 0.25 * right, 0.25), 0, 1) for name in COLUMNS}
        table = pd.DataFrame(features)
        table["world"], table["role"] = f"w{world}", np.where(right == 1, "E1", "ordinary")
        table["accounts"] = draw.integers(3, 40, each)
        parts.append(table.assign(is_controller=right, is_extraction=right, is_slice=right))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def fit() -> Fit:
    return fit_coefficients(groups_of(worlds=8, seed=51), provenance="seeds 51")


def test_no_weight_is_negative_and_none_decides_alone(fit: Fit) -> None:
    for verdict, names in FEATURES.items():
        model = getattr(fit.coefficients, verdict)
        assert set(model.weights) <= set(names)
        assert model.weights
        assert all(weight > 0 for weight in model.weights.values())
    assert MAX_WEIGHT == 8.0


def test_probabilities_come_true_in_worlds_not_fitted_on(fit: Fit) -> None:
    fresh = groups_of(worlds=8, seed=52)
    for verdict, names in FEATURES.items():
        assert fit.errors[verdict] <= 0.05
        features = fresh.rename(columns={f"{verdict}_{name}": name for name in names})
        told = getattr(fit.coefficients, verdict).probability(features)
        ones = np.ones(len(fresh))
        curve = reliability(told, fresh[f"is_{verdict}"].to_numpy(), weight=ones, verdict=verdict)
        assert calibration_error(curve) <= 0.05


def test_the_same_groups_give_the_same_coefficients(fit: Fit) -> None:
    again = fit_coefficients(groups_of(worlds=8, seed=51), provenance="seeds 51")
    assert again.coefficients == fit.coefficients
    assert coefficients_from(fit.coefficients.to_tables()) == fit.coefficients


def test_a_strong_prior_keeps_the_shape_of_the_old_weights() -> None:
    few = groups_of(worlds=2, seed=53, each=40)
    free = fit_coefficients(few, provenance="seeds 53").coefficients.extraction.weights
    held = fit_coefficients(few, provenance="seeds 53", prior=SHIPPED, prior_strength=1e4).coefficients.extraction
    shape = np.array([SHIPPED.extraction.weights.get(name, 0.0) for name in FEATURES["extraction"]])
    near = np.array([held.weights.get(name, 0.0) for name in FEATURES["extraction"]])
    far = np.array([free.get(name, 0.0) for name in FEATURES["extraction"]])
    assert np.corrcoef(shape, near)[0, 1] > 0.97 > np.corrcoef(shape, far)[0, 1]


def test_examples_of_one_outcome_only_are_refused() -> None:
    table = groups_of(worlds=2, seed=54).assign(is_extraction=0.0, is_slice=0.0)
    with pytest.raises(ClusterError, match=r"extraction: wanted groups of both outcomes .* 0 that are"):
        fit_coefficients(table, provenance="seeds 54")
    kept = fit_coefficients(table, provenance="seeds 54", prior=SHIPPED)
    assert kept.coefficients.extraction == SHIPPED.extraction
    assert kept.coefficients.controller != SHIPPED.controller
    assert set(kept.errors) == {"controller"}


def test_a_curve_of_certain_and_right_verdicts_has_no_error() -> None:
    right = np.array([0.0, 0.0, 1.0])
    curve = reliability(right, right, weight=np.ones(3), verdict="controller")
    assert calibration_error(curve) == 0.0
    assert curve["groups"].tolist() == [2, 1]
    even = reliability(np.full(3, 0.5), right, weight=np.array([1, 1, 2.0]), verdict="controller")
    assert calibration_error(even) == 0.0


def test_groups_take_the_label_their_accounts_agree_on() -> None:
    known = {
        "c1": ("A", "A", "extraction", "E1"),
        "c2": ("A", "A", "extraction", "E1"),
        "c3": ("A", "A", "extraction", "E1"),
        "s1": ("", "start-up", "normal", "HN-17"),
        "s2": ("", "start-up", "normal", "HN-17"),
        "s3": ("", "start-up", "normal", "HN-17"),
        "o1": ("", "o1", "normal", "ordinary"),
        "o2": ("", "o2", "normal", "ordinary"),
        "p1": ("P", "P", "extraction", "E16"),
        "p2": ("P", "P", "extraction", "E16"),
        "p3": ("P", "P", "extraction", "E16"),
    }
    columns = ("campaign", "controller_id", "purpose", "role")
    rows = [{"account_id": account, **dict(zip(columns, values, strict=True))} for account, values in known.items()]
    truth = make_frame(LABEL_TRUTH, {name: [row[name] for row in rows] for name in LABEL_TRUTH})
    members = {0: ["c1", "c2", "c3"], 1: ["s1", "s2", "s3"], 2: ["c1x", "o1", "o2", "c3x"], 3: ["p1", "p2", "p3"]}
    members |= {4: ["u1", "u2", "u3"], 5: ["u4", "u5", "u6"], 6: ["o3", "o4"]}
    pairs = [(account, number) for number, accounts in members.items() for account in accounts]
    assigned = pd.DataFrame(pairs, columns=["account_id", "community"])
    groups = pd.DataFrame({"community": list(members), "accounts": [len(a) for a in members.values()], "tier": "watch"})
    groups.loc[5, "tier"] = "review"
    table = label_groups(groups, assigned, truth, world="w", rest_is_innocent=True).set_index("community")
    assert table["role"].to_dict() == {0: "E1", 1: "HN-17", 2: "ordinary", 3: "E16", 4: "unknown", 5: "unknown"}
    assert table["is_controller"].fillna(-1).to_dict() == {0: 1.0, 1: 1.0, 2: 0.0, 3: 1.0, 4: -1.0, 5: -1.0}
    assert table["is_extraction"].fillna(-1).to_dict() == {0: 1.0, 1: 0.0, 2: 0.0, 3: -1.0, 4: 0.0, 5: -1.0}
