"""A real browser: Debian's chromium, without a window, driven by Playwright; every page is watched."""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Watched:
    """A page, and everything that it said, asked for or opened."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (self.said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("response", lambda answer: answer.status < 400 or self.said.append(f"{answer.status}: {answer.url}"))
        page.on("request", lambda request: self.asked.append(request.url))

    def dot(self, which: str) -> tuple[float, float]:
        """Where on the screen a dot of the graph is; ``which`` is an expression of ``linkageGraph``."""
        self.page.evaluate("document.getElementById('picture').scrollIntoView()")
        self.page.wait_for_timeout(100)  # the graph hears of the scrolling with the next frame
        place = self.page.evaluate(f"{which}.renderedPosition()")
        box = self.page.locator("#graph-stage").bounding_box()
        return box["x"] + place["x"], box["y"] + place["y"]

    def count(self, which: str) -> int:
        """How many elements of the graph are shown and fit a selector, once the graph has drawn what was asked."""
        drawn = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        shown = f"linkageGraph.elements({which!r}).filter((e) => e.visible()).length"
        return int(self.page.evaluate(f"{drawn}.then(() => {shown})"))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser; closed with its module, since Playwright keeps asyncio to itself while it is open."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("no chromium to open pages with: apt-get install chromium")
    rights = ["--no-sandbox"] if os.geteuid() == 0 else []
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=rights)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[..., Watched]]:
    """Opens an address in a context of its own, with a window of 1300 x 900."""
    contexts = []

    def opened(address: str, **options: Any) -> Watched:
        context = chromium.new_context(viewport={"width": 1300, "height": 900}, reduced_motion="reduce", **options)
        contexts.append(context)
        watched = Watched(context.new_page())
        watched.page.goto(address)
        return watched

    yield opened
    for context in contexts:
        context.close()
