"""The command line: what people and schedulers type. No logic of its own; every verb is a call of the library."""

from __future__ import annotations

import contextlib
import datetime
import errno
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from linkage.cli import sharing, spark, upkeep
from linkage.cli.given import FORMAT, JSON, LOG, SETTINGS, STORE, TIER, WAIT, keep_lines, need_words, opened_store
from linkage.cli.screen import (
    forget_output,
    print_table,
    progress_shown,
    say,
    show_ingest,
    show_rows,
    show_run,
    steps_shown,
)
from linkage.errors import LinkageError, OutputFileError

_NO_MEMORY = (
    "linkage: wanted more memory than there is; nothing is left half done. For logs lower [ingest] memory_mb and "
    "[templates] learn_prompts, for a report [report] rows_per_table"
)


def _why_not_written(error: OSError) -> str:
    where = "standard output" if error.filename is None else error.filename
    return f"{where}: wanted to write or read it; {error.strerror or error}. Check disk space and rights"


class _Commands(click.Group):
    """Ends with the exit code of the error, and the error's words on stderr."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        keep_lines(cmd)
        super().add_command(cmd, name)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LinkageError as error:
            say(f"linkage: {error}", level="error", exit_code=error.exit_code)
            ctx.exit(error.exit_code)
        except MemoryError:
            say(_NO_MEMORY, level="error", exit_code=1)
            ctx.exit(1)
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever read has read enough; click ends quietly
                raise
            forget_output()
            say(f"linkage: {_why_not_written(error)}", level="error", exit_code=OutputFileError.exit_code)
            ctx.exit(OutputFileError.exit_code)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="linkage")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    envvar="LINKAGE_LOG_FORMAT",
    help="How words on stderr come: for people, or one JSON object a line.",
)
def main(log_format: str) -> None:
    r"""Find coordinated accounts in LLM API logs, spare the innocent look-alikes, and say why in both cases.

    \b
    linkage ingest logs.db gateway.jsonl.gz --accounts accounts.csv
    linkage rebuild logs.db
    linkage clusters logs.db
    linkage report logs.db --out report

    Data goes to stdout, words to stderr. Exit codes: 0 done, 1 failed, 2 misused, 65 input rejected,
    74 I/O error or disk full, 75 another process is writing.
    """


keep_lines(main)


@main.command()
@STORE
@click.argument("files", nargs=-1, required=True, type=LOG)
@click.option(
    "--format", "format_name", default="auto", show_default=True, help="The logs' format; auto recognises it."
)
@click.option("--map", "mapping", type=click.Path(path_type=Path), help="A mapping file (TOML) for logs of any shape.")
@click.option("--accounts", multiple=True, type=LOG, help="A file of account records; repeatable.")
@click.option("--source", help="Name of the system inside which request ids are unique; default: the format's name.")
@click.option("--keep-prompts", is_flag=True, help="Keep the prompts' text, compressed. Not kept otherwise.")
@click.option("--pseudonymize", type=click.Path(path_type=Path), help="File with a secret key: store keyed hashes.")
@SETTINGS
@WAIT
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def ingest(
    store: Path,
    *,
    files: tuple[Path, ...],
    format_name: str,
    mapping: Path | None,
    accounts: tuple[Path, ...],
    source: str | None,
    keep_prompts: bool,
    pseudonymize: Path | None,
    settings: Path | None,
    wait_s: float,
    as_json: bool,
) -> None:
    r"""Load log files into STORE (made when missing); a folder stands for the files in it.

    What is stored already changes nothing. A line that cannot be used is set aside with its reason; a file that cannot
    be used leaves nothing behind, and the others go on.

    \b
    linkage ingest logs.db gateway.jsonl.gz --accounts accounts.csv
    linkage ingest logs.db 2026-11-*.parquet
    linkage ingest logs.db bedrock/*.gz cloudtrail/*.gz
    linkage ingest logs.db proxy.log --map proxy.toml
    """
    with progress_shown("opening the store") as progress, opened_store(store) as opened:
        result = opened.ingest(
            *files,
            format=format_name,
            map=mapping,
            accounts=accounts,
            source=source,
            keep_prompts=keep_prompts,
            pseudonymize=pseudonymize,
            settings=settings,
            wait_s=wait_s,
            progress=progress,
        )
    show_ingest(result, store, as_json=as_json)
    if result.failed:
        sys.exit(max(file.error.exit_code for file in result.failed if file.error))


@main.command()
@STORE
@click.option("--as-of", help="Count requests before this time (UTC); default: up to the end of the newest day.")
@click.option("--exact", is_flag=True, help="With --as-of: templates as they were then. Always so inside a day.")
@click.option("--window", help="How far back to look, such as 30d; default: the setting [run] window_days.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of every random draw.")
@SETTINGS
@WAIT
@click.option(
    "--metrics",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write figures for Prometheus' text file collector, also when the rebuild fails.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the run as JSON.")
def rebuild(
    store: Path,
    *,
    as_of: str | None,
    exact: bool,
    window: str | None,
    seed: int,
    settings: Path | None,
    wait_s: float,
    metrics: Path | None,
    as_json: bool,
) -> None:
    r"""Rebuild the graph of STORE, find its clusters and publish them as a new run.

    All or nothing: readers see the last run until the new one is whole. With nothing new, nothing is written.

    \b
    linkage rebuild logs.db
    linkage rebuild logs.db --as-of 2026-11-20 --window 30d
    """
    from linkage.notebook import rebuild as rebuild_run

    with upkeep.measured(metrics, store), contextlib.ExitStack() as stack:
        with steps_shown("opening the store") as step:
            opened = stack.enter_context(opened_store(store, create=False))
            known = set(opened.runs["run_id"])
            run = rebuild_run(
                opened,
                as_of=as_of,
                exact=exact,
                window=window,
                seed=seed,
                settings=settings,
                wait_s=wait_s,
                step=step,
                clock=upkeep.clock_ms,
            )
        show_run(run, store, is_new=run.run_id not in known, as_json=as_json)


@main.command()
@STORE
@TIER
@FORMAT
@JSON
def clusters(store: Path, *, tier: str | None, form: str) -> None:
    r"""List the clusters of the published run, the most pressing first.

    The column barred_by tells what keeps each from tier enforce.

    \b
    linkage clusters logs.db
    linkage clusters logs.db --tier enforce --format csv
    """
    import pandas as pd

    with opened_store(store, create=False) as opened:
        table = pd.DataFrame(opened.run.clusters)
    brief = [
        "cluster_id",
        "tier",
        "accounts",
        "requests",
        "controller_probability",
        "extraction_probability",
        "barred_by",
        "families",
    ]
    show_rows(table[table["tier"] == tier] if tier else table, form, brief=brief)


@main.command()
@STORE
@click.option("--cluster", help="Only this cluster.")
@TIER
@FORMAT
@JSON
def members(store: Path, *, cluster: str | None, tier: str | None, form: str) -> None:
    r"""List the accounts of all clusters, one row each, with the reasons.

    \b
    linkage members logs.db --cluster c-7f3a91
    linkage members logs.db --tier enforce --format csv > flagged.csv
    """
    with opened_store(store, create=False) as opened:
        run = opened.run
        table = run.cluster(cluster).members if cluster else run.members
    brief = ["account_id", "cluster_id", "membership", "tier", "reasons"]
    show_rows(table[table["tier"] == tier] if tier else table, form, brief=brief)


@main.command()
@STORE
@click.argument("cluster")
@click.option("--json", "as_json", is_flag=True, help="Print everything known of the cluster as JSON.")
def show(store: Path, *, cluster: str, as_json: bool) -> None:
    r"""Show one CLUSTER of STORE: the verdict, what ties its accounts, what would free them, what to do next.

    \b
    linkage show logs.db c-7f3a91
    """
    from linkage.outputs.tables import detail_json

    with opened_store(store, create=False) as opened:
        found = opened.run.cluster(cluster)
        if as_json:
            click.echo(json.dumps(detail_json(found.detail), indent=2))
            return
        click.echo(found.as_text(), nl=False)


@main.command()
@STORE
@click.argument("accounts", nargs=-1, required=True, metavar="ACCOUNT...")
@click.option("--run", "run_id", help="As this run saw it (linkage runs lists them); default: the published one.")
@click.option("--masked", is_flag=True, help="Addresses as prefixes, payment instruments as fingerprints.")
@click.option("--json", "as_json", is_flag=True, help="Print everything known of the accounts as a JSON list.")
def why(store: Path, *, accounts: tuple[str, ...], run_id: str | None, masked: bool, as_json: bool) -> None:
    r"""Say why each ACCOUNT of STORE is flagged, or why it is not, in a cluster or in none.

    What ties it to whom and how much that says, what speaks for it, what is not known, and what to do next. Nothing is
    rebuilt.

    \b
    linkage why logs.db acct-0042
    linkage why logs.db acct-0042 acct-0043 --masked
    """
    from linkage.outputs.account import account_json, mask_account

    with opened_store(store, create=False) as opened:
        run = opened.kept_run(run_id) if run_id else opened.run
        found = [run.account(account) for account in accounts]
    if as_json:
        details = [mask_account(each.detail) if masked else each.detail for each in found]
        click.echo(json.dumps([account_json(detail) for detail in details], indent=2))
        return
    click.echo("\n".join(each.why(personal_data=not masked) for each in found), nl=False)


@main.command()
@STORE
@FORMAT
@JSON
def templates(store: Path, form: str) -> None:
    r"""List the prompt templates of STORE, the most shared first; <*> marks a slot.

    \b
    linkage templates logs.db
    linkage templates logs.db --format csv
    """
    with opened_store(store, create=False) as opened:
        table = opened.templates
    show_rows(table, form, brief=["template_id", "accounts", "unrelated_accounts", "prompts", "slots", "text"])


for verb in (
    sharing.report,
    sharing.verify,
    sharing.export,
    sharing.match,
    sharing.serve,
    upkeep.purge,
    upkeep.runs,
    upkeep.diff,
    spark.ingest_spark,
):
    main.add_command(verb)


@main.command()
@STORE
@click.argument("cluster")
@click.option(
    "--state",
    required=True,
    type=click.Choice(["open", "cleared", "watched", "enforced", "appealed", "overturned"]),
    help="What was decided.",
)
@click.option("--note", required=True, callback=need_words, help="Why, in plain words.")
@click.option("--account", help="The decision is about this member alone.")
@click.option("--author", envvar="USER", default="unknown", show_default="$USER", help="Who decided.")
@WAIT
def case(store: Path, *, cluster: str, state: Any, note: str, account: str | None, author: str, wait_s: float) -> None:
    r"""Note a decision about CLUSTER; notes are added, never changed, and stand in its report.

    What is cleared, or an account that is overturned, does not come back without new evidence.

    \b
    linkage case logs.db c-7f3a91 --state cleared --note "a course; the lecturer confirmed it"
    """
    now = datetime.datetime.now(datetime.UTC)
    with opened_store(store, create=False) as opened:
        opened.run.cluster(cluster).decide(state, note=note, author=author, at=now, account=account, wait_s=wait_s)
    about = f"{account} of {cluster}" if account else cluster
    say(f"{about}: {state}, noted by {author}. Reports show it at once; tiers follow at the next linkage rebuild")


@main.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--accounts", type=int, default=3_000, show_default=True, help="About how many accounts.")
@click.option("--days", type=int, default=21, show_default=True, help="Length of the world in days.")
@click.option(
    "--scenario", "scenarios", multiple=True, help="NAME or NAME:STRENGTH, such as E1 or HN-04:2; repeatable."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the whole world.")
def simulate(directory: Path, *, accounts: int, days: int, scenarios: tuple[str, ...], seed: int) -> None:
    r"""Write a world with exact truth into DIRECTORY: requests, account records and the truth.

    Innocent look-alikes are there by default; `--scenario none` leaves them out.

    \b
    linkage simulate world --accounts 3000 --days 21 --scenario E1 --scenario E6:2 --seed 7
    """
    from linkage.worlds.simulate import simulate as simulate_world

    world = simulate_world(directory, accounts=accounts, days=days, scenarios=scenarios or None, seed=seed)
    click.echo(repr(world))
    requests, records = (shlex.quote(str(path)) for path in (world.requests, world.accounts))
    say(f"Next: linkage ingest logs.db {requests} --accounts {records}")


@main.command()
@STORE
@click.option(
    "--truth", type=click.Path(dir_okay=False, path_type=Path), required=True, help="CSV: account_id, campaign."
)
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON.")
def evaluate(store: Path, *, truth: Path, as_json: bool) -> None:
    r"""Score the published run of STORE against a truth file.

    \b
    linkage evaluate logs.db --truth world/truth.csv
    """
    from linkage.notebook import delays
    from linkage.notebook import evaluate as evaluate_run
    from linkage.outputs.tables import records

    with opened_store(store, create=False) as opened:
        result = evaluate_run(opened.run, truth)
        soon = delays(opened, truth)
    if as_json:
        click.echo(json.dumps({**result.to_dict(), "delays": records(soon)}, indent=2))
        return
    for title, table in (
        ("figures", result.table()),
        ("campaigns", result.campaigns.drop(columns="main_cluster")),
        ("innocents by kind", result.innocents),
        ("reliability of the verdicts", result.calibration),
        ("days from the 20th account to the first flag, over the runs kept", soon),
    ):
        click.echo(f"\n{title}")
        print_table(table)
    say(repr(result))


@main.command()
@STORE
@click.option(
    "--truth", type=click.Path(dir_okay=False, path_type=Path), help="CSV: account_id, campaign, of accounts in STORE."
)
@click.option("--plant", multiple=True, help="NAME or NAME:STRENGTH of a campaign, or none; repeatable.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the plantings.")
@SETTINGS
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write a settings file for rebuild.")
@click.option("--json", "as_json", is_flag=True, help="Print figures and coefficients as JSON.")
def calibrate(
    store: Path,
    *,
    truth: Path | None,
    plant: tuple[str, ...],
    seed: int,
    settings: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    r"""Refit the two verdicts on the traffic of STORE, with campaigns planted into copies of it and case notes.

    STORE itself is only read. Figures before and after are those of a planting that was not learned from.

    \b
    linkage calibrate logs.db --out coefficients.toml
    linkage rebuild logs.db --settings coefficients.toml
    """
    from linkage.notebook.calibrating import PLANTED
    from linkage.outputs.tables import records

    chosen = [name for name in plant if name.lower() != "none"] if plant else PLANTED
    with steps_shown("opening the store") as step, opened_store(store, create=False) as opened:
        result = opened.calibrate(truth=truth, plant=chosen, seed=seed, settings=settings, step=step)
    if out:
        say(f"wrote {result.write(out)}. Use it: linkage rebuild {store} --settings {out}")
    if as_json:
        tables = {"figures": records(result.figures), "examples": records(result.examples)}
        click.echo(json.dumps({**tables, "coefficients": result.coefficients.to_tables()}, indent=2))
        return
    print_table(result.figures)
    say(repr(result).strip("<>"))


@main.command()
@STORE
@SETTINGS
@click.option("--set-aside", is_flag=True, help="List the lines that were set aside instead: file, line, reason.")
@FORMAT
@JSON
def doctor(store: Path, *, settings: Path | None, set_aside: bool, form: str) -> None:
    r"""Check STORE: damage, coverage, what was set aside, whether the run is up to date. Exit 1 on a problem.

    \b
    linkage doctor logs.db
    linkage doctor logs.db --set-aside --format csv
    """
    with opened_store(store, create=False) as opened:
        if set_aside:
            lines = opened.rejected
            show_rows(lines, form, brief=list(lines.columns))
            return
        findings = opened.examine(now=datetime.datetime.now(datetime.UTC), settings=settings)
    show_rows(findings, form, brief=list(findings.columns))
    if (findings["level"] == "problem").any():
        sys.exit(1)


@main.command()
@STORE
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--every", type=click.Choice(["hourly", "daily"]), default="hourly", show_default=True)
def schedule(store: Path, *, folder: Path, every: str) -> None:
    r"""Print systemd and crontab lines that load the logs dropped in FOLDER and rebuild STORE.

    \b
    linkage schedule /srv/logs.db /srv/drop --every daily
    """
    from linkage.outputs.schedule import schedule_lines

    called = Path(sys.argv[0]).absolute()
    program = [sys.executable, "-m", "linkage"] if called.name == "__main__.py" else [str(called)]
    click.echo(schedule_lines(store, folder, every=every, program=program), nl=False)
