"""The local engine: log files of this machine into a store, one transaction per file.

Every file is read in bounded batches; the functions that turn a batch into facts are pure, so what ends up
in the store does not depend on the order or the split of the files.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import sys
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import nullcontext
from os import PathLike
from pathlib import Path
from typing import Any, Final, NamedTuple

from linkage.engines.ahead import read_ahead
from linkage.engines.beside import Worker, has_two_cores
from linkage.engines.completing import let_go
from linkage.engines.kept import Kept
from linkage.engines.load import Loader, finish_first_load, pages_mb
from linkage.engines.names import Names
from linkage.engines.progress import Meter, untold
from linkage.engines.progress import Progress as Progress
from linkage.engines.reading import (
    Checked,
    FileEnd,
    Prepared,
    limits_told,
    make_facts,
    open_log,
    read_checked,
    read_checked_log,
)
from linkage.engines.reading import Reading as Reading
from linkage.engines.rejected import RejectedLines
from linkage.engines.templates import Mined, mine_kept, mine_store
from linkage.errors import FormatError, LinkageError, RejectedShareError, SourceError, StoreError
from linkage.intake.batches import AccountBatch, CompanionBatch, RequestBatch
from linkage.intake.files import RawFile
from linkage.intake.formats.base import RecordKind
from linkage.intake.unpack import Digest
from linkage.memory import keep_near, seldom_collected
from linkage.settings import Settings
from linkage.store import facts
from linkage.store.facts import BatchCounts, Connection, FailedFile, SourceFile, Unsettled, storable_path
from linkage.store.store import Database

_BESIDE_BYTES: Final = 100_000_000
"""A plain file of this size is worth a process of its own, which takes two seconds to start."""

_PACKED: Final = 8  # times a packed file grows, about


_WHY_FAILED: Final[Mapping[type[LinkageError], str]] = {
    FormatError: "its format is not known, or not the one that was named",
    SourceError: "it is not there or cannot be read",
    RejectedShareError: "too many of its lines cannot be used",
}
"""The store must not quote files: what they hold may be nobody's to keep."""

_NO_MEMORY: Final = (1, "memory ran out")

_NO_BYTES: Final = Digest("", 0, frozenset())


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
    reasons: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """Why lines were set aside, to how many, the most frequent first."""
    met: int = 0
    """Companions in this file whose request was stored, or that had waited for a request in it."""

    @property
    def is_known(self) -> bool:
        """Whether nothing in the file is new, as it was loaded before."""
        return self.seen_before > 0 and self.kept == self.set_aside == self.conflicting == 0


@dataclasses.dataclass
class _Tally:
    """Running counts of one file."""

    counts: BatchCounts = dataclasses.field(default_factory=BatchCounts)
    rejected: RejectedLines = dataclasses.field(default_factory=RejectedLines)
    notes: Counter[str] = dataclasses.field(default_factory=Counter)
    digest: Digest = _NO_BYTES
    met: int = 0

    def add(self, counts: BatchCounts, batch: RequestBatch | AccountBatch | CompanionBatch) -> None:
        self.counts += counts
        self.rejected.add(batch.rejected)
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
    """Load log files, their companions and account records, then mine the templates of what is new.

    A file that cannot be used leaves nothing in the store and has the reason in its result; the other files go on. What
    an empty store is given first, where it is one file of requests, is stored with its templates or not at all.

    Parameters
    ----------
    files : request logs (account records too, where the format says so).
    accounts : files of account records.
    wait_s : how long to wait for another writer, in seconds.
    progress : told how far it is; see :data:`linkage.engines.progress.Progress`.

    Returns
    -------
    One result per file, in the order given.

    Raises
    ------
    StoreBusyError : another process writes and did not end within ``wait_s``.
    StoreError : the store cannot be written; what was stored before is intact.
    """
    keep_near()
    limits, tell = settings or Settings(), progress or untold
    plan: list[tuple[str | PathLike[str], RecordKind | None]] = [(path, None) for path in files]
    plan += [(path, "accounts") for path in accounts]
    writing = database.writing(wait_s=wait_s, cache_mb=pages_mb(limits))
    meter = Meter()
    learn = functools.partial(mine_kept, settings=limits.templates, meter=meter)
    ahead = learn if len(files) == 1 and has_two_cores() else None  # the first of several files is not all
    with writing, seldom_collected(), Kept(ahead) as kept, Worker() as worker:
        mine = functools.partial(
            mine_store, settings=limits.templates, kept=kept, worker=worker, meter=meter, progress=tell
        )
        paths = [path for path, _ in plan]
        with database.unlogged() as is_first, _failures_noted(database, paths) as results:
            # What is new in a transaction needs no copy in its journal: uses of templates go between others.
            is_at_once = is_first and len(files) == 1
            names = Names(limits, wait_for_all=is_at_once)
            unsettled = facts.find_unsettled(database)
            ingest = _Ingest(database, worker, kept, names, reading or Reading(), limits, tell, unsettled)
            for path in paths:
                _tell_file(path, tell, is_over=False)  # all of them before the first is read
            with database.transaction("store a first load") if is_at_once else nullcontext() as connection:
                for path, kind in plan:
                    results.append(ingest.load(path, kind))
                    _tell_file(path, tell, is_over=True)
                if connection:
                    finish_first_load(connection, names, settings=limits, progress=tell)
                    if kept.is_whole:
                        mine(database, connection=connection)
            let_go(database, limits.ingest)
            mine(database)
    return results


def _tell_file(path: str | PathLike[str], progress: Progress, *, is_over: bool) -> None:
    """Tell how large a file is, and whether it is done with; nothing of one that is not there."""
    with contextlib.suppress(OSError, ValueError):
        size = Path(path).stat().st_size
        progress(str(path), size if is_over else 0, size)


@contextlib.contextmanager
def _failures_noted(database: Database, paths: Sequence[str | PathLike[str]]) -> Iterator[list[FileResult]]:
    """Hand out a list for the results of these files; those that could not be loaded are noted in the store.

    Also when loading ends early: nobody may be looking.
    """
    results: list[FileResult] = []
    try:
        yield results
    except (StoreError, MemoryError) as error:
        why = (error.exit_code, "the store could not be written") if isinstance(error, StoreError) else _NO_MEMORY
        rest = [FailedFile(_absolute(path), *why) for path in paths[len(results) :]]
        with contextlib.suppress(LinkageError):  # the error itself is what must be told
            _note_failures(database, results, rest)
        raise
    _note_failures(database, results, [])


def _note_failures(database: Database, results: Sequence[FileResult], rest: Sequence[FailedFile]) -> None:
    """Note what failed; forget what was loaded now, and what is no longer there."""
    failed = [
        FailedFile(_absolute(result.path), result.error.exit_code, _WHY_FAILED[type(result.error)])
        for result in results
        if result.error
    ]
    failed += rest
    known, named = facts.find_failed(database), {file.path for file in failed}
    loaded = {_absolute(result.path) for result in results if not result.error}
    passed = [file.path for file in known if file.path in loaded or _is_gone(file.path)]
    new = [file for file in failed if file not in known]
    facts.note_failed(database, new, settled=[path for path in passed if path not in named])


def _is_gone(path: str) -> bool:
    """Whether there is no such file any more: nothing, or a folder, whose disk or share was away for a night."""
    try:
        return not Path(path).exists() or (Path(path).is_dir() and os.access(path, os.R_OK | os.X_OK))
    except OSError:  # a name that is too long for any file
        return True


def _absolute(path: str | PathLike[str]) -> str:
    return storable_path(Path(path).absolute())


class _Ingest(NamedTuple):
    """Loads one file after the other; what they have in common."""

    database: Database
    worker: Worker
    kept: Kept[Mined]
    names: Names
    reading: Reading
    settings: Settings
    progress: Progress
    unsettled: list[Unsettled]
    """Files of the ledger whose lines that were set aside are told."""

    def load(self, path: str | PathLike[str], kind: RecordKind | None) -> FileResult:
        """Load a file, or say why nothing of it was stored."""
        took_for, marks = "nothing", {file.size for file in self.unsettled}
        how: dict[str, Any] = {"reading": self.reading, "settings": self.settings, "marks": marks}
        try:
            raw = open_log(path, kind, **how)
            took_for = raw.took_for
            with contextlib.closing(self._read(raw, kind, how)) as checked:
                return self._load_once(raw, checked)
        except tuple(_WHY_FAILED) as error:
            return FileResult(str(path), took_for, kind or "requests", 0, 0, 0, 0, {}, error)

    def _read(self, raw: RawFile, kind: RecordKind | None, how: Mapping[str, Any]) -> Generator[Checked]:
        """The checked records of a file; a large one is read by the process beside this one, two batches ahead."""
        if not self._is_for_worker(raw):
            yield from read_checked(raw, settings=self.settings)
            return
        stream = self.worker.stream(read_checked_log, {"path": raw.path, "kind": kind, **how}, about=raw.path)
        with contextlib.closing(stream), contextlib.closing(read_ahead(stream)) as ahead:
            yield from ahead

    def _is_for_worker(self, raw: RawFile) -> bool:
        """Whether a file is to be read by another process: one is there, or the file is worth its start and has a core.

        A mapping of the user's own holds functions, which do not travel.
        """
        if self.reading.mapping is not None:
            return False
        unpacked = raw.size * (1 if raw.packing == "plain" else _PACKED)
        return self.worker.is_started or (unpacked >= _BESIDE_BYTES and has_two_cores() and bool(sys.executable))

    def _load_once(self, raw: RawFile, checked: Generator[Checked]) -> FileResult:
        """Load a file unless the ledger says that these very bytes were loaded in this very way."""
        before = self._loaded_before(raw)
        if before is not None:
            seen_before = before.kept + before.seen_before
            return _result(raw, BatchCounts(seen_before=seen_before, conflicting=before.conflicting))
        with self.database.transaction(f"store {raw.path}") as connection, self._all_or_none():
            tally = self._store(connection, raw, checked)
            file = SourceFile(
                path=storable_path(raw.path),
                size=tally.digest.size,
                sha256=tally.digest.sha256,
                format=raw.format_name,
                reading=self.reading.digest(),
                limits=limits_told(self.settings.ingest, kind=raw.kind, set_aside=len(tally.rejected)),
                kind=raw.kind,
                set_aside=len(tally.rejected),
                **dataclasses.asdict(tally.counts),
            )
            settled = [each for each in self.unsettled if _goes_on(each, file, tally.digest)]
            facts.add_source_file(connection, file, rejected=tally.rejected, settled=settled)
        if settled or tally.rejected:
            self.unsettled[:] = facts.find_unsettled(self.database)
        return _result(raw, tally.counts, tally)

    def _loaded_before(self, raw: RawFile) -> SourceFile | None:
        """What became of these very bytes, read in this way.

        Where the ledger has no file of that size, none can be the same: then they are read once.
        """
        if not facts.has_file_of(self.database, size=raw.size):
            return None
        for file in facts.find_source_files(self.database, sha256=raw.digest().sha256, format_name=raw.format_name):
            if self.reading.has_read(file, limits=self.settings.ingest):
                return file
        return None

    @contextlib.contextmanager
    def _all_or_none(self) -> Iterator[None]:
        """What is kept beside the store of a ``with`` block that fails is forgotten."""
        with self.kept.all_or_none(), self.names.all_or_none():
            yield

    def _store(self, connection: Connection, raw: RawFile, checked: Generator[Checked]) -> _Tally:
        tally, reading = _Tally(), self.reading
        loader = Loader(
            connection,
            kept=self.kept,
            names=self.names,
            keep_text=reading.keep_prompts,
            settings=self.settings,
            progress=self.progress,
        )
        made = make_facts(checked, source=reading.source or raw.format.source, pseudonymizer=reading.pseudonymizer)
        with contextlib.closing(read_ahead(made)) as batches:
            for bytes_read, found in batches:
                if isinstance(found, FileEnd):
                    tally.digest = found.digest
                elif isinstance(found, Prepared):
                    tally.add(loader.add_requests(found), found.batch)
                elif isinstance(found, CompanionBatch):
                    tally.add(loader.add_companions(found), found)
                else:
                    tally.add(loader.add_accounts(found), found)
                self.progress(raw.path, bytes_read, raw.size)
        loader.finish()
        tally.met = loader.met
        _check_rejected_share(raw, tally, self.settings)
        return tally


def _goes_on(before: Unsettled, file: SourceFile, digest: Digest) -> bool:
    """Whether a file begins with all that one before it was, and is read as the same."""
    is_alike = (before.format, before.kind) == (file.format, file.kind)
    return is_alike and before.sha256 in digest.beginnings


def _check_rejected_share(raw: RawFile, tally: _Tally, settings: Settings) -> None:
    lines = len(tally.rejected) + tally.counts.kept + tally.counts.seen_before + tally.counts.conflicting
    if raw.kind == "companions":  # beside which a trail has the events of all services
        lines += tally.notes[f"record: {raw.format.left_out}"]
    share = len(tally.rejected) / lines if lines else 0.0
    if share > settings.ingest.rejected_share:
        common = ", ".join(reason for reason, _ in tally.rejected.reasons.most_common(3))
        raise RejectedShareError(
            f"{raw.path}: wanted at most {settings.ingest.rejected_share:.0%} of lines set aside as {raw.took_for}; "
            f"found {share:.0%} ({common}). Nothing of it was stored: choose the format with --format or --map, or "
            "raise [ingest] rejected_share in the settings"
        )


def _result(raw: RawFile, counts: BatchCounts, tally: _Tally | None = None) -> FileResult:
    set_aside = len(tally.rejected) if tally else 0
    notes = dict(sorted(tally.notes.items())) if tally else {}
    told = tally.rejected.reasons if tally else Counter[str]()
    return FileResult(
        path=raw.path,
        took_for=raw.took_for,
        kind=raw.kind,
        kept=counts.kept,
        set_aside=set_aside,
        seen_before=counts.seen_before,
        conflicting=counts.conflicting,
        notes=notes,
        error=None,
        reasons=dict(sorted(told.items(), key=lambda item: (-item[1], item[0]))),
        met=tally.met if tally else 0,
    )
