"""An incidence folder: everything a rebuild needs of some logs, as Parquet tables beside a manifest.

The tables are those of the store, with the same ids, so a folder made on any cluster fits any store. Two more, the
deduplicated requests and the fingerprints of prompts, are what a later folder is built upon; a store leaves them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from linkage.arrays import Ints
from linkage.errors import SourceError
from linkage.intake.batches import REQUEST_TYPES
from linkage.intake.hashing import hash_rows, hash_texts
from linkage.intake.rollups import ROLLUP_COLUMNS

MANIFEST: Final = "manifest.json"
"""Name of the file that is written last; a folder without it is not finished."""

FORMAT: Final = "linkage incidence"
VERSION: Final = 3
"""Of the tables and the manifest."""


def _schema(*, ints: Sequence[str], texts: Sequence[str] = (), **others: Any) -> Any:
    fields = {**dict.fromkeys(ints, pa.int64()), **dict.fromkeys(texts, pa.string()), **others}
    return pa.schema(list(fields.items()))


KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "entity_use": ("account_id", "entity_id", "day"),
    "account_day": ("account_id", "day"),
    "account_hour": ("account_id", "hour"),
    "coverage_day": ("day", "field"),
}
"""Rollups, and what tells their rows apart; counts add up, ``first_ms`` is the least and ``last_ms`` the greatest."""

TABLES: Final[Mapping[str, Any]] = {
    "account": _schema(ints=["id"], texts=["value"]),
    "entity": _schema(ints=["id"], texts=["kind", "value"]),
    "account_record": _schema(
        ints=["content", "account_id", "organization_id", "email_domain_id", "payment_id", "created_ms"],
        texts=["country", "plan"],
    ),
    **{name: _schema(ints=columns) for name, columns in ROLLUP_COLUMNS.items()},
    "coverage_day": pa.schema(
        [("day", pa.int64()), ("field", pa.string()), ("present", pa.int64()), ("total", pa.int64())]
    ),
    "prompt_day": _schema(ints=["account_id", "day", "distinct_count", "templated_count"]),
    "item_day": _schema(ints=["account_id", "day"], items=pa.binary()),
    "work_day": _schema(ints=["account_id", "day"], works=pa.binary()),
    "template": _schema(
        ints=["id", "slots", "prompts", "family_id"],
        texts=["name", "text", "contract", "family_name"],
        similarity=pa.float64(),
    ),
}
"""What a store takes: name of a table to its Arrow schema; columns as in the store, in its order."""

FACTS: Final[Mapping[str, Any]] = {
    "request": pa.schema([*REQUEST_TYPES.items(), ("repeats", pa.int64()), ("conflicts", pa.int64())]),
    "prompt": _schema(ints=["id"], texts=["gateway_template"], features=pa.binary()),
}
"""What a later folder is built upon: distinct requests, with how many more records had their key (the same in all, or
contradicting them), and distinct prompts."""


@dataclasses.dataclass(frozen=True, repr=False)
class Manifest:
    """What a folder holds and what it was made from."""

    inputs: tuple[Mapping[str, str], ...]
    """``path`` and ``took_for`` of each input, in the order given."""
    includes: tuple[str, ...]
    """Digests of the folders this one was built upon, sorted."""
    kept: int
    seen_before: int
    conflicting: int
    """Requests, repeats of them and contradictions, over all inputs and the folders included."""
    rejected: tuple[tuple[str, str, int], ...]
    """Input, reason and number of lines set aside; sorted."""
    notes: Mapping[str, int]
    """Fields dropped or repaired: ``field: reason`` to how often."""
    rows: Mapping[str, int]
    """Name of each table to how many rows it has."""
    digests: Mapping[str, str]
    """Name of each table that a store takes to a hash of its rows, whatever their order and files."""
    version: int = VERSION
    format: str = FORMAT

    def __repr__(self) -> str:
        return (
            f"Incidence: {self.kept:,} kept, {self.set_aside:,} set aside, "
            f"{self.seen_before + self.conflicting:,} seen before"
        )

    @property
    def set_aside(self) -> int:
        """Lines that could not be used."""
        return sum(count for _, _, count in self.rejected)

    @property
    def digest(self) -> str:
        """A hash of all that a store takes of the folder (64 hex digits); equal for equal contents."""
        told = json.dumps([self.version, sorted(self.digests.items())])
        return hashlib.sha256(told.encode()).hexdigest()

    def to_json(self) -> str:
        """The manifest as it is written."""
        return json.dumps({**dataclasses.asdict(self), "digest": self.digest}, indent=1)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder on this machine.

    Raises
    ------
    SourceError : not finished, not an incidence folder, or of a later version.
    """
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise SourceError(
            f"{folder}: wanted an incidence folder; {MANIFEST} cannot be read ({error.strerror}). "
            "Make one with: linkage ingest-spark MASTER INPUT... --out DIR"
        ) from error
    return manifest_from(text, where=str(folder))


def manifest_from(text: str, *, where: str) -> Manifest:
    """The manifest in its written form; ``where`` is what to call the folder in a message.

    Raises
    ------
    SourceError : no manifest of an incidence folder, or one of another version.
    """
    try:
        told = json.loads(text)
        version = told["version"] if told["format"] == FORMAT else None
    except (ValueError, TypeError, KeyError, RecursionError):
        version = None
    if version != VERSION:
        found = "something else" if version is None else f"version {version}"
        raise SourceError(
            f"{where}: wanted the manifest of an incidence folder, version {VERSION}; found {found}. "
            "Make the folder again with: linkage ingest-spark"
        )
    del told["digest"]
    told["rejected"] = tuple((path, reason, count) for path, reason, count in told["rejected"])
    return Manifest(**{**told, "inputs": tuple(told["inputs"]), "includes": tuple(told["includes"])})


def is_incidence(path: Path) -> bool:
    """Whether a path is a finished incidence folder."""
    try:
        return (path / MANIFEST).is_file() and bool(read_manifest(path))
    except OSError:  # SourceError is one
        return False


def table_batches(folder: Path, name: str) -> Iterator[Any]:
    """The rows of a table that a store takes, as Arrow tables of bounded size.

    Raises
    ------
    SourceError : a file of it is missing or damaged.
    """
    try:
        for file in sorted((folder / name).glob("*.parquet")):
            with pq.ParquetFile(file) as opened:
                for batch in opened.iter_batches():
                    yield pa.Table.from_batches([batch]).select(TABLES[name].names).cast(TABLES[name])
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise SourceError(
            f"{folder}: wanted the rows of {name}; they cannot be read ({str(error).partition(chr(10))[0][:120]}). "
            "Copy the folder again, or make it again"
        ) from error


def row_digest(table: Any) -> int:
    """A hash of the rows of an Arrow table that does not depend on their order: those of parts add up (modulo 2**64).

    Examples
    --------
    >>> one, two = pa.table({"a": [1, 2], "b": ["x", None]}), pa.table({"a": [2, 1], "b": [None, "x"]})
    >>> row_digest(one) == row_digest(two) != 0
    True
    """
    if not len(table):
        return 0
    rows = np.column_stack([_as_numbers(table[name].combine_chunks()) for name in table.column_names])
    return int(hash_rows(rows).astype(np.uint64).sum(dtype=np.uint64))


def _as_numbers(column: Any) -> Ints:
    """Whole numbers as they are, others as hashes of their bytes; null as -1, which no id, count or time is."""
    if pa.types.is_integer(column.type):
        return np.asarray(pc.fill_null(column, -1).to_numpy(zero_copy_only=False), dtype=np.int64)
    missing = ~np.asarray(column.is_valid().to_numpy(zero_copy_only=False), dtype=bool)
    if pa.types.is_floating(column.type):
        numbers = np.asarray(pc.fill_null(column, 0.0).to_numpy(zero_copy_only=False), dtype="<f8").view("<i8")
    else:
        plain = pc.fill_null(column.cast(pa.large_binary()), b"")
        numbers = hash_texts(b"", plain.view(pa.large_string()))
    return np.where(missing, -1, numbers)


def digest_text(total: int) -> str:
    """A sum of :func:`row_digest` as 16 hex digits."""
    return f"{total % 2**64:016x}"
