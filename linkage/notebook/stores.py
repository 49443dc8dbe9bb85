"""A store, and what loading files into it comes to."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd

from linkage.engines.local import FileResult, Progress, Reading, ingest_files
from linkage.engines.spark.folder import is_incidence
from linkage.engines.spark.taking import take_in
from linkage.errors import UsageError
from linkage.intake.entities import read_keyfile
from linkage.intake.mapping import read_mapping
from linkage.notebook.calibrating import PLANTED, Calibrated, calibrate_store
from linkage.notebook.given import AnyPath, AnySettings, Moment, given_days, given_moment, given_seed, given_settings
from linkage.notebook.ledger import RunDiff, diff_runs, kept_run, run_ledger
from linkage.notebook.progress import progress_shown, steps_shown
from linkage.notebook.purging import PurgeResult, purge_store
from linkage.notebook.runs import Run
from linkage.notebook.serving import SNAPSHOT, CaseDesk, run_site
from linkage.notebook.templates import Templates, appeared_since
from linkage.notebook.verifying import verify_folder
from linkage.outputs.datasette import HOST, need_port, serve
from linkage.outputs.html import notebook_table
from linkage.outputs.pack import Matches, match_pack, read_pack
from linkage.outputs.verify import Verification
from linkage.rebuild import published_run
from linkage.settings import HealthSettings
from linkage.stages import Step
from linkage.store.companions import count_companions
from linkage.store.doctor import examine, family_coverage, field_coverage
from linkage.store.health import newest_day
from linkage.store.incidence import need_requests
from linkage.store.queries import load_query, query_names
from linkage.store.store import Database
from linkage.terms import DAY_MS, HARD_ACCOUNTS, MEMBERS, TEMPLATE_LIST, TEMPLATES, USES, make_frame, rows_of

_MOVED_SHARE = 0.5  # of the accounts of either version must have moved for one template to follow another
_OVERLAP_MS = 2 * DAY_MS
_LAST_DAY = 1_000_000  # later than any log: the whole store


@dataclasses.dataclass(frozen=True)
class IngestResult:
    """What became of the files of one ingest."""

    files: tuple[FileResult, ...]
    coverage: pd.DataFrame
    """Share of stored requests and accounts that carry each field."""
    evidence: pd.DataFrame
    """Which evidence families this input allows, and which it rules out."""
    remarks: tuple[str, ...] = ()
    """What was in a folder and is no file, or that a folder was empty."""
    waiting: int = 0
    """Records of companion logs that wait in the store for the request they tell of."""
    aged_out: int = 0
    """Those that were let go now, as no request of theirs came for so long, or too many waited."""

    @property
    def kept(self) -> int:
        """Records that were new."""
        return sum(file.kept for file in self.files)

    @property
    def set_aside(self) -> int:
        """Lines that could not be used; their reasons are in the store."""
        return sum(file.set_aside for file in self.files)

    @property
    def seen_before(self) -> int:
        """Records the store had already, conflicting ones included."""
        return sum(file.seen_before + file.conflicting for file in self.files)

    @property
    def met(self) -> int:
        """Records of companion logs that met the request they tell of, whichever was loaded first."""
        return sum(file.met for file in self.files)

    @property
    def failed(self) -> tuple[FileResult, ...]:
        """Files of which nothing was stored."""
        return tuple(file for file in self.files if file.error)

    def __repr__(self) -> str:
        files = "1 file" if len(self.failed) == 1 else f"{len(self.failed):,} files"
        failed = f", {files} failed" if self.failed else ""
        told = {"met": self.met, "wait for": self.waiting, "were let go without": self.aged_out}
        words = [f"{count:,} {word} their request" for word, count in told.items() if count]
        companions = f"; companions: {', '.join(words)}" if words else ""
        return (
            f"IngestResult: {self.kept:,} kept, {self.set_aside:,} set aside, {self.seen_before:,} seen before"
            f"{companions}{failed}"
        )

    def _repr_html_(self) -> str:
        columns = ("took_for", "kept", "set_aside", "seen_before", "error")
        told = (
            {"file": Path(file.path).name, **{name: getattr(file, name) for name in columns}} for file in self.files
        )
        rows = pd.DataFrame(list(told))
        return notebook_table(rows.fillna("").astype(str), caption=repr(self)) + notebook_table(self.evidence)


class Store:
    """Log records of one provider in one SQLite file. Open it with :func:`open_store`.

    Reading never takes a write lock, and a call that is interrupted leaves the store as it was before it. Use it in a
    ``with`` block, or call :meth:`close`.

    Examples
    --------
    >>> store
    <Store tiny.db: 64 requests, 12 accounts, 7 templates, 1 runs>
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def __repr__(self) -> str:
        counts = self.counts
        return (
            f"<Store {self.path.name}: {counts['requests']:,} requests, {counts['accounts']:,} accounts, "
            f"{counts['templates']:,} templates, {counts['runs']:,} runs>"
        )

    def _repr_html_(self) -> str:
        return notebook_table(self.coverage, caption=repr(self).strip("<>"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return self._database.path

    @property
    def counts(self) -> dict[str, Any]:
        """How much is stored: requests, accounts, entities, prompts, templates, files, runs, first and last time."""
        [counts] = rows_of(self._database.query("store_counts"))
        return counts

    @property
    def coverage(self) -> pd.DataFrame:
        """One row per field: how many requests or accounts carry it."""
        return field_coverage(self._database)

    @property
    def evidence(self) -> pd.DataFrame:
        """One row per evidence family: whether this input allows it."""
        return family_coverage(self.coverage)

    @property
    def templates(self) -> Templates:
        """All prompt templates, the most shared first; shape ``TEMPLATE_LIST`` of :mod:`linkage.terms`.

        A template that many unrelated accounts use is public, and weak evidence. One follows another of its
        family when half of the accounts of either stopped using the earlier within two days of the later.

        Examples
        --------
        >>> store.templates[["accounts", "unrelated_accounts", "slots"]].head(2)
           accounts  unrelated_accounts  slots
        0         4                   0      2
        1         1                   1      1
        """
        listed = self._database.frame("templates", TEMPLATES)
        origins = self._database.query(
            "template_origins", max_accounts=HARD_ACCOUNTS, min_share=_MOVED_SHARE, overlap_ms=_OVERLAP_MS
        )
        joined = listed.merge(origins, on="template_id", how="left", validate="one_to_one")
        return Templates.of(self._database, make_frame(TEMPLATE_LIST, {name: joined[name] for name in TEMPLATE_LIST}))

    def new_templates(self, last: str | int = "7d", *, until: Moment | None = None) -> Templates:
        """Which templates appeared lately, the most shared first: those whose first request lies in the last days.

        Parameters
        ----------
        last : how many days back, as ``7d`` or a number of days.
        until : end of these days, exclusive; None: the end of the newest day in the store (no clock is asked).

        Examples
        --------
        >>> len(store.new_templates("7d")), len(store.new_templates("1d"))
        (7, 0)
        """
        table = pd.DataFrame(self.templates)
        newest = newest_day(self._database, HealthSettings())
        end_ms = given_moment(until) if until is not None else DAY_MS * ((newest or 0) + 1)
        end = pd.Timestamp(end_ms, unit="ms", tz="UTC")
        found = appeared_since(table, since=end - pd.Timedelta(days=given_days(last)), until=end)
        return Templates.of(self._database, found)

    @property
    def files(self) -> pd.DataFrame:
        """The ledger: one row per loaded file."""
        return self._database.query("source_files")

    @property
    def rejected(self) -> pd.DataFrame:
        """Lines that were set aside: file, line, reason."""
        return self._database.query("rejected_lines")

    @property
    def runs(self) -> pd.DataFrame:
        """The rebuilds that are kept, oldest first."""
        return self._database.query("runs")

    @property
    def ledger(self) -> pd.DataFrame:
        """Rebuilds that published a run or failed, with durations and what was unusual, oldest first.

        Shape :data:`linkage.notebook.ledger.LEDGER`; entries stay when their runs go.
        """
        return run_ledger(self._database)

    def diff(self, before: str, after: str) -> RunDiff:
        """What differs between two runs that are kept: inputs, clusters, accounts.

        Raises
        ------
        NoRunError : one of them is not kept.
        """
        return diff_runs(kept_run(self._database, before), kept_run(self._database, after))

    @property
    def run(self) -> Run:
        """The published run.

        Raises
        ------
        NoRunError : nothing was rebuilt yet.
        """
        return Run(self._database, published_run(self._database))

    def kept_run(self, run_id: str) -> Run:
        """A run that is kept, published or older.

        Raises
        ------
        NoRunError : none is kept under this id; the message lists those that are.

        Examples
        --------
        >>> store.kept_run(run.run_id).run_id == run.run_id
        True
        """
        return kept_run(self._database, run_id)

    def query(self, name: str, **parameters: int | float | str) -> pd.DataFrame:
        """The answer of a named query (a file of ``queries/``) as a frame; ids are text, times UTC.

        Parameters
        ----------
        name : one of :attr:`queries`.
        parameters : exactly those that it names.

        Raises
        ------
        QueryError : no such query, or other parameters than its header names.

        Examples
        --------
        >>> store.query("store_counts")[["requests", "accounts"]]
           requests  accounts
        0        64        12
        """
        return self._database.query(name, **parameters)

    @property
    def queries(self) -> pd.DataFrame:
        """The named queries: ``name``, the ``question`` it answers, its ``parameters`` and ``columns``.

        Examples
        --------
        >>> store.queries.set_index("name").loc["published_run", "question"]
        'Which run do readers see?'
        """
        known = [load_query(name) for name in query_names()]
        rows = [
            {
                "name": query.name,
                "question": query.question,
                "parameters": ", ".join(query.parameters),
                "columns": ", ".join(query.columns),
            }
            for query in known
        ]
        return pd.DataFrame(rows, dtype="str")

    def examine(self, *, now: Moment | None = None, settings: AnySettings | None = None) -> pd.DataFrame:
        """What needs attention in this store, worst first; reads the whole file once.

        Parameters
        ----------
        now : the time, to find requests of the future; None: only those far after all others are found.
        settings : settings or the path of a settings file; only ``[health]`` matters.
        """
        now_ms = None if now is None else given_moment(now)
        return examine(self._database, now_ms=now_ms, settings=given_settings(settings).health)

    def verify(self, folder: AnyPath) -> Verification:
        """Whether a report folder still is what this store says; see :func:`linkage.notebook.verifying.verify_folder`.

        Raises
        ------
        OutputError : the folder has no manifest that can be read.
        """
        return verify_folder(self._database, folder)

    def purge(
        self,
        *,
        account: str | None = None,
        before: Moment | None = None,
        reports: Sequence[AnyPath] = (),
        wait_s: float = 0.0,
    ) -> PurgeResult:
        """Take out an account, or what is older than a day, for good; see :mod:`linkage.notebook.purging`."""
        return purge_store(self._database, account=account, before=before, reports=reports, wait_s=wait_s)

    def match(self, pack: AnyPath, *, key: bytes) -> Matches:
        """What of a partner's pack is found here; see :func:`linkage.outputs.pack.match_pack`.

        Parameters
        ----------
        pack : the file, made by a partner with ``linkage export --format pack``.
        key : the secret that both partners hold.

        Raises
        ------
        OutputError : no pack, or one of a later version.
        UsageError : another key than the pack was made with.
        """
        uses = self._database.frame("account_uses", USES, since_day=0, until_day=_LAST_DAY)
        has_run = not self._database.query("published_run").empty
        members = self.run.members if has_run else make_frame(MEMBERS)
        templates = self._database.frame("templates", TEMPLATES)
        return match_pack(read_pack(pack), uses, key=key, members=members, templates=templates)

    def serve(
        self,
        *,
        port: int = 8001,
        personal_data: bool = False,
        cases: CaseDesk | None = None,
        ready: Callable[[str], None] | None = None,
    ) -> None:
        """Show the published run in a browser on this machine until interrupted; needs the extra ``serve``.

        What is shown is a snapshot, made now in a temporary folder; the rows of the store are not open to the pages.

        Parameters
        ----------
        port : on the loopback address; nobody else can connect.
        personal_data : show full addresses and payment tokens instead of prefixes and fingerprints.
        cases : lets whoever opens the address that ``ready`` is told note decisions; None: nothing can be written.
        ready : told the address of the front page just before it is answered; with ``cases`` it logs in, once.

        Raises
        ------
        OutputError : Datasette is not installed, or the port is taken.
        NoRunError : nothing was rebuilt yet.
        """
        with tempfile.TemporaryDirectory(prefix="linkage-") as folder:
            path = Path(folder) / f"{SNAPSHOT}.db"
            site = run_site(self._database, path, personal_data=personal_data, cases=cases)
            need_port(port)
            if ready:
                ready(f"http://{HOST}:{port}{site.login or '/'}")
            serve(site.app, port=port)

    def calibrate(
        self,
        *,
        truth: AnyPath | None = None,
        plant: Sequence[str] = PLANTED,
        seed: int = 0,
        settings: AnySettings | None = None,
        step: Step | bool | None = None,
    ) -> Calibrated:
        """Refit the verdicts on this store's traffic; see :func:`linkage.notebook.calibrating.calibrate_store`.

        ``step=True`` shows a bar.
        """
        with steps_shown(step) as tell:
            return calibrate_store(
                self._database,
                truth=truth,
                plant=plant,
                seed=given_seed(seed),
                settings=given_settings(settings),
                step=tell,
            )

    def ingest(
        self,
        *files: AnyPath,
        format: str = "auto",  # noqa: A002 - the contract's name
        map: AnyPath | None = None,  # noqa: A002 - the contract's name
        accounts: AnyPath | Sequence[AnyPath] = (),
        keep_prompts: bool = False,
        pseudonymize: AnyPath | None = None,
        source: str | None = None,
        settings: AnySettings | None = None,
        wait_s: float = 0.0,
        progress: Progress | bool | None = None,
    ) -> IngestResult:
        """Load log files, their companions and account records; what is stored already changes nothing.

        Parameters
        ----------
        files : request logs, and second logs that complete them (CloudTrail, API Management), in any order, plain or
            packed (gzip, Zstandard); format and packing are told by the bytes. A folder stands for the files in it,
            hidden ones left out, by name; a folder that ``linkage ingest-spark`` made is taken whole, alone, and takes
            the place of the one it was built upon.
        format : a format's name, or ``auto``.
        map : a mapping file (TOML) for logs of any other shape.
        accounts : one or more files of account records.
        keep_prompts : keep the prompts' text, compressed; without it only templates, items and counts are kept.
        pseudonymize : a file with a secret key; addresses, cards, mail domains and clients are stored as keyed hashes.
        source : name of the system the records come from, inside which request ids are unique; None: the format's name.
            A log and its companion go by the same.
        settings : settings or the path of a settings file.
        wait_s : how long to wait for another writer, in seconds.
        progress : called with file, bytes read and bytes in all; True shows a bar.

        Returns
        -------
        :class:`IngestResult`; a file that could not be used is in ``.failed`` with the reason, the others are loaded.

        Raises
        ------
        UsageError, MappingError, SettingsError : the call itself cannot be carried out.
        StoreBusyError, StoreError : the store cannot be written.
        """
        reading = Reading(
            format_name=format,
            mapping=read_mapping(map) if map is not None else None,
            source=source,
            keep_prompts=keep_prompts,
            pseudonymizer=read_keyfile(pseudonymize) if pseudonymize is not None else None,
        )
        folders = [file for file in files if is_incidence(Path(file))]
        if folders:
            results = self._take_in(folders, alone=len(folders) == len(files) and not accounts, wait_s=wait_s)
            return self._told(results)
        need_requests(
            self._database,
            wanted="to load logs into it",
            instead="Build upon that folder: linkage ingest-spark MASTER FOLDER LOGS --out NEW, then take NEW in",
        )
        found, remarks = _expand(files, own=self._database.own_files)
        aged_before = count_companions(self._database).aged_out
        with progress_shown(progress) as tell:
            results = ingest_files(
                self._database,
                found,
                accounts=[accounts] if isinstance(accounts, str | PathLike) else list(accounts),
                reading=reading,
                settings=given_settings(settings),
                wait_s=wait_s,
                progress=tell,
            )
        counts = count_companions(self._database)
        told = self._told(results, remarks)
        return dataclasses.replace(told, waiting=counts.waiting, aged_out=counts.aged_out - aged_before)

    def _told(self, results: Sequence[FileResult], remarks: Sequence[str] = ()) -> IngestResult:
        coverage = self.coverage
        return IngestResult(tuple(results), coverage, family_coverage(coverage), tuple(remarks))

    def _take_in(self, folders: Sequence[AnyPath], *, alone: bool, wait_s: float) -> list[FileResult]:
        if not alone:
            raise UsageError(
                f"ingest: wanted incidence folders alone; found log or account files with {folders[0]}. Give those to "
                "linkage ingest-spark, together with the folder"
            )
        return [take_in(self._database, folder, wait_s=wait_s) for folder in folders]


def open_store(path: AnyPath, *, create: bool = True) -> Store:
    """The store in this file, made when it is missing.

    Raises
    ------
    StoreError : not a linkage store, damaged, made by a later version, or (without ``create``) missing.
    """
    return Store(Database(path, create=create))


def _expand(files: Iterable[AnyPath], *, own: frozenset[str]) -> tuple[list[Path], list[str]]:
    """The files, folders replaced by what is in them, without the store's own; and what is to be said of folders."""
    found: list[Path] = []
    remarks: list[str] = []
    for file in map(Path, files):
        inside = _inside(file)
        if inside is None:
            found.append(file)
            continue
        found += [each for each in inside if each.is_file()]
        remarks += [_passed_over(each) for each in inside if not each.is_file()]
        if not inside:
            remarks.append(f"{file}: an empty folder")
    logs = [file for file in found if not _is_one_of(file, own)]
    if len(logs) < len(found):
        remarks.append("the store lies among the files: it was left out")
    return logs, remarks


def _is_one_of(path: Path, real: frozenset[str]) -> bool:
    try:
        return os.path.realpath(path) in real
    except (OSError, ValueError):  # a name that no file can have: the reader tells why
        return False


def _inside(path: Path) -> list[Path] | None:
    """What is in a folder, hidden files left out; None where it is none, or cannot be read: the reader tells why."""
    try:
        return [each for each in sorted(path.iterdir()) if not each.name.startswith(".")] if path.is_dir() else None
    except OSError:
        return None


def _passed_over(path: Path) -> str:
    return f"{path}: not looked into; name it to load what is in it" if path.is_dir() else f"{path}: not a file"
