"""What people decide stays, and stands in the report."""

from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import linkage as lk
from linkage.cli import main
from linkage.errors import NoSuchClusterError, UsageError
from linkage.store.cases import add_case_note


@pytest.fixture
def cluster(planted_path: Path, tmp_path: Path) -> lk.Cluster:
    path = tmp_path / "copy.db"
    path.write_bytes(planted_path.read_bytes())
    with lk.open_store(path, create=False) as store:
        run = store.run
        yield run.clusters[run.clusters["cluster_id"].iloc[0]]


def test_notes_are_kept_in_order_and_shown_in_the_report(cluster: lk.Cluster, tmp_path: Path) -> None:
    cluster.decide("watched", note="looks odd <b>", author="ana", at="2026-09-20T09:00Z")
    cluster.decide("cleared", note="a course", author="ben", at="2026-09-21T10:30Z")
    notes = cluster.case_notes
    assert notes["state"].tolist() == ["watched", "cleared"]
    assert notes["noted_at"].iloc[1] == pd.Timestamp("2026-09-21T10:30Z")
    cluster.report(tmp_path / "report")
    page = (tmp_path / "report" / f"{cluster.cluster_id}.html").read_text(encoding="utf-8")
    assert "20 Sep 2026 09:00 UTC, ana: watched. looks odd &lt;b&gt;" in page


def test_the_command_adds_a_note(cluster: lk.Cluster, planted_path: Path) -> None:
    path = str(cluster._run._database.path)
    words = ["case", path, cluster.cluster_id, "--state", "enforced", "--note", "confirmed", "--author", "cy"]
    assert CliRunner().invoke(main, words).exit_code == 0
    assert cluster.case_notes[["state", "note", "author"]].to_numpy().tolist() == [["enforced", "confirmed", "cy"]]
    with lk.open_store(planted_path, create=False) as untouched:
        assert untouched.run.cluster(cluster.cluster_id).case_notes.empty


def test_a_cluster_or_state_that_does_not_exist_is_refused(cluster: lk.Cluster) -> None:
    database = cluster._run._database
    with pytest.raises(NoSuchClusterError, match="none named 'c-none'"):
        add_case_note(database, "c-none", state="open", note="", author="a", noted_ms=0)
    with pytest.raises(UsageError, match="wanted open, cleared, watched, enforced and appealed; got 'banned'"):
        cluster.decide("banned", note="", author="a", at="2026-09-20")
    assert cluster.case_notes.empty
