"""Arguments and options that several verbs share, and the store they open."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from linkage.cli.screen import say
from linkage.compiled import is_kept

if TYPE_CHECKING:
    from linkage.notebook import Store

# Whether a path can be read its reader finds out: click would end with the code for misuse, and load nothing else.
STORE = click.argument("store", type=click.Path(dir_okay=False, readable=False, path_type=Path))
LOG = click.Path(readable=False, path_type=Path)
WAIT = click.option("--wait", "wait_s", type=float, default=0.0, help="Seconds to wait for another writer.")
FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    help="How to print the rows.",
)
JSON = click.option("--json", "form", flag_value="json", help="Same as --format json.")
SETTINGS = click.option("--settings", type=click.Path(dir_okay=False, path_type=Path), help="A settings file (TOML).")
TIER = click.option("--tier", type=click.Choice(["enforce", "review", "watch"]), help="Only this tier.")


def need_words(_ctx: click.Context, _parameter: click.Parameter, value: str) -> str:
    """What was given for an option, where it says anything."""
    if not value.strip():
        raise click.BadParameter("wanted why, in plain words: reports show it; got nothing. Write what was found out")
    return value


def opened_store(path: Path, *, create: bool = True) -> Store:
    """The store; pandas and its like are loaded here, not for ``--help``."""
    if not is_kept():
        say(
            "compiled functions cannot be kept: neither the package's folder nor a cache of this user can be written. "
            "Each run compiles them anew, for up to a minute. Set NUMBA_CACHE_DIR to a folder of this user's own",
            level="warning",
        )
    from linkage.notebook import open_store

    return open_store(path, create=create)


def keep_lines(command: click.Command) -> None:
    """Show the examples of a command's help line by line.

    Click wants a backspace character before them; docstrings are raw and spell it out.
    """
    if command.help:
        command.help = command.help.replace("\\b\n", "\b\n")
