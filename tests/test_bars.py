"""What a terminal shows while something takes long."""

import io
import re
from pathlib import Path

import pytest
from numba.core import event
from rich.console import Console

from linkage.cli import bars
from linkage.cli.bars import Bars
from linkage.engines.progress import COUNTING, MINING

CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    drawn = io.StringIO()
    monkeypatch.setattr(
        bars, "Console", lambda **_: Console(file=drawn, force_terminal=True, width=120, _environ={"TERM": "xterm"})
    )
    return drawn


def last_lines(screen: io.StringIO, shown: Bars) -> list[str]:
    """What stands there now."""
    screen.seek(0)
    screen.truncate()
    shown._bars.refresh()
    return [line.strip() for line in CONTROL.sub("", screen.getvalue()).splitlines() if line.strip()]


def test_files_are_one_bar_and_each_stage_is_one(screen: io.StringIO) -> None:
    with Bars("opening the store") as shown:
        assert last_lines(screen, shown)[0].startswith("opening the store")
        shown.tell("logs/a.ndjson", 0, 3_000_000)
        shown.tell("logs/b.ndjson", 0, 1_000_000)
        [line] = last_lines(screen, shown)
        assert line.startswith("a.ndjson")
        assert "0.0/4.0 MB" in line
        shown.tell("logs/a.ndjson", 3_000_000, 3_000_000)
        shown.tell("logs/b.ndjson", 500_000, 1_000_000)
        [line] = last_lines(screen, shown)
        assert line.startswith("b.ndjson (2 of 2 files)")
        assert "3.5/4.0 MB" in line
        shown.tell(COUNTING, 100, 100)
        shown.tell(MINING, 37, 100)
        _, counting, mining = last_lines(screen, shown)
        assert counting.startswith(COUNTING)
        assert "100 %" in counting
        assert mining.startswith(MINING)
        assert "37 %" in mining
        assert "MB" not in counting + mining


def test_one_file_is_shown_by_its_name_and_an_empty_one_is_a_file(screen: io.StringIO) -> None:
    with Bars("opening the store") as shown:
        shown.tell("logs/empty.ndjson", 0, 0)
        shown.tell("logs/empty.ndjson", 0, 0)
        [line] = last_lines(screen, shown)
    assert line.startswith("empty.ndjson ")
    assert "0/0 bytes" in line


def test_names_of_files_are_text(screen: io.StringIO) -> None:
    with Bars("opening the store") as shown:
        shown.tell("logs/[red]\x1b[2J.ndjson", 1, 2)
        [line] = last_lines(screen, shown)
    assert line.startswith("[red]")
    assert "\x1b[2J" not in screen.getvalue()


def test_a_step_ends_the_one_before_it(screen: io.StringIO) -> None:
    with Bars("opening the store") as shown:
        shown.tell_step("read")
        shown.tell_step("links")
        read, links = last_lines(screen, shown)
    assert read.startswith("read")
    assert "100 %" in read
    assert links.startswith("links")
    assert "%" not in links


def test_compiling_is_told_while_it_lasts(screen: io.StringIO, tmp_path: Path) -> None:
    with Bars("opening the store") as shown:
        shown.tell_step("read")
        with event.trigger_event("numba:compile"):
            [told] = [line for line in last_lines(screen, shown) if line.startswith("compiling")]
            assert "once" in told
        assert not [line for line in last_lines(screen, shown) if line.startswith("compiling")]
    with event.trigger_event("numba:compile"):
        shown.tell_step("after all")
