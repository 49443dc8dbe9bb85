"""What the command line shows: tables, words on stderr, and how far it is."""

from __future__ import annotations

import dataclasses
import datetime
import io
import itertools
import json
import os
import shlex
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import click

from linkage.engines.progress import STAGES

if TYPE_CHECKING:
    import pandas as pd

    from linkage.cli.bars import Bars
    from linkage.engines.local import FileResult
    from linkage.engines.progress import Progress
    from linkage.notebook import IngestResult, Run
    from linkage.stages import Step


_MOST_REASONS: Final = 5
_MOST_KNOWN: Final = 5
"""More files than these that were loaded before are told in one line: a drop folder may keep thousands."""


def say(words: str, *, level: str = "info", **more: Any) -> None:
    """Words for people, on stderr; with ``--log-format json`` one object a line, with ``more`` in it."""
    if not _logs_json():
        from linkage.outputs.text import visible  # names of files and values of logs stand in it, too

        click.echo(visible(words), err=True)
        return
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    click.echo(json.dumps({"time": now, "level": level, "message": words, **more}), err=True)


def _logs_json() -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and context.find_root().params.get("log_format") == "json"


def show_rows(frame: pd.DataFrame, form: str, *, brief: list[str]) -> None:
    """Rows on stdout: as CSV or JSON all columns, as a table for people those of ``brief``."""
    from linkage.outputs.tables import to_csv, to_json

    if form == "csv":
        click.echo(to_csv(frame), nl=False)
    elif form == "json":
        click.echo(to_json(frame), nl=False)
    elif frame.empty:
        say("nothing to show")
    else:
        print_table(frame[brief])


def print_table(frame: pd.DataFrame) -> None:
    """A table for people, as wide as the terminal; control characters from logs are made visible."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from linkage.outputs.text import visible

    numbers = set(frame.infer_objects().select_dtypes("number").columns)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in frame.columns:
        table.add_column(str(name), justify="right" if name in numbers else "left", overflow="fold")
    for row in frame.itertuples(index=False):
        cells = zip(frame.columns, row, strict=True)
        table.add_row(*(Text(visible(_cell(value, nothing="-" if name in numbers else ""))) for name, value in cells))
    width = None if _is_terminal(sys.stdout) else 160
    if isinstance(sys.stdout, io.TextIOWrapper):  # letters that the locale does not know come as escapes
        sys.stdout.reconfigure(errors="backslashreplace")
    Console(width=width, highlight=False).print(table)


def _is_terminal(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal; where a service closes it, there is none."""
    return stream is not None and stream.isatty()


def _cell(value: Any, *, nothing: str) -> str:
    import pandas as pd

    if value is None or value is pd.NaT or (isinstance(value, float) and value != value):
        return nothing
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) >= 0.01 or value == 0 else f"{value:.1e}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d %H:%M}"
    return str(value)


def forget_output() -> None:
    """Let go of what standard output did not take, so that Python does not try again, and fail, as it ends."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def show_ingest(result: IngestResult, store: Path, *, as_json: bool) -> None:
    """What became of each file, which fields the records carry, which evidence that rules out, and what is next."""
    from linkage.outputs.tables import records

    if as_json:
        files = [{**dataclasses.asdict(file), "error": str(file.error or "")} for file in result.files]
        tables = {"coverage": records(result.coverage), "evidence": records(result.evidence)}
        counts = {"met": result.met, "waiting": result.waiting, "aged_out": result.aged_out}
        click.echo(json.dumps({"files": files, "remarks": result.remarks, "companions": counts, **tables}, indent=2))
        return
    name = shlex.quote(str(store))
    known = [file for file in result.files if file.is_known]
    plain = [file for file in result.files if _is_plain_companion(file)]
    told_at_once = {id(file) for files in (known, plain) if len(files) > _MOST_KNOWN for file in files}
    for file in result.files:
        if id(file) not in told_at_once:
            _show_file(file, name)
    if len(plain) > _MOST_KNOWN:
        _show_companions(plain)
    if len(known) > _MOST_KNOWN:
        say(f"{len(known):,} files were loaded before; nothing in them is new")
    _show_waiting(result)
    for remark in result.remarks:
        say(remark, level="warning")
    coverage = result.coverage[result.coverage["total"] > 0]
    print_table(coverage[["field", "source", "present", "total", "share"]])
    impossible = result.evidence[~result.evidence["possible"]]
    for row in impossible.itertuples():
        say(f"{row.family} evidence is {row.note}")
    # Where nothing came in, or nothing but companions that wait, there is nothing to rebuild.
    has_requests = not result.waiting or bool((coverage["source"] == "requests").any())
    verb = "rebuild" if (result.kept or result.seen_before) and has_requests else "doctor"
    say(f"{result!r}. Next: linkage {verb} {name}")


def _show_file(file: FileResult, store: str) -> None:
    if file.error:
        code = file.error.exit_code
        say(f"{file.path}: NOT LOADED. {file.error}", level="error", file=file.path, exit_code=code)
        return
    conflicts = f", {file.conflicting:,} in conflict with a record of the same id" if file.conflicting else ""
    say(
        f"{file.path}: taken for {file.took_for}; {file.kept:,} kept, {file.set_aside:,} set aside, "
        f"{file.seen_before:,} seen before{conflicts}{_met(file.kind, file.met)}"
    )
    for reason, count in itertools.islice(file.reasons.items(), _MOST_REASONS):
        say(f"  {count:,} set aside: {reason}")
    if len(file.reasons) > _MOST_REASONS:
        say(f"  and {len(file.reasons) - _MOST_REASONS:,} more reasons: linkage doctor {store} --set-aside")
    for note, count in file.notes.items():
        say(f"  {count:,} x {note}")


def _met(kind: str, count: int) -> str:
    if kind == "companions":
        return f", {count:,} met their request"
    return f", {count:,} completed by companions that had waited" if count else ""


def _is_plain_companion(file: FileResult) -> bool:
    """Whether it is one of the many small files of a companion log, with nothing to be said of it alone."""
    return file.kind == "companions" and not (file.error or file.set_aside or file.conflicting or file.is_known)


def _show_companions(files: list[FileResult]) -> None:
    """What became of many files, for each thing that they were taken for."""
    for took_for in sorted({file.took_for for file in files}):
        alike = [file for file in files if file.took_for == took_for]
        kept, seen, met = (sum(getattr(file, name) for file in alike) for name in ("kept", "seen_before", "met"))
        say(
            f"{len(alike):,} files: taken for {took_for}; {kept:,} kept, 0 set aside, {seen:,} seen before"
            f"{_met('companions', met)}"
        )
        for note, count in sum((Counter(file.notes) for file in alike), Counter[str]()).items():
            say(f"  {count:,} x {note}")


def _show_waiting(result: IngestResult) -> None:
    if result.waiting:
        say(
            f"{result.waiting:,} records of companion logs wait for the request they tell of: load the log it is in, "
            "with the same --source as theirs"
        )
    if result.aged_out:
        say(
            f"{result.aged_out:,} records of companion logs were let go without having met a request: none came within "
            "[ingest] companion_days, or more than companions_waiting waited. Should their requests still come, raise "
            "these and load the files again",
            level="warning",
        )


def show_run(run: Run, store: Path, *, is_new: bool, as_json: bool) -> None:
    """What a run found, whether it was there before, and what to type next."""
    from linkage.outputs.tables import plain_value

    if as_json:
        click.echo(json.dumps(plain_value(run.info), indent=2))
        return
    tiers = run.clusters["tier"].value_counts()
    named = ", ".join(f"{tiers.get(tier, 0)} {tier}" for tier in ("enforce", "review", "watch"))
    name = shlex.quote(str(store))
    if not is_new:
        say("nothing new: this run was there before")
    say(repr(run).strip("<>"))
    say(f"{named}. Next: linkage clusters {name}; linkage report {name} --out report")


@contextmanager
def progress_shown(begin: str) -> Iterator[Progress | None]:
    """Bars with rate and time left, on a terminal; a line of a JSON log as each stage begins; else silence.

    Parameters
    ----------
    begin : what is said until something is told.
    """
    with _bars(begin) as bars:
        yield bars.tell if bars else _say_once() if _logs_json() else None


@contextmanager
def steps_shown(begin: str) -> Iterator[Step | None]:
    """The same for steps, of which nobody knows how long they take."""
    with _bars(begin) as bars:
        yield bars.tell_step if bars else (lambda name: say(name, step=name)) if _logs_json() else None


@contextmanager
def _bars(begin: str) -> Iterator[Bars | None]:
    if _logs_json() or not _is_terminal(sys.stderr):
        yield None
        return
    # Of use on a terminal alone.
    from linkage.cli.bars import Bars

    with Bars(begin) as bars:
        yield bars


def _say_once() -> Progress:
    begun: set[str] = set()

    def tell(name: str, _done: int, _size: int) -> None:
        # What became of files is told at the end: a drop folder may keep thousands that are known.
        if name in STAGES and name not in begun:
            begun.add(name)
            say(name, step=name)

    return tell
