"""The README's code runs, and every command and query is documented where it says it is."""

import importlib
import re
import shutil
from pathlib import Path

import pytest

import linkage as lk
from linkage.cli import main
from linkage.store.queries import query_names

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_code_of_the_readme_runs(planted_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(planted_world, tmp_path / "world")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks
    for block in blocks:
        names: dict[str, object] = {}
        exec(compile(block, "README.md", "exec"), names)  # noqa: S102
    assert (tmp_path / "report" / "index.html").is_file()


def test_the_first_example_is_under_ten_lines_to_a_cluster() -> None:
    block = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0].splitlines()
    assert next(number for number, line in enumerate(block, 1) if line.startswith("cluster =")) < 10


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_is_in_the_readme(command: str) -> None:
    assert f"`linkage {command} " in README


def test_every_dependency_has_its_line() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    told = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    names = set(re.findall(r'^    "([a-zA-Z0-9-]+)[>=]', text, re.MULTILINE)) - {"linkage"}
    assert len(names) > 15
    assert [name for name in sorted(names) if name not in told] == []


def test_each_call_gives_the_table_that_is_described_for_it(tiny_store: lk.Store) -> None:
    page = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    paths = [path.rsplit(".", 1) for path in re.findall(r"autodata:: (\S+)", page)]
    described = {name: getattr(importlib.import_module(room), name) for room, name in paths}
    run = lk.rebuild(tiny_store)
    nouns = {"store": tiny_store, "run": run, "cluster": run.clusters[run.clusters["cluster_id"].iloc[0]]}
    asked = 0
    for calls, told in re.findall(r"^\| (`.*?) \| (.*?) \|$", page, re.MULTILINE):
        shapes = re.findall(r"`([A-Z_]+)`", told)
        assert set(shapes) <= set(described), calls
        for call in re.findall(r"`((?:store|run|cluster)\.[a-z_]+(?:\(\))?)`", calls):
            table = eval(call, nouns)  # noqa: S307 - calls of our own page
            assert list(table.columns) == list(described[shapes[0]]), call
            asked += 1
    assert asked > 15


def test_decisions_say_what_would_change_our_mind() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert len(pages) >= 5
    for page in pages:
        text = page.read_text(encoding="utf-8").lower()
        assert "change our mind" in text, page.name


def test_every_decision_is_one_page() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    words = {page.name: len(page.read_text(encoding="utf-8").split()) for page in pages}
    assert {name: count for name, count in words.items() if count > 900} == {}


def test_query_files_are_named_for_their_answer() -> None:
    assert len(query_names()) > 20
