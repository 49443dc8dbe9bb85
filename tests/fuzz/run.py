"""Fuzz every target for a while, guided by coverage: ``python tests/fuzz/run.py SECONDS [TARGET ...]``.

What breaks a promise is written to ``crash-*`` in the folder of findings, and the exit code is 1. Runs the targets that
are named, or all, one after the other, each in a process of its own.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SKIPPED = ("linkage.templates.features", "linkage.templates.fingerprints")  # compiled by numba: nothing to instrument


def fuzz_one(name: str, seconds: int) -> None:
    """Fuzz a target in this process; it ends with the process."""
    import atheris

    sys.path[:0] = [str(HERE), str(HERE.parent)]
    with atheris.instrument_imports(include=["linkage.intake", "linkage.outputs", "linkage.settings"], exclude=SKIPPED):
        import targets
    seeds, found = HERE / "seeds" / name, Path("fuzz-findings") / name
    found.mkdir(parents=True, exist_ok=True)
    limits = [
        "-max_len=4096",
        f"-max_total_time={seconds}",
        "-timeout=30",
        "-rss_limit_mb=6000",
        "-print_final_stats=1",
    ]
    folders = [str(found / "corpus"), *([str(seeds)] if seeds.is_dir() else [])]
    (found / "corpus").mkdir(exist_ok=True)
    atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={found}/", *folders], targets.TARGETS[name])
    atheris.Fuzz()


def main(seconds: int, names: list[str]) -> int:
    """Fuzz the targets one after the other; 1 when one of them broke."""
    if len(names) == 1:
        fuzz_one(names[0], seconds)
    broken = [name for name in names if subprocess.call([sys.executable, __file__, str(seconds // len(names)), name])]
    sys.stderr.write(f"fuzzed {len(names)} targets for {seconds} s; broken: {', '.join(broken) or 'none'}\n")
    return int(bool(broken))


if __name__ == "__main__":
    every = sorted(path.name for path in (HERE / "seeds").iterdir())
    sys.exit(main(int(sys.argv[1]), sys.argv[2:] or every))
