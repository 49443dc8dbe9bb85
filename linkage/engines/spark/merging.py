"""Facts of all batches to distinct requests, and those to rollups: pure functions mapped, parts merged by Spark."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as sf

from linkage.engines.spark.folder import FACTS, KEYS, TABLES
from linkage.engines.spark.parts import as_part, union_of, whole_groups
from linkage.engines.spark.session import map_batches
from linkage.errors import StoreError
from linkage.intake.rollups import roll_up

ROLLED_ROWS: Final = union_of({name: TABLES[name] for name in KEYS})
"""Rollups in one schema, as they leave the map."""

_GROUP_ROWS: Final = 250_000  # requests at once in a worker: about 40 MB
_LEAST: Final = {"first_ms": sf.min, "last_ms": sf.max}


def keep_least(requests: Any) -> Any:
    """The requests that stay: of those with one key, the one with the smallest content hash.

    Parameters
    ----------
    requests : Arrow table of ``FACTS["request"]``; ``repeats`` and ``conflicts`` count records that were left out of
        it before.

    Returns
    -------
    The same columns, sorted by key, no key twice. Whatever is done in parts first, the outcome is the same.
    """
    keys, contents, repeats, conflicts = (
        np.asarray(requests[name].to_numpy()) for name in ("key", "content", "repeats", "conflicts")
    )
    if not len(keys):
        return requests
    order = np.lexsort((contents, keys))
    keys, contents, repeats, conflicts = keys[order], contents[order], repeats[order], conflicts[order]
    is_first = np.append(True, keys[1:] != keys[:-1])
    starts = np.flatnonzero(is_first)
    held = contents[starts][np.cumsum(is_first) - 1]
    same = np.add.reduceat(np.where(contents == held, 1 + repeats, 0), starts) - 1
    total = np.add.reduceat(1 + repeats + conflicts, starts)
    kept = requests.take(pa.array(order[starts])).drop_columns(["repeats", "conflicts"])
    counts = {"repeats": pa.array(same), "conflicts": pa.array(total - 1 - same)}
    for name, values in counts.items():
        kept = kept.append_column(name, values)
    return kept


def distinct_requests(parsed: DataFrame) -> DataFrame:
    """Requests of which no two have one key; see :func:`keep_least`.

    One shuffle by key. A key on very many records is brought down to one row per task before it.

    Parameters
    ----------
    parsed : rows of ``FACTS["request"]``.
    """
    schema = FACTS["request"]
    fewer = map_batches(parsed, _keep_some, schema)
    return map_batches(fewer.repartition("key").sortWithinPartitions("key"), _keep_sorted, schema)


def _keep_some(batches: Iterator[Any]) -> Iterator[Any]:
    for table in whole_groups(batches, keys=(), rows=_GROUP_ROWS):
        yield from keep_least(table).combine_chunks().to_batches()


def _keep_sorted(batches: Iterator[Any]) -> Iterator[Any]:
    for table in whole_groups(batches, keys=("key",), rows=_GROUP_ROWS):
        yield from keep_least(table).combine_chunks().to_batches()


def roll_up_all(requests: DataFrame) -> DataFrame:
    """Rollups of some requests at a time as rows of ``ROLLED_ROWS``; :func:`merge_rolled` merges them."""
    return map_batches(requests, _roll_up_some, ROLLED_ROWS)


def _roll_up_some(batches: Iterator[Any]) -> Iterator[Any]:
    for table in whole_groups(batches, keys=(), rows=_GROUP_ROWS):
        for name, rolled in roll_up(table).items():
            yield from as_part(name, rolled, ROLLED_ROWS)


def merge_rolled(rolled: DataFrame, name: str) -> DataFrame:
    """One rollup out of parts: counts add up, first times are the least, last times the greatest."""
    keys = KEYS[name]
    others = [column for column in TABLES[name].names if column not in keys]
    merged = rolled.groupBy(*keys).agg(*(_LEAST.get(column, sf.sum)(column).alias(column) for column in others))
    return merged.select(*TABLES[name].names)


def distinct_entities(entities: DataFrame) -> DataFrame:
    """Ids with kind and value, each once.

    Raises
    ------
    StoreError : two values have one id (a collision of 63-bit hashes); told when this is called, by one pass.
    """
    told = entities.groupBy("id").agg(
        *(way(name).alias(f"{way.__name__}_{name}") for name in ("kind", "value") for way in (sf.min, sf.max))
    )
    for row in told.where("min_kind <> max_kind or min_value <> max_value").head(1):
        raise StoreError(
            f"wanted {row['min_kind']} {row['min_value']!r} under id {row['id']}; found also {row['max_kind']} "
            f"{row['max_value']!r}. Please report this collision"
        )
    return told.selectExpr("id", "min_kind as kind", "min_value as value")


def distinct_prompts(prompts: DataFrame) -> DataFrame:
    """Prompts, each once; of several gateway templates the least."""
    told = prompts.groupBy("id").agg(
        sf.min("gateway_template").alias("gateway_template"), sf.first("features").alias("features")
    )
    return told.select(*FACTS["prompt"].names)
