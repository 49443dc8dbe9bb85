"""Worlds of a given number of requests for ``python -m benchmarks scale``: always the same shape, at any size.

At sixteen million requests: a million accounts, 25 thousand of them in three campaigns with the accounts and a
quarter of the requests of the published ones (150 thousand, 3.4 and 13 million). Smaller worlds have fewer accounts
in proportion, so that growth is told on one shape.

``python -m benchmarks.scale_worlds FOLDER REQUESTS`` makes one: about 70 microseconds a request, 4 KB an account.
"""

import dataclasses
import gzip
import shutil
import sys
from pathlib import Path

from linkage.worlds.population import Draft
from linkage.worlds.shaped import CampaignShape
from linkage.worlds.simulate import people_world, read_scenarios, write_world

SEED = 3901
DAYS = 14
START_MS = 1_788_220_800_000
"""2026-09-01T00:00Z."""

REQUESTS_PER_ACCOUNT = 16
FULL_SIZE = 16_000_000
CAMPAIGNS = ((1_000, 150_000, 3), (6_000, 3_400_000, 3), (18_000, 13_000_000, 2))
"""Accounts, published requests and shared families of each at :data:`FULL_SIZE`."""

CAMPAIGN_SHARE = 0.25
"""Requests of a campaign as a share of the published ones, so that all three fit beside everybody else."""

_WORKED_SHARE = 0.75  # of the world's days, by the simulator's plan of a campaign
_MEDIAN_VOLUME = 2.5  # requests of an ordinary account on a day at work: 16 an account leaves no more
_ORDINARY_SHARE = 0.6  # recipes that state volumes come on top of what the budget of a world leaves


def make_world(folder: Path, requests: int) -> Path:
    """The folder of a simulated world of about so many requests, made once: ``requests.ndjson``, accounts, truth."""
    world = folder / f"world-{requests}"
    log = world / "requests.ndjson"
    if not log.exists():
        _simulate(world, requests)
        partial = log.with_suffix(".partial")
        with gzip.open(world / "requests.ndjson.gz") as packed, partial.open("wb") as plain:
            shutil.copyfileobj(packed, plain, 1 << 20)
        partial.rename(log)
        (world / "requests.ndjson.gz").unlink()
    return world


def shapes(requests: int) -> list[CampaignShape]:
    """The three campaigns of a world of this size."""
    scale = requests / FULL_SIZE
    return [
        CampaignShape(
            accounts=max(2, round(accounts * scale)),
            rate=CAMPAIGN_SHARE * published / accounts / (_WORKED_SHARE * DAYS),
            families=families,
        )
        for accounts, published, families in CAMPAIGNS
    ]


def _simulate(world: Path, requests: int) -> None:
    accounts = requests // REQUESTS_PER_ACCOUNT
    draft = Draft(accounts=accounts, days=DAYS, start_ms=START_MS, seed=SEED)
    draft.budget = _ORDINARY_SHARE * requests
    draft.habits = dataclasses.replace(draft.habits, median_volume=_MEDIAN_VOLUME)
    campaigns = shapes(requests)
    people_world(draft, read_scenarios(["innocents"]), shapes=campaigns)
    told = {"accounts": accounts, "days": DAYS, "seed": SEED, "scenarios": ["innocents"]}
    write_world(draft, world, parameters={**told, "shapes": [shape.name for shape in campaigns]})


if __name__ == "__main__":
    print(make_world(Path(sys.argv[1]), int(sys.argv[2])))
