"""The verbs for what leaves the building: reports and their check, exports."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import click

from linkage.cli.given import STORE, opened_store
from linkage.cli.screen import say


@click.command()
@STORE
@click.argument("clusters", nargs=-1)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="The folder to write into."
)
@click.option("--include-personal-data", is_flag=True, help="Show full addresses and payment tokens.")
def report(store: Path, *, clusters: tuple[str, ...], out: Path, include_personal_data: bool) -> None:
    r"""Write self-contained HTML reports, with JSON and CSV beside them; all CLUSTERS when none is named.

    \b
    linkage report logs.db --out report
    linkage report logs.db c-7f3a91 --out report
    """
    with opened_store(store, create=False) as opened:
        written = opened.run.report(out, clusters=clusters or None, personal_data=include_personal_data)
    say(f"{len(written)} files written")
    click.echo(str((out / "index.html").absolute()))


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@STORE
@click.option("--json", "as_json", is_flag=True, help="Print what differs as JSON.")
def verify(directory: Path, *, store: Path, as_json: bool) -> None:
    r"""Check that the report in DIRECTORY is as it was written and as STORE says. Exit 1 when anything differs.

    \b
    linkage verify report logs.db
    """
    with opened_store(store, create=False) as opened:
        found = opened.verify(directory)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(found), indent=2))
    else:
        for difference in found.differences:
            click.echo(f"{difference.file}: {difference.how}")
    for remark in found.remarks:
        say(remark)
    say(f"run {found.run_id}: {found.files} files compared, {len(found.differences)} differences")
    if not found.is_true:
        sys.exit(1)


@click.command()
@STORE
@click.option("--format", "form", type=click.Choice(["graphml", "gexf", "json"]), default="graphml", show_default=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The file to write.")
def export(store: Path, *, form: Any, out: Path) -> None:
    r"""Write the full graph of accounts, addresses, payment methods and templates to a file.

    \b
    linkage export logs.db --format gexf --out graph.gexf
    """
    with opened_store(store, create=False) as opened:
        path = opened.run.export(out, format=form)
    click.echo(str(path))
