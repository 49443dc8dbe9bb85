"""An incidence folder into a store: what is there takes the place of what an earlier folder brought."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from linkage.engines.load import plain_rows
from linkage.engines.local import FileResult
from linkage.engines.spark.folder import (
    KEYS,
    MANIFEST,
    TABLES,
    Manifest,
    digest_text,
    read_manifest,
    row_digest,
    table_batches,
)
from linkage.errors import SourceError, UsageError
from linkage.store import facts
from linkage.store.entities import add_entities
from linkage.store.facts import Connection, SourceFile
from linkage.store.incidence import KIND, forget_incidence, holds_requests, taken_digest
from linkage.store.store import Database

TOOK_FOR: Final = "an incidence folder of linkage ingest-spark"


def take_in(database: Database, folder: str | PathLike[str], *, wait_s: float = 0.0) -> FileResult:
    """Take an incidence folder into a store; the same contents twice change nothing.

    A store holds one folder: a later one must have been built upon it. Runs, cases and their accounts stay.

    Parameters
    ----------
    folder : on this machine.
    wait_s : how long to wait for another writer, in seconds.

    Returns
    -------
    What became of it; ``error`` says why nothing was stored.

    Raises
    ------
    StoreBusyError : another process writes and did not end within ``wait_s``.
    StoreError : the store cannot be written; what was stored before is intact.
    """
    place = Path(folder)
    with database.writing(wait_s=wait_s):
        try:
            manifest = read_manifest(place)
            if facts.find_source_files(database, sha256=manifest.digest, format_name=KIND):
                return _result(place, manifest, is_new=False)
            _refuse_mixture(database, place, manifest)
            with database.transaction(f"store {place}") as connection:
                _store(connection, place, manifest)
        except (SourceError, UsageError) as error:
            return FileResult(str(place), TOOK_FOR, KIND, 0, 0, 0, 0, {}, error)
    return _result(place, manifest, is_new=True)


def _result(place: Path, manifest: Manifest, *, is_new: bool) -> FileResult:
    seen = manifest.seen_before + (0 if is_new else manifest.kept)
    kept = manifest.kept if is_new else 0
    return FileResult(
        path=str(place),
        took_for=TOOK_FOR,
        kind=KIND,
        kept=kept,
        set_aside=manifest.set_aside if is_new else 0,
        seen_before=seen,
        conflicting=manifest.conflicting,
        notes=manifest.notes if is_new else {},
        error=None,
    )


def _refuse_mixture(database: Database, place: Path, manifest: Manifest) -> None:
    if holds_requests(database):
        raise UsageError(
            f"{place}: wanted a store without requests for an incidence folder; {database.path} has some. What both "
            "hold would count twice: name a new store, or load the logs themselves with linkage ingest"
        )
    held = taken_digest(database)
    if held is not None and held not in manifest.includes:
        raise UsageError(
            f"{place}: wanted a folder that includes the one {database.path} was filled from (digest {held[:12]}); "
            "this one does not, and templates cannot be joined afterwards. Make one of both: linkage ingest-spark "
            f"MASTER EARLIER {place} --out NEW, then linkage ingest {database.path} NEW"
        )


def _store(connection: Connection, place: Path, manifest: Manifest) -> None:
    forget_incidence(connection)
    families: dict[int, str] = {}
    prompts: list[tuple[int, int]] = []
    for name in TABLES:
        rows = total = 0
        for table in table_batches(place, name):
            rows, total = rows + len(table), total + row_digest(table)
            _ADD[name](connection, name, table)
            if name == "template":
                families |= _families(table)
                prompts += plain_rows(table, ("id", "prompts"))
        _check(place, manifest, name, rows, digest_text(total))
    facts.count_prompts(connection, prompts)
    facts.add_template_entities(connection, families)
    size = sum(file.stat().st_size for name in TABLES for file in (place / name).glob("*.parquet"))
    entry = SourceFile(
        path=str(place),
        size=size,
        sha256=manifest.digest,
        format=KIND,
        reading="",
        limits="",
        kind=KIND,
        kept=manifest.kept,
        set_aside=manifest.set_aside,
        seen_before=manifest.seen_before,
        conflicting=manifest.conflicting,
    )
    facts.add_source_file(connection, entry, rejected=[])
    facts.finish_mining(connection)


def _check(place: Path, manifest: Manifest, name: str, rows: int, digest: str) -> None:
    if rows != manifest.rows[name] or digest != manifest.digests[name]:
        raise SourceError(
            f"{place}: wanted {manifest.rows[name]:,} rows of {name} as {MANIFEST} tells of them; found {rows:,} or "
            "other ones. Copy the folder again, or make it again"
        )


def _add_accounts(connection: Connection, name: str, table: Any) -> None:
    add_entities(connection, {name: table.select(["id", "value"])})


def _add_entities(connection: Connection, name: str, table: Any) -> None:
    named = {kind: table.filter(pc.equal(table["kind"], kind)) for kind in pc.unique(table["kind"]).to_pylist()}
    add_entities(connection, {kind: rows.select(["id", "value"]) for kind, rows in named.items()})


def _add_records(connection: Connection, name: str, table: Any) -> None:
    facts.add_account_records(connection, plain_rows(table, facts.ACCOUNT_RECORD_COLUMNS))


def _add_rollup(connection: Connection, name: str, table: Any) -> None:
    facts.add_rollup(connection, name, plain_rows(table, table.column_names))


def _add_prompt_days(connection: Connection, name: str, table: Any) -> None:
    facts.add_prompt_days(connection, plain_rows(table, table.column_names))


def _add_item_days(connection: Connection, name: str, table: Any) -> None:
    facts.add_item_days(connection, *_packed_days(table))


def _add_work_days(connection: Connection, name: str, table: Any) -> None:
    facts.add_work_days(connection, *_packed_days(table))


def _packed_days(table: Any) -> tuple[npt.NDArray[np.int64], list[bytes]]:
    *days, blobs = table.columns
    return np.column_stack([column.to_numpy() for column in days]), blobs.to_pylist()


def _add_templates(connection: Connection, name: str, table: Any) -> None:
    facts.add_templates(connection, plain_rows(table, ("id", "name", "text", "slots")))
    facts.tie_templates(connection, plain_rows(table, ("id", "contract", "family_id", "similarity")))


def _families(table: Any) -> dict[int, str]:
    rows = plain_rows(table, ("family_id", "family_name"))
    return {family_id: name for family_id, name in rows if family_id is not None}


_ADD: Final = {
    "account": _add_accounts,
    "entity": _add_entities,
    "account_record": _add_records,
    **dict.fromkeys(KEYS, _add_rollup),
    "prompt_day": _add_prompt_days,
    "item_day": _add_item_days,
    "work_day": _add_work_days,
    "template": _add_templates,
}
"""How the rows of each table get into the store."""
