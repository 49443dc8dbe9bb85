"""Refitting on a store: the store is left alone, the result is a settings file, decisions are examples."""

import hashlib
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import linkage as lk
from linkage.cli import main
from linkage.clusters.coefficients import SHIPPED, coefficients_from
from linkage.errors import UsageError
from linkage.notebook.calibrating import Calibrated, _decided, _host
from linkage.rebuild import newest_window, read_inputs
from linkage.settings import read_settings


@pytest.fixture(scope="module")
def decided_path(planted_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the planted store in which people decided on the enforced cluster and on one other."""
    path = tmp_path_factory.mktemp("decided") / "decided.db"
    with lk.open_store(planted_path, create=False) as store:
        store._database.copy_to(path)
    with lk.open_store(path, create=False) as store:
        clusters = pd.DataFrame(store.run.clusters)
        for tier, state in (("enforce", "enforced"), ("watch", "cleared")):
            for cluster_id in clusters.loc[clusters["tier"] == tier, "cluster_id"]:
                store.run.cluster(cluster_id).decide(state, note="known", author="tests", at="2026-10-01")
    return path


@pytest.fixture(scope="module")
def calibrated(decided_path: Path) -> tuple[Calibrated, bool]:
    """The outcome, and whether the store's bytes stayed the same."""
    before = hashlib.sha256(decided_path.read_bytes()).hexdigest()
    with lk.open_store(decided_path, create=False) as store:
        result = store.calibrate(plant=["E1"], seed=4)
    return result, hashlib.sha256(decided_path.read_bytes()).hexdigest() == before


def test_planted_campaigns_are_found_with_the_refitted_coefficients(calibrated: tuple[Calibrated, bool]) -> None:
    result, is_unchanged = calibrated
    assert is_unchanged
    figures = result.figures.set_index("figure")
    assert figures.loc["share of their accounts flagged", "after"] >= 0.95
    assert figures.loc["known innocents flagged", "after"] == 0
    assert result.coefficients != SHIPPED
    assert SHIPPED.version in result.coefficients.provenance
    assert "decided on" in result.coefficients.provenance
    assert (result.examples["yes"] > 0).all()


def test_the_refitted_file_is_what_a_rebuild_takes(
    calibrated: tuple[Calibrated, bool], decided_path: Path, tmp_path: Path
) -> None:
    file = calibrated[0].write(tmp_path / "coefficients.toml")
    assert coefficients_from(read_settings(file).coefficients) == calibrated[0].coefficients
    with lk.open_store(decided_path, create=False) as store:
        store._database.copy_to(tmp_path / "copy.db")
    with lk.open_store(tmp_path / "copy.db", create=False) as store:
        run = lk.rebuild(store, settings=file)
        assert run.info["versions"]["coefficients"] == calibrated[0].coefficients.version
        assert run.members["flagged"].any()


def test_the_last_decision_on_a_cluster_is_its_label(decided_path: Path, tmp_path: Path) -> None:
    with lk.open_store(decided_path, create=False) as store:
        store._database.copy_to(tmp_path / "copy.db")
    with lk.open_store(tmp_path / "copy.db", create=False) as store:
        first = _decided(store._database)
        assert {"enforced", "cleared"} >= set(first["role"])
        enforced = first[first["role"] == "enforced"]
        assert set(enforced["purpose"]) == {"extraction"}
        cluster_id = enforced["campaign"].iloc[0]
        for state in ("appealed", "cleared"):
            store.run.cluster(cluster_id).decide(state, note="on appeal", author="tests", at="2026-10-02")
        again = _decided(store._database)
        assert cluster_id not in set(again["campaign"])
        overturned = again[again["account_id"].isin(enforced["account_id"])]
        assert set(overturned["purpose"]) == {"normal"}
        assert overturned["controller_id"].isna().all()


def test_planted_records_carry_what_the_logs_carry(tiny_store: lk.Store) -> None:
    inputs = read_inputs(tiny_store._database, newest_window(tiny_store._database, None, 30))
    host = _host(tiny_store._database, inputs)
    assert (host.accounts, host.days) == (12, 2)
    assert "prompt" not in host.missing
    assert host.requests == tiny_store.counts["requests"]


def test_without_anything_to_learn_from_it_says_so(planted: lk.Store) -> None:
    with pytest.raises(UsageError, match="planted campaigns, decisions or a truth file; found none"):
        planted.calibrate(plant=[])
    with pytest.raises(UsageError, match="E99"):
        planted.calibrate(plant=["E99"])


def test_a_truth_file_alone_is_enough(planted: lk.Store, planted_world: Path) -> None:
    result = planted.calibrate(truth=planted_world / "truth.csv", plant=[])
    assert "none planted" in result.coefficients.provenance
    assert result.figures.set_index("figure").loc["share of their accounts flagged", "after"] >= 0.95


def test_the_command_writes_the_file(planted_path: Path, planted_world: Path, tmp_path: Path) -> None:
    out = tmp_path / "made.toml"
    told = ["calibrate", str(planted_path), "--plant", "none", "--truth", str(planted_world / "truth.csv")]
    done = CliRunner().invoke(main, [*told, "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "[coefficients.controller]" in out.read_text(encoding="utf-8")
    assert "calibration error of extraction" in done.stdout


def test_weights_and_curves_are_told_before_and_after(calibrated: tuple[Calibrated, bool]) -> None:
    result = calibrated[0]
    weights = result.weights.set_index(["verdict", "feature"])
    assert weights.loc[("extraction", "intercept"), "before"] == SHIPPED.extraction.intercept
    assert weights.loc[("extraction", "intercept"), "after"] == result.coefficients.extraction.intercept
    assert (weights["before"] != weights["after"]).any()
    errors = result.figures.set_index("figure")
    for (verdict, name), curve in result.curves.groupby(["verdict", "coefficients"]):
        gap = (curve["mean_probability"] - curve["observed_share"]).abs()
        told = errors.loc[f"calibration error of {verdict}", name]
        assert (gap * curve["weight"]).sum() / curve["weight"].sum() == pytest.approx(told)


def test_refitted_verdicts_are_tried_before_they_are_used(
    calibrated: tuple[Calibrated, bool], decided_path: Path
) -> None:
    with lk.open_store(decided_path, create=False) as store:
        tried = store.run.what_if(settings=calibrated[0].settings)
        before = store.run.clusters.set_index("cluster_id")["extraction_probability"]
    assert tried.change == "other coefficients"
    after = tried.clusters.set_index("cluster_id")["extraction_probability"]
    assert set(after.index) & set(before.index)
    assert (after - before).abs().max() > 0


def test_labels_from_a_notebook_are_decisions_that_count(planted_path: Path, tmp_path: Path) -> None:
    with lk.open_store(planted_path, create=False) as store:
        store._database.copy_to(tmp_path / "copy.db")
    with lk.open_store(tmp_path / "copy.db", create=False) as store:
        run = store.run
        cluster = run.cluster(run.clusters["cluster_id"].iloc[0])
        account = cluster.members["account_id"].iloc[0]
        cluster.confirm(note="same card, same list", author="tests")
        cluster.reject(note="a stolen card", author="tests", account=account)
        assert cluster.case_notes["state"].tolist() == ["enforced", "overturned"]
        assert set(cluster.case_notes["noted_at"]) == {run.as_of}
        again = lk.rebuild(store)
        members = again.cluster(cluster.cluster_id).members.set_index("account_id")
        assert members.loc[account, "membership"] == "bystander"
        assert members["flagged"].sum() == 23
