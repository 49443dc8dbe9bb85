"""All of an account and day in one place: rollups, and what follows from templates; pure functions of a bucket."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from linkage.arrays import Ints
from linkage.engines.spark.folder import TABLES
from linkage.engines.spark.merging import BY_ACCOUNT, DIGEST, by_bucket, digest_of
from linkage.engines.spark.mining import MET
from linkage.engines.spark.parts import PACKED, Told, gathered, pack, unpack, whole_parts
from linkage.engines.spark.session import map_batches
from linkage.intake.following import Followed, Requested, follow_templates, without_empty
from linkage.intake.mining import Assigned
from linkage.intake.rollups import roll_up_accounts
from linkage.store.items import pack_items
from linkage.store.works import pack_works

NAMES: Final = ("entity_use", "account_day", "account_hour", "prompt_day", "item_day", "work_day")

ROLLED: Final[Mapping[str, Any]] = {**{name: TABLES[name] for name in NAMES}, "digest": DIGEST}
"""Tables that a store takes whose rows belong to an account and a day, and their digests, by part."""

_SHAPES: Final[Mapping[str, Any]] = {"by_account": BY_ACCOUNT, "met": MET}


def roll_up_all(packed: DataFrame) -> DataFrame:
    """Rollups and what follows from templates, packed as ``ROLLED``; each row of a table is made in one place.

    One shuffle, of packed tables. A worker holds a bucket, or the largest account and day.

    Parameters
    ----------
    packed : requests by account and day, with and without what their prompts say.
    """
    return map_batches(by_bucket(packed), _roll_up, PACKED)


def _roll_up(batches: Iterator[Any]) -> Iterator[Any]:
    yield from pack(_with_digests(_tables_of(unpack(batches, _SHAPES))), ROLLED)


def _with_digests(told: Iterable[Told]) -> Iterator[Told]:
    for name, bucket, table in told:
        yield name, bucket, table
        yield gathered("digest", digest_of(name, table))


def _tables_of(told: Iterable[Told]) -> Iterator[Told]:
    for part, bucket, table in whole_parts(told):
        made = roll_up_accounts(table).items() if part == "by_account" else _follow(table)
        yield from ((name, bucket, rows) for name, rows in made if len(rows))


def _follow(met: Any) -> Iterator[tuple[str, Any]]:
    accounts, prompts, times = (np.asarray(met[name].to_numpy()) for name in ("account_id", "prompt_id", "at_ms"))
    outputs = np.asarray(pc.fill_null(met["output_tokens"], -1).to_numpy())
    parts = follow_templates(Requested(accounts, prompts, times, outputs), _assigned_in(met, prompts))
    return itertools.chain.from_iterable(map(_followed_tables, parts))


def _assigned_in(table: Any, prompts: Ints) -> Assigned:
    """Template and items of the distinct prompts of some requests."""
    ids, rows = np.unique(prompts, return_index=True)
    distinct = table.select(["template_id", "items"]).take(pa.array(rows)).combine_chunks()
    items = distinct["items"].combine_chunks()
    starts = np.asarray(items.offsets.to_numpy(), dtype=np.int64)
    values = np.asarray(items.flatten().to_numpy(), dtype=np.int64)
    starts = starts - starts[0]
    templates = np.asarray(distinct["template_id"].to_numpy(), dtype=np.int64)
    return Assigned(ids, templates, starts[:-1], np.diff(starts), values)


def _followed_tables(part: Followed) -> Iterator[tuple[str, Any]]:
    yield "entity_use", pa.table(list(part.uses), schema=TABLES["entity_use"])
    yield "prompt_day", pa.table(list(part.days), schema=TABLES["prompt_day"])
    for name, starts, columns, pack_all in (
        ("item_day", part.item_starts, part.items, pack_items),
        ("work_day", part.work_starts, part.works, pack_works),
    ):
        told, starts_told = without_empty(starts)
        owners = [column[told] for column in part.days[:2]]
        blobs = pa.array(pack_all(starts_told, columns), pa.binary())
        yield name, pa.table([*owners, blobs], schema=TABLES[name])
