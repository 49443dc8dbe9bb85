"""The verb that loads logs which outgrow one machine."""

from __future__ import annotations

from pathlib import Path

import click

from linkage.cli.given import SETTINGS
from linkage.cli.screen import say


@click.command("ingest-spark")
@click.argument("master")
@click.argument("inputs", nargs=-1, required=True)
@click.option("--out", required=True, help="A new folder, by any path Spark can write.")
@click.option(
    "--format", "format_name", default="auto", show_default=True, help="The logs' format; auto recognises it."
)
@click.option("--map", "mapping", type=click.Path(path_type=Path), help="A mapping file (TOML) for logs of any shape.")
@click.option(
    "--accounts", multiple=True, type=click.Path(path_type=Path), help="A file of account records here; repeatable."
)
@click.option("--source", help="Name of the system inside which request ids are unique; default: the format's name.")
@click.option("--pseudonymize", type=click.Path(path_type=Path), help="File with a secret key: keep keyed hashes.")
@SETTINGS
@click.option("--json", "as_json", is_flag=True, help="Print the folder's manifest as JSON.")
def ingest_spark(
    master: str,
    *,
    inputs: tuple[str, ...],
    out: str,
    format_name: str,
    mapping: Path | None,
    accounts: tuple[Path, ...],
    source: str | None,
    pseudonymize: Path | None,
    settings: Path | None,
    as_json: bool,
) -> None:
    r"""Bring the logs INPUT... down to what a rebuild needs, on Spark at MASTER, as a folder for `linkage ingest`.

    INPUT is JSON lines or Parquet by any path Spark can read, or a folder made by this command before: what is new is
    then added to it. The folder is written whole or not at all. Needs Java 17 or later and
    `pip install 'linkage[spark]'`. SPARK_DRIVER_MEMORY=4g in the environment gives local[...] more than 1 GB of heap.

    \b
    linkage ingest-spark 'local[2]' day1.ndjson --accounts accounts.csv --out day1
    linkage ingest-spark yarn day1 hdfs:///logs/day2 --out day2
    linkage ingest logs.db day2
    """
    from linkage.notebook.spark import incidence

    manifest = incidence(
        master,
        inputs,
        out=out,
        format=format_name,
        map=mapping,
        accounts=accounts,
        source=source,
        pseudonymize=pseudonymize,
        settings=settings,
    )
    if as_json:
        click.echo(manifest.to_json())
        return
    for path, reason, lines in manifest.rejected:
        say(f"{path}: {lines:,} lines set aside: {reason}")
    for note, count in manifest.notes.items():
        say(f"  {count:,} x {note}")
    for name, rows in manifest.rows.items():
        click.echo(f"{rows:,} {name.replace('_', ' ')}")
    say(f"{manifest!r}. Next: linkage ingest STORE {out}")
