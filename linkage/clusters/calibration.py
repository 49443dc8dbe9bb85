"""Learns the coefficients of the two verdicts from groups of accounts whose truth is known.

A table of labelled groups, from :func:`label_groups`, goes in; coefficients come out. Each verdict is a logistic
model with weights at least 0, fitted with features withheld at random so that it leans on none of them, then
rescaled (Platt) on worlds it was not fitted on, so that its probabilities are those of the worlds.

References
----------
Platt 1999, "Probabilistic outputs for support vector machines" (rescaling, smoothed targets). Zadrozny and Elkan 2002,
"Transforming classifier scores into accurate multiclass probability estimates" (reliability). Departure: Platt's
sigmoid is kept monotone by a slope of at least :data:`LEAST_SLOPE`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import minimize

from linkage.arrays import Numbers
from linkage.clusters.coefficients import FEATURES, SHIPPED, Coefficients, Logistic
from linkage.clusters.features import UNKNOWN
from linkage.clusters.slices import OWN_FEATURES
from linkage.errors import ClusterError
from linkage.terms import TEXT, Shape, check_frame

LABEL_TRUTH: Final[Shape] = {"account_id": TEXT, "campaign": TEXT, "controller_id": TEXT, "purpose": TEXT, "role": TEXT}
"""What must be known of accounts: campaign (empty for innocents), who runs it, what for, and its kind. A null
``controller_id`` or ``purpose`` says that nobody knows."""

SURE_SHARE: Final = 2 / 3
"""Groups of which this share of the known accounts agrees are examples; less clear ones are left out."""
MOVABLE: Final = ("output", "distinct", "hand_over", "own_queue", "own_output")
"""Features an operator moves at little cost; they are withheld in half of the copies."""
TOGETHER: Final = (
    ("partition", "work_list"),
    ("created", "young"),
    ("round_clock", "sleepless", "joint_pauses"),
    ("limited", "hand_over", "own_queue"),
    ("templated", "shared_work", "joint_volume", "exclusive", "reworded", "work_evenness", "common_work"),
    ("output", "templated", "shared_work", "sameness", "distinct"),
    ("own_output", "own_sameness"),
    ("own_round_clock", "own_sleepless"),
    ("exclusive", "reworded", "work_evenness", "common_work", *OWN_FEATURES),
)
"""Features that go together: where one field of the logs is missing; the last set where ordinary traffic hides them."""
PULL: Final = 0.001
"""Ridge penalty of standardised weights, beside a mean loss per example."""
COPIES: Final = 8
WITHHELD_SHARE: Final = 0.12
"""Of the features one by one, and of the sets of :data:`TOGETHER`, in each copy of an example."""
MAX_WEIGHT: Final = 8.0
"""No feature counts for more, so that none decides alone."""
LEAST_SLOPE: Final = 0.2
FOLDS: Final = 4
BINS: Final = 10


@dataclasses.dataclass(frozen=True)
class Fit:
    """Coefficients, and what is known of how good they are."""

    coefficients: Coefficients
    reliability: pd.DataFrame
    """One row per verdict and bin, from :func:`reliability`: of groups in worlds held out, weighed by accounts."""
    errors: dict[str, float]
    """Verdict to expected calibration error over held-out groups, weighed by their accounts."""
    held_out: pd.DataFrame
    """Columns ``verdict, world, role, accounts, right, probability``: every example, judged without its world."""


def label_groups(
    groups: pd.DataFrame, assigned: pd.DataFrame, truth: pd.DataFrame, *, world: str, rest_is_innocent: bool = False
) -> pd.DataFrame:
    """Groups with what is true of them.

    Parameters
    ----------
    groups, assigned : of :class:`linkage.clusters.verdicts.Verdicts`.
    truth : of shape :data:`LABEL_TRUTH`; accounts it does not name are unknown.
    world : a name for where the groups come from; worlds are held out whole.
    rest_is_innocent : whether a group without any known account counts as innocent where its tier is ``watch``.

    Returns
    -------
    The rows of ``groups`` with three accounts or more, and ``world``, ``role`` (the most common one), ``is_controller``
    and ``is_extraction`` (1.0, 0.0, or nan where the accounts disagree or nobody knows); ``is_slice`` is the latter.
    """
    check_frame(truth, LABEL_TRUTH, name="truth")
    known = assigned.merge(truth[list(LABEL_TRUTH)], on="account_id", how="inner")
    by = known.groupby("community")
    role = by["role"].agg(_most_common)
    table = groups.assign(
        world=world,
        role=role.reindex(groups["community"]).fillna("unknown").to_numpy(),
        is_controller=_one_controller(known).reindex(groups["community"]).to_numpy(),
        is_extraction=_extraction(known).reindex(groups["community"]).to_numpy(),
    )
    table["is_slice"] = table["is_extraction"]
    if rest_is_innocent:
        unknown = ~table["community"].isin(known["community"]) & (table["tier"] == "watch")
        table.loc[unknown, ["is_extraction", "is_slice"]] = 0.0
    return table[table["accounts"] >= 3].reset_index(drop=True)


def _most_common(roles: pd.Series[str]) -> str:
    return str(roles.value_counts().sort_index().idxmax())


def _one_controller(known: pd.DataFrame) -> pd.Series[float]:
    told = known.dropna(subset="controller_id")
    counts = told.groupby(["community", "controller_id"]).size()
    most = counts.groupby(level="community").max()
    share = most / told.groupby("community").size()
    label = np.where(share >= SURE_SHARE, 1.0, np.where(share <= 0.5, 0.0, np.nan))
    return pd.Series(np.where(most < 2, 0.0, label), index=share.index)


def _extraction(known: pd.DataFrame) -> pd.Series[float]:
    told = known.dropna(subset="purpose")
    # A slice of a pool is not an account that extracts: such groups teach neither.
    share = (told["purpose"] == "extraction").groupby(told["community"]).mean()
    sliced = (told["role"] == "E16").groupby(told["community"]).any()
    label = np.where(share >= SURE_SHARE, 1.0, np.where(share <= 1 - SURE_SHARE, 0.0, np.nan))
    return pd.Series(np.where(sliced, np.nan, label), index=share.index)


def fit_coefficients(
    table: pd.DataFrame,
    *,
    provenance: str,
    prior: Coefficients | None = None,
    prior_strength: float = 1.0,
    seed: int = 0,
    models: Sequence[str] = tuple(FEATURES),
    rest: Coefficients = SHIPPED,
) -> Fit:
    """Coefficients of the verdicts from labelled groups.

    Parameters
    ----------
    table : from :func:`label_groups`, of several worlds.
    provenance : where the groups come from, in words.
    prior : coefficients to stay near, which are taken as calibrated; a verdict without examples of both outcomes keeps
        them. Without a prior, weights are drawn towards 0 and the outcome is rescaled.
    prior_strength : how strongly; 0 and more.
    seed : of what is withheld.
    models : those to learn.
    rest : where the others are taken from.

    Raises
    ------
    ClusterError : a verdict has no example of one outcome, and there is no prior.
    """
    made: dict[str, Logistic] = {verdict: getattr(rest, verdict) for verdict in FEATURES}
    curves, errors, told = [], {}, []
    for verdict in models:
        before = getattr(prior, verdict) if prior else None
        examples = _examples(table, verdict)
        if before and examples["right"].nunique() < 2:
            made[verdict] = before
            continue
        _check_outcomes(examples, verdict)
        model = _fit_model(examples, verdict, before, prior_strength, seed)
        slope, shift = _rescaling(examples, verdict, before, prior_strength, seed)
        made[verdict] = _rounded(model.rescaled(slope=slope, shift=shift))
        held_out = _held_out(examples, verdict, before, prior_strength, seed, is_rescaled=True)
        curves.append(_curve(held_out, examples, verdict))
        errors[verdict] = calibration_error(curves[-1])
        columns = examples[["world", "role", "accounts", "right"]]
        told.append(columns.assign(verdict=verdict, probability=held_out))
    tables = [pd.concat(parts, ignore_index=True) if parts else pd.DataFrame() for parts in (curves, told)]
    return Fit(Coefficients(provenance, **made), tables[0], errors, tables[1])


def reliability(probability: Numbers, right: Numbers, *, weight: Numbers, verdict: str) -> pd.DataFrame:
    """How often groups of each bin of probability were what the verdict says; one row per bin that has any.

    Parameters
    ----------
    probability, right : per group, 0 to 1.
    weight : of each group, such as its accounts.
    """
    bins = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    rows: list[dict[str, Any]] = []
    for number in np.unique(bins):
        inside = bins == number
        rows.append(
            {
                "verdict": verdict,
                "low": number / BINS,
                "high": (number + 1) / BINS,
                "groups": int(inside.sum()),
                "weight": float(weight[inside].sum()),
                "mean_probability": float(np.average(probability[inside], weights=weight[inside])),
                "observed_share": float(np.average(right[inside], weights=weight[inside])),
            }
        )
    return pd.DataFrame(rows)


def calibration_error(curve: pd.DataFrame) -> float:
    """Mean distance between probability and observed share over a curve of :func:`reliability`, by weight."""
    gap = (curve["mean_probability"] - curve["observed_share"]).abs()
    return float(np.average(gap, weights=curve["weight"]))


def _curve(probability: Numbers, examples: pd.DataFrame, verdict: str) -> pd.DataFrame:
    weight = examples["accounts"].to_numpy(dtype=np.float64)
    return reliability(probability, examples["right"].to_numpy(), weight=weight, verdict=verdict)


def _examples(table: pd.DataFrame, verdict: str) -> pd.DataFrame:
    label = table[f"is_{verdict}"]
    examples = table[label.notna()].assign(right=label.dropna()).reset_index(drop=True)
    kinds = examples.groupby(["world", "role", "right"])["right"].transform("size")
    # A world has few campaigns and a hundred households: without this, one controller would mean one card.
    return examples.assign(emphasis=np.where(examples["is_extraction"] == 1, 1.0, 1 / np.sqrt(kinds)))


def _check_outcomes(examples: pd.DataFrame, verdict: str) -> None:
    counts = [int((examples["right"] == outcome).sum()) for outcome in (0, 1)]
    if min(counts) < 1:
        raise ClusterError(
            f"{verdict}: wanted groups of both outcomes to learn from; found {counts[0]} that are not and {counts[1]} "
            "that are. Plant more campaigns, or hand over a truth file that names both"
        )


def _matrix(examples: pd.DataFrame, verdict: str) -> Numbers:
    return examples[[f"{verdict}_{name}" for name in FEATURES[verdict]]].to_numpy(dtype=np.float64)


def _fit_model(
    examples: pd.DataFrame, verdict: str, prior: Logistic | None, prior_strength: float, seed: int
) -> Logistic:
    names = FEATURES[verdict]
    values, right, emphasis = _with_withheld(
        _matrix(examples, verdict), examples["right"].to_numpy(), examples["emphasis"].to_numpy(), names, seed
    )
    mean, spread = values.mean(axis=0), values.std(axis=0) + 1e-9
    scaled = (values - mean) / spread
    aim = np.zeros(len(names) + 1)
    pull = np.array([0.0, *[PULL] * len(names)])
    if prior:
        known = np.array([prior.weights.get(name, 0.0) for name in names])
        aim = np.array([prior.intercept + known @ mean, *(known * spread)])
        pull[:] = prior_strength
        emphasis = emphasis / (1 + 0.8 * COPIES)
    else:
        # Both outcomes weigh the same here; the rescaling brings back how rare campaigns are.
        totals = [emphasis[right == outcome].sum() for outcome in (0, 1)]
        emphasis = emphasis / np.where(right == 1, totals[1], totals[0]) / 2

    def loss(point: Numbers) -> tuple[float, Numbers]:
        logit = point[0] + scaled @ point[1:]
        gap = (1 / (1 + np.exp(-np.clip(logit, -30, 30))) - right) * emphasis
        value = (emphasis * (np.logaddexp(0, logit) - right * logit)).sum() + (pull * (point - aim) ** 2).sum()
        return float(value), np.concatenate([[gap.sum()], scaled.T @ gap]) + 2 * pull * (point - aim)

    limits: list[tuple[float | None, float | None]] = [(None, None), *((0.0, MAX_WEIGHT * one) for one in spread)]
    found = minimize(loss, aim, jac=True, method="L-BFGS-B", bounds=limits)
    weights = found.x[1:] / spread
    return Logistic(float(found.x[0] - weights @ mean), dict(zip(names, weights.tolist(), strict=True)))


def _with_withheld(
    values: Numbers, right: Numbers, emphasis: Numbers, names: Sequence[str], seed: int
) -> tuple[Numbers, Numbers, Numbers]:
    """The examples and copies of them in which features are withheld, as an input without the field would."""
    draw = np.random.default_rng(seed)
    innocent = np.average(values[right == 0], axis=0, weights=emphasis[right == 0])
    unknown = np.array([UNKNOWN.get(name, usual) for name, usual in zip(names, innocent, strict=True)])
    movable = np.isin(names, MOVABLE)
    parts = [values]
    for copy in range(COPIES):
        withheld = draw.random(values.shape) < WITHHELD_SHARE
        for together in TOGETHER:
            withheld[:, np.isin(names, together)] |= draw.random((len(values), 1)) < WITHHELD_SHARE
        withheld[:, movable] |= copy < COPIES // 2
        parts.append(np.where(withheld, unknown, values))
    weights = np.concatenate([emphasis, np.tile(0.8 * emphasis, COPIES)])
    return np.vstack(parts), np.tile(right, COPIES + 1), weights


def _held_out(
    examples: pd.DataFrame,
    verdict: str,
    prior: Logistic | None,
    prior_strength: float,
    seed: int,
    *,
    is_rescaled: bool = False,
) -> Numbers:
    """Log odds (rescaled: probability) of every group from models that saw nothing of its world."""
    result = np.zeros(len(examples))
    for inside, outside in _folds(examples):
        model = _fit_model(inside, verdict, prior, prior_strength, seed)
        if is_rescaled:
            slope, shift = _rescaling(inside, verdict, prior, prior_strength, seed)
            model = model.rescaled(slope=slope, shift=shift)
        logit = model.logit(_named(examples[outside], verdict))
        result[outside] = 1 / (1 + np.exp(-np.clip(logit, -30, 30))) if is_rescaled else logit
    return result


def _folds(examples: pd.DataFrame) -> list[tuple[pd.DataFrame, npt.NDArray[np.bool_]]]:
    """Training rows and mask of the rows held out: whole worlds, or every fourth row where there is one world only."""
    worlds = sorted(examples["world"].unique())
    fold = examples["world"].map({world: number % FOLDS for number, world in enumerate(worlds)}).to_numpy()
    if len(worlds) < 2:
        fold = examples.groupby("right").cumcount().to_numpy() % FOLDS
    parts = [(examples[fold != number], fold == number) for number in np.unique(fold)]
    return [(inside, outside) for inside, outside in parts if inside["right"].nunique() == 2]


def _rescaling(
    examples: pd.DataFrame, verdict: str, prior: Logistic | None, prior_strength: float, seed: int
) -> tuple[float, float]:
    """Slope and shift that make held-out log odds those of the worlds; groups count by the root of their accounts."""
    if prior:
        return 1.0, 0.0
    logit = np.clip(_held_out(examples, verdict, prior, prior_strength, seed), -30, 30)
    right = examples["right"].to_numpy()
    weight = np.sqrt(examples["accounts"].to_numpy(dtype=np.float64))
    yes, no = float((right == 1).sum()), float((right == 0).sum())
    target = np.where(right == 1, (yes + 1) / (yes + 2), 1 / (no + 2))

    def loss(point: Numbers) -> float:
        scaled = point[0] * logit + point[1]
        return float((weight * (np.logaddexp(0, scaled) - target * scaled)).sum() / weight.sum())

    found = minimize(loss, np.array([1.0, 0.0]), method="L-BFGS-B", bounds=[(LEAST_SLOPE, 4.0), (-20.0, 20.0)])
    return float(found.x[0]), float(found.x[1])


def _named(examples: pd.DataFrame, verdict: str) -> pd.DataFrame:
    return examples.rename(columns={f"{verdict}_{name}": name for name in FEATURES[verdict]})


def _rounded(model: Logistic) -> Logistic:
    weights = {name: round(weight, 3) for name, weight in model.weights.items() if weight >= 0.0005}
    return Logistic(round(model.intercept, 3), weights)
