"""A log file to what the store is given of it, batch by batch: all that needs no store.

Two steps of about the same work, so that each can have a core of its own: records are read and checked, then facts are
made of them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Collection, Generator, Iterable, Mapping
from os import PathLike
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from linkage.coding import is_run_start
from linkage.engines.ahead import map_ahead
from linkage.intake.batches import (
    AccountBatch,
    CompanionBatch,
    RequestBatch,
    account_batch,
    companion_batch,
    request_batch,
)
from linkage.intake.catalogue import AUTO
from linkage.intake.entities import Pseudonymizer
from linkage.intake.files import RawFile, read_raw
from linkage.intake.formats.base import RecordKind
from linkage.intake.mapping import Mapping as FieldMapping
from linkage.intake.raw import RawBatch
from linkage.intake.records import (
    CheckedAccounts,
    CheckedCompanions,
    CheckedRequests,
    check_accounts,
    check_companions,
    check_requests,
)
from linkage.intake.unpack import Digest
from linkage.memory import keep_near
from linkage.parallel import THREADS
from linkage.settings import IngestSettings, Settings
from linkage.store.facts import SourceFile
from linkage.store.known import KnownIds

_KNOWN_IDS: Final = 8_000_000  # entity ids remembered as told, 270 MB at most


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
        """A hash of all that decides how a file is read, besides its bytes, its format and what size may be."""
        key = self.pseudonymizer.replace("ip", "") if self.pseudonymizer else ""
        parts = [repr(self.mapping), self.source, self.keep_prompts, key]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def has_read(self, file: SourceFile, *, limits: IngestSettings) -> bool:
        """Whether nothing more would come of a file that has this entry in the ledger.

        More would come of one with lines that were set aside, if now longer ones are allowed; and of companions, which
        may have been let go, if now they may wait longer. A purge takes the limits away: what it took out must not come
        back.
        """
        allowed = json.loads(file.limits) if file.limits else []
        now = [*_sizes(limits), *_waits(limits)]
        is_covered = all(then >= each for then, each in zip(allowed, now, strict=False))
        return file.reading == self.digest() and is_covered


def limits_told(limits: IngestSettings, *, kind: RecordKind, set_aside: int) -> str:
    """What the ledger keeps of the limits that left some of a file out; nothing where none did."""
    if kind == "companions":
        return json.dumps([*_sizes(limits), *_waits(limits)])
    return json.dumps(_sizes(limits)) if set_aside else ""


def _sizes(limits: IngestSettings) -> list[int]:
    """Settings that leave out lines which a larger value lets in.

    Not those of single fields: a request that lost its id for being too long would come in again, under that id.
    """
    return [limits.line_bytes, limits.unpacked_ratio]


def _waits(limits: IngestSettings) -> list[int]:
    """Settings that let companions go, which a larger value lets wait."""
    return [limits.companion_days, limits.companions_waiting]


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """The facts of a batch of requests, each request once; nothing of the store is known yet."""

    batch: RequestBatch
    """Requests by ascending key; of contradicting records the one with the least content hash. Entities only where no
    batch of the file before it had them."""
    same: int
    """Records left out that say what a kept one says."""
    other: int
    """Records left out that contradict a kept one."""


class FileEnd(NamedTuple):
    """What comes behind the last batch of a file."""

    digest: Digest
    """Of the bytes on disk that the batches were read from."""


Checked = tuple[int, CheckedRequests | CheckedAccounts | CheckedCompanions | FileEnd]
"""Bytes of the file read so far, and the checked records of a batch."""

Facts = tuple[int, Prepared | AccountBatch | CompanionBatch | FileEnd]
"""Bytes of the file read so far, and the facts of a batch."""


def open_log(
    path: str | PathLike[str],
    kind: RecordKind | None,
    *,
    reading: Reading,
    settings: Settings,
    marks: Collection[int] = (),
) -> RawFile:
    """The file, opened and recognised; what raises, see :func:`linkage.intake.files.read_raw`."""
    wanted = AUTO if kind == "accounts" else reading.format_name
    mapping = None if kind == "accounts" else reading.mapping
    limits = settings.ingest
    return read_raw(path, format_name=wanted, kind=kind, mapping=mapping, settings=limits, as_columns=True, marks=marks)


def read_checked(raw: RawFile, *, settings: Settings) -> Generator[Checked]:
    """The checked records of each batch of an opened file, then its end."""
    for batch in raw.batches:
        if raw.kind == "accounts" and isinstance(batch, RawBatch):
            yield batch.bytes_read, check_accounts(batch, raw.format, settings=settings.ingest)
        elif raw.kind == "companions" and isinstance(batch, RawBatch):
            yield batch.bytes_read, check_companions(batch, raw.format, settings=settings.ingest)
        else:
            yield batch.bytes_read, check_requests(batch, raw.format, settings=settings.ingest)
    yield raw.size, FileEnd(raw.digest())


def read_checked_log(
    path: str | PathLike[str],
    kind: RecordKind | None,
    *,
    reading: Reading,
    settings: Settings,
    marks: Collection[int] = (),
) -> Generator[Checked]:
    """What :func:`read_checked` gives, to be called in another process."""
    keep_near()
    raw = open_log(path, kind, reading=reading, settings=settings, marks=marks)
    yield from read_checked(raw, settings=settings)


def make_facts(batches: Iterable[Checked], *, source: str, pseudonymizer: Pseudonymizer | None) -> Generator[Facts]:
    """The facts of each batch of a file, then its end.

    Parameters
    ----------
    source : name of the system that the records, or the requests they complete, come from.
    """
    known = KnownIds()

    def make(batch: Checked) -> RequestBatch | AccountBatch | CompanionBatch | FileEnd:
        checked = batch[1]
        if isinstance(checked, FileEnd):
            return checked
        if isinstance(checked, CheckedAccounts):
            return account_batch(checked, pseudonymizer=pseudonymizer)
        if isinstance(checked, CheckedCompanions):
            return companion_batch(checked, source=source, pseudonymizer=pseudonymizer)
        return request_batch(checked, source=source, pseudonymizer=pseudonymizer)

    with contextlib.closing(map_ahead(make, batches, threads=THREADS)) as made:
        for (bytes_read, _), facts in made:
            yield bytes_read, prepare(facts, known=known) if isinstance(facts, RequestBatch) else facts


def prepare(batch: RequestBatch, *, known: KnownIds | None = None) -> Prepared:
    """The facts of a batch with every request once.

    Parameters
    ----------
    known : ids of entities that need not be told again; those of the batch are added.
    """
    keys, contents = (np.asarray(batch.requests[name].to_numpy()) for name in ("key", "content"))
    order = np.lexsort((contents, keys))
    keys, contents = keys[order], contents[order]
    is_first = is_run_start(keys)
    kept = contents[is_first][np.cumsum(is_first) - 1]
    requests = batch.requests.take(order[is_first])
    entities = batch.entities if known is None else _new_entities(batch.entities, known)
    return Prepared(
        batch=dataclasses.replace(batch, requests=requests, entities=entities),
        same=int((~is_first & (contents == kept)).sum()),
        other=int((~is_first & (contents != kept)).sum()),
    )


def _new_entities(entities: Mapping[str, Any], known: KnownIds) -> dict[str, Any]:
    found = {}
    for kind, table in entities.items():
        if len(known) > _KNOWN_IDS:
            known.clear()
        ids = table["id"].to_numpy()
        is_new = known.places(ids) < 0
        known.add(ids[is_new])
        found[kind] = table if is_new.all() else table.filter(pa.array(is_new))
    return found
