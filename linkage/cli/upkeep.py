"""The verbs that keep a store over months: what goes from it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from linkage.cli.given import STORE, WAIT, opened_store
from linkage.cli.screen import say


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
