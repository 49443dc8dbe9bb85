"""Simulated worlds for training and judging, made once and kept on disk.

What a world became is kept in the folder the caller gives, under a name made from its plan and from the source of the
rooms that shaped it: a change of the verdicts needs no new ingest, a change of the templates makes a new one by itself.
"""

import dataclasses
import hashlib
import json
import pickle
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd

import linkage
from linkage.clusters.calibration import label_groups
from linkage.clusters.coefficients import SHIPPED
from linkage.notebook import open_store
from linkage.rebuild import Inputs, Window, newest_window, read_inputs
from linkage.settings import Settings
from linkage.stages import Judged, judge_inputs
from linkage.terms import DAY_MS
from linkage.worlds.campaigns import CAMPAIGNS
from linkage.worlds.evaluate import read_truth
from linkage.worlds.shaped import HOURS, CampaignShape
from linkage.worlds.simulate import simulate

ROOT = Path(linkage.__file__).parent
INGEST_ROOMS = ("intake", "engines", "store", "templates", "worlds")
STAGE_ROOMS = ("evidence", "clusters", "rebuild.py", "settings.py")
WINDOW_DAYS = 90
OLDER_WORLDS_ALLOWED = False
"""Whether a world that older source made may be used: for when the change does not touch what is measured."""


@dataclasses.dataclass(frozen=True)
class WorldPlan:
    """Everything that decides a world."""

    name: str
    seed: int
    accounts: int
    days: int
    scenarios: tuple[str, ...] = ("innocents",)
    habits: tuple[tuple[str, float], ...] = ()
    shapes: tuple[CampaignShape, ...] = ()
    is_daily: bool = False
    """Whether the state after each day is kept too, for the detection delay."""

    @property
    def digest(self) -> str:
        """A hash of the plan (8 hex digits)."""
        return hashlib.sha256(json.dumps(dataclasses.asdict(self), sort_keys=True).encode()).hexdigest()[:8]


@dataclasses.dataclass(frozen=True)
class Made:
    """A world after ingest."""

    plan: WorldPlan
    inputs: Inputs
    truth: pd.DataFrame
    tags: "pd.Series[str]"
    """Account to the tags of the simulation, such as ``E14-victim``."""
    requests: int
    ingest_s: float
    """CPU seconds of the ingest."""
    daily: tuple[tuple[int, Inputs], ...]
    """End of each day (UTC epoch milliseconds) and the inputs up to there."""


def source_digest(rooms: Iterable[str]) -> str:
    """A hash of the source of these rooms (8 hex digits); shipped coefficients do not count, named queries do."""
    total = hashlib.sha256()
    for room in rooms:
        path = ROOT / room
        files = [path] if path.is_file() else sorted(path.rglob("*.py"))
        for file in files:
            total.update(file.read_bytes())
    for file in sorted((ROOT.parent / "queries").glob("account_*.sql")):
        total.update(file.read_bytes())
    return total.hexdigest()[:8]


def make_world(plan: WorldPlan, folder: Path) -> Made:
    """The world of this plan after ingest, from the folder where it is there."""

    def make() -> Made:
        work = folder / f"work-{plan.name}-{plan.digest}"
        shutil.rmtree(work, ignore_errors=True)
        made = _make(plan, work)
        shutil.rmtree(work)
        say(f"{plan.name}: {len(made.truth):,} accounts, {made.requests:,} requests, ingest {made.ingest_s:.0f} s CPU")
        return made

    place = folder / f"{plan.name}-{plan.digest}-{source_digest(INGEST_ROOMS)}.pickle"
    older = sorted(folder.glob(f"{plan.name}-{plan.digest}-*.pickle"), key=lambda path: path.stat().st_mtime)
    if OLDER_WORLDS_ALLOWED and older and not place.exists():
        say(f"{plan.name}: taken as it was made by an older version of the intake or the templates")
        place = older[-1]
    return kept(place, make)


def _make(plan: WorldPlan, work: Path) -> Made:
    world = simulate(
        work,
        accounts=plan.accounts,
        days=plan.days,
        scenarios=plan.scenarios,
        seed=plan.seed,
        habits=dict(plan.habits),
        shapes=plan.shapes,
    )
    with open_store(work / "store.db") as store:
        start = time.process_time()
        store.ingest(world.requests, accounts=world.accounts)
        ingest_s = time.process_time() - start
        last = newest_window(store._database, None, WINDOW_DAYS)
        ends = range(last.as_of_ms - (plan.days - 2) * DAY_MS, last.as_of_ms + 1, DAY_MS) if plan.is_daily else ()
        daily = tuple((end, read_inputs(store._database, Window(end - WINDOW_DAYS * DAY_MS, end))) for end in ends)
        inputs = read_inputs(store._database, last)
    raw = pd.read_csv(world.truth, dtype="str", keep_default_na=False)
    tags = raw.set_index("account_id")["tags"]
    return Made(plan, inputs, read_truth(world.truth), tags, world.request_count, ingest_s, daily)


def kept(place: Path, make: Callable[[], Any]) -> Any:
    """What is kept in this file, made and kept where it is missing; only files written here belong in the folder."""
    if not place.exists():
        value = make()
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_suffix(".part")
        with part.open("wb") as file:
            pickle.dump(value, file)
        part.replace(place)
    with place.open("rb") as file:
        return pickle.load(file)  # noqa: S301 - written above, on this machine


def kept_result(kind: str, plan: WorldPlan, folder: Path, make: Callable[[], Any]) -> Any:
    """Like :func:`kept`, for what the stages make of a world: named by their source and the coefficients too."""
    rooms = source_digest((*INGEST_ROOMS, *STAGE_ROOMS))
    return kept(folder / f"{kind}-{plan.name}-{plan.digest}-{rooms}-{SHIPPED.version}.pickle", make)


def labelled_groups(plan: WorldPlan, folder: Path, settings: Settings) -> pd.DataFrame:
    """The candidate groups of a world with their features and labels, from the folder where they are there."""

    def make() -> pd.DataFrame:
        made = make_world(plan, folder)
        judged = judge_inputs(made.inputs, settings=settings, seed=plan.seed)
        table = label_groups(judged.verdicts.groups, judged.verdicts.assigned, made.truth, world=plan.name)
        say(f"{plan.name}: {len(table)} groups, {int((table['is_extraction'] == 1).sum())} of campaigns")
        return table

    rooms = source_digest((*INGEST_ROOMS, *STAGE_ROOMS))
    return kept(folder / f"groups-{plan.name}-{plan.digest}-{rooms}-{settings.digest()}.pickle", make)


def judge_world(made: Made, settings: Settings) -> Judged:
    """All stages over a world, with the seed of the world."""
    return judge_inputs(made.inputs, settings=settings, seed=made.plan.seed)


def in_parallel(function, plans: Sequence[WorldPlan], *given: object, workers: int = 2) -> list:
    """``function(plan, *given)`` for every plan, in order, so many at a time."""
    if workers < 2 or len(plans) < 2:
        return [function(plan, *given) for plan in plans]
    with ProcessPoolExecutor(workers) as pool:
        return [future.result() for future in [pool.submit(function, plan, *given) for plan in plans]]


def say(words: str) -> None:
    """Progress, to stderr."""
    print(words, file=sys.stderr, flush=True)


TRAINING_SEED = 2000
JUDGING_SEED = 3000
CAMPAIGN_MIXES = (
    ("E1", "E6", "E3"),
    ("E2", "E4", "E12", "E13"),
    ("E5", "E8", "E10", "E19"),
    ("E7", "E9", "E11", "E20"),
    ("E14", "E15", "E17", "E18"),
    ("E1", "E5", "E16", "E20"),
)
"""Every recipe occurs; a world takes one of them, so that a few campaigns stand among all innocents."""


SMALL_CAMPAIGNS = (CampaignShape(12, 8.0, 2), CampaignShape(7, 12.0, 3))
"""Few accounts that work little: without them the fit asks every campaign for much traffic."""


def training_plans(count: int) -> list[WorldPlan]:
    """Varied worlds to learn from: seeds 2000 and up, 2,000 to 4,000 accounts, one in six without a campaign."""
    plans = []
    for number in range(count):
        mix = CAMPAIGN_MIXES[number % len(CAMPAIGN_MIXES)] if number % 6 != 5 or number == 5 else ()
        strengths = (1.0, 0.6, 2.0, 1.5, 0.8)
        campaigns = tuple(_strong(name, strengths[(number + at) % 5]) for at, name in enumerate(mix))
        plans.append(
            WorldPlan(
                name=f"train-{TRAINING_SEED + number}",
                seed=TRAINING_SEED + number,
                accounts=(3_000, 2_000, 4_000)[number % 3],
                days=(14, 21, 10)[(number // 3) % 3],
                scenarios=("innocents", *campaigns),
                habits=_hard_habits(number),
                shapes=SMALL_CAMPAIGNS if number % 3 == 1 else (),
            )
        )
    return plans


def _strong(name: str, strength: float) -> str:
    # The strength of E8 is its dilution, 60 % here; 2 and up make it 90 % and more.
    return f"{name}:{1.0 if name == 'E8' else strength:g}"


def _hard_habits(number: int) -> tuple[tuple[str, float], ...]:
    """Every third world: campaigns of aged accounts and heavy-tailed volumes, their outputs no longer than others."""
    hard = (("aged_share", 0.9), ("campaign_sigma", 1.3), ("campaign_log_output", 6.0), ("campaign_repeat_share", 0.05))
    return hard if number % 3 == 2 else ()


def slice_plans(count: int) -> list[WorldPlan]:
    """Worlds to learn from what a group's own work tells: the training worlds, smaller, with diluted campaigns in them.

    Three campaigns each (none where the training world has none): 0, 30, 60 and 90 % of other people's traffic, bought
    or of the accounts' own owners; machines', one office's or people's hours; with and without hand-overs. Classes,
    start-ups, resale pools, hackathons and agencies vary in size; from the eleventh world on, hackathons work at night.
    """
    sizes = (
        ("HN-04:3", "HN-20:0.5", "HN-12:2"),
        ("HN-17:2", "HN-20:2", "HN-10:0.7"),
        ("HN-04:0.7", "HN-17:0.5", "HN-12:1"),
    )
    plans = []
    for number, plan in enumerate(training_plans(count)):
        nights = number >= 10
        scenarios = (*plan.scenarios[:1], *sizes[number % 3], *["HN-10:3"] * nights, *plan.scenarios[1:])
        plans.append(
            dataclasses.replace(
                plan,
                name=f"slice-{plan.seed}",
                accounts=(2_000, 1_500, 2_400)[number % 3],
                scenarios=scenarios,
                habits=(*plan.habits, *[("night_share", 1.0)] * nights),
                shapes=(*plan.shapes, *(_diluted(number) if number % 6 != 5 else ())),
            )
        )
    return plans


def _diluted(number: int) -> tuple[CampaignShape, ...]:
    """Two diluted campaigns and one that is not, but keeps an office's or people's hours."""
    accounts, mixes, hours = (40, 12, 80, 25, 120, 60), (0.3, 0.6, 0.9), HOURS
    first = CampaignShape(
        accounts[number % 6],
        min(26 / (1 - mixes[number % 3]), 80.0),
        (3, 2, 1, 2)[number % 4],
        mix=mixes[number % 3],
        templates=(4, 12, 8)[number // 3 % 3],
        hours=hours[number // 3 % 3],
        is_handing_over=number % 4 == 0,
        has_owners=number % 2 == 1,
    )
    other = mixes[(number + 1) % 3]
    second = CampaignShape(
        accounts[(number + 2) % 6],
        min((18, 30, 12)[number % 3] / (1 - other), 80.0),
        (3, 2, 3, 1)[number % 4],
        mix=other,
        templates=(6, 2, 12)[number // 2 % 3],
        hours=hours[(number + 1) % 3],
        is_handing_over=number % 5 == 0,
        has_owners=number % 2 == 0,
    )
    third = CampaignShape(
        accounts[(number + 4) % 6],
        (20.0, 35.0)[number % 2],
        (3, 2)[number % 2],
        hours=hours[1 + number % 2],
        is_handing_over=False,
    )
    return first, second, third


def judging_plans(count: int, *, accounts: int | None = None) -> list[WorldPlan]:
    """Worlds to judge by: seeds 3000 and up, other sizes, lengths and strengths than the training worlds.

    Parameters
    ----------
    accounts : of every world; None: 2,000 to 20,000, one after the other.
    """
    sizes = (2_000, 6_000, 3_500, 10_000, 2_500, 20_000)
    strengths = (0.7, 1.0, 1.7, 2.5, 1.3)
    plans = []
    for number in range(count):
        mix = CAMPAIGN_MIXES[number % len(CAMPAIGN_MIXES)]
        campaigns = tuple(_strong(name, strengths[(2 * number + at) % 5]) for at, name in enumerate(mix))
        plans.append(
            WorldPlan(
                name=f"judge-{JUDGING_SEED + number}",
                seed=JUDGING_SEED + number,
                accounts=accounts or sizes[number % len(sizes)],
                days=(12, 18, 28, 15)[number % 4],
                scenarios=("innocents", *campaigns),
            )
        )
    return plans


def calm_plans(count: int, *, accounts: int | None = None) -> list[WorldPlan]:
    """Worlds without a campaign: seeds 3040 and up; all innocents, at strengths of one half, one and two."""
    return [
        WorldPlan(
            name=f"calm-{JUDGING_SEED + 40 + number}",
            seed=JUDGING_SEED + 40 + number,
            accounts=accounts or (2_000, 4_000, 3_000)[number % 3],
            days=(14, 24, 10)[number % 3],
            scenarios=tuple(f"HN-{kind:02}:{(1.0, 0.5, 2.0)[number % 3]:g}" for kind in range(1, 21)),
        )
        for number in range(count)
    ]


def hard_plans(count: int, *, accounts: int | None = None) -> list[WorldPlan]:
    """Judging worlds, seeds 3060 and up, whose campaigns have aged accounts and heavy-tailed volumes."""
    return [
        WorldPlan(
            name=f"hard-{JUDGING_SEED + 60 + number}",
            seed=JUDGING_SEED + 60 + number,
            accounts=accounts or 3_000,
            days=16,
            scenarios=("innocents", *CAMPAIGN_MIXES[number % len(CAMPAIGN_MIXES)]),
            habits=(("aged_share", 1.0), ("campaign_sigma", 1.5)),
        )
        for number in range(count)
    ]


def extreme_plans() -> list[WorldPlan]:
    """Wide and thin (250 accounts at 26 requests a day); narrow and fat (12 accounts of 10,000 requests, own cards)."""
    wide = CampaignShape(250, 26.0, 3)
    fat = CampaignShape(12, 10_000 / 10.5, 1, templates=2)
    return [
        WorldPlan("wide-3080", 3080, 5_000, 14, ("innocents",), shapes=(wide,)),
        WorldPlan("fat-3081", 3081, 5_000, 14, ("innocents",), shapes=(fat,)),
    ]


assert {name for mix in CAMPAIGN_MIXES for name in mix} == set(CAMPAIGNS)
