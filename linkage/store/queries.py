"""Named queries: one question per file of ``queries/``, found in the wheel and beside a checkout."""

from __future__ import annotations

import dataclasses
import functools
import re
from pathlib import Path
from typing import Final

from linkage.errors import QueryError

_PACKAGE: Final = Path(__file__).resolve().parent.parent
_PLACES: Final = (_PACKAGE / "_queries", _PACKAGE.parent / "queries")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_HEADER: Final = re.compile(r"--\s+(parameters|columns|order|index):\s*(.*)")


@dataclasses.dataclass(frozen=True)
class Query:
    """One named query and what its header promises."""

    name: str
    sql: str
    question: str
    parameters: tuple[str, ...]
    columns: tuple[str, ...]
    order: tuple[str, ...]
    indexes: tuple[str, ...]


def queries_folder() -> Path:
    """The folder that holds the query files: inside the wheel first, then beside the package.

    Raises
    ------
    QueryError : neither is there; the installation is not whole.
    """
    for place in _PLACES:
        if place.is_dir():
            return place
    looked = " and ".join(map(str, _PLACES))
    raise QueryError(f"wanted the folder of query files; found none at {looked}. Install linkage again")


def query_names() -> list[str]:
    """The names of all queries, sorted."""
    return sorted(path.stem for path in queries_folder().glob("*.sql"))


@functools.cache
def load_query(name: str) -> Query:
    """The query of this name.

    Raises
    ------
    QueryError : no such query; the message lists the ones there are.
    """
    path = queries_folder() / f"{name}.sql"
    if not _NAME.fullmatch(name) or not path.is_file():
        raise QueryError(f"wanted a query named {name!r}; found {', '.join(query_names())}. Use one of these")
    return parse_query(name, path.read_text(encoding="utf-8"))


def parse_query(name: str, text: str) -> Query:
    r"""A query read from its text: header lines first, then SQL.

    Raises
    ------
    QueryError : the first line is not the query's own name.

    Examples
    --------
    >>> text = "-- one\n-- What is one?\n-- columns:    n\n-- order:      n\nselect 1 as n order by n"
    >>> parse_query("one", text).columns
    ('n',)
    """
    lines = text.splitlines()
    header = [line for line in lines if line.startswith("--")]
    if not header or header[0].removeprefix("--").strip() != name:
        raise QueryError(f"queries/{name}.sql: wanted the first line '-- {name}'; got {lines[:1]}. Name the file in it")
    promised = _header_fields(header[1:])
    return Query(
        name=name,
        sql="\n".join(line for line in lines if not line.startswith("--")).strip(),
        question=header[1].removeprefix("--").strip() if len(header) > 1 else "",
        parameters=_words(promised.get("parameters", [])),
        columns=_listed(promised.get("columns", [])),
        order=_listed(promised.get("order", [])),
        indexes=tuple(line for line in promised.get("index", []) if line),
    )


def _header_fields(header: list[str]) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    current = ""
    for line in header:
        if match := _HEADER.match(line):
            current = match[1]
            fields[current] = [match[2].strip()]
        elif current:
            fields[current].append(line.removeprefix("--").strip())
    return fields


def _words(lines: list[str]) -> tuple[str, ...]:
    """Parameter names: what stands before two spaces on each line, split at commas."""
    named = [re.split(r"\s{2,}", line)[0] for line in lines if line and line != "none"]
    return tuple(name.strip() for part in named for name in part.split(",") if name.strip())


def _listed(lines: list[str]) -> tuple[str, ...]:
    bare = re.sub(r"\([^)]*\)", "", " ".join(lines))
    return tuple(word.strip() for word in bare.split(",") if word.strip())
