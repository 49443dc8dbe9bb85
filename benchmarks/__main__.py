"""``python -m benchmarks [COMMAND]``: what is measured here, each part by one command; without one, the first three.

``templates`` the miner beside its peers, ``peers`` the clusters beside what one would pick instead, ``scale`` every
stage at growing sizes beside its peers (in short where no command is given), ``fit`` learns the shipped coefficients,
``judge`` judges the whole chain on worlds nobody developed on, ``grid`` recall by shape, ``months`` daily rebuilds
under churn, ``spark`` the Spark engine on this machine beside the local one.
"""

import argparse
import datetime
import importlib.util
from pathlib import Path

from benchmarks import worlds

DATA = Path(".benchmarks")

PEERS = {
    "templates": ("datasketch", "drain3", "rensa"),
    "peers": ("coordination_network_toolkit", "splink"),
    "scale": ("leidenalg", "rensa"),
}
"""Modules of the extra ``bench`` that a part measures beside ours."""


def main() -> None:
    """Run a part and print its tables."""
    chosen = _parser().parse_args()
    check_peers(chosen.part)
    worlds.OLDER_WORLDS_ALLOWED = getattr(chosen, "older", False)
    parts = {
        "templates": _templates,
        "fit": _fit,
        "judge": _judge,
        "grid": _grid,
        "peers": _peers,
        "scale": _scale,
        "months": _months,
        "spark": _spark,
    }
    parts.get(chosen.part, _both)(chosen)


def check_peers(part: str | None) -> None:
    """Stop here, and not an hour later, where a peer is not installed; None: all parts that have peers."""
    wanted = PEERS.get(part, ()) if part else tuple(sorted({peer for peers in PEERS.values() for peer in peers}))
    missing = [peer for peer in wanted if importlib.util.find_spec(peer) is None]
    if missing:
        raise SystemExit(
            f"wanted the peers {', '.join(wanted)}; not installed: {', '.join(missing)}. "
            "Say make bench, or pip install --editable '.[bench]'"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--short", action="store_true", help="small and once, to see that it works")
    parser.add_argument("--scale", action="store_true", help="also the miner alone at 100 thousand and 1 million")
    parts = parser.add_subparsers(dest="part")
    for name in ("templates", "peers", "scale", "fit", "judge", "grid", "months", "spark"):
        part = parts.add_parser(name)
        part.add_argument("--short", action="store_true", default=argparse.SUPPRESS)
        part.add_argument("--scale", action="store_true", default=argparse.SUPPRESS)
        part.add_argument("--data", type=Path, default=DATA, help="folder that keeps worlds; what is there is used")
        part.add_argument("--workers", type=int, default=2, help="worlds at a time, 1 or 2")
        part.add_argument("--worlds", type=int, help="how many worlds")
        part.add_argument(
            "--older", action="store_true", help="use worlds that an older intake made, if they are there"
        )
        part.add_argument("--accounts", type=int, help="accounts of every world")
        part.add_argument("--out", type=Path, help="where the results go")
        part.add_argument("--sizes", help="of scale and spark: numbers of requests, such as 1000000,4000000")
        part.add_argument("--stages", help="of scale: only these and their peers, such as ingest,rebuild,report")
        part.add_argument("--models", help="of fit: those to learn, such as slice; the others stay as they are")
        part.add_argument("--runs", type=int, help="of scale: how often, for the medians")
    return parser


def _templates(chosen: argparse.Namespace) -> None:
    from benchmarks import templates

    templates.run(is_short=chosen.short, with_scale=chosen.scale)


def _fit(chosen: argparse.Namespace) -> None:
    from benchmarks import fit
    from linkage.clusters import coefficients
    from linkage.clusters.coefficients import FEATURES

    out = chosen.out or Path(coefficients.__file__).with_name("shipped.toml")
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    models = tuple((chosen.models or ",".join(FEATURES)).split(","))
    fit.run(worlds=chosen.worlds or 18, folder=chosen.data, out=out, date=date, workers=chosen.workers, models=models)


def _judge(chosen: argparse.Namespace) -> None:
    from benchmarks import judge

    report = judge.run(
        worlds=chosen.worlds or 12,
        accounts=chosen.accounts,
        folder=chosen.data,
        workers=chosen.workers,
        with_withheld=not chosen.short,
    )
    _tell(report, chosen.out)


def _grid(chosen: argparse.Namespace) -> None:
    from benchmarks import grid

    grid.run(folder=chosen.data, out=chosen.out or Path("docs"), workers=chosen.workers, is_short=chosen.short)


def _peers(chosen: argparse.Namespace) -> None:
    from benchmarks import peers

    accounts = chosen.accounts or (600 if chosen.short else 3_000)
    count = chosen.worlds or (1 if chosen.short else 3)
    _tell(peers.run(worlds=count, accounts=accounts, folder=chosen.data), chosen.out)


def _tell(report: str, out: Path | None) -> None:
    if out:
        out.write_text(report, encoding="utf-8")
    print(report)


def _scale(chosen: argparse.Namespace) -> None:
    from benchmarks import scale

    sizes = tuple(int(size) for size in chosen.sizes.split(",")) if chosen.sizes else ()
    stages = tuple(chosen.stages.split(",")) if chosen.stages else ()
    told = scale.run(folder=chosen.data, is_short=chosen.short, sizes=sizes, runs=chosen.runs, stages=stages)
    _tell(told, chosen.out)


def _months(chosen: argparse.Namespace) -> None:
    from benchmarks import months

    accounts, days = (400, 8) if chosen.short else (chosen.accounts or 700, 30)
    seeds = range(12, 12 + (chosen.worlds or 1))
    parts = [months.run(folder=chosen.data, accounts=accounts, days=days, seed=seed) for seed in seeds]
    _tell("\n".join(parts), chosen.out)


def _spark(chosen: argparse.Namespace) -> None:
    from benchmarks import spark

    sizes = tuple(int(size) for size in chosen.sizes.split(",")) if chosen.sizes else ()
    _tell(spark.run(folder=chosen.data, is_short=chosen.short, sizes=sizes), chosen.out)


def _both(chosen: argparse.Namespace) -> None:
    _templates(chosen)
    chosen.worlds, chosen.accounts, chosen.data, chosen.out = None, None, DATA, None
    _peers(chosen)
    chosen.short, chosen.sizes, chosen.runs, chosen.stages = True, None, None, None
    _scale(chosen)


if __name__ == "__main__":
    main()
