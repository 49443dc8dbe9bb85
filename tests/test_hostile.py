"""Hostile text from the logs to every format that leaves: it stays text, and breaks no file."""

import csv
import dataclasses
import io
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networkx as nx
import pandas as pd
import pytest
import stix2
from click.testing import CliRunner
from hostile_world import NAMES, write_hostile_logs
from lxml import etree

import linkage as lk
from linkage.cli import main
from linkage.outputs.text import visible
from linkage.settings import Settings

RISKY = re.compile(r"^[=+\-@\t\r\n＝＋－＠]")
HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
KEY = b"a key that only the tests use"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lk.Store]:
    folder = tmp_path_factory.mktemp("hostile")
    with lk.open_store(folder / "s.db") as store:
        store.ingest(write_hostile_logs(folder))
        settings = Settings()
        # Six accounts with six prompts each extract nothing; they are to reach what is passed on all the same.
        low = dataclasses.replace(settings.verdicts, review_probability=0.0)
        run = lk.rebuild(store, settings=dataclasses.replace(settings, verdicts=low))
        run.cluster(run.clusters["cluster_id"].iloc[0]).decide("open", note="=1+1", author="<b>", at="2026-09-09")
        yield store


def test_all_accounts_are_linked_under_names_that_show_everything(hostile: lk.Store) -> None:
    stored = set(hostile.run.members["account_id"])
    assert stored == set(NAMES)
    assert list(hostile.rejected["reason"]) == ["half of a surrogate pair in a text"] * 6
    assert set(hostile.run.members["tier"]) == {"review"}


@pytest.mark.parametrize("personal", [False, True])
def test_every_file_of_a_report_is_text_that_does_nothing(hostile: lk.Store, tmp_path: Path, personal: bool) -> None:
    hostile.run.report(tmp_path, personal_data=personal)
    assert hostile.verify(tmp_path).is_true
    for path in tmp_path.iterdir():
        content = path.read_text(encoding="utf-8")
        if path.suffix == ".html":
            assert "<script>alert" not in content
            assert '" onmouseover' not in content
            assert not HIDDEN.search(content)
        elif path.suffix == ".json":
            json.loads(content)
        else:
            assert not HIDDEN.search(content)
            cells = [cell for row in csv.reader(io.StringIO(content)) for cell in row]
            assert not [cell for cell in cells if RISKY.match(cell)]
            assert set(pd.read_csv(path)["account_id"].str.removeprefix("'")) == {visible(name) for name in NAMES}


@pytest.mark.parametrize("verb", [("members",), ("clusters",), ("templates",)])
def test_no_cell_of_a_csv_is_a_formula(hostile: lk.Store, verb: tuple[str, ...]) -> None:
    told = CliRunner().invoke(main, [*verb, str(hostile.path), "--format", "csv"])
    assert told.exit_code == 0
    rows = list(csv.reader(io.StringIO(told.stdout)))
    assert len({len(row) for row in rows}) == 1
    assert not [cell for row in rows for cell in row if RISKY.match(cell)]


@pytest.mark.parametrize(
    ("form", "personal"),
    [*itertools.product(("graphml", "gexf", "json", "parquet", "stix"), (False, True)), ("pack", False)],
)
def test_every_export_is_read_by_those_who_own_the_format(
    hostile: lk.Store, tmp_path: Path, form: Any, personal: bool
) -> None:
    path = hostile.run.export(tmp_path / "x", format=form, personal_data=personal, key=KEY, producer='"><script>')
    shown = {visible(name) for name in NAMES}
    if form == "parquet":
        assert {visible(name) for name in pd.read_parquet(path)["account_id"]} == shown
        return
    content = path.read_text(encoding="utf-8")
    assert not HIDDEN.search(content)
    if form in ("graphml", "gexf"):
        tree = etree.fromstring(content.encode())
        named = {element.get("id") for element in tree.iter("{*}node")} | {e.get("label") for e in tree.iter("{*}node")}
        assert shown <= named
        graph = nx.read_graphml(path) if form == "graphml" else nx.read_gexf(path)
        assert shown <= set(graph.nodes)
    elif form == "json":
        assert shown <= {node["id"] for node in json.loads(content)["nodes"]}
    elif form == "stix":
        accounts = {item["user_id"] for item in stix2.parse(content).objects if item["type"] == "user-account"}
        assert len(accounts) == len(NAMES)
        assert (accounts == shown) == personal
    else:
        assert json.loads(content)["format"] == "linkage-pack"


@pytest.mark.parametrize("form", ["graphml", "gexf", "json", "parquet"])
def test_no_export_shows_an_address_or_a_card_unless_asked_to(hostile: lk.Store, tmp_path: Path, form: Any) -> None:
    graph = hostile.run.graph()
    kinds = zip(graph.vs["name"], graph.vs["kind"], strict=True)
    raw = {name.partition(":")[2] for name, kind in kinds if kind in ("ip", "payment")}
    assert raw == {"198.51.100.7", "198.51.100.8", "=card-0", "=card-1"}
    for personal in (False, True):
        path = hostile.run.export(tmp_path / "x", format=form, personal_data=personal)
        told = pd.read_parquet(path).to_csv() if form == "parquet" else path.read_text(encoding="utf-8")
        assert {value for value in raw if value in told} == (raw if personal else set())


def test_a_person_s_words_about_a_cluster_are_text_too(hostile: lk.Store, tmp_path: Path) -> None:
    hostile.run.report(tmp_path)
    [page] = [path.read_text(encoding="utf-8") for path in tmp_path.glob("c-*.html")]
    assert "&lt;b&gt;: open. =1+1" in page
