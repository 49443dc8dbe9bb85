"""The command line: what people and schedulers type, and how it ends."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import networkx as nx
import pandas as pd
import pytest
from click.testing import CliRunner, Result

import linkage as lk
from linkage.cli import main
from linkage.cli.screen import print_table
from linkage.engines.progress import INGEST_STAGES
from linkage.errors import StoreError
from linkage.outputs.schedule import schedule_lines
from linkage.store.lock import writer_lock

MEMBER_COLUMNS = [
    "account_id",
    "cluster_id",
    "membership",
    "tier",
    "controller_probability",
    "extraction_probability",
    "q_value",
    "reasons",
]
CLUSTER_COLUMNS = [
    "cluster_id",
    "tier",
    "accounts",
    "requests",
    "controller_probability",
    "extraction_probability",
    "q_value",
    "families",
    "first_seen",
    "last_seen",
]


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


def rows(result: Result) -> list[dict[str, str]]:
    assert result.exit_code == 0, result.stderr
    return list(csv.DictReader(io.StringIO(result.stdout)))


def test_help_does_not_load_the_heavy_libraries() -> None:
    code = (
        "import sys; from linkage.cli import main; main(['--help'], standalone_mode=False);"
        "heavy = {'pandas', 'numpy', 'igraph', 'numba', 'matplotlib', 'pyarrow', 'scipy', 'networkx'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "ingest" in done.stdout


@pytest.mark.parametrize("verb", sorted(main.commands))
def test_every_verb_has_help_with_an_example(verb: str) -> None:
    result = run(verb, "--help")
    assert result.exit_code == 0
    assert f"linkage {verb} " in result.stdout


def test_from_logs_to_a_report(planted_world: Path, tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    loaded = run("ingest", store, planted_world / "requests.ndjson.gz", "--accounts", planted_world / "accounts.csv")
    assert loaded.exit_code == 0
    assert "taken for canonical request records" in loaded.stderr
    assert "field" in loaded.stdout
    assert run("rebuild", store).exit_code == 0
    told = run("evaluate", store, "--truth", planted_world / "truth.csv").stdout
    assert all(title in told for title in ("innocents by kind", "reliability of the verdicts", "days from the 20th"))
    scores = json.loads(run("evaluate", store, "--truth", planted_world / "truth.csv", "--json").stdout)
    assert (scores["flag_precision"], scores["flag_recall"]) == (1.0, 1.0)
    reported = run("report", store, "--out", tmp_path / "report")
    assert Path(reported.stdout.strip()).read_text(encoding="utf-8").startswith("<!")


def test_members_as_csv_has_one_row_per_account_and_the_contract_columns(planted_path: Path) -> None:
    found = rows(run("members", planted_path, "--format", "csv"))
    assert list(found[0])[: len(MEMBER_COLUMNS)] == MEMBER_COLUMNS
    accounts = [row["account_id"] for row in found]
    assert len(accounts) == len(set(accounts)) >= 20
    enforced = rows(run("members", planted_path, "--tier", "enforce", "--format", "csv"))
    assert {row["tier"] for row in enforced} == {"enforce"}


def test_clusters_as_csv_and_json_say_the_same(planted_path: Path) -> None:
    found = rows(run("clusters", planted_path, "--format", "csv"))
    told = json.loads(run("clusters", planted_path, "--json").stdout)
    assert set(CLUSTER_COLUMNS) <= set(found[0])
    assert [row["cluster_id"] for row in found] == [row["cluster_id"] for row in told]
    assert [int(row["accounts"]) for row in found] == [row["accounts"] for row in told]


def test_show_says_why(planted_path: Path) -> None:
    cluster_id = rows(run("clusters", planted_path, "--format", "csv"))[0]["cluster_id"]
    shown = run("show", planted_path, cluster_id)
    assert shown.exit_code == 0
    first, tier = shown.stdout.splitlines()[:2]
    assert re.fullmatch(rf"Cluster {cluster_id}: \d+ linked accounts \(\d+ core.*\)", first)
    assert tier == "Tier enforce: strong enough for a person to decide on action"
    headings = ["What to do next", "What ties them, and how rare that is", "What would free them"]
    assert [line for line in shown.stdout.splitlines() if line in headings] == headings
    assert f"- Decide, and write down why: linkage case STORE {cluster_id} --state enforced" in shown.stdout
    assert json.loads(run("show", planted_path, cluster_id, "--json").stdout)["cluster"]["cluster_id"] == cluster_id
    missing = run("show", planted_path, "c-none")
    assert missing.exit_code == 1
    assert f"found {cluster_id}" in missing.stderr


def test_templates_are_listed(planted_path: Path) -> None:
    found = rows(run("templates", planted_path, "--format", "csv"))
    assert any("<*>" in row["text"] and int(row["accounts"]) > 10 for row in found)


@pytest.mark.parametrize(("form", "read"), [("graphml", nx.read_graphml), ("gexf", nx.read_gexf), ("json", None)])
def test_export_can_be_read_back(planted_path: Path, tmp_path: Path, form: str, read: object) -> None:
    out = tmp_path / f"graph.{form}"
    assert run("export", planted_path, "--format", form, "--out", out).exit_code == 0
    graph = read(out) if callable(read) else nx.node_link_graph(json.loads(out.read_text()), edges="edges")
    accounts = [name for name, data in graph.nodes(data=True) if data["kind"] == "account"]
    with lk.open_store(planted_path, create=False) as store:
        assert len(accounts) == store.counts["accounts"]


def test_doctor_ends_with_1_on_a_problem(planted_path: Path, tmp_path: Path) -> None:
    assert run("doctor", planted_path).exit_code == 0
    with lk.open_store(tmp_path / "empty.db"):
        pass
    ill = run("doctor", tmp_path / "empty.db")
    assert ill.exit_code == 1
    assert "linkage ingest" in ill.stdout


def test_memory_that_is_not_there_is_told_in_words(
    planted_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_given: object, **_named: object) -> None:
        raise MemoryError

    monkeypatch.setattr(lk.Run, "report", fail)
    ended = run("report", planted_path, "--out", tmp_path / "report")
    assert ended.exit_code == 1
    assert "wanted more memory than there is" in ended.stderr
    assert "[report] rows_per_table" in ended.stderr


def test_schedule_prints_both_kinds_of_lines(tmp_path: Path) -> None:
    shown = run("schedule", tmp_path / "my logs.db", tmp_path / "drop", "--every", "daily").stdout
    assert shown.count(f"ingest '{tmp_path}/my logs.db' {tmp_path}/drop --wait 600; ") == 2
    assert "OnCalendar=*-*-* 02:10:00" in shown


@pytest.mark.parametrize(("ingest", "rebuild", "ends"), [(0, 0, 0), (74, 0, 74), (65, 1, 1), (0, 75, 75)])
def test_the_scheduled_unit_rebuilds_whatever_was_loaded_and_fails_when_either_does(
    ingest: int, rebuild: int, ends: int, tmp_path: Path
) -> None:
    program = tmp_path / '100% $HOME "x" linkage'
    program.write_text(
        f'#!/bin/sh\necho "$1 $2" >> {tmp_path}/calls\ncase $1 in ingest) exit {ingest};; *) exit {rebuild};; esac\n'
    )
    program.chmod(0o755)
    lines = schedule_lines(tmp_path / "it's.db", tmp_path / "drop", program=[str(program)]).splitlines()
    [line] = [line for line in lines if line.startswith("ExecStart=")]
    command = line.removeprefix('ExecStart=/bin/sh -c "').removesuffix('"')
    for escaped, plain in (('\\"', '"'), ("\\\\", "\\"), ("%%", "%"), ("$$", "$")):
        command = command.replace(escaped, plain)
    assert subprocess.run(["/bin/sh", "-c", command], check=False).returncode == ends
    assert (tmp_path / "calls").read_text() == f"ingest {tmp_path}/it's.db\nrebuild {tmp_path}/it's.db\n"


def test_a_schedule_names_a_program_that_can_be_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "linkage", "schedule", str(tmp_path / "s.db"), str(tmp_path)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f" {sys.executable} -m linkage ingest {tmp_path}/s.db" in shown


def test_a_file_s_name_steers_no_terminal(tmp_path: Path, tiny_logs: Path) -> None:
    for name, text in (("good", (tiny_logs / "requests.ndjson").read_text()), ("odd", '{"a": 1}\n')):
        (tmp_path / f"\x1b]0;{name}\x07\x9b2J\u202e.log").write_text(text)
    told = run("ingest", tmp_path / "s.db", *tmp_path.glob("*.log")).stderr
    assert told.count("\\u001b]0;good") == 1
    assert "\\u001b]0;odd\\u0007\\u009b2J\\u202e.log: NOT LOADED" in told
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(told)


def test_a_drop_folder_says_what_it_did_not_load(tmp_path: Path, tiny_logs: Path) -> None:
    drop, store = tmp_path / "drop", tmp_path / "s.db"
    (drop / "2026-11-30").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    (drop / "gone.ndjson").symlink_to(tmp_path / "nowhere")
    for number in range(6):
        (drop / f"{number}.ndjson").write_text((tiny_logs / "requests.ndjson").read_text() + " \n" * number)
    (drop / "odd.ndjson").write_text('{"a": 1}\n')
    first = run("--log-format", "json", "ingest", store, drop, tmp_path / "empty")
    lines = list(map(json.loads, first.stderr.splitlines()))
    assert [line["step"] for line in lines if "step" in line] == list(INGEST_STAGES)
    told = {line["message"]: line for line in lines}
    assert told[f"{drop}/2026-11-30: not looked into; name it to load what is in it"]["level"] == "warning"
    assert told[f"{tmp_path}/empty: an empty folder"]["level"] == "warning"
    assert f"{drop}/gone.ndjson: not a file" in told
    [odd] = [line for line in told.values() if "NOT LOADED" in line["message"]]
    assert (odd["level"], odd["file"], odd["exit_code"]) == ("error", f"{drop}/odd.ndjson", 65)
    again = run("ingest", store, drop).stderr
    assert "6 files were loaded before; nothing in them is new" in again
    assert "0.ndjson" not in again


def test_exit_codes_are_the_documented_ones(tmp_path: Path, tiny_logs: Path) -> None:
    requests, store = tiny_logs / "requests.ndjson", tmp_path / "s.db"
    (tmp_path / "broken.ndjson").write_text('{"timestamp": "2026-09-01T00:00:00Z", "account_id": "a"}\n{x\n{y\n{z\n')
    assert run("ingest", store, requests).exit_code == 0
    assert run("ingest", store, requests).exit_code == 0, "nothing new is no failure"
    assert run("ingest", store).exit_code == 2
    assert run("ingest", store, requests, "--format", "kafka").exit_code == 2
    assert run("ingest", store, tmp_path / "broken.ndjson").exit_code == 65
    assert run("ingest", store, tmp_path / "missing.ndjson").exit_code == 74
    assert run("rebuild", tmp_path / "none.db").exit_code == 74
    assert run("clusters", store).exit_code == 1, "no run yet"
    with writer_lock(store):
        assert run("rebuild", store).exit_code == 75
    assert run("rebuild", store, "--window", "soon").exit_code == 2


def test_each_step_says_what_became_of_the_input_and_what_to_type_next(tmp_path: Path, tiny_logs: Path) -> None:
    store, logs = tmp_path / "a store.db", tmp_path / "logs.ndjson"
    nothing = run("ingest", store, tmp_path / "missing.ndjson").stderr
    assert f"1 file failed. Next: linkage doctor '{store}'" in nothing
    whole = (tiny_logs / "requests.ndjson").read_text(encoding="utf-8")
    logs.write_text(whole + '{"timestamp": 12\n', encoding="utf-8")
    told = run("ingest", store, logs).stderr
    assert re.search(r"1 set aside: .*JSON", told)
    assert f"Next: linkage rebuild '{store}'" in told
    aside = rows(run("doctor", store, "--set-aside", "--format", "csv"))
    assert [(Path(row["path"]).name, row["line"]) for row in aside] == [("logs.ndjson", str(whole.count("\n") + 1))]
    first = run("rebuild", store).stderr
    assert f"Next: linkage clusters '{store}'; linkage report '{store}' --out report" in first
    assert "nothing new" not in first
    assert "nothing new: this run was there before" in run("rebuild", store).stderr


def test_a_settings_file_with_faults_tells_them_all(tmp_path: Path, tiny_store: lk.Store) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("[communities]\nresolution = 0.0\nseeds = 'many'\n[colours]\nred = 1\n")
    result = run("rebuild", tiny_store.path, "--settings", settings)
    assert result.exit_code == 2
    for word in ("resolution must be at least", "seeds must be a number", "no section [colours]"):
        assert word in result.stderr


def test_without_a_terminal_there_is_no_bar_and_data_is_alone_on_stdout(tmp_path: Path, tiny_logs: Path) -> None:
    command = [sys.executable, "-m", "linkage", "ingest", str(tmp_path / "s.db"), str(tiny_logs / "requests.ndjson")]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["files"][0]["kept"] == 64
    assert "\x1b" not in done.stderr
    assert done.stderr == ""


def test_a_closed_pipe_is_no_traceback(planted_path: Path) -> None:
    command = f"{sys.executable} -m linkage templates {planted_path} --format csv | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, env=dict(os.environ))
    assert done.stdout.startswith("template_id")
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_a_full_disk_behind_standard_output_ends_with_74(planted_path: Path, form: str) -> None:
    command = f"{sys.executable} -m linkage members {planted_path} --format {form} > /dev/full"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 74
    assert done.stderr.startswith("linkage: standard output: wanted to write or read it; No space left on device.")
    assert len(done.stderr.splitlines()) == 1


def test_a_number_that_is_none_is_a_dash_in_a_table_and_a_missing_word_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(pd.DataFrame({"share": [0.5, float("nan")], "error": pd.Series(["full", None], dtype="str")}))
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["share", "error"],
        ["0.50", "full"],
        ["-"],
    ]


def test_a_table_is_shown_where_the_locale_knows_no_letters_of_it(tmp_path: Path) -> None:
    logs = tmp_path / "r.ndjson"
    form = "Übersetze den folgenden Satz ins Englische: {} und erkläre jeden Schritt."
    rows = [
        {"timestamp": "2026-09-01T00:00:00Z", "account_id": f"ä{n}", "request_id": str(n), "prompt": form.format(n * n)}
        for n in range(9)
    ]
    logs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run("ingest", tmp_path / "s.db", logs)
    command = [sys.executable, "-m", "linkage", "templates", str(tmp_path / "s.db")]
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, check=True, env=ascii_only)
    assert rb"\xdcbersetze den folgenden Satz" in done.stdout


def test_a_service_that_closes_its_streams_loses_no_work(tmp_path: Path, tiny_logs: Path) -> None:
    words = f"{sys.executable} -m linkage ingest {tmp_path}/s.db {tiny_logs}/requests.ndjson"
    done = subprocess.run(["sh", "-c", f"{words} >&- 2>&-"], check=False)
    assert done.returncode == 0
    with lk.open_store(tmp_path / "s.db") as store:
        assert store.counts["requests"] == 64


def test_names_that_are_no_utf8_are_read_like_others_and_told(tmp_path: Path, tiny_logs: Path) -> None:
    logs, bad, store = tmp_path / "caf\udce9.ndjson", tmp_path / "bad\udce9.ndjson", tmp_path / "s\udce9.db"
    logs.write_bytes((tiny_logs / "requests.ndjson").read_bytes())
    bad.write_text('{"a": 1}\n')
    told = run("ingest", store, logs, bad)
    assert told.exit_code == 65
    assert "64 kept" in told.stderr
    assert [path.rpartition("/")[2] for path in lk.open_store(store).files["path"]] == ["caf\\udce9.ndjson"]
    assert run("rebuild", store).exit_code == 0
    shown = run("report", store, "--out", tmp_path / "r\udce9")
    assert shown.stdout_bytes == bytes(tmp_path / "r\udce9" / "index.html") + b"\n"
    assert "bad\\udce9.ndjson was not loaded" in run("doctor", store, "--format", "csv").stdout
    for words in (["why", store, "\udcff"], ["purge", store, "--account", "\udcff"]):
        refused = run(*words)
        assert (refused.exit_code, "text that is UTF-8" in refused.stderr) == (2, True)


def test_what_may_not_be_read_is_an_input_fault_and_the_others_go_on(
    tmp_path: Path, tiny_logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def refuse(path: Path | str, *how: int, **more: int) -> int:
        if str(path).endswith("shut.ndjson"):
            raise PermissionError(13, "Permission denied")
        return opened(path, *how, **more)

    (tmp_path / "shut.ndjson").write_text("{}")
    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "access", lambda *_asked, **_more: False)
    told = run("ingest", tmp_path / "s.db", tmp_path / "shut.ndjson", tiny_logs / "requests.ndjson")
    assert (told.exit_code, "Permission denied. Check its permissions" in told.stderr) == (74, True)
    assert "64 kept" in told.stderr


def test_names_that_no_file_can_have_are_refused_like_others(tmp_path: Path, tiny_logs: Path) -> None:
    endless, store = tmp_path / ("x" * 300), tmp_path / "s.db"
    for _ in range(2):
        told = run("ingest", store, endless, tiny_logs / "requests.ndjson")
        assert (told.exit_code, "File name too long" in told.stderr) == (74, True)
        assert run("ingest", store, tiny_logs / "requests.ndjson").exit_code == 0
    with lk.open_store(store) as opened:
        assert opened.counts["requests"] == 64
        with pytest.raises(StoreError, match="wanted to open the store"):
            lk.open_store(tmp_path / "n\0l")
        [failed] = opened.ingest("n\0l").failed
        assert failed.error is not None
        assert failed.error.exit_code == 74
    assert run("clusters", endless).exit_code == 74
    assert run("rebuild", store, "--metrics", endless).exit_code == 74


def test_hostile_names_reach_the_terminal_as_text(tmp_path: Path) -> None:
    row = {"timestamp": "2026-09-01T00:00:00Z", "account_id": "a", "prompt": "x", "model": "m"}
    hostile = [{**row, "account_id": f"=cmd(){n}", "ip": "192.0.2.1", "request_id": str(n)} for n in range(3)]
    path = tmp_path / "r.ndjson"
    path.write_text("".join(json.dumps(each) + "\n" for each in hostile))
    run("ingest", tmp_path / "s.db", path)
    assert run("rebuild", tmp_path / "s.db").exit_code == 0
    assert "\n=cmd" not in run("members", tmp_path / "s.db", "--format", "csv").stdout


@pytest.mark.parametrize("verb", [None, *main.commands])
def test_help_shows_its_examples_line_by_line(verb: str | None) -> None:
    words = CliRunner().invoke(main, [*([verb] if verb else []), "--help"]).output
    examples = [line for line in words.splitlines() if line.startswith("  linkage ")]
    assert examples, words
    assert "\\b" not in words
