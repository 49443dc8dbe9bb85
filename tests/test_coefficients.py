from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import linkage as lk
from linkage.clusters.coefficients import FEATURES, SHIPPED, Coefficients, Logistic, coefficients_from
from linkage.clusters.features import CONTROLLER_FEATURES, EXTRACTION_FEATURES, SLICE_FEATURES
from linkage.errors import SettingsError
from linkage.settings import read_settings

ONE = Logistic(-2.0, {"own_output": 1.5})
MODELS = pytest.mark.parametrize(
    ("model", "names"),
    [
        (SHIPPED.controller, CONTROLLER_FEATURES),
        (SHIPPED.extraction, EXTRACTION_FEATURES),
        (SHIPPED.slice, SLICE_FEATURES),
    ],
)


@MODELS
def test_no_evidence_lowers_a_verdict(model: Logistic, names: tuple[str, ...]) -> None:
    assert set(model.weights) <= set(names)
    assert min(model.weights.values()) >= 0
    table = pd.DataFrame({name: np.linspace(0, 1, 11) for name in names})
    assert (np.diff(model.probability(table)) >= 0).all()
    assert model.probability(table)[-1] > 0.9 > 0.1 > model.probability(table)[0]


@pytest.mark.parametrize(
    ("model", "names", "weak"),
    [
        (SHIPPED.controller, CONTROLLER_FEATURES, 0.15),
        (SHIPPED.extraction, EXTRACTION_FEATURES, 0.25),
        (SHIPPED.slice, SLICE_FEATURES, 0.25),
    ],
)
def test_no_single_feature_decides_a_verdict(model: Logistic, names: tuple[str, ...], weak: float) -> None:
    """One card on all accounts says much of who pays, so less beside it decides who runs them."""
    low = pd.DataFrame({name: [weak] for name in names})
    for name in names:
        assert model.probability(low.assign(**{name: 1.0}))[0] < 0.5


def test_the_coefficients_say_where_they_come_from() -> None:
    assert "seeds" in SHIPPED.provenance


def test_a_settings_file_brings_coefficients_back_as_they_were(tmp_path: Path) -> None:
    made = Coefficients('seeds 1, "two"', Logistic(-3.25, {"size": 0.1}), Logistic(-1.0, {"output": 2.0}), ONE)
    file = tmp_path / "coefficients.toml"
    file.write_text(made.to_toml(), encoding="utf-8")
    assert coefficients_from(read_settings(file).coefficients) == made
    assert tomllib.loads(made.to_toml())["coefficients"] == made.to_tables()
    assert made.version != SHIPPED.version


def test_a_file_without_a_table_of_own_work_never_judges_by_it() -> None:
    """Files that an earlier version made have two tables."""
    tables = {name: table for name, table in SHIPPED.to_tables().items() if name != "slice"}
    old = coefficients_from(tables)
    assert (old.controller, old.extraction) == (SHIPPED.controller, SHIPPED.extraction)
    assert old.slice.probability(pd.DataFrame({name: [1.0] for name in SLICE_FEATURES}))[0] < 1e-12


def test_faults_of_a_coefficients_table_come_back_all_at_once() -> None:
    table = {"controller": {"intercept": -1, "wealth": 2.0, "size": -0.5}, "extraction": 7, "purpose": {}}
    with pytest.raises(SettingsError) as caught:
        coefficients_from(table, name="c.toml")
    words = str(caught.value)
    assert "no feature 'wealth'" in words
    assert "size must be at least 0" in words
    assert "c.toml [coefficients.extraction]: wanted an intercept" in words
    assert "no table 'purpose'" in words
    assert "linkage calibrate" in words


def test_a_run_uses_and_records_the_coefficients_of_its_settings(planted: lk.Store, tmp_path: Path) -> None:
    with lk.open_store(tmp_path / "copy.db") as store:
        planted._database.connection.backup(store._database.connection)
    file = tmp_path / "never.toml"
    never = {verdict: Logistic(-20.0, {names[0]: 0.1}) for verdict, names in FEATURES.items()}
    file.write_text(Coefficients("seeds none", **never).to_toml(), encoding="utf-8")
    with lk.open_store(tmp_path / "copy.db") as store:
        assert store.run.members["flagged"].any()
        assert store.run.info["versions"]["coefficients"] == SHIPPED.version
        run = lk.rebuild(store, settings=file)
        assert run.clusters.empty
        assert run.info["settings"]["coefficients"]["controller"]["intercept"] == -20.0
        assert run.info["versions"]["coefficients"] != SHIPPED.version
