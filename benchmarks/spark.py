"""The Spark engine on one machine beside the local engine, from the same log to a filled store.

Every measurement runs in a process of its own. Spark works in the JVM and in Python workers, so CPU time and memory are
those of the process and of all it started, read from ``/proc`` before they end. The folder is taken into a store too,
as the local engine fills one; peak memory is the sum of the peaks, an upper bound.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.scale_worlds import make_world

SIZES = (100_000, 1_000_000, 4_000_000)
SHORT_SIZES = (25_000,)
ENGINES = ("local", "local[1]", "local[2]")
"""The local engine, and masters of Spark."""

Told = Mapping[str, float]
_TICKS = os.sysconf("SC_CLK_TCK")


def run(*, folder: Path, is_short: bool = False, sizes: tuple[int, ...] = ()) -> str:
    """A table of sizes and engines, as Markdown: seconds of wall and CPU time, MB of memory and of what was written."""
    lines = [
        "| requests | engine | wall s | CPU s | of it JVM | peak MB | folder MB | take in s |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for size in sizes or (SHORT_SIZES if is_short else SIZES):
        world = make_world(folder, size)
        for engine in ENGINES:
            told = _in_own_process(engine, world)
            cells = (f"{told.get(name, 0):,.0f}" for name in ("wall", "cpu", "jvm", "peak", "folder", "taking"))
            lines.append(f"| {size:,} | {engine} | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def _in_own_process(engine: str, world: Path) -> Told:
    command = [sys.executable, "-m", "benchmarks.spark", engine, str(world)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    told: Told = json.loads(done.stdout.splitlines()[-1])
    return told


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="linkage-bench-") as name:
        yield Path(name)


def _measure(engine: str, world: Path) -> Told:
    import linkage as lk

    logs = next(path for path in (world / "requests.ndjson", world / "requests.ndjson.gz") if path.exists())
    with _scratch() as scratch:
        began = time.perf_counter()
        if engine == "local":
            with lk.open_store(scratch / "store.db") as store:
                store.ingest(logs, accounts=world / "accounts.csv")
            return {"wall": time.perf_counter() - began, **_spent()}
        lk.spark.incidence(engine, logs, out=scratch / "folder", accounts=world / "accounts.csv")
        told = {"wall": time.perf_counter() - began, **_spent()}
        size = sum(file.stat().st_size for file in (scratch / "folder").rglob("*") if file.is_file())
        for facts in ("request", "prompt"):
            shutil.rmtree(scratch / "folder" / facts)
        began = time.perf_counter()
        with lk.open_store(scratch / "store.db") as store:
            assert not store.ingest(scratch / "folder").failed
        return {**told, "folder": size / 1e6, "taking": time.perf_counter() - began}


def _spent() -> Told:
    """CPU seconds and peak MB of this process and of all that it started, those that ended included."""
    found = list(_family(os.getpid()))
    total = sum(_seconds(pid) for pid in found)
    java = sum(_seconds(pid) for pid in found if Path(f"/proc/{pid}/comm").read_text().strip() == "java")
    return {"cpu": total, "jvm": java, "peak": sum(map(_peak_mb, found))}


def _family(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # threads come and go
            for child in (task / "children").read_text().split():
                yield from _family(int(child))


def _seconds(pid: int) -> float:
    """User and system time of a process and of its children that ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS


def _peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], Path(sys.argv[2]))))
