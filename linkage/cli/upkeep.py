"""The verbs that keep a store over months: what its runs were like, what goes from it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import time
from collections.abc import Iterator
from pathlib import Path

import click

from linkage.cli.given import FORMAT, JSON, STORE, WAIT, opened_store
from linkage.cli.screen import print_table, say, show_rows
from linkage.errors import LinkageError


def clock_ms() -> int:
    """The time, UTC epoch milliseconds."""
    return time.time_ns() // 1_000_000


@contextlib.contextmanager
def measured(metrics: Path | None, store: Path) -> Iterator[None]:
    """Write figures on what is done in the ``with`` block, also when it fails; None: nothing is written."""
    began = clock_ms()
    try:
        yield
    except LinkageError as error:
        _write_metrics(metrics, store, began, error.exit_code)
        raise
    except Exception:
        _write_metrics(metrics, store, began, 1)
        raise
    _write_metrics(metrics, store, began, 0)


def _write_metrics(metrics: Path | None, store: Path, began_ms: int, exit_code: int) -> None:
    if metrics is None:
        return
    from linkage.notebook.ledger import metrics_text, write_metrics
    from linkage.store.store import Database

    ended = clock_ms()
    tell = functools.partial(metrics_text, exit_code=exit_code, ended_ms=ended, duration_s=(ended - began_ms) / 1000)
    try:
        with Database(store, create=False) as database:
            text = tell(database)
    except LinkageError:
        text = tell(None)
    write_metrics(metrics, text)


@click.command()
@STORE
@FORMAT
@JSON
def runs(store: Path, *, form: str) -> None:
    r"""List the rebuilds of STORE that published a run or failed: inputs, durations, what was unusual.

    \b
    linkage runs logs.db
    linkage runs logs.db --format csv > ledger.csv
    """
    with opened_store(store, create=False) as opened:
        table = opened.ledger
    brief = ["run_id", "exit_code", "began_at", "duration_s", "requests", "clusters", "flagged", "anomalies", "kept"]
    show_rows(table, form, brief=[*brief, "error"] if table["error"].notna().any() else brief)


@click.command()
@STORE
@click.argument("before")
@click.argument("after")
@click.option("--json", "as_json", is_flag=True, help="Print what differs as JSON.")
def diff(store: Path, before: str, after: str, *, as_json: bool) -> None:
    r"""Compare two runs of STORE: what went in, which clusters changed, which accounts came, went and moved.

    \b
    linkage diff logs.db r-20261119-1a2b3c4d r-20261120-5d1c02aa
    """
    from linkage.outputs.tables import records

    with opened_store(store, create=False) as opened:
        found = opened.diff(before, after)
    tables = {"inputs": found.inputs, "clusters": found.clusters, "members": found.members}
    if as_json:
        click.echo(json.dumps({name: records(table) for name, table in tables.items()}, indent=2))
        return
    for name, table in tables.items():
        if len(table):
            click.echo(f"\n{name}")
            print_table(table)
    say(repr(found).strip("<>"))


@click.command()
@STORE
@click.option("--account", help="Take this account out, whole.")
@click.option("--before", help="Take out requests older than the UTC day of this time, such as 2026-08-01.")
@click.option(
    "--reports",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Another folder to look for reports in; repeatable.",
)
@WAIT
@click.option("--json", "as_json", is_flag=True, help="Print what went as JSON.")
def purge(
    store: Path, *, account: str | None, before: str | None, reports: tuple[Path, ...], wait_s: float, as_json: bool
) -> None:
    r"""Take an account, or all that is older than a day, out of STORE, down to the bytes of its file.

    Reports in the folder of STORE and the folders in it that name what is gone are deleted. Other text files there that
    name it (logs, exports) are listed and left. Reports elsewhere are reached with --reports; copies, packed files and
    backups are not.

    \b
    linkage purge logs.db --account acct-0042
    linkage purge logs.db --before 2026-08-01 --reports /srv/reports
    """
    with opened_store(store, create=False) as opened:
        result = opened.purge(account=account, before=before, reports=reports, wait_s=wait_s)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(result), indent=2))
        return
    for table, count in result.counts.items():
        click.echo(f"{count:,} {table.replace('_', ' ')}")
    say(f"{sum(result.counts.values()):,} rows gone; the file is {result.shrunk_bytes:,} bytes smaller")
    for folder in result.reports:
        say(f"report deleted, make it anew: linkage report {store} --out {folder}")
    for file in result.mentions:
        say(f"still names what is gone, left as it is: {file}")
    say("not looked through: packed files, Parquet, backups, and folders deeper or elsewhere (--reports DIR)")
