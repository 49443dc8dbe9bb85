"""``python -m benchmarks grid``: recall by what a campaign shares, works, dilutes and how large it is; and the delay.

Cells of the grid are planted several to a world, so that the whole grid is affordable: small campaigns a dozen at a
time into worlds of 1,500 accounts, a campaign of 1,000 alone into one of 4,000, all innocents beside them. Cells of
more than 60,000 requests are left out.
"""

import itertools
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import pandas as pd
from matplotlib import pyplot as plt

from benchmarks.fit import markdown
from benchmarks.worlds import CAMPAIGN_MIXES, WorldPlan, in_parallel, judge_world, kept_result, make_world, say
from linkage.settings import Settings
from linkage.stages import judge_inputs
from linkage.terms import counted
from linkage.worlds.evaluate import Evaluation, detection_delays, evaluate
from linkage.worlds.shaped import SHARED_FAMILIES, CampaignShape

FAMILIES = (0, 1, 2, 3)
RATES = (5.0, 26.0, 200.0)
MIXES = (0.0, 0.6, 0.9, 0.95)
SIZES = (5, 20, 100, 1_000)
DAYS = 10
SEED = 3_200
DELAY_SEED = 3_300
MOST_REQUESTS = 60_000
MOST_ACCOUNTS = 450
"""Campaign accounts in one world of 1,500."""
MOST_CAMPAIGNS = 12
_BAR_STEP = 1.15
_TOLD = {"flagged": "#2166ac", "in review": "#f4a582", "not found": "#e8e8e8"}
FOUND = 0.8
"""Share of a campaign's accounts from which on it counts as found."""


def grid_shapes(*, is_short: bool = False) -> list[CampaignShape]:
    """The cells that are measured."""
    sizes = SIZES[:2] if is_short else SIZES
    rates = RATES[1:2] if is_short else RATES
    mixes = MIXES[:1] if is_short else MIXES
    cells = (
        CampaignShape(accounts, rate, families, mix)
        for accounts, rate, mix, families in itertools.product(sizes, rates, mixes, FAMILIES)
    )
    return [cell for cell in cells if cell.accounts * cell.rate * DAYS * 0.75 <= MOST_REQUESTS]


def grid_plans(shapes: list[CampaignShape]) -> list[WorldPlan]:
    """The worlds that hold the cells; cells that follow each other lie apart, so that none is crowded by its like."""
    worlds = [[shape] for shape in shapes if shape.accounts >= MOST_ACCOUNTS]
    small = [shape for shape in shapes if shape.accounts < MOST_ACCOUNTS]
    count = max(
        -(-sum(shape.accounts for shape in small) // MOST_ACCOUNTS), -(-len(small) // MOST_CAMPAIGNS), bool(small)
    )
    worlds += [part for part in (small[first::count] for first in range(count)) if part]
    return [
        WorldPlan(
            name=f"grid-{SEED + number}",
            seed=SEED + number,
            accounts=4_000 if part[0].accounts >= MOST_ACCOUNTS else 1_500,
            days=DAYS,
            shapes=tuple(part),
        )
        for number, part in enumerate(worlds)
    ]


def delay_plans(count: int) -> list[WorldPlan]:
    """Worlds that are judged at the end of every day."""
    return [
        WorldPlan(
            name=f"delay-{DELAY_SEED + number}",
            seed=DELAY_SEED + number,
            accounts=2_500,
            days=21,
            scenarios=("innocents", *CAMPAIGN_MIXES[number]),
            is_daily=True,
        )
        for number in range(count)
    ]


def score_grid_world(plan: WorldPlan, folder: Path) -> pd.DataFrame:
    """One row per campaign of a world of the grid."""

    def score() -> Evaluation:
        made = make_world(plan, folder)
        return evaluate(judge_world(made, Settings()).verdicts.members, made.truth)

    scores = kept_result("grid", plan, folder, score)
    say(f"{plan.name}: {scores!r}")
    shapes = pd.DataFrame(
        [
            {"role": one.name, "families": one.families, "rate": one.rate, "mix": one.mix, "size": one.accounts}
            for one in plan.shapes
        ]
    )
    table = scores.campaigns.merge(shapes, on="role", how="inner")
    return table.assign(innocents_flagged=scores.innocents_flagged, world=plan.name)


def score_delays(plan: WorldPlan, folder: Path) -> pd.DataFrame:
    """Detection delay of each campaign of a world that is judged daily."""
    return kept_result("delays", plan, folder, lambda: _score_delays(plan, folder))


def _score_delays(plan: WorldPlan, folder: Path) -> pd.DataFrame:
    made = make_world(plan, folder)
    runs = []
    for end_ms, inputs in made.daily:
        members = judge_inputs(inputs, settings=Settings(), seed=plan.seed).verdicts.members
        runs.append((pd.Timestamp(end_ms, unit="ms", tz="UTC"), members))
        say(f"{plan.name}, to {runs[-1][0]:%m-%d}: {int(members['flagged'].sum())} flagged")
    delays = detection_delays(runs, made.truth, made.inputs.accounts)
    started = made.inputs.accounts.merge(made.truth, on="account_id").groupby("campaign")["first_at"].min()
    days = (delays["detected_at"] - delays["campaign"].map(started)) / pd.Timedelta(days=1)
    return delays.assign(days_since_first=days.to_numpy(dtype=float), world=plan.name)


def run(*, folder: Path, out: Path, workers: int, is_short: bool = False) -> None:
    """Measure the grid and the delays, and write ``recall.md`` with its pictures; what is in the folder is used."""
    shapes = grid_shapes(is_short=is_short)
    plans = grid_plans(shapes)
    table = pd.concat(in_parallel(score_grid_world, plans, folder, workers=workers), ignore_index=True)
    delays = pd.concat(
        in_parallel(score_delays, delay_plans(1 if is_short else 2), folder, workers=workers), ignore_index=True
    )
    out.mkdir(parents=True, exist_ok=True)
    _draw_grid(table, out / "recall-grid.svg")
    _draw_delays(delays, out / "recall-delay.svg")
    (out / "recall.md").write_text(_page(table, delays, plans), encoding="utf-8")
    print(f"wrote {out / 'recall.md'}")


def _page(table: pd.DataFrame, delays: pd.DataFrame, plans: list[WorldPlan]) -> str:
    shared = "; ".join(f"{number} = {name}" for number, name in enumerate(SHARED_FAMILIES, 1))
    innocents = int(table.drop_duplicates("world")["innocents_flagged"].sum())
    parts = [
        "# Recall by shape of campaign, and how soon",
        "Made by `python -m benchmarks grid`. " + " ".join((__doc__ or "").split("\n\n", 1)[1].split()),
        f"{counted(len(plans), 'world')} of {DAYS} days, seeds {plans[0].seed} to {plans[-1].seed}, default settings, "
        f"one campaign per cell. Families add up: {shared}; from 0 on, the accounts share one work list. A rate counts "
        "all requests of an account, the bought ones (mix) included. In these worlds together innocents flagged: "
        f"{innocents}.",
        "![Recall by shape](recall-grid.svg)",
        _reading_words(),
        markdown(_by_families(table)),
        "A cell: share of the campaign's accounts flagged, then in tier review or stronger; `-` was not measured.",
    ]
    for size in sorted(table["size"].unique()):
        parts += [f"## {size} accounts", markdown(_by_size(table[table["size"] == size]))]
    parts += [
        "## Detection delay",
        _delay_words(),
        _event_words(),
        "![Detection delay](recall-delay.svg)",
        markdown(_delay_rows(delays)),
    ]
    return "\n\n".join(parts) + "\n"


def _reading_words() -> str:
    return (
        "What is flagged depends on evidence besides that of one program ([decision 54](decisions/0054-one-voice.md)): "
        "with content alone, or a work list alone, in common (1 and 0 families) a campaign is flagged only where "
        "hand-overs at the quota's edge show, and stays at review otherwise. At 5 requests a day a diluted campaign "
        "leaves too little of its own to be seen in ten days. Of five accounts one more or less is a fifth. Campaigns "
        f"of which at least {FOUND:.0%} are found, of all that were measured:"
    )


def _by_families(table: pd.DataFrame) -> pd.DataFrame:
    """Per number of shared families and rate: how many campaigns are flagged, and in review or stronger."""
    rows = []
    for families in FAMILIES:
        row: dict[str, object] = {"families shared": families}
        for rate in RATES:
            cells = table[(table["families"] == families) & (table["rate"] == rate)]
            flagged, review = ((cells[name] >= FOUND).sum() for name in ("flag_recall", "review_recall"))
            row[f"{rate:g} requests/day"] = f"{flagged} / {review} of {len(cells)}" if len(cells) else "-"
        rows.append(row)
    return pd.DataFrame(rows)


def _by_size(table: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for families, mix in itertools.product(FAMILIES, MIXES):
        row: dict[str, object] = {"families shared": families, "benign mix": f"{mix:.0%}"}
        for rate in RATES:
            cell = table[(table["families"] == families) & (table["mix"] == mix) & (table["rate"] == rate)]
            told = [f"{one.flag_recall:.2f} / {one.review_recall:.2f}" for one in cell.itertuples()]
            row[f"{rate:g} requests/day"] = told[0] if told else "-"
        rows.append(row)
    return pd.DataFrame(rows)


def _delay_words() -> str:
    return (
        "Worlds of 2,500 accounts and 21 days are judged at the end of every day from the second on. The delay counts "
        "from the day the campaign's 20th account (the last one of a smaller campaign) was first seen to the first day "
        "one of its accounts was flagged; below 0 it was found before. Templates are mined once over all days, so the "
        "first days know wordings that appear later: the true delay can be a little longer."
    )


def _event_words() -> str:
    return (
        "A campaign that no payment ties is not enforced while four fifths of its requests lie within three days "
        "([decision 57](decisions/0057-events-and-sure-extraction.md)): where all 20 accounts come on one day, the "
        "delay is three days at least."
    )


def _delay_rows(delays: pd.DataFrame) -> pd.DataFrame:
    shown = delays[["campaign", "accounts", "delay_days", "days_since_first"]].copy()
    shown["delay_days"] = [f"{value:.0f}" if value == value else "not found" for value in delays["delay_days"]]
    shown["days_since_first"] = [f"{value:.0f}" if value == value else "-" for value in delays["days_since_first"]]
    return shown


def _draw_grid(table: pd.DataFrame, path: Path) -> None:
    """A panel per size, a row per mix and number of shared families, a bar per rate: shares flagged and in review."""
    sizes, mixes = sorted(table["size"].unique()), sorted(table["mix"].unique())
    rows = {pair: place + place // len(FAMILIES) for place, pair in enumerate(itertools.product(mixes, FAMILIES))}
    figure, panels = plt.subplots(
        1, len(sizes), figsize=(1 + 2.6 * len(sizes), 0.8 + 0.22 * len(rows)), squeeze=False, sharey=True
    )
    for panel, size in zip(panels[0], sizes, strict=True):
        for cell in table[table["size"] == size].itertuples():
            ends = (0.0, cell.flag_recall, cell.review_recall, 1.0)
            for start, end, colour in zip(ends, ends[1:], _TOLD.values(), strict=False):
                place = RATES.index(cell.rate) * _BAR_STEP + start
                panel.barh(rows[cell.mix, cell.families], end - start, left=place, color=colour)
        panel.set_title(f"{size:,} accounts", fontsize=9)
        panel.set_xlim(-0.1, _BAR_STEP * len(RATES))
        panel.set_xticks([0.5 + _BAR_STEP * place for place in range(len(RATES))], [f"{rate:g}" for rate in RATES])
    names = [f"{mix:.0%} bought, {families} shared" for mix, families in rows]
    panels[0][0].set_yticks(list(rows.values()), names, fontsize=7)
    panels[0][0].invert_yaxis()
    figure.supxlabel("requests per account and day")
    keys = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in _TOLD.values()]
    figure.legend(keys, list(_TOLD), loc="outside upper center", ncols=len(_TOLD), frameon=False)
    _write(figure, path)


def _draw_delays(delays: pd.DataFrame, path: Path) -> None:
    ordered = delays.sort_values(["delay_days", "campaign"])
    figure, panel = plt.subplots(figsize=(7, 0.3 * len(ordered) + 1))
    panel.barh(ordered["campaign"], ordered["delay_days"].fillna(0.0))
    for place, value in enumerate(ordered["delay_days"]):
        if value != value:
            panel.text(0, place, " not found", va="center", fontsize=8)
    panel.axvline(0, color="black", linewidth=0.8)
    panel.set_xlabel("days from the 20th account to the first flag")
    _write(figure, path)


def _write(figure: plt.Figure, path: Path) -> None:
    figure.set_layout_engine("constrained")
    with matplotlib.rc_context({"svg.hashsalt": "linkage"}):
        figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
