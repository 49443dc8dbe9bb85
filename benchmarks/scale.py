"""Ingest and rebuild at growing sizes, beside what one would use instead, on the same files in the same run.

Worlds come from ``linkage simulate``. Every measurement runs in a process of its own, so that peak memory is its
own; wall time is what counts, CPU time tells how much a busy machine distorts it. The growth exponent is the slope
of log time over log requests: 1 is linear.
"""

import gzip
import json
import math
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.memory import peak_mb

SIZES = (1_000_000, 4_000_000, 16_000_000)
SHORT_SIZES = (25_000, 100_000)
REQUESTS_PER_ACCOUNT = 39
DAYS = 14
SEED = 3900
RUNS = 3

PEER_OF = {"ingest": "sqlite-utils insert", "read": "pandas read_json", "inputs": "pandas read_sql + groupby"}
"""Stage to what is measured beside it, which needs less of what the stage does."""


def run(*, folder: Path, is_short: bool = False, sizes: tuple[int, ...] = ()) -> str:
    """Tables of all stages at all sizes, as Markdown."""
    chosen = sizes or (SHORT_SIZES if is_short else SIZES)
    measured = {size: measure(make_world(folder, size), runs=1 if is_short else RUNS) for size in chosen}
    return "\n".join([*_stage_tables(measured), "", *_growth_table(measured)])


def make_world(folder: Path, requests: int) -> Path:
    """The folder of a simulated world of about so many requests, made once."""
    world = folder / f"scale-{requests}"
    log = world / "requests.ndjson"
    if not log.exists():
        command = [sys.executable, "-m", "linkage", "simulate", str(world), "--seed", str(SEED), "--days", str(DAYS)]
        command += ["--accounts", str(requests // REQUESTS_PER_ACCOUNT), "--scenario", "innocents", "--scenario", "E1"]
        subprocess.run(command, check=True, capture_output=True)
        partial = log.with_suffix(".partial")
        with gzip.open(world / "requests.ndjson.gz") as packed, partial.open("wb") as plain:
            shutil.copyfileobj(packed, plain, 1 << 20)
        partial.rename(log)
    return world


def measure(world: Path, *, runs: int) -> dict[str, dict[str, float]]:
    """Medians of each stage and each peer, in turns: wall and CPU seconds, peak MB, and the rows it was about."""
    results: dict[str, list[dict[str, float]]] = {name: [] for name in STAGES}
    for _ in range(runs):
        for path in world.glob("*.db*"):
            path.unlink()
        for name in STAGES:
            results[name].append(_in_own_process(name, world))
    return {
        name: {key: statistics.median(each[key] for each in found) for key in found[0]}
        for name, found in results.items()
    }


def _in_own_process(name: str, world: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.scale", name, str(world)]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(told.stdout.splitlines()[-1])
    return found


def _read(world: Path) -> int:
    from linkage.intake.batches import request_batch
    from linkage.intake.files import read_raw
    from linkage.intake.records import check_requests

    raw = read_raw(world / "requests.ndjson", as_columns=True)
    return sum(len(request_batch(check_requests(batch, raw.format), source="gw").requests) for batch in raw.batches)


def _ingest(world: Path) -> int:
    import linkage as lk

    with lk.open_store(world / "linkage.db") as store:
        return store.ingest(world / "requests.ndjson", accounts=world / "accounts.csv").kept


def _inputs(world: Path) -> int:
    import linkage as lk
    from linkage.rebuild import Window, read_inputs
    from linkage.terms import DAY_MS

    with lk.open_store(world / "linkage.db") as store:
        inputs = read_inputs(store._database, Window(0, 40_000 * DAY_MS))
    return int(inputs.conduct["request_count"].sum())


def _rebuild(world: Path) -> int:
    import linkage as lk

    with lk.open_store(world / "linkage.db") as store:
        lk.rebuild(store)
        return int(store.counts["requests"])


def _insert(world: Path) -> int:
    import sqlite_utils

    database = sqlite_utils.Database(world / "peer.db")
    with (world / "requests.ndjson").open("rb") as lines:
        database.table("request").insert_all((json.loads(line) for line in lines), alter=True)
    count = int(database.table("request").count)
    database.close()
    return count


def _read_json(world: Path) -> int:
    import pandas as pd

    path = world / "requests.ndjson"
    return sum(len(part) for part in pd.read_json(path, lines=True, chunksize=20_000, dtype=False))


def _group(world: Path) -> int:
    """What an analyst would type: the same tables of uses from the peer's store, without templates or items."""
    import sqlite3

    import pandas as pd

    columns = ("account_id", "api_key_id", "ip", "payment_method", "user_agent", "model", "endpoint")
    connection = sqlite3.connect(world / "peer.db")
    there = {row[1] for row in connection.execute("pragma table_info(request)")}
    used = [name for name in columns if name in there]
    rows = pd.read_sql(f"select timestamp, {', '.join(used)} from request", connection)  # noqa: S608 - names are ours
    connection.close()
    rows["timestamp"] = pd.to_datetime(rows["timestamp"], format="ISO8601", utc=True)
    for name in used[1:]:
        rows.groupby(["account_id", name])["timestamp"].agg(["count", "min", "max"])
    return len(rows)


STAGES: Mapping[str, Callable[[Path], int]] = {
    "read": _read,
    "pandas read_json": _read_json,
    "ingest": _ingest,
    "sqlite-utils insert": _insert,
    "inputs": _inputs,
    "pandas read_sql + groupby": _group,
    "rebuild": _rebuild,
}
"""In the order they need each other. ``read``: file to checked facts; ``ingest``: file to store, templates mined;
``inputs``: store to the tables of a rebuild; ``rebuild``: store to published clusters."""


def _stage_tables(measured: Mapping[int, Mapping[str, Mapping[str, float]]]) -> list[str]:
    lines = [
        "| requests | stage | seconds | CPU seconds | requests/s | peak MB | times the peer's rate |",
        "|" + " --- |" * 7,
    ]
    for found in measured.values():
        for name, told in found.items():
            peer = found.get(PEER_OF.get(name, ""))
            ratio = f"{told['rows'] / told['wall'] / (peer['rows'] / peer['wall']):.2f}" if peer else ""
            lines.append(
                f"| {told['rows']:,.0f} | {name} | {told['wall']:.1f} | {told['cpu']:.1f} | "
                f"{told['rows'] / told['wall']:,.0f} | {told['peak']:,.0f} | {ratio} |"
            )
    return lines


def _growth_table(measured: Mapping[int, Mapping[str, Mapping[str, float]]]) -> list[str]:
    first, last = (list(measured.values())[at] for at in (0, -1))
    lines = ["| stage | growth exponent, wall | CPU |", "| --- | --- | --- |"]
    for name in STAGES:
        exponents = [_slope(first[name], last[name], key) for key in ("wall", "cpu")]
        lines.append(f"| {name} | {exponents[0]:.2f} | {exponents[1]:.2f} |")
    return lines


def _slope(first: Mapping[str, float], last: Mapping[str, float], key: str) -> float:
    if first["rows"] == last["rows"]:
        return math.nan
    return math.log(last[key] / first[key]) / math.log(last["rows"] / first["rows"])


def _warm_up() -> None:
    """Load compiled kernels, which costs every process the same second whatever the size."""
    import linkage as lk

    lk.mine_templates([f"Tell me three facts about {city} today, please." for city in "abcdefgh"])


def _main(name: str, world: str) -> None:
    if name in ("read", "ingest", "rebuild"):
        _warm_up()
    wall, cpu = time.perf_counter(), time.process_time()
    rows = STAGES[name](Path(world))
    told: dict[str, Any] = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "rows": rows}
    told["peak"] = peak_mb()
    print(json.dumps(told))


if __name__ == "__main__":
    _main(*sys.argv[1:])
