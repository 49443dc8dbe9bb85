"""Purge of a store and of what was written from it: reports are taken back, other files are named."""

from __future__ import annotations

import dataclasses
import html
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from linkage.engines.purge import Purged, purge_account, purge_before
from linkage.errors import OutputError, OutputFileError, UsageError
from linkage.notebook.given import AnyPath, Moment, given_moment
from linkage.outputs.manifest import MANIFEST, read_manifest
from linkage.outputs.text import visible
from linkage.store.incidence import need_requests
from linkage.store.places import beside
from linkage.store.redact import mentions, phrases_of, word_parts
from linkage.store.store import Database

LOOKED_THROUGH: Final = (".csv", ".gexf", ".graphml", ".html", ".json", ".jsonl", ".ndjson", ".svg", ".txt", ".xml")
"""Endings of files that are looked through for purged values; packed and binary files are not."""

_LEAST_CHARS: Final = 3


@dataclasses.dataclass(frozen=True)
class PurgeResult:
    """What went from the store and from beside it."""

    counts: Mapping[str, int]
    """Name of a table to how many of its rows went; ``texts``: sentences and notes that a value was taken out of."""
    shrunk_bytes: int
    reports: tuple[str, ...]
    """Folders of reports that named a purged value; their files were deleted. Make them anew."""
    mentions: tuple[str, ...]
    """Other files that name one: logs, exports. They were left as they are."""

    def __repr__(self) -> str:
        rows = sum(self.counts.values())
        return f"PurgeResult: {rows:,} rows of {len(self.counts)} tables, {len(self.reports)} reports"


def purge_store(
    database: Database,
    *,
    account: str | None = None,
    before: Moment | None = None,
    reports: Sequence[AnyPath] = (),
    wait_s: float = 0.0,
) -> PurgeResult:
    """Take an account, or what is older than the day of a time, out of a store and out of reports made from it.

    Looked through are the store's folder and the folders in it, and every folder of ``reports``, for text files that
    name what is gone; of a link to a store the folders of both. A report that does is deleted whole: with a page
    missing it would not be what its seal says.

    Raises
    ------
    UsageError : neither ``account`` nor ``before`` is given, or both are.
    NoSuchAccountError : the store has no such account.
    StoreBusyError, StoreError : the store cannot be written.
    OutputFileError : a report cannot be deleted.
    """
    if (account is None) == (before is None):
        raise UsageError("purge: wanted an account or a time before which to purge; got both or neither. Give one")
    need_requests(
        database,
        wanted="to purge it",
        instead="Take the records out of the logs, run linkage ingest-spark over them, and fill a new store",
    )
    if account is not None:
        purged = purge_account(database, account, wait_s=wait_s)
    else:
        purged = purge_before(database, given_moment(before or ""), wait_s=wait_s)
    folders = _folders([database.path.parent, beside(database.path, "").parent, *map(Path, reports)])
    naming = _naming_files(folders, _as_written(purged, account), own=database.own_files)
    taken = sorted({path.parent for path in naming if _is_report(path.parent)})
    for folder in taken:
        _delete_report(folder)
    left = tuple(str(path) for path in naming if path.exists())
    return PurgeResult(purged.counts, purged.shrunk_bytes, tuple(map(str, taken)), left)


def _folders(roots: Iterable[Path]) -> frozenset[Path]:
    """These folders and those in them, hidden ones left out; each once, whatever links lead to it."""
    folders = [root for root in roots if root.is_dir()]
    inside = [each for folder in folders for each in folder.iterdir() if each.is_dir() and each.name[:1] != "."]
    return frozenset(Path(os.path.realpath(each)) for each in (*folders, *inside))


def _as_written(purged: Purged, account: str | None) -> frozenset[str]:
    """Purged values as they may stand in text files; short ones that are no account's id say too little."""
    long = {part for part in word_parts(purged.values) if len(part) >= _LEAST_CHARS}
    values = long | ({account} if account else set())
    return frozenset(form for value in values for shown in {value, visible(value)} for form in _forms(shown))


def _forms(text: str) -> Iterator[str]:
    """A text as pages, JSON of either kind, and tables have it."""
    yield from (text, html.escape(text), text.replace('"', '""'))
    yield from (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])


def _naming_files(folders: Iterable[Path], values: frozenset[str], *, own: Collection[str]) -> list[Path]:
    """Files in these folders that name a value; the store's own were swept, and are none of them."""
    phrases = phrases_of(values)
    paths = {path for folder in folders for path in folder.iterdir() if path.suffix.lower() in LOOKED_THROUGH}
    others = (path for path in sorted(paths) if os.path.realpath(path) not in own and path.is_file())
    return [path for path in others if _names(path, values, phrases)]


def _names(path: Path, values: frozenset[str], phrases: tuple[str, ...]) -> bool:
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            return any(mentions(line, values, phrases=phrases) for line in lines)
    except OSError as error:
        raise OutputFileError(
            f"{path}: wanted to look for purged values; {error.strerror}. The store is purged; look yourself"
        ) from error


def _is_report(folder: Path) -> bool:
    try:
        read_manifest(folder)
    except OutputError:
        return False
    return True


def _delete_report(folder: Path) -> None:
    """Delete what the manifest lists, and the manifest last: a purge that is cut off finds the report again."""
    try:
        for name in read_manifest(folder).hashes:
            if Path(name).name == name:
                (folder / name).unlink(missing_ok=True)
        (folder / MANIFEST).unlink()
        if not any(folder.iterdir()):
            folder.rmdir()
    except OSError as error:
        raise OutputFileError(
            f"{folder}: wanted to delete a report that names what was purged; {error.strerror}. Delete it yourself"
        ) from error
