"""The local engine: log files of this machine into a store, one transaction per file.

Every file is read in bounded batches; the functions that turn a batch into facts are pure, so what ends up
in the store does not depend on the order or the split of the files.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path

from linkage.engines.ahead import read_ahead
from linkage.engines.load import Loader
from linkage.engines.templates import mine_store
from linkage.errors import FormatError, LinkageError, RejectedShareError, SourceError
from linkage.intake.batches import AccountBatch, RequestBatch, account_batch, request_batch
from linkage.intake.catalogue import AUTO
from linkage.intake.entities import Pseudonymizer
from linkage.intake.files import RawFile, read_raw
from linkage.intake.formats.base import RecordKind
from linkage.intake.mapping import Mapping as FieldMapping
from linkage.intake.raw import RawBatch
from linkage.intake.records import check_accounts, check_requests
from linkage.settings import Settings
from linkage.store import facts
from linkage.store.facts import BatchCounts, Connection, SourceFile
from linkage.store.store import Database

Progress = Callable[[str, int, int], None]
"""Called with the file's name, bytes read and bytes in all."""


@dataclasses.dataclass(frozen=True)
class FileResult:
    """What became of one file."""

    path: str
    took_for: str
    kind: str
    kept: int
    set_aside: int
    seen_before: int
    conflicting: int
    notes: Mapping[str, int]
    """Fields dropped or repaired: ``field: reason`` to how often."""
    error: LinkageError | None
    """Why nothing of the file was stored; None when it was."""


@dataclasses.dataclass(frozen=True)
class Reading:
    """How files are to be read."""

    format_name: str = AUTO
    mapping: FieldMapping | None = None
    source: str | None = None
    """Name of the system the records come from, inside which request ids are unique; None: the format's name."""
    keep_prompts: bool = False
    pseudonymizer: Pseudonymizer | None = None

    def digest(self) -> str:
        """A hash of all that decides how a file is read, besides its bytes and format."""
        key = self.pseudonymizer.replace("ip", "") if self.pseudonymizer else ""
        parts = [repr(self.mapping), self.source, self.keep_prompts, key]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


@dataclasses.dataclass
class _Tally:
    """Running counts of one file."""

    counts: BatchCounts = dataclasses.field(default_factory=BatchCounts)
    rejected: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    notes: Counter[str] = dataclasses.field(default_factory=Counter)

    def add(self, counts: BatchCounts, batch: RequestBatch | AccountBatch) -> None:
        self.counts += counts
        self.rejected += zip(batch.rejected["line"].to_pylist(), batch.rejected["reason"].to_pylist(), strict=True)
        for note in batch.notes.to_pylist():
            self.notes[f"{note['field']}: {note['reason']}"] += note["count"]


def ingest_files(
    database: Database,
    files: Sequence[str | PathLike[str]],
    *,
    accounts: Sequence[str | PathLike[str]] = (),
    reading: Reading | None = None,
    settings: Settings | None = None,
    wait_s: float = 0.0,
    progress: Progress | None = None,
) -> list[FileResult]:
    """Load log files and account records, then mine the templates of what is new.

    A file that cannot be used leaves nothing in the store and has the reason in its result; the other files go on.

    Parameters
    ----------
    files : request logs (account records too, where the format says so).
    accounts : files of account records.
    wait_s : how long to wait for another writer, in seconds.

    Returns
    -------
    One result per file, in the order given.

    Raises
    ------
    StoreBusyError : another process writes and did not end within ``wait_s``.
    StoreError : the store cannot be written; what was stored before is intact.
    """
    how, limits = reading or Reading(), settings or Settings()
    plan: list[tuple[str | PathLike[str], RecordKind | None]] = [(path, None) for path in files]
    plan += [(path, "accounts") for path in accounts]
    with database.writing(wait_s=wait_s):
        results = [_ingest_one(database, path, kind, how, limits, progress) for path, kind in plan]
        mine_store(database, settings=limits.templates)
    return results


def _ingest_one(
    database: Database,
    path: str | PathLike[str],
    kind: RecordKind | None,
    reading: Reading,
    settings: Settings,
    progress: Progress | None,
) -> FileResult:
    took_for = "nothing"
    try:
        wanted = AUTO if kind == "accounts" else reading.format_name
        mapping = None if kind == "accounts" else reading.mapping
        raw = read_raw(path, format_name=wanted, kind=kind, mapping=mapping, settings=settings.ingest, as_columns=True)
        took_for = raw.took_for
        return _load_once(database, raw, reading, settings, progress)
    except (FormatError, SourceError, RejectedShareError) as error:
        return FileResult(str(path), took_for, kind or "requests", 0, 0, 0, 0, {}, error)


def _load_once(
    database: Database, raw: RawFile, reading: Reading, settings: Settings, progress: Progress | None
) -> FileResult:
    """Load a file unless the ledger says that these very bytes were loaded in this very way."""
    ledger = {"sha256": _file_digest(raw.path), "format_name": raw.format_name, "reading": reading.digest()}
    before = facts.find_source_file(database, **ledger)
    if before is not None:
        return _result(raw, BatchCounts(seen_before=before.kept + before.seen_before, conflicting=before.conflicting))
    with database.transaction(f"store {raw.path}") as connection:
        tally = _load(connection, raw, reading, settings, progress)
        _check_rejected_share(raw, tally, settings)
        file = SourceFile(
            path=raw.path,
            size=raw.size,
            sha256=ledger["sha256"],
            format=raw.format_name,
            reading=ledger["reading"],
            kind=raw.kind,
            set_aside=len(tally.rejected),
            **dataclasses.asdict(tally.counts),
        )
        facts.add_source_file(connection, file, rejected=tally.rejected)
    return _result(raw, tally.counts, tally)


def _load(
    connection: Connection, raw: RawFile, reading: Reading, settings: Settings, progress: Progress | None
) -> _Tally:
    tally, loader = _Tally(), Loader(connection, keep_text=reading.keep_prompts)
    for bytes_read, batch in read_ahead(_facts(raw, reading, settings)):
        if isinstance(batch, AccountBatch):
            tally.add(loader.add_accounts(batch), batch)
        else:
            tally.add(loader.add_requests(batch), batch)
        if progress:
            progress(raw.path, bytes_read, raw.size)
    loader.finish()
    return tally


def _facts(raw: RawFile, reading: Reading, settings: Settings) -> Iterator[tuple[int, RequestBatch | AccountBatch]]:
    """The facts of each batch of a file, with the bytes read up to it."""
    source = reading.source or raw.format_name
    for batch in raw.batches:
        if raw.kind == "accounts" and isinstance(batch, RawBatch):
            checked = check_accounts(batch, raw.format, settings=settings.ingest)
            yield batch.bytes_read, account_batch(checked, pseudonymizer=reading.pseudonymizer)
        else:
            found = check_requests(batch, raw.format, settings=settings.ingest)
            yield batch.bytes_read, request_batch(found, source=source, pseudonymizer=reading.pseudonymizer)


def _check_rejected_share(raw: RawFile, tally: _Tally, settings: Settings) -> None:
    lines = len(tally.rejected) + tally.counts.kept + tally.counts.seen_before + tally.counts.conflicting
    share = len(tally.rejected) / lines if lines else 0.0
    if share > settings.ingest.rejected_share:
        common = ", ".join(reason for reason, _ in Counter(reason for _, reason in tally.rejected).most_common(3))
        raise RejectedShareError(
            f"{raw.path}: wanted at most {settings.ingest.rejected_share:.0%} of lines set aside as {raw.took_for}; "
            f"found {share:.0%} ({common}). Nothing of it was stored: choose the format with --format or --map, or "
            "raise [ingest] rejected_share in the settings"
        )


def _result(raw: RawFile, counts: BatchCounts, tally: _Tally | None = None) -> FileResult:
    set_aside = len(tally.rejected) if tally else 0
    notes = dict(sorted(tally.notes.items())) if tally else {}
    return FileResult(
        raw.path, raw.took_for, raw.kind, counts.kept, set_aside, counts.seen_before, counts.conflicting, notes, None
    )


def _file_digest(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
