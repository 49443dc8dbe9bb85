"""Reports as PDF: printed by a browser where there is one, checked by hash, and a kind word where there is none."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from details import make_detail

import linkage as lk
from linkage.cli import main
from linkage.errors import OutputError
from linkage.outputs import pdf

needs_browser = pytest.mark.skipif(
    not any(map(shutil.which, pdf.BROWSERS)), reason="no browser to print with: apt-get install chromium"
)


@needs_browser
def test_a_printed_report_has_a_pdf_for_every_page_and_verify_notices_a_changed_one(
    tiny_store: lk.Store, tmp_path: Path
) -> None:
    run = lk.rebuild(tiny_store)
    chosen = list(run.clusters["cluster_id"].head(1))
    run.report(tmp_path / "r", clusters=chosen, pdf=True)
    printed = sorted(path.name for path in (tmp_path / "r").glob("*.pdf"))
    assert printed == sorted(f"{path.stem}.pdf" for path in (tmp_path / "r").glob("*.html"))
    for name in printed:
        content = (tmp_path / "r" / name).read_bytes()
        assert content.startswith(b"%PDF-")
        assert b"/JavaScript" not in content
    assert tiny_store.verify(tmp_path / "r").is_true
    with (tmp_path / "r" / printed[0]).open("r+b") as file:
        file.seek(-3, 2)
        file.write(b"x")
    assert [found.file for found in tiny_store.verify(tmp_path / "r").differences] == [printed[0]]
    (tmp_path / "r" / printed[-1]).unlink()
    assert {found.how for found in tiny_store.verify(tmp_path / "r").differences} == {
        "changed since the report was written",
        "missing",
    }


@needs_browser
def test_prints_of_an_earlier_report_go_with_the_next(tiny_store: lk.Store, tmp_path: Path) -> None:
    run = lk.rebuild(tiny_store)
    run.report(tmp_path, clusters=[], pdf=True)
    assert (tmp_path / "index.pdf").is_file()
    run.report(tmp_path, clusters=[])
    assert not (tmp_path / "index.pdf").exists()


def test_without_a_browser_the_word_is_kind_and_nothing_is_written(
    tiny_store: lk.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lk.rebuild(tiny_store)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    told = CliRunner().invoke(main, ["report", str(tiny_store.path), "--out", str(tmp_path / "r"), "--pdf"])
    assert told.exit_code == 1
    assert "apt-get install chromium" in told.stderr
    assert not (tmp_path / "r").exists()


def test_a_browser_that_fails_is_named_with_what_it_said(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(str(make_detail(5).cluster["cluster_id"]), encoding="utf-8")
    with pytest.raises(OutputError, match=r"page\.html: wanted it as PDF; false did not print it"):
        pdf.print_page(page, browser=str(shutil.which("false")))
