"""A report that was changed, or that the store no longer stands behind, is told from one that is whole."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

import linkage as lk
from linkage.cli import main
from linkage.errors import OutputError
from linkage.notebook import Store
from linkage.outputs import manifest as manifests
from linkage.outputs.manifest import manifest_bytes, read_manifest
from linkage.outputs.verify import verify_files

AT = "2026-11-20T09:00Z"


@pytest.fixture(scope="module")
def built(tiny_logs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A store of the tiny world and a report of its run."""
    folder = tmp_path_factory.mktemp("verify")
    with lk.open_store(folder / "s.db") as store:
        store.ingest(tiny_logs / "requests.ndjson", accounts=tiny_logs / "accounts.csv")
        lk.rebuild(store).report(folder / "report")
    return folder / "s.db", folder / "report"


@pytest.fixture
def store(built: tuple[Path, Path], tmp_path: Path) -> Store:
    shutil.copy(built[0], tmp_path / "s.db")
    return lk.open_store(tmp_path / "s.db", create=False)


@pytest.fixture
def report(built: tuple[Path, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(built[1], tmp_path / "report"))


def test_a_report_just_written_is_true(store: Store, report: Path) -> None:
    found = store.verify(report)
    assert (found.differences, found.remarks) == ((), ())
    assert found.files == len(list(report.iterdir())) == 6


def test_one_changed_byte_in_any_file_is_noticed(store: Store, report: Path) -> None:
    for path in sorted(report.iterdir()):
        whole = path.read_bytes()
        for place in (0, len(whole) // 3, len(whole) // 2, len(whole) - 2):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            try:
                told = read_manifest(report)
            except OutputError:  # a manifest that is no JSON any more
                assert path.name == "manifest.json"
                continue
            assert [difference.file for difference in verify_files(report, told).differences] == [path.name]
        if path.name != "manifest.json":
            assert {difference.file for difference in store.verify(report).differences} == {path.name}
        path.write_bytes(whole)


def test_a_cluster_that_is_named_twice_has_one_page_and_the_report_is_true(store: Store, tmp_path: Path) -> None:
    name = store.run.clusters["cluster_id"].iloc[0]
    written = store.run.report(tmp_path / "twice", clusters=[name, name])
    assert len(written) == len(set(written))
    assert store.verify(tmp_path / "twice").is_true


def test_a_missing_file_is_told_and_a_strange_one_is_remarked(store: Store, report: Path) -> None:
    (report / "index.html").unlink()
    (report / "notes.txt").write_text("mine")
    found = store.verify(report)
    assert [(difference.file, difference.how) for difference in found.differences] == [("index.html", "missing")]
    assert found.remarks == ("not part of the report: notes.txt",)


def forge(report: Path, name: str, content: bytes) -> None:
    """Change a file and make the manifest fit, as somebody who knows how would."""
    (report / name).write_bytes(content)
    told = json.loads((report / "manifest.json").read_bytes())
    del told["seal"]
    told["files"] = [manifests.file_entry(name, content) if entry["name"] == name else entry for entry in told["files"]]
    (report / "manifest.json").write_bytes(manifest_bytes(told))


def test_a_forgery_with_a_fitting_manifest_is_told_from_what_the_store_says(store: Store, report: Path) -> None:
    [path] = report.glob("c-*.json")
    told = json.loads(path.read_bytes())
    told["cluster"]["tier"] = "forged"
    forge(report, path.name, (json.dumps(told, allow_nan=False, indent=1) + "\n").encode())
    assert read_manifest(report).is_intact
    [difference] = store.verify(report).differences
    assert difference.file == path.name
    assert 'cluster.tier is "forged" here and' in difference.how
    [members] = report.glob("*.members.csv")
    forge(report, members.name, members.read_bytes().replace(b"\n", b"\nnobody,", 1))
    assert any("from line 2 on" in difference.how for difference in store.verify(report).differences)


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' * 100_000, b"\xff", b"", b'{"cluster": {"tier": 1e999}}'])
def test_a_page_s_json_that_became_anything_is_a_difference(store: Store, report: Path, content: bytes) -> None:
    [path] = report.glob("c-*.json")
    path.write_bytes(content)
    assert {difference.file for difference in store.verify(report).differences} == {path.name}


@pytest.mark.parametrize("content", [b"[" * 100_000, b"[]", b'{"run": "r"}'])
def test_a_manifest_that_became_anything_is_told_in_one_message(store: Store, report: Path, content: bytes) -> None:
    (report / "manifest.json").write_bytes(content)
    with pytest.raises(OutputError, match="wanted the manifest of a report; it cannot be read"):
        store.verify(report)
    assert store.run.report(report), "a report can be written over it"


@pytest.mark.parametrize(("name", "value"), [("sources", [1]), ("sources", 7), ("files", [{"name": "x"}])])
def test_a_forged_manifest_of_another_shape_is_told(store: Store, report: Path, name: str, value: object) -> None:
    told = json.loads((report / "manifest.json").read_bytes())
    del told["seal"]
    (report / "manifest.json").write_bytes(manifest_bytes({**told, name: value}))
    with pytest.raises(OutputError, match="it cannot be read"):
        store.verify(report)


def test_a_forged_name_that_no_file_can_have_is_a_missing_file(store: Store, report: Path) -> None:
    told = json.loads((report / "manifest.json").read_bytes())
    del told["seal"]
    told["printed"] = [manifests.file_entry("x" * 300, b"")]
    (report / "manifest.json").write_bytes(manifest_bytes(told))
    assert ("x" * 300, "missing") in {(each.file, each.how) for each in store.verify(report).differences}


def test_what_people_decide_afterwards_is_a_remark_and_no_difference(store: Store, report: Path) -> None:
    name = read_manifest(report).clusters[0]
    store.run.cluster(name).decide("cleared", note="a class", author="ana", at=AT)
    found = store.verify(report)
    assert found.differences == ()
    assert found.remarks == (f"{name}: 1 case note added since the report",)
    again = store.run.report(report.parent / "again", clusters=[name])
    assert store.verify(again[0].parent).is_true


def test_a_note_under_an_earlier_time_is_no_difference_and_one_that_went_is(store: Store, tmp_path: Path) -> None:
    cluster = store.run.cluster(store.run.clusters["cluster_id"].iloc[0])
    cluster.decide("open", note="seen from 198.51.100.7", author="ana", at=AT)
    cluster.report(tmp_path / "r")
    assert "198.51.100.7" not in "".join(path.read_text() for path in (tmp_path / "r").iterdir())
    assert "seen from 198.51.100.0/24" in next((tmp_path / "r").glob("c-*.json")).read_text()
    cluster.decide("open", note="older", author="ana", at="2026-11-19")
    assert store.verify(tmp_path / "r").is_true
    store._database.connection.execute("delete from case_note where note like 'seen%'")
    told = store.verify(tmp_path / "r").differences
    assert any("case_notes has 1 rows here and 0 in the store" in difference.how for difference in told)


def test_another_run_does_not_make_an_older_report_false(store: Store, report: Path) -> None:
    lk.rebuild(store, seed=1)
    assert store.run.run_id != read_manifest(report).run_id
    assert store.verify(report).is_true


def test_a_run_that_is_gone_is_a_difference(tiny_store: Store, report: Path) -> None:
    found = tiny_store.verify(report)
    assert [difference.file for difference in found.differences] == ["manifest.json"]
    assert "is no longer in the store" in found.differences[0].how
    (report / "index.html").write_text("x")
    assert {difference.file for difference in tiny_store.verify(report).differences} == {"manifest.json", "index.html"}


def test_pages_of_other_versions_are_compared_with_their_hashes(
    store: Store, report: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifests, "drawing_versions", lambda: {"matplotlib": "0"})
    found = store.verify(report)
    assert found.differences == ()
    assert "compared with their hashes alone" in found.remarks[0]
    (report / "index.html").write_text("x")
    assert [difference.file for difference in store.verify(report).differences] == ["index.html"]


def test_the_manifest_tells_inputs_settings_and_versions(report: Path) -> None:
    told = json.loads((report / "manifest.json").read_bytes())
    assert {entry["name"] for entry in told["sources"]} == {"requests.ndjson", "accounts.csv"}
    assert all(len(entry["sha256"]) == 64 for entry in told["sources"])
    assert told["run"]["settings"]["run"]["keep_runs"] == 5
    assert set(told["run"]["versions"]) >= {"python", "linkage", "igraph"}
    assert told["drawn_by"]["matplotlib"]


def test_the_command_ends_with_0_or_1(store: Store, report: Path) -> None:
    whole = CliRunner().invoke(main, ["verify", str(report), str(store.path)])
    assert (whole.exit_code, whole.stdout) == (0, "")
    (report / "index.html").write_text("x")
    broken = CliRunner().invoke(main, ["verify", str(report), str(store.path), "--json"])
    assert broken.exit_code == 1
    assert json.loads(broken.stdout)["differences"][0]["file"] == "index.html"
    assert CliRunner().invoke(main, ["verify", str(report.parent), str(store.path)]).exit_code == 1
