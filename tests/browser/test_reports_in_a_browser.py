"""Reports in a real browser: the graph, the filters, the search; nothing is said, asked for or run."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest
from details import HOSTILE, clusters_of, make_detail

from linkage.outputs import html

SIZES = [5, 50, 450, 2000]
SHOTS = os.environ.get("LINKAGE_SHOTS")
"""A folder to keep screenshots in, for eyes."""


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """Number of accounts to the address of a page about as many."""
    folder = tmp_path_factory.mktemp("reports")
    for size in SIZES:
        (folder / f"{size}.html").write_text(html.cluster_page(make_detail(size)), encoding="utf-8")
    return {size: (folder / f"{size}.html").as_uri() for size in SIZES}


def ink(picture: bytes) -> float:
    """Share of a PNG that is not as light as paper."""
    pixels = matplotlib.image.imread(io.BytesIO(picture))[..., :3]
    return float((pixels.min(axis=2) < 0.9).mean())


@pytest.mark.parametrize("size", SIZES)
def test_the_graph_shows_every_account_in_silence_and_stays_still(
    size: int, reports: dict[int, str], open_page: Callable[..., Any]
) -> None:
    watched = open_page(reports[size])
    page = watched.page
    assert watched.count(".account") == size
    page.evaluate("document.getElementById('picture').scrollIntoView()")
    before = page.evaluate("linkageGraph.nodes().map((dot) => dot.position())")
    page.wait_for_timeout(300)
    picture = page.locator("#graph").screenshot(path=f"{SHOTS}/{size}.png" if SHOTS else None)
    assert page.evaluate("linkageGraph.nodes().map((dot) => dot.position())") == before
    assert before[0] == {"x": before[0]["x"], "y": before[0]["y"]}
    assert 0.02 < ink(picture) < 0.5
    inside = page.evaluate(
        "linkageGraph.nodes().every((dot) => { const p = dot.renderedPosition();"
        " return p.x >= 0 && p.y >= 0 && p.x <= linkageGraph.width() && p.y <= linkageGraph.height(); })"
    )
    assert inside
    widths = page.evaluate("linkageGraph.nodes('.account').map((dot) => dot.renderedWidth())")
    assert min(widths) > 4, "an account of thousands can still be seen and pointed at"
    assert watched.said == []
    assert watched.asked == [reports[size]]


@pytest.mark.parametrize("size", [50, 2000])
def test_pointing_tells_what_ties_and_a_click_keeps_it(
    size: int, reports: dict[int, str], open_page: Callable[..., Any]
) -> None:
    watched = open_page(reports[size])
    page, panel = watched.page, watched.page.locator("#graph-panel")
    assert "Point at a dot" in panel.inner_text()
    page.mouse.move(*watched.dot("linkageGraph.nodes('.value.wide')[0]"))
    panel.get_by_role("heading", level=4).wait_for(timeout=5_000)
    label = page.evaluate("linkageGraph.nodes('.value.wide')[0].data('label')")
    assert panel.get_by_role("heading", level=3).inner_text() == label
    holders = page.evaluate("linkageGraph.nodes('.value.wide')[0].degree()")
    assert f"Ties {holders:,} accounts" in panel.inner_text()
    assert watched.count(".tie.near") == holders
    page.mouse.click(*watched.dot("linkageGraph.nodes('.value.wide')[0]"))
    page.mouse.move(10, 10)
    assert label in panel.inner_text()
    panel.locator("li button").first.click()
    account = panel.get_by_role("heading", level=3).inner_text()
    assert account in make_detail(size).members["account_id"].to_list()
    assert "run as one" in panel.inner_text()
    panel.get_by_text("Show in the table of members").click()
    shown = page.locator("#members tbody tr:not(.group):visible")
    assert [row.split("\t")[0] for row in shown.all_inner_texts()] == [account]
    page.locator("#graph-stage").press("Escape")
    assert "Point at a dot" in panel.inner_text()
    assert watched.said == []


def test_filters_take_a_kind_of_evidence_or_a_membership_out_and_back(
    reports: dict[int, str], open_page: Callable[..., Any]
) -> None:
    watched = open_page(reports[50])
    chips = watched.page.locator("#graph-filters .chip")
    everything = watched.count("*")
    cards = [f".f{n}" for n, text in enumerate(chips.all_inner_texts()) if text.startswith("payment")]
    assert watched.count(cards[0]) == 6 + 50
    chips.filter(has_text="payment").click()
    assert watched.count(cards[0]) == 0
    chips.filter(has_text="bystander").click()
    bystanders = int((make_detail(50).members["membership"] == "bystander").sum())
    assert watched.count(".account") == 50 - bystanders < 50
    chips.filter(has_text="payment").click()
    chips.filter(has_text="bystander").click()
    assert watched.count("*") == everything


def test_an_account_is_found_and_brought_to_the_middle(reports: dict[int, str], open_page: Callable[..., Any]) -> None:
    watched = open_page(reports[2000])
    name = make_detail(2000).members["account_id"].iloc[1234]
    watched.page.locator("#graph-find").fill(name.upper())
    assert watched.page.locator("#graph-found").inner_text() == "1 found"
    assert watched.page.locator("#graph-panel h3").inner_text() == name
    view = watched.page.evaluate(
        "(() => { const p = linkageGraph.nodes('.found').renderedPosition();"
        " return [p.x, p.y, linkageGraph.zoom()]; })()"
    )
    box = watched.page.locator("#graph-stage").bounding_box()
    assert 0 < view[0] < box["width"]
    assert 0 < view[1] < box["height"]
    assert view[2] > 0.25
    watched.page.locator("#graph-find").fill("203.0.113")
    assert int(watched.page.locator("#graph-found").inner_text().split()[0]) > 10


def test_dragging_moves_buttons_zoom_and_the_wheel_waits_for_a_click(
    reports: dict[int, str], open_page: Callable[..., Any]
) -> None:
    watched = open_page(reports[450])
    page = watched.page
    x, y = watched.dot("linkageGraph.nodes('.account')[0]")
    corner = page.locator("#graph-stage").bounding_box()
    empty = (corner["x"] + 8, corner["y"] + 8)
    zoom, pan = (lambda: page.evaluate("linkageGraph.zoom()")), (lambda: page.evaluate("linkageGraph.pan()"))
    first = zoom()
    page.mouse.move(*empty)
    page.mouse.wheel(0, -200)
    page.wait_for_timeout(300)
    assert zoom() == first
    corner = page.locator("#graph-stage").bounding_box()
    empty = (corner["x"] + 8, corner["y"] + 8)
    page.mouse.move(*empty)
    page.mouse.down()
    start = pan()
    page.mouse.move(empty[0] + 90, empty[1] + 40, steps=4)
    page.mouse.up()
    assert (round(pan()["x"] - start["x"]), round(pan()["y"] - start["y"])) == (90, 40)
    page.mouse.wheel(0, -200)
    page.wait_for_timeout(300)
    assert zoom() > first
    page.get_by_role("button", name="Show all").click()
    assert zoom() == pytest.approx(first, rel=0.05)
    page.get_by_role("button", name="Zoom in").click()
    assert zoom() > first
    assert (x, y) != empty


def test_without_scripts_the_still_picture_stands_alone(reports: dict[int, str], open_page: Callable[..., Any]) -> None:
    page = open_page(reports[50], java_script_enabled=False).page
    assert not page.locator("#graph").is_visible()
    assert page.locator("#picture figure svg").first.is_visible()
    assert page.locator("#members tbody tr:not(.group)").count() == 50


def test_paper_gets_the_still_picture(reports: dict[int, str], open_page: Callable[..., Any]) -> None:
    page = open_page(reports[50]).page
    page.emulate_media(media="print")
    assert not page.locator("#graph").is_visible()
    assert page.locator("#picture figure svg").first.is_visible()


def test_members_are_sorted_found_and_filtered_by_membership(
    reports: dict[int, str], open_page: Callable[..., Any]
) -> None:
    page = open_page(reports[50]).page
    part = page.locator("#members")
    counts = make_detail(50).members["membership"].value_counts()
    shown = part.locator("tbody tr:not(.group):visible")
    part.locator(".chip", has_text="core").click()
    assert shown.count() == 50 - counts["core"]
    assert f"{50 - counts['core']} of 50 shown" in part.inner_text()
    part.locator(".chip", has_text="probable").click()
    assert shown.count() == counts["bystander"]
    for name in ("core", "probable"):
        part.locator(".chip", has_text=name).click()
    part.get_by_role("button", name="Requests").click()
    requests = [
        int(text.replace(",", ""))
        for text in part.locator("tbody").first.locator("tr td:nth-child(6)").all_inner_texts()
    ]
    assert requests == sorted(requests, reverse=True)


@pytest.mark.parametrize("width", [400, 800])
def test_a_narrow_window_shows_every_column_under_its_heading(
    width: int, tmp_path: Path, open_page: Callable[..., Any]
) -> None:
    detail = make_detail(14)
    html.write_report([detail], clusters_of(detail), detail.run, out=tmp_path)
    for path in sorted(tmp_path.glob("*.html")):
        page = open_page(path.as_uri()).page
        page.set_viewport_size({"width": width, "height": 900})
        cells = "[...document.querySelectorAll('.folds tr:not(.group)')].map((row) => [...row.cells].map((cell) => "
        places = page.evaluate(f"{cells}[cell.getBoundingClientRect().left, cell.getBoundingClientRect().right]))")
        assert len(places) > 1
        assert all(row == places[0] for row in places)
        assert all(0 < left < right < width for left, right in places[0])
        assert not page.evaluate(f"{cells}cell.scrollWidth > cell.clientWidth)).flat().some(Boolean)")


def test_hostile_text_is_text_in_a_browser_too(tmp_path: Path, open_page: Callable[..., Any]) -> None:
    path = tmp_path / "hostile.html"
    path.write_text(html.cluster_page(make_detail(14, hostile=True)), encoding="utf-8")
    watched = open_page(path.as_uri())
    watched.page.locator("#graph-find").fill("<script>")
    assert watched.page.locator("#graph-found").inner_text() != "0 found"
    labels = watched.page.evaluate("linkageGraph.nodes('.account').map((dot) => dot.data('label'))")
    for name in ("script", "attribute", "formula", "maths", "comment", "wide", "template"):
        assert HOSTILE[name] in labels
    for n in range(len(labels)):
        watched.page.mouse.move(*watched.dot(f"linkageGraph.nodes('.account')[{n}]"))
    assert watched.said == []
    assert watched.asked == [path.as_uri()]
