"""``python -m benchmarks judge``: the whole chain over worlds that nobody developed on, with the spread over worlds.

Recall is told for three classes of campaigns: those that share two families or more besides their work; those that
share their work list, registration and client only (E5, E12, E15, E17); and the slice of a resale pool (E16), whose
accounts carry other people's traffic and are meant to reach review, not enforce.
"""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from benchmarks.fit import markdown
from benchmarks.worlds import (
    Made,
    WorldPlan,
    calm_plans,
    extreme_plans,
    hard_plans,
    in_parallel,
    judge_world,
    judging_plans,
    kept_result,
    make_world,
    say,
)
from linkage.clusters.calibration import calibration_error
from linkage.rebuild import Inputs
from linkage.settings import Settings
from linkage.terms import TIME, make_frame
from linkage.worlds.evaluate import Evaluation, evaluate

BARE = ("E5", "E12", "E15", "E17")
"""Campaigns that share no card and no address; work list, registration and client remain."""
SLICES = ("E16",)
FEWEST_INNOCENTS = 10
"""A kind with fewer accounts in all worlds together has no share that means anything."""

Change = Callable[[Inputs], Inputs]


def _no_output(inputs: Inputs) -> Inputs:
    return dataclasses.replace(inputs, conduct=inputs.conduct.assign(log_output_mean=np.nan, output_tokens=0))


def _no_repeats(inputs: Inputs) -> Inputs:
    return dataclasses.replace(
        inputs, conduct=inputs.conduct.assign(distinct_prompt_count=inputs.conduct["prompt_count"])
    )


def _no_creation(inputs: Inputs) -> Inputs:
    blank = make_frame({"created_at": TIME}, {"created_at": [None] * len(inputs.accounts)})["created_at"]
    return dataclasses.replace(inputs, accounts=inputs.accounts.assign(created_at=blank.array))


def _no_items(inputs: Inputs) -> Inputs:
    return dataclasses.replace(inputs, items=inputs.items.iloc[:0], own_items=inputs.own_items.iloc[:0])


def _no_hours(inputs: Inputs) -> Inputs:
    return dataclasses.replace(inputs, hours=inputs.hours.iloc[:0])


def _without(*kinds: str) -> Change:
    def change(inputs: Inputs) -> Inputs:
        return dataclasses.replace(inputs, uses=inputs.uses[~inputs.uses["kind"].isin(kinds)].reset_index(drop=True))

    return change


WITHHELD: dict[str, Change] = {
    "nothing": lambda inputs: inputs,
    "output lengths": _no_output,
    "regenerations": _no_repeats,
    "output lengths and regenerations": lambda inputs: _no_repeats(_no_output(inputs)),
    "creation times": _no_creation,
    "items": _no_items,
    "hours": _no_hours,
    "contracts": _without("contract"),
    "clients": _without("client"),
    "payment": _without("payment"),
    "addresses": _without("ip", "ip_prefix"),
    "template families": _without("template_family"),
    "templates": _without("template", "template_family"),
}
"""What is taken away from the inputs of a judging world, all else as it was."""


@dataclasses.dataclass(frozen=True)
class Scored:
    """One world, judged."""

    plan: WorldPlan
    scores: Evaluation
    requests: int
    victims_firm: int
    """Framed accounts of E14 that are core or probable."""
    judge_s: float


def score_world(plan: WorldPlan, folder: Path, changes: tuple[str, ...]) -> dict[str, Scored]:
    """The scores of a world for each change of its inputs."""
    scored = {}
    for name in changes:

        def score(name: str = name) -> Scored:
            made = make_world(plan, folder)
            return _score(dataclasses.replace(made, inputs=WITHHELD[name](made.inputs)))

        scored[name] = kept_result(f"scores-{name.replace(' ', '-')}", plan, folder, score)
        say(f"{plan.name}, withheld {name}: {scored[name].scores!r}")
    return scored


def _score(made: Made) -> Scored:
    start = time.process_time()
    judged = judge_world(made, Settings())
    seconds = time.process_time() - start
    members = judged.verdicts.members
    victims = made.tags[made.tags.str.contains("E14-victim")].index
    firm = members["account_id"].isin(victims) & members["membership"].ne("bystander") & members["tier"].eq("enforce")
    return Scored(made.plan, evaluate(members, made.truth), made.requests, int(firm.sum()), seconds)


def run(*, worlds: int, accounts: int | None, folder: Path, workers: int, with_withheld: bool = True) -> str:
    """Judge and return the report as Markdown; what is in the folder is not made again."""
    nothing = ("nothing",)
    mixed = in_parallel(score_world, judging_plans(worlds, accounts=accounts), folder, nothing, workers=workers)
    calm = in_parallel(
        score_world, calm_plans(max(worlds // 2, 2), accounts=accounts), folder, nothing, workers=workers
    )
    hard_changes = ("nothing", "output lengths and regenerations")
    hard = in_parallel(
        score_world, hard_plans(max(worlds // 2, 2), accounts=accounts), folder, hard_changes, workers=workers
    )
    extreme = in_parallel(score_world, extreme_plans(), folder, nothing, workers=1)
    parts = ["# Judged", _by_world([one["nothing"] for one in mixed]), _summary(mixed, "nothing")]
    parts += [_by_recipe([one["nothing"] for one in mixed]), _innocents([one["nothing"] for one in mixed])]
    parts += [_calibration([one["nothing"] for one in mixed]), _calm([one["nothing"] for one in calm])]
    if with_withheld:
        small = [plan for plan in judging_plans(worlds, accounts=accounts) if plan.accounts <= 2_500]
        withheld = in_parallel(score_world, small, folder, tuple(WITHHELD), workers=workers)
        parts.append(_withheld(withheld, tuple(WITHHELD), "Each thing withheld (judging worlds up to 2,500 accounts)"))
    parts.append(_withheld(hard, hard_changes, "Aged accounts and heavy-tailed volumes"))
    parts.append(_extreme([one["nothing"] for one in extreme]))
    draw_reliability(_reliability([one["nothing"] for one in mixed]), folder / "reliability.svg")
    report = "\n\n".join(parts) + "\n"
    (folder / "judged.md").write_text(report, encoding="utf-8")
    return report


def recall_of(scored: list[Scored], wanted: Callable[[str], bool]) -> list[float]:
    """Per world, the share of accounts of campaigns of these recipes that are flagged; worlds without any left out."""
    found = []
    for one in scored:
        campaigns = one.scores.campaigns
        chosen = campaigns[campaigns["role"].map(wanted)]
        if len(chosen):
            found.append(float(chosen["flagged"].sum() / chosen["accounts"].sum()))
    return found


def is_rich(role: str) -> bool:
    """Whether a recipe shares two families or more besides its work."""
    return role not in (*BARE, *SLICES)


def _by_world(scored: list[Scored]) -> str:
    rows = []
    for one in scored:
        scores = one.scores
        worst = scores.innocents.sort_values("flagged_share", ascending=False).iloc[0]
        rows.append(
            {
                "world": one.plan.name,
                "accounts": scores.accounts,
                "requests": one.requests,
                "days": one.plan.days,
                "campaigns": "+".join(scores.campaigns["role"]),
                "flagged": scores.flagged,
                "precision": scores.flag_precision,
                "recall": scores.flag_recall,
                "worst kind": f"{worst['role']} {worst['flagged_share']:.3f}",
                "pairwise F1": scores.pairwise_f1,
                "B-cubed F1": scores.bcubed_f1,
                "fragments": scores.fragments,
                "merged": scores.campaigns_merged,
                "swallowed": scores.campaigns_swallowed,
                "judge s CPU": round(one.judge_s),
            }
        )
    return markdown(pd.DataFrame(rows))


def _spread(values: list[float]) -> dict[str, object]:
    known = np.array([value for value in values if value == value])
    if not len(known):
        return {"median": float("nan"), "lowest": float("nan"), "highest": float("nan"), "worlds": 0}
    low, high = float(known.min()), float(known.max())
    return {"median": float(np.median(known)), "lowest": low, "highest": high, "worlds": len(known)}


def _summary(worlds: list[dict[str, Scored]], change: str) -> str:
    scored = [one[change] for one in worlds]
    clean = [float(one.scores.campaigns_merged == 0 and one.scores.campaigns_swallowed == 0) for one in scored]
    figures: dict[str, tuple[list[float], str]] = {
        "precision": ([one.scores.flag_precision for one in scored], ">= 0.99"),
        "recall, two families or more": (recall_of(scored, is_rich), ">= 0.95"),
        "recall, work list + registration + client": (recall_of(scored, BARE.__contains__), ">= 0.8"),
        "recall, slice of a pool (E16)": (recall_of(scored, SLICES.__contains__), "review"),
        "worst kind of innocents, share flagged": ([_worst_share(one) for one in scored], "<= 0.01"),
        "pairwise F1": ([one.scores.pairwise_f1 for one in scored], ">= 0.95"),
        "effective fragments": ([one.scores.fragments for one in scored], "<= 1.5"),
        "worlds without merger or swallowing": (clean, "9 of 10"),
        "framed accounts that are firm members": ([float(one.victims_firm) for one in scored], "0"),
    }
    rows = [{"figure": name, "mark": mark, **_spread(values)} for name, (values, mark) in figures.items()]
    return "## Spread over worlds\n\n" + markdown(pd.DataFrame(rows))


def _worst_share(one: Scored) -> float:
    innocents = one.scores.innocents
    return float(innocents["flagged_share"].max())


def _by_recipe(scored: list[Scored]) -> str:
    table = pd.concat([one.scores.campaigns for one in scored], ignore_index=True)
    by = table.groupby("role")
    rows = pd.DataFrame(
        {
            "recipe": list(by.groups),
            "campaigns": by.size().to_numpy(),
            "accounts": by["accounts"].sum().to_numpy(),
            "flagged": (by["flagged"].sum() / by["accounts"].sum()).to_numpy(dtype=float),
            "in review or stronger": by["review_recall"].mean().to_numpy(),
            "in any cluster": by["watch_recall"].mean().to_numpy(),
            "fragments": by["fragments"].mean().to_numpy(),
            "merged": by["is_merged"].sum().to_numpy(),
        }
    )
    order = rows["recipe"].str[1:].astype(int).sort_values().index
    return "## Recall by recipe and tier\n\n" + markdown(rows.loc[order])


def _innocents(scored: list[Scored]) -> str:
    table = pd.concat([one.scores.innocents for one in scored], ignore_index=True)
    by = table.groupby("role")[["accounts", "clustered", "flagged"]].sum()
    by["share flagged"] = by["flagged"] / by["accounts"]
    shown = by[(by["accounts"] >= FEWEST_INNOCENTS) | (by["flagged"] > 0)].reset_index()
    return "## Innocents by kind, all worlds together\n\n" + markdown(shown)


def _reliability(scored: list[Scored]) -> pd.DataFrame:
    """The reliability curves of all worlds together; one row per verdict and bin."""
    table = pd.concat([one.scores.calibration for one in scored], ignore_index=True)
    table["mean_probability"] *= table["accounts"]
    table["observed_share"] *= table["accounts"]
    by = table.groupby(["verdict", "low", "high"])[["accounts", "mean_probability", "observed_share"]].sum()
    for name in ("mean_probability", "observed_share"):
        by[name] /= by["accounts"]
    return by.reset_index()


def _calibration(scored: list[Scored]) -> str:
    curve = _reliability(scored)
    errors = {
        verdict: calibration_error(part.assign(weight=part["accounts"])) for verdict, part in curve.groupby("verdict")
    }
    told = ", ".join(f"{verdict} {error:.3f}" for verdict, error in errors.items())
    head = f"## Reliability over accounts in clusters\n\nExpected calibration error: {told} (mark: 0.05).\n\n"
    return head + markdown(curve)


def draw_reliability(curve: pd.DataFrame, path: Path) -> None:
    """Probability against observed share, one line per verdict, into an SVG file."""
    figure, panel = plt.subplots(figsize=(4.5, 4.5), layout="constrained")
    panel.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    for verdict, part in curve.groupby("verdict"):
        panel.plot(part["mean_probability"], part["observed_share"], marker="o", label=verdict)
    panel.set_xlabel("probability told")
    panel.set_ylabel("share of accounts for which it is true")
    panel.legend()
    with matplotlib.rc_context({"svg.hashsalt": "linkage"}):
        figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _calm(scored: list[Scored]) -> str:
    alarmed = [one.plan.name for one in scored if one.scores.flagged]
    kinds = pd.concat([one.scores.innocents for one in scored]).groupby("role")["flagged"].sum()
    who = ", ".join(f"{role} {count}" for role, count in kinds[kinds > 0].items()) or "nobody"
    return (
        f"## Worlds without a campaign\n\n{len(alarmed)} of {len(scored)} worlds with an account flagged "
        f"(mark: at most 5 %): {', '.join(alarmed) or 'none'}. Flagged: {who}."
    )


def _withheld(worlds: list[dict[str, Scored]], changes: tuple[str, ...], title: str) -> str:
    rows = []
    for change in changes:
        scored = [one[change] for one in worlds]
        flagged = sum(one.scores.flagged for one in scored)
        right = sum(one.scores.flagged - one.scores.innocents_flagged for one in scored)
        kinds = pd.concat([one.scores.innocents for one in scored]).groupby("role")["flagged"].sum()
        rich, bare = recall_of(scored, is_rich), recall_of(scored, BARE.__contains__)
        rows.append(
            {
                "withheld": change,
                "flagged": flagged,
                "precision": right / flagged if flagged else float("nan"),
                "recall": float(np.mean(recall_of(scored, lambda role: role not in SLICES))),
                "two families or more": float(np.mean(rich)) if rich else float("nan"),
                "work list only": float(np.mean(bare)) if bare else float("nan"),
                "innocents flagged": ", ".join(f"{role} {n}" for role, n in kinds[kinds > 0].items()) or "none",
            }
        )
    return f"## {title}\n\n" + markdown(pd.DataFrame(rows))


def _extreme(scored: list[Scored]) -> str:
    rows = [
        {
            "world": one.plan.name,
            "shape": one.plan.shapes[0].name,
            "requests": one.requests,
            "recall": one.scores.flag_recall,
            "precision": one.scores.flag_precision,
            "fragments": one.scores.fragments,
        }
        for one in scored
    ]
    return "## Wide and thin, narrow and fat\n\n" + markdown(pd.DataFrame(rows))
