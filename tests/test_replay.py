"""What was exported at a time comes out again, byte for byte, whatever was loaded and decided since."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_world import tiny_requests

import linkage as lk
from linkage.errors import UsageError
from linkage.outputs.tables import to_csv

THEN = "2026-09-02T12:30:00Z"

REPLAY = """
import sys
from pathlib import Path
import pandas as pd
import linkage as lk
from linkage.outputs.tables import to_csv
then, later, accounts, place, moment = *map(Path, sys.argv[1:5]), sys.argv[5]

def exported(run):
    return "\\n".join([run.run_id, to_csv(run.members), to_csv(pd.DataFrame(run.clusters)), str(run.events)])

with lk.open_store(place) as store:
    store.ingest(then, accounts=accounts)
    run = lk.rebuild(store, as_of=moment)
    first = exported(run)
    run.clusters[run.clusters["cluster_id"].iloc[0]].decide("cleared", note="", author="a", at="2026-09-30")
    store.ingest(later)
    assert lk.rebuild(store).run_id != run.run_id
    again = exported(lk.rebuild(store, as_of=moment))
    assert again == first, (first, again)
print(first)
"""


def split(folder: Path) -> tuple[Path, Path]:
    """Requests before the moment, and all from then on, with a prompt form that was not there before."""
    rows = [dict(row) for row in tiny_requests()]
    for row in rows:
        if str(row["timestamp"]) >= THEN and str(row["account_id"]).startswith("p"):
            row["prompt"] = f"Name the capital of {row['request_id']} and three rivers near it, as a list."
    paths = folder / "then.ndjson", folder / "later.ndjson"
    for path, wanted in zip(paths, (True, False), strict=True):
        lines = (json.dumps(row) + "\n" for row in rows if (str(row["timestamp"]) < THEN) is wanted)
        path.write_text("".join(lines), encoding="utf-8")
    return paths


def test_a_replay_gives_what_was_exported_then_under_two_hash_seeds(tiny_logs: Path, tmp_path: Path) -> None:
    then, later = split(tmp_path)
    words = [sys.executable, "-c", REPLAY, str(then), str(later), str(tiny_logs / "accounts.csv")]
    outcomes = [
        subprocess.run(
            [*words, str(tmp_path / f"{seed}.db"), THEN],
            env={"PYTHONHASHSEED": seed, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            check=False,
        )
        for seed in ("1", "77")
    ]
    assert [outcome.returncode for outcome in outcomes] == [0, 0], outcomes[0].stderr.decode()
    assert outcomes[0].stdout == outcomes[1].stdout
    assert b"r-20260902-" in outcomes[0].stdout
    assert b"c-" in outcomes[0].stdout


def test_a_time_inside_a_day_counts_what_a_store_loaded_until_then_counts(tiny_logs: Path, tmp_path: Path) -> None:
    then, later = split(tmp_path)
    with lk.open_store(tmp_path / "whole.db") as whole, lk.open_store(tmp_path / "part.db") as part:
        whole.ingest(then, later, accounts=tiny_logs / "accounts.csv")
        part.ingest(then, accounts=tiny_logs / "accounts.csv")
        run, wanted = lk.rebuild(whole, as_of=THEN), lk.rebuild(part, as_of=THEN)
        assert run.run_id == wanted.run_id
        assert run.counts["requests"] == 56
        assert to_csv(run.members) == to_csv(wanted.members)
        assert whole.counts["requests"] == 64


def test_exact_wants_a_time(tiny_store: lk.Store) -> None:
    with pytest.raises(UsageError, match="Say as of when"):
        lk.rebuild(tiny_store, exact=True)
    midnight = lk.rebuild(tiny_store, as_of="2026-09-02", exact=True)
    assert midnight.counts["requests"] == 32


def test_templates_that_later_prompts_changed_are_read_as_they_were(planted_world: Path, tmp_path: Path) -> None:
    """A world of some size: what later days teach changes templates, and the replay must not know it."""
    then, later = tmp_path / "then.ndjson", tmp_path / "later.ndjson"
    moment = "2026-09-08T14:30:00Z"
    lines = gzip.decompress((planted_world / "requests.ndjson.gz").read_bytes()).decode().splitlines(keepends=True)
    for path, wanted in ((then, True), (later, False)):
        path.write_text("".join(line for line in lines if (json.loads(line)["timestamp"] < moment) is wanted))
    with lk.open_store(tmp_path / "s.db") as store:
        store.ingest(then, accounts=planted_world / "accounts.csv")
        first = lk.rebuild(store, as_of=moment)
        members = to_csv(first.members)
        before = set(store.templates["template_id"])
        store.ingest(later)
        lk.rebuild(store)
        assert before - set(store.templates["template_id"])
        again = lk.rebuild(store, as_of=moment)
        assert again.run_id == first.run_id
        assert to_csv(again.members) == members
