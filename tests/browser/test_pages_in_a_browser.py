"""A simulated world with hostile accounts in it: its report from a folder, and its served pages, in a real browser."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hostile_world import NAMES, write_hostile_logs

import linkage as lk
from linkage.outputs.text import visible

SHOTS = os.environ.get("LINKAGE_SHOTS")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of a world with one campaign (E1, seed 11) and of the hostile accounts, with a run and a report."""
    folder = tmp_path_factory.mktemp("browsed")
    lk.simulate(folder / "world", accounts=150, days=10, scenarios=["E1"], seed=11)
    with lk.open_store(folder / "s.db") as store:
        logs = folder / "world" / "requests.ndjson.gz"
        store.ingest(logs, write_hostile_logs(folder), accounts=folder / "world" / "accounts.csv")
        lk.rebuild(store).report(folder / "report")
    return folder


def cluster_of(world: Path, *, hostile: bool) -> str:
    with lk.open_store(world / "s.db", create=False) as store:
        members = store.run.members
    inside = members["account_id"].isin(NAMES)
    return str(members.loc[inside if hostile else members["tier"] == "enforce", "cluster_id"].iloc[0])


@pytest.fixture(scope="module")
def served(world: Path) -> Iterator[str]:
    """The address that ``linkage serve --cases`` prints, which logs in once; the server runs meanwhile."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "linkage", "serve", str(world / "s.db"), "--port", str(port)]
    server = subprocess.Popen([*command, "--cases", "--author", "ana"], stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        yield server.stderr.readline().removeprefix("open ").strip()
    finally:
        server.terminate()
        server.wait(20)
        server.stderr.close()


def front(served: str) -> str:
    return "{0.scheme}://{0.netloc}/".format(urlsplit(served))


def knock(address: str) -> None:
    """Wait until the server listens: it says its address just before."""
    place = urlsplit(address)
    for _ in range(100):
        with socket.socket() as caller:
            caller.settimeout(0.2)
            if caller.connect_ex((str(place.hostname), int(place.port or 80))) == 0:
                return
        time.sleep(0.1)


def test_the_report_of_a_world_opens_from_its_folder(world: Path, open_page: Callable[..., Any]) -> None:
    watched = open_page((world / "report" / "index.html").as_uri())
    page = watched.page
    clusters = page.locator("#clusters tbody tr")
    everything = clusters.count()
    name = cluster_of(world, hostile=True)
    page.get_by_role("searchbox", name="Find in this table").fill(name)
    assert page.locator("#clusters tbody tr:visible").count() == 1 < everything
    page.get_by_role("link", name=name).click()
    assert f"{len(NAMES)} linked accounts" in page.locator("h1").inner_text()
    assert watched.count(".account") == len(NAMES)
    shown = page.locator("#members tbody th.id").all_inner_texts()
    assert {" ".join(text.split()) for text in shown} == {" ".join(visible(name).split()) for name in NAMES}
    assert watched.said == []
    assert {urlsplit(address).scheme for address in watched.asked} == {"file"}


def test_a_reader_finds_an_account_and_reads_why(world: Path, served: str, open_page: Callable[..., Any]) -> None:
    knock(served)
    watched = open_page(front(served))
    page = watched.page
    assert "it can only be read" in page.locator("#ask").inner_text()
    name = cluster_of(world, hostile=False)
    with lk.open_store(world / "s.db", create=False) as store:
        account = store.run.cluster(name).members["account_id"].iloc[0]
    page.get_by_label("Find an account").fill(account)
    page.get_by_role("button", name="Find", exact=True).click()
    assert "1 account for" in page.locator("h1").inner_text()
    page.screenshot(path=f"{SHOTS}/find.png" if SHOTS else None)
    page.get_by_role("link", name=name).click()
    page.locator("#graph-stage canvas").first.wait_for()
    assert not page.locator("#decide").is_visible()
    page.get_by_role("link", name="cluster members").click()
    rows = page.locator("table.rows-and-columns tbody tr")
    rows.first.wait_for()
    assert rows.count() > 10
    page.goto(f"{front(served)}data/published/cluster_member")
    page.locator(".facet-results").get_by_role("link", name="core").first.click()
    page.wait_for_url(re.compile("membership=core"))
    assert watched.said == []
    assert {urlsplit(address).netloc for address in watched.asked} == {urlsplit(served).netloc}


def test_who_is_logged_in_notes_a_decision_with_a_button(
    world: Path, served: str, open_page: Callable[..., Any]
) -> None:
    knock(served)
    watched = open_page(served)
    page = watched.page
    assert page.url == front(served)
    assert "you are ana" in page.locator("#ask").inner_text()
    page.screenshot(path=f"{SHOTS}/front.png" if SHOTS else None, full_page=True)
    name = cluster_of(world, hostile=True)
    page.get_by_role("link", name=name).click()
    page.locator("#graph-stage canvas").first.wait_for()
    page.get_by_role("button", name="Watch").click()
    assert page.url.endswith(f"{name}.html")  # the note is missing: the browser asks for it
    page.get_by_label("Why, in plain words").fill('"><script>alert(1)</script> \u202e =1+1')
    page.locator("#decide").screenshot(path=f"{SHOTS}/decide.png" if SHOTS else None)
    page.get_by_role("button", name="Watch").click()
    page.wait_for_url(re.compile("#history$"))
    told = page.locator("#history").inner_text()
    assert 'ana: watched. "><script>alert(1)</script> \\u202e =1+1' in told
    assert watched.said == []
    assert {urlsplit(address).netloc for address in watched.asked} == {urlsplit(served).netloc}
    with lk.open_store(world / "s.db", create=False) as store:
        assert list(store.run.cluster(name).case_notes["author"]) == ["ana"]
