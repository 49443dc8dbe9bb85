"""Reads simulated worlds back, for the tests of linkage/worlds."""

import gzip
from pathlib import Path
from typing import Any

import orjson
import pandas as pd

from linkage.worlds.population import Draft

START_MS = 1_788_220_800_000  # 2026-09-01T00:00Z


def make_draft(*, accounts: int = 2_000, days: int = 30, seed: int = 5) -> Draft:
    return Draft(accounts=accounts, days=days, start_ms=START_MS, seed=seed)


def read_requests(directory: Path) -> pd.DataFrame:
    """One row per request, with role and campaign of its account, and its time in ms since midnight of day 0."""
    with gzip.open(directory / "requests.ndjson.gz", "rb") as lines:
        rows: list[dict[str, Any]] = [orjson.loads(line) for line in lines]
    frame = pd.DataFrame(rows)
    truth = read_table(directory / "truth.csv")
    frame = frame.merge(truth[["account_id", "role", "campaign", "kind", "tags"]], on="account_id", how="left")
    at = pd.to_datetime(frame["timestamp"])
    frame["at_ms"] = (at - at.min().normalize()) // pd.Timedelta(milliseconds=1)
    frame["day"] = frame["at_ms"] // 86_400_000
    return frame


def read_table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)
