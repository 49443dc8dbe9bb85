"""The ledger of rebuilds as a table, the difference of two runs, and figures for a monitor."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pandas as pd

from linkage.errors import NoRunError
from linkage.notebook.changes import differing, side_by_side
from linkage.notebook.given import AnyPath
from linkage.notebook.runs import Run
from linkage.outputs.files import write_whole
from linkage.outputs.html import notebook_table
from linkage.store.store import Database
from linkage.terms import COUNT, FLAG, NUMBER, TEXT, TIERS, TIME, Shape, make_frame, rows_of

LEDGER: Final[Shape] = {
    "run_id": TEXT,
    "exit_code": COUNT,
    "began_at": TIME,
    "duration_s": NUMBER,
    "as_of": TIME,
    "requests": COUNT,
    "accounts": COUNT,
    "clusters": COUNT,
    "flagged": COUNT,
    "seed": COUNT,
    "settings_digest": TEXT,
    "version": TEXT,
    "input_digest": TEXT,
    "anomalies": TEXT,
    "slowest": TEXT,
    "error": TEXT,
    "kept": FLAG,
    "published": FLAG,
}
"""One row per rebuild that published a run or failed, oldest first; rebuilds with nothing new leave none.
``duration_s`` is null where no clock was given; ``slowest`` is the step that took longest; a failed one counts 0."""

MOVES: Final[Shape] = {
    "account_id": TEXT,
    "change": TEXT,
    "cluster_before": TEXT,
    "cluster_after": TEXT,
    "tier_before": TEXT,
    "tier_after": TEXT,
}
"""One row per account that ``came`` into clusters, ``went``, ``moved`` to another, or is of another ``tier`` or
``membership``."""


@dataclasses.dataclass(frozen=True)
class RunDiff:
    """What is different between two runs."""

    before: str
    after: str
    inputs: pd.DataFrame
    """Columns ``what, before, after``: window, counts, settings, versions, seed, as far as they differ."""
    clusters: pd.DataFrame
    """Columns ``cluster_id, accounts_before, accounts_after, tier_before, tier_after``, those that differ."""
    members: pd.DataFrame
    """Shape ``MOVES``."""

    def __repr__(self) -> str:
        return (
            f"<RunDiff {self.before} to {self.after}: {len(self.inputs)} inputs, {len(self.clusters)} clusters and "
            f"{len(self.members)} accounts differ>"
        )

    def _repr_html_(self) -> str:
        return notebook_table(self.clusters, caption=repr(self).strip("<>")) + notebook_table(self.inputs)


def run_ledger(database: Database) -> pd.DataFrame:
    """Rebuilds that published a run or failed, oldest first; shape ``LEDGER``."""
    table = database.query("run_ledger")
    counts = [json.loads(text) if isinstance(text, str) else {} for text in table["counts"]]
    seconds = (table["ended_at"] - table["began_at"]).dt.total_seconds()
    columns = {
        **{name: table[name].array for name in ("run_id", "exit_code", "began_at", "as_of", "seed", "settings_digest")},
        **{name: [int(one.get(name, 0)) for one in counts] for name in ("requests", "accounts", "clusters", "flagged")},
        "duration_s": seconds.to_numpy(dtype="float64", na_value=float("nan")),
        "version": [json.loads(text)["linkage"] for text in table["versions"]],
        "input_digest": table["input_digest"].array,
        "anomalies": ["; ".join(one["found"] for one in json.loads(text)) for text in table["anomalies"]],
        "slowest": [_slowest(json.loads(text)) for text in table["steps"]],
        "error": table["error"].array,
        **{name: table[name].astype(bool).array for name in ("kept", "published")},
    }
    return make_frame(LEDGER, columns if len(table) else None)


def _slowest(steps: Mapping[str, int]) -> str:
    return max(steps, key=lambda name: steps[name]) if steps else ""


def kept_run(database: Database, run_id: str) -> Run:
    """A run that is kept, by its id.

    Raises
    ------
    NoRunError : none is kept under this id; the message lists those that are.
    """
    rows = rows_of(database.query("one_run", run_id=run_id))
    if not rows:
        known = ", ".join(database.query("runs")["run_id"]) or "none"
        raise NoRunError(f"wanted run {run_id!r}; kept are: {known}. List them with: linkage runs")
    return Run(database, rows[0])


def diff_runs(before: Run, after: Run) -> RunDiff:
    """What differs between two runs: what went in, which clusters, which accounts."""
    inputs = [
        {"what": what, "before": one, "after": other}
        for (what, one), (_, other) in zip(_told(before), _told(after), strict=True)
        if one != other
    ]
    tables = (pd.DataFrame(run.clusters) for run in (before, after))
    clusters = differing(
        side_by_side(*tables, on="cluster_id", columns=["accounts", "tier"]), {"accounts": "accounts", "tier": "tier"}
    )
    columns = ["cluster_id", "accounts_before", "accounts_after", "tier_before", "tier_after"]
    return RunDiff(
        before.run_id,
        after.run_id,
        pd.DataFrame(inputs, columns=["what", "before", "after"]),
        clusters[columns].astype({"accounts_before": "Int64", "accounts_after": "Int64"}),
        _moves(before.members, after.members),
    )


def _told(run: Run) -> Iterator[tuple[str, str]]:
    info = run.info
    yield from ((name, str(info[name])) for name in ("as_of", "since", "seed", "settings_digest"))
    yield from ((name, str(info["inputs"].get(name, ""))) for name in ("digest", *run.counts))
    yield from ((f"version of {name}", str(version)) for name, version in sorted(info["versions"].items()))


def _moves(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    both = side_by_side(before, after, on="account_id", columns=["cluster_id", "tier", "membership"])
    moves = differing(both, {"membership": "membership", "tier": "tier", "cluster": "moved"})
    return make_frame(MOVES, {name: moves[name].array for name in MOVES})


def metrics_text(database: Database | None, *, exit_code: int, ended_ms: int, duration_s: float) -> str:
    """Figures on the last rebuild and the published run in Prometheus' text format.

    Parameters
    ----------
    database : the store; None where it could not be opened.
    exit_code : what the rebuild ended with; 0 also for nothing new.
    ended_ms : when, UTC epoch milliseconds.
    duration_s : how long it took, in seconds.
    """
    lines = [
        *_gauge("rebuild_exit_code", "what the last rebuild ended with, 0 is done", {"": exit_code}),
        *_gauge("rebuild_timestamp_seconds", "when the last rebuild ended", {"": ended_ms / 1000}),
        *_gauge("rebuild_duration_seconds", "how long the last rebuild took", {"": duration_s}),
    ]
    if database is not None:
        lines += _gauge("store_bytes", "size of the store's file", {"": database.path.stat().st_size})
        failed = len(database.query("failed_files"))
        lines += _gauge("failed_files", "files that ingest was given and could not load", {"": failed})
        for row in rows_of(database.query("published_run")):
            lines += _run_lines(Run(database, row), database)
    return "\n".join(lines) + "\n"


def _run_lines(run: Run, database: Database) -> Iterator[str]:
    yield from _gauge("run_as_of_timestamp_seconds", "end of the published run's window", {"": run.as_of.timestamp()})
    for name, count in run.counts.items():
        yield from _gauge(f"run_{name}", f"{name} of the published run", {"": count})
    tiers = pd.DataFrame(run.clusters)["tier"].value_counts()
    yield from _gauge(
        "run_clusters_of_tier",
        "clusters of the published run by tier",
        {f'{{tier="{tier}"}}': int(tiers.get(tier, 0)) for tier in TIERS},
    )
    ledger = database.query("run_ledger")
    own = ledger.loc[ledger["run_id"] == run.run_id, "anomalies"]
    checks = [one["check"] for one in json.loads(own.iloc[-1])] if len(own) else []
    yield from _gauge(
        "run_anomalies",
        "what was unusual about the input of the published run",
        {f'{{check="{check}"}}': checks.count(check) for check in ("volume", "coverage", "clock")},
    )


def _gauge(name: str, words: str, values: Mapping[str, float]) -> Iterator[str]:
    yield f"# HELP linkage_{name} {words}"
    yield f"# TYPE linkage_{name} gauge"
    yield from (f"linkage_{name}{labels} {value:.15g}" for labels, value in values.items())


def write_metrics(path: AnyPath, text: str) -> Path:
    """Write figures where a collector of text files reads them; it never sees half of them.

    Raises
    ------
    OutputFileError : the file cannot be written.
    """
    return write_whole(text.encode(), out=path)
