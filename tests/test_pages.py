"""The documentation pages: built without a warning, and nothing in them is loaded from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import linkage as lk

ROOT = Path(__file__).resolve().parent.parent
LOADED = re.compile(r"""<(?:script|link|img|iframe)[^>]*(?:src|href)=["']((?:https?:)?//[^"']*)""")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    command = ["-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-c", "docs", "-d", str(folder / "trees")]
    done = subprocess.run(
        [sys.executable, *command, ".", str(folder / "html")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_every_public_name_is_in_the_reference(pages: Path) -> None:
    reference = (pages / "docs" / "api.html").read_text(encoding="utf-8")
    for name in lk.__all__:
        assert f'id="linkage.{name}"' in reference or f'id="linkage.errors.{name}"' in reference


def test_a_docstring_is_parted_into_names_and_words(pages: Path) -> None:
    reference = (pages / "docs" / "api.html").read_text(encoding="utf-8")
    assert ":raises" not in reference
    assert re.search(r"<strong>seed</strong> – of every random draw", reference)


def test_every_notebook_is_a_page_with_its_pictures(pages: Path) -> None:
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        page = (pages / "notebooks" / f"{path.stem}.html").read_text(encoding="utf-8")
        assert "_images/" in page


def test_pages_load_nothing_from_elsewhere(pages: Path) -> None:
    found = {page.name: LOADED.findall(page.read_text(encoding="utf-8")) for page in pages.rglob("*.html")}
    assert len(found) > 30
    assert {name: urls for name, urls in found.items() if urls} == {}
