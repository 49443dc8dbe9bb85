"""The verbs for what leaves the building: reports and their check, exports, partner packs, pages in a browser."""

from __future__ import annotations

import dataclasses
import datetime
import json
import sys
from pathlib import Path
from typing import Any

import click

from linkage.cli.given import FORMAT, JSON, STORE, opened_store
from linkage.cli.screen import progress_shown, say, show_rows


@click.command()
@STORE
@click.argument("clusters", nargs=-1)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="The folder to write into."
)
@click.option("--include-personal-data", is_flag=True, help="Show full addresses and payment tokens.")
@click.option("--pdf", is_flag=True, help="Print every page as PDF too; needs chromium, Chrome or Edge.")
def report(store: Path, *, clusters: tuple[str, ...], out: Path, include_personal_data: bool, pdf: bool) -> None:
    r"""Write self-contained HTML reports, with JSON and CSV beside them.

    When no cluster is named: all that need a decision or a review, and the 50 most pressing that are watched.

    \b
    linkage report logs.db --out report
    linkage report logs.db c-7f3a91 --out report
    """
    with progress_shown("opening the store") as progress, opened_store(store, create=False) as opened:
        written = opened.run.report(
            out, clusters=clusters or None, personal_data=include_personal_data, pdf=pdf, progress=progress
        )
    say(f"{len(written)} files written")
    click.echo(bytes((out / "index.html").absolute()))


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
@click.option(
    "--format",
    "form",
    type=click.Choice(["graphml", "gexf", "json", "parquet", "stix", "pack"]),
    default="graphml",
    show_default=True,
    help="The full graph (graphml, gexf, json, parquet), or clusters for a partner (stix, pack).",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The file to write.")
@click.option("--include-personal-data", is_flag=True, help="Full addresses and payment tokens; in STIX, account ids.")
@click.option("--key", type=click.Path(dir_okay=False, path_type=Path), help="File with the secret of pack and STIX.")
@click.option(
    "--tlp",
    type=click.Choice(["clear", "green", "amber", "amber+strict", "red"]),
    default="amber",
    show_default=True,
    help="Marking of a STIX bundle (TLP 2.0).",
)
@click.option("--producer", default="linkage", show_default=True, help="Who shares: the author of a STIX bundle.")
def export(
    store: Path, *, form: Any, out: Path, include_personal_data: bool, key: Path | None, tlp: str, producer: str
) -> None:
    r"""Write the graph of accounts, addresses, payment methods and templates, or clusters for a partner, to a file.

    Addresses are prefixes and payment tokens fingerprints unless you ask for more.

    \b
    linkage export logs.db --format gexf --out graph.gexf
    linkage export logs.db --format stix --tlp green --out clusters.json
    linkage export logs.db --format pack --key shared.key --out pack.json
    """
    from linkage.outputs.pack import read_key

    if form == "pack" and (key is None or include_personal_data):
        raise click.UsageError("a pack holds keyed hashes only: give --key FILE, and no --include-personal-data")
    secret = read_key(key) if key else b""
    with opened_store(store, create=False) as opened:
        path = opened.run.export(
            out, format=form, personal_data=include_personal_data, key=secret, tlp=tlp, producer=producer
        )
    click.echo(bytes(path))


@click.command()
@click.argument("pack", type=click.Path(dir_okay=False, path_type=Path))
@STORE
@click.option(
    "--key", type=click.Path(dir_okay=False, path_type=Path), required=True, help="File with the secret of the pack."
)
@FORMAT
@JSON
def match(pack: Path, *, store: Path, key: Path, form: str) -> None:
    r"""List the accounts of STORE that share values with the clusters in a partner's PACK.

    \b
    linkage match pack.json logs.db --key shared.key
    """
    from linkage.outputs.pack import read_key

    with opened_store(store, create=False) as opened:
        found = opened.match(pack, key=read_key(key))
    show_rows(found.accounts, form, brief=list(found.accounts.columns))
    for row in found.evidence.itertuples():
        say(f"{row.pack_cluster}: {row.matched} of {row.values} values of kind {row.kind}, on {row.accounts} accounts")
    say(repr(found).strip("<>"))


@click.command()
@STORE
@click.option("--port", type=click.IntRange(1, 65535), default=8001, show_default=True, help="On this machine alone.")
@click.option("--include-personal-data", is_flag=True, help="Show full addresses and payment tokens.")
@click.option("--cases", is_flag=True, help="Let whoever opens the printed link note decisions about clusters.")
@click.option("--author", envvar="USER", default="unknown", show_default="$USER", help="With --cases: who decides.")
def serve(store: Path, *, port: int, include_personal_data: bool, cases: bool, author: str) -> None:
    r"""Show the published run of STORE in a browser on this machine until interrupted.

    Read-only, unless --cases is given: then the link that is printed logs in, once, and the page of a cluster has
    buttons for decisions, noted as with `linkage case`. Needs Datasette: pip install 'linkage[serve]'.

    \b
    linkage serve logs.db --port 8001
    linkage serve logs.db --cases --author ana
    """
    from linkage.notebook.serving import CaseDesk

    with opened_store(store, create=False) as opened:
        opened.serve(
            port=port,
            personal_data=include_personal_data,
            cases=CaseDesk(author, lambda: datetime.datetime.now(datetime.UTC)) if cases else None,
            ready=lambda address: say(f"open {address}"),
        )
