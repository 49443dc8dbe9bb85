"""Refits the verdicts on a store's own traffic: planted campaigns and people's decisions are the examples."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from linkage.clusters.calibration import calibration_error, fit_coefficients, label_groups, reliability
from linkage.clusters.coefficients import FEATURES, Coefficients, coefficients_from
from linkage.engines.local import ingest_files
from linkage.errors import UsageError
from linkage.notebook.given import AnyPath
from linkage.outputs.files import write_whole
from linkage.outputs.html import notebook_table
from linkage.rebuild import newest_window
from linkage.settings import Settings
from linkage.stages import Judged, Step, judge_again, judge_inputs
from linkage.store.doctor import field_coverage
from linkage.store.incidence import need_requests
from linkage.store.inputs import Inputs, read_inputs
from linkage.store.store import Database
from linkage.terms import CASE_NOTES, DAY_MS, MEMBERS, make_frame
from linkage.worlds.evaluate import TRUTH, Evaluation, evaluate, read_truth
from linkage.worlds.inject import Host, inject
from linkage.worlds.simulate import read_scenarios
from linkage.worlds.traffic import Client

PLANTED: Final = ("E1", "E3", "E5", "E6")
"""Campaigns that are planted where nobody chooses: with shared cards and addresses, without, and paraphrased."""
LEARNING_ROUNDS: Final = 2
"""How often campaigns are planted to learn from; one more planting checks."""
PRIOR_STRENGTH: Final = 2.0
"""How strongly the coefficients stay near the ones before: one store teaches less than many worlds."""


@dataclasses.dataclass(frozen=True)
class Calibrated:
    """Coefficients refitted on a store, and what they change."""

    coefficients: Coefficients
    figures: pd.DataFrame
    """Columns ``figure, before, after``: over a planting that was not learned from, and groups held out."""
    examples: pd.DataFrame
    """Columns ``verdict, yes, no``: groups learned from."""
    weights: pd.DataFrame
    """Columns ``verdict, feature, before, after``: what a feature adds to the log odds of a verdict."""
    curves: pd.DataFrame
    """Reliability of the same groups as ``figures``: ``coefficients`` (``before``, ``after``), ``verdict``, bounds
    ``low`` and ``high`` of each bin of probability, ``groups`` and accounts (``weight``) in it, ``mean_probability``
    and ``observed_share``."""

    def __repr__(self) -> str:
        return f"<Calibrated {self.coefficients.version}: {self.coefficients.provenance}>"

    def _repr_html_(self) -> str:
        return notebook_table(self.figures, caption=repr(self).strip("<>"))

    @property
    def settings(self) -> dict[str, Any]:
        """The coefficients as a change of settings, for ``run.what_if(settings=...)``."""
        return {"coefficients": self.coefficients.to_tables()}

    def write(self, path: AnyPath) -> Path:
        """Write the coefficients as a settings file for ``rebuild``; other settings may be added to it.

        Raises
        ------
        OutputFileError : the file cannot be written.
        """
        return write_whole(self.coefficients.to_toml().encode(), out=path)


def calibrate_store(
    database: Database,
    *,
    truth: AnyPath | None = None,
    plant: Sequence[str] = PLANTED,
    seed: int = 0,
    settings: Settings | None = None,
    step: Step | None = None,
) -> Calibrated:
    """Plant campaigns into copies of a store, judge them, and refit the verdicts; the store itself is only read.

    What is learned from: planted campaigns, clusters that people decided on (``enforced`` and ``cleared``; of several
    decisions the last), the accounts of a truth file, and groups of tier ``watch`` that nobody decided on, which count
    as no extraction. The new coefficients stay near the ones before.

    Parameters
    ----------
    truth : a truth file about accounts of the store, if there is one; it stands above decisions.
    plant : ``NAME`` or ``NAME:STRENGTH`` of campaigns.
    seed : of plantings and all other draws.
    settings : thresholds, and coefficients to start from.
    step : told what is being done.

    Raises
    ------
    UsageError : nothing is planted and nothing is known, or a campaign that does not exist.
    ClusterError : a verdict has no example of one outcome, or the store no request.
    """
    chosen, tell = settings or Settings(), step or (lambda _name: None)
    before = coefficients_from(chosen.coefficients)
    known = _known(database, truth)
    if not plant and known.empty:
        raise UsageError("calibrate learns from planted campaigns, decisions or a truth file; found none. Name one")
    read_scenarios([*plant, "none"])
    tables, checks = [], []
    for number in range(LEARNING_ROUNDS + 1 if plant else 1):
        tell(f"planting {number + 1}")
        inputs, planted = _planted(database, plant, seed + number, chosen)
        everything = pd.concat([planted, known], ignore_index=True)
        judged = judge_inputs(inputs, settings=chosen, seed=seed)
        table = _labelled(judged, everything, world=f"planting {seed + number}")
        checks.append((inputs, judged, everything, table))
        tables.append(table)
    learned = pd.concat(tables[:-1] if plant else tables, ignore_index=True)
    provenance = _provenance(before, plant, seed, known, truth)
    fit = fit_coefficients(learned, provenance=provenance, prior=before, prior_strength=PRIOR_STRENGTH, seed=seed)
    tell("check")
    both = {"before": before, "after": fit.coefficients}
    figures, curves = _compare(*checks[-1], both=both, settings=chosen, seed=seed)
    counts = {verdict: learned[f"is_{verdict}"].value_counts() for verdict in FEATURES}
    rows = [{"verdict": name, "yes": int(one.get(1.0, 0)), "no": int(one.get(0.0, 0))} for name, one in counts.items()]
    return Calibrated(fit.coefficients, figures, pd.DataFrame(rows), _weights(both), curves)


def _weights(both: Mapping[str, Coefficients]) -> pd.DataFrame:
    rows = []
    for verdict, names in FEATURES.items():
        models = {name: getattr(one, verdict) for name, one in both.items()}
        rows.append({"verdict": verdict, "feature": "intercept", **{k: m.intercept for k, m in models.items()}})
        for feature in names:
            told = {name: model.weights.get(feature, 0.0) for name, model in models.items()}
            rows.append({"verdict": verdict, "feature": feature, **told})
    return pd.DataFrame(rows)


def _provenance(
    before: Coefficients, plant: Sequence[str], seed: int, known: pd.DataFrame, truth: AnyPath | None
) -> str:
    planted = f"{', '.join(plant)} planted (seeds {seed} to {seed + LEARNING_ROUNDS - 1})" if plant else "none planted"
    told = f", {len(known)} accounts {'of a truth file or ' if truth is not None else ''}decided on"
    return f"refitted from {before.version} on one store: {planted}{told if len(known) else ''}"


def _known(database: Database, truth: AnyPath | None) -> pd.DataFrame:
    """Truth about accounts of the store, of shape ``TRUTH``; what nobody knows is null."""
    decided = _decided(database)
    if truth is None:
        return decided
    told = read_truth(truth)
    return pd.concat([told, decided[~decided["account_id"].isin(told["account_id"])]], ignore_index=True)


def _decided(database: Database) -> pd.DataFrame:
    """Firm members of the published run's clusters on which people decided, by their last decision."""
    published = database.query("published_run")
    if published.empty:
        return make_frame(TRUTH)
    members = database.frame("run_members", MEMBERS, run_id=str(published["run_id"].iloc[0]))
    firm = members[members["membership"] != "bystander"]
    parts = [make_frame(TRUTH)]
    for cluster_id, accounts in firm.groupby("cluster_id", sort=True)["account_id"]:
        notes = database.frame("case_notes", CASE_NOTES, cluster_id=str(cluster_id))
        states = [state for state in notes["state"] if state in ("enforced", "cleared")]
        if states:
            parts.append(_decision(states[-1], str(cluster_id), list(accounts)))
    return pd.concat(parts, ignore_index=True)


def _decision(state: str, cluster_id: str, accounts: list[str]) -> pd.DataFrame:
    is_enforced = state == "enforced"
    columns = {
        "account_id": accounts,
        "campaign": [cluster_id if is_enforced else ""] * len(accounts),
        "role": [state] * len(accounts),
        "kind": [state] * len(accounts),
        # A cleared cluster may be one firm or a class: who runs it is not known.
        "controller_id": [cluster_id if is_enforced else None] * len(accounts),
        "purpose": ["extraction" if is_enforced else "normal"] * len(accounts),
    }
    return make_frame(TRUTH, columns)


def _planted(database: Database, plant: Sequence[str], seed: int, settings: Settings) -> tuple[Inputs, pd.DataFrame]:
    """Inputs of a copy of the store with campaigns planted, and the truth about those."""
    window = newest_window(database, None, int(settings.run.window_days), settings=settings.health)
    inputs = read_inputs(database, window)
    if not plant:
        return inputs, make_frame(TRUTH)
    need_requests(
        database,
        wanted="to plant campaigns into a copy of it",
        instead="Calibrate on a truth file with --plant none, or on a sample of the logs in a store of its own",
    )
    with tempfile.TemporaryDirectory(prefix="linkage-calibrate-") as name:
        folder = Path(name)
        world = inject(folder / "planted", _host(database, inputs), scenarios=plant, seed=seed)
        database.copy_to(folder / "copy.db")
        with Database(folder / "copy.db", create=False) as copy:
            ingest_files(copy, [world.requests], accounts=[world.accounts], settings=settings)
            return read_inputs(copy, window), read_truth(world.truth)


def _host(database: Database, inputs: Inputs) -> Host:
    """What planted campaigns must fit, read from a store's rollups."""
    hours = inputs.hours["hour_at"]
    first = hours.min().normalize()
    coverage = field_coverage(database)
    carried = set(coverage.loc[coverage["present"] > 0, "field"])
    return Host(
        accounts=len(inputs.accounts),
        requests=int(inputs.accounts["request_count"].sum()),
        start_ms=int(first.timestamp()) * 1000,
        days=int((hours.max().normalize() - first) / pd.Timedelta(milliseconds=DAY_MS)) + 1,
        models=tuple(_popular(inputs.uses, "model")),
        clients=tuple(Client(*_client(text)) for text in _popular(inputs.uses, "client")),
        missing=tuple(sorted(set(coverage["field"]) - carried)),
    )


def _popular(uses: pd.DataFrame, kind: str) -> list[str]:
    counts = uses[uses["kind"] == kind].groupby("value")["request_count"].sum()
    return [str(value) for value in counts.sort_values(ascending=False, kind="stable").index]


def _client(text: str) -> tuple[str, str | None]:
    agent, _, fingerprint = text.partition("\t")
    return agent, fingerprint or None


def _labelled(judged: Judged, truth: pd.DataFrame, *, world: str) -> pd.DataFrame:
    return label_groups(judged.verdicts.groups, judged.verdicts.assigned, truth, world=world, rest_is_innocent=True)


def _compare(
    inputs: Inputs,
    judged: Judged,
    truth: pd.DataFrame,
    table: pd.DataFrame,
    *,
    both: Mapping[str, Coefficients],
    settings: Settings,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Figures and reliability of the coefficients on a planting that was not learned from."""
    columns, curves = {}, []
    for name, coefficients in both.items():
        used = dataclasses.replace(settings, coefficients=coefficients.to_tables())
        members = judge_again(judged, inputs, settings=used, seed=seed).verdicts.members
        told = _curves(coefficients, table)
        columns[name] = _figures(evaluate(members, truth), told)
        curves += [curve.assign(coefficients=name) for curve in told.values()]
    figures = {"figure": list(columns["before"]), **{name: list(one.values()) for name, one in columns.items()}}
    return pd.DataFrame(figures), pd.concat(curves, ignore_index=True)


def _figures(scores: Evaluation, curves: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    figures = {
        "planted and known campaigns found": float(scores.campaigns_found),
        "share of their accounts flagged": scores.flag_recall,
        "known innocents flagged": float(scores.innocents_flagged),
        "accounts flagged that nobody knows": float(scores.unknown_flagged),
    }
    return figures | {f"calibration error of {verdict}": calibration_error(curve) for verdict, curve in curves.items()}


def _curves(coefficients: Coefficients, table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    found = {}
    for verdict, names in FEATURES.items():
        known = table[table[f"is_{verdict}"].notna()]
        features = known.rename(columns={f"{verdict}_{name}": name for name in names})
        told = getattr(coefficients, verdict).probability(features)
        right = known[f"is_{verdict}"].to_numpy(dtype=np.float64)
        weight = known["accounts"].to_numpy(dtype=np.float64)
        found[verdict] = reliability(told, right, weight=weight, verdict=verdict)
    return found
