"""``python -m benchmarks fit``: simulates training worlds, learns the coefficients of the verdicts, keeps them."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks.worlds import in_parallel, labelled_groups, slice_plans, training_plans
from linkage.clusters.calibration import Fit, fit_coefficients
from linkage.clusters.coefficients import FEATURES, SHIPPED
from linkage.errors import UsageError
from linkage.settings import settings_from


def run(*, worlds: int, folder: Path, out: Path, date: str, workers: int, models: Sequence[str]) -> Fit:
    """Fit on so many training worlds and write the coefficients; what is in the folder is not made again.

    Parameters
    ----------
    models : those to learn; the others are kept as they are shipped. That of own work learns from worlds of its own.
    folder : keeps worlds and groups.
    out : the file to write, a settings file with the table ``[coefficients]``.
    date : of the fit, for the provenance.
    """
    # Searches by chance are for q-values, which are no features.
    settings = settings_from({"verdicts": {"null_searches": 0}})
    fit, coefficients = None, SHIPPED
    for plans, learned in ((training_plans(worlds), ("controller", "extraction")), (slice_plans(worlds), ("slice",))):
        wanted = [model for model in learned if model in models]
        if wanted:
            tables = in_parallel(labelled_groups, plans, folder, settings, workers=workers)
            table = pd.concat(tables, ignore_index=True)
            kept = [part for part in coefficients.provenance.split("; ") if part.partition(":")[0] != learned[-1]]
            told = f"{learned[-1]}: {worlds} simulated worlds (seeds {plans[0].seed} to {plans[-1].seed})"
            provenance = "; ".join([*kept, f"{told}, {len(table)} groups, {date}"])
            fit = fit_coefficients(table, provenance=provenance, models=wanted, rest=coefficients)
            coefficients = fit.coefficients
            _tell(fit, table, wanted, out)
    if fit is None:
        raise UsageError(f"wanted models out of {', '.join(FEATURES)}; got {', '.join(models) or 'none'}")
    head = "# The shipped coefficients of the two verdicts. Made by: python -m benchmarks fit\n"
    out.write_text(head + coefficients.to_toml(), encoding="utf-8")
    return fit


def _tell(fit: Fit, table: pd.DataFrame, models: Sequence[str], out: Path) -> None:
    print(f"for {out}: version {fit.coefficients.version}, {fit.coefficients.provenance}\n")
    for verdict in models:
        counts = [int((table[f"is_{verdict}"] == outcome).sum()) for outcome in (1, 0)]
        print(f"{verdict}: {counts[0]} groups that are, {counts[1]} that are not; held-out calibration error", end=" ")
        print(f"{fit.errors[verdict]:.3f} (mark: 0.05)")
    print("\nReliability over worlds held out, weighed by accounts\n")
    columns = ["verdict", "low", "high", "groups", "mean_probability", "observed_share"]
    print(markdown(fit.reliability[columns]))
    print("\nWhat a threshold lets through, worlds held out\n")
    print(markdown(thresholds(fit.held_out)))
    print("\nCampaigns told extraction with the least probability, and innocents with the most, worlds held out\n")
    print(markdown(_hardest(fit.held_out)))


def thresholds(held_out: pd.DataFrame) -> pd.DataFrame:
    """Per verdict and threshold: share of accounts in groups that are and reach it, and groups that are not and do."""
    rows = []
    for (verdict, table), level in itertools.product(held_out.groupby("verdict"), (0.3, 0.5, 0.6, 0.7, 0.8, 0.9)):
        over, right = table["probability"] >= level, table["right"] == 1
        found = table.loc[over & right, "accounts"].sum() / table.loc[right, "accounts"].sum()
        kinds = table.loc[over & ~right, "role"].value_counts()
        wrong = ", ".join(f"{role} {count}" for role, count in kinds.items()) or "none"
        rows.append({"verdict": verdict, "threshold": level, "share of accounts found": found, "wrong groups": wrong})
    return pd.DataFrame(rows)


def _hardest(held_out: pd.DataFrame) -> pd.DataFrame:
    table = held_out[held_out["verdict"] == held_out["verdict"].iloc[-1]].sort_values(["probability", "world", "role"])
    campaigns, innocents = table[table["right"] == 1].head(8), table[table["right"] == 0].tail(8)
    return pd.concat([campaigns, innocents])[["role", "world", "accounts", "right", "probability"]]


def markdown(table: pd.DataFrame) -> str:
    """A table as Markdown; numbers with three digits."""
    lines = ["| " + " | ".join(map(str, table.columns)) + " |", "|" + " --- |" * len(table.columns)]
    for row in table.itertuples(index=False):
        lines.append("| " + " | ".join(_cell(value) for value in row) + " |")
    return "\n".join(lines)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "-" if value != value else f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
