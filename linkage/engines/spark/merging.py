"""Facts of all batches to distinct requests, prompts and names: pure functions of a bucket, mapped."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from linkage.arrays import Ints
from linkage.coding import is_run_start
from linkage.engines.spark.folder import FACTS, TABLES, row_digest
from linkage.engines.spark.parts import PACKED, PART, Told, gathered, pack, split, unpack, whole_parts
from linkage.engines.spark.session import map_batches
from linkage.intake.batches import REQUEST_TYPES
from linkage.intake.rollups import roll_up_coverage
from linkage.terms import DAY_MS

ENTITY: Final = pa.schema([("id", pa.int64()), ("kind", pa.string()), ("value", pa.string())])
"""Names of all kinds, accounts too."""

NAMES: Final = pa.schema([("value", pa.string())])
"""Templates that the gateway named."""

SUM: Final = pa.schema(
    [("kept", pa.int64()), ("repeats", pa.int64()), ("conflicts", pa.int64()), ("prompts", pa.int64())]
)
"""How many requests and prompts there are, and how many records were left out."""

DIGEST: Final = pa.schema([("name", pa.string()), ("rows", pa.int64()), ("digest", pa.uint64())])
"""Rows and digest of a part of a table that a store takes."""

BY_ACCOUNT: Final = pa.schema([(name, kind) for name, kind in REQUEST_TYPES.items() if name not in ("key", "content")])
"""What rollups are made of."""

PROMPTED: Final = pa.schema([(name, pa.int64()) for name in ("account_id", "prompt_id", "at_ms", "output_tokens")])
"""Requests on their way to their prompts."""

DISTINCT: Final[Mapping[str, Any]] = {
    "request": FACTS["request"],
    "prompt": FACTS["prompt"],
    "account": TABLES["account"],
    "entity": TABLES["entity"],
    "coverage_day": TABLES["coverage_day"],
    "by_account": BY_ACCOUNT,
    "prompted": PROMPTED,
    "named": NAMES,
    "collision": ENTITY,
    "sum": SUM,
    "digest": DIGEST,
}
"""What comes of distinct facts, by part."""

_COLLECTED: Final = {"request": FACTS["request"], "prompt": FACTS["prompt"], "entity": ENTITY}
_NAME_BATCHES: Final = 6_000  # of a few rows: what is set for packed tables holds for all that a job reads
_DAY_FACTOR: Final = 0x1E3779B97F4A7C15  # odd: days of one account go to buckets far apart
_LAST_ID: Final = 2**63 - 1


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
    is_first = is_run_start(keys)
    starts = np.flatnonzero(is_first)
    held = contents[starts][np.cumsum(is_first) - 1]
    same = np.add.reduceat(np.where(contents == held, 1 + repeats, 0), starts) - 1
    total = np.add.reduceat(1 + repeats + conflicts, starts)
    kept = requests.take(pa.array(order[starts])).drop_columns(["repeats", "conflicts"])
    counts = {"repeats": pa.array(same), "conflicts": pa.array(total - 1 - same)}
    for name, values in counts.items():
        kept = kept.append_column(name, values)
    return kept


def least_prompts(prompts: Any) -> Any:
    """Prompts, each once, by id; of several gateway templates the least.

    Parameters
    ----------
    prompts : Arrow table with the columns of ``FACTS["prompt"]``.
    """
    few = prompts.select(FACTS["prompt"].names)
    if few["gateway_template"].null_count < len(few):
        few = few.take(pc.sort_indices(few, [("id", "ascending"), ("gateway_template", "ascending")]))
    return few.take(pa.array(np.unique(_ids(few, "id"), return_index=True)[1]))


def distinct_names(tables: Iterable[Any]) -> Any:
    """Names of Arrow tables of ``ENTITY``, each once; an id that stands for two names (a collision) stands twice."""
    whole = pa.concat_tables([ENTITY.empty_table(), *(table.cast(ENTITY) for table in tables)])
    return whole.group_by(ENTITY.names, use_threads=False).aggregate([])


def day_ids(accounts: Ints, at_ms: Ints) -> Ints:
    """A 63-bit hash of account and day, so that all of both falls into one bucket."""
    return np.asarray((accounts + at_ms // DAY_MS * _DAY_FACTOR) & _LAST_ID, dtype=np.int64)


def spread_again(packed: DataFrame, *, buckets: int) -> DataFrame:
    """Requests or prompts of an earlier folder, packed for other buckets."""

    def spread(batches: Iterator[Any]) -> Iterator[Any]:
        told = unpack(batches, _COLLECTED)
        key = {"request": "key", "prompt": "id"}
        parts = (
            each for part, _, table in told for each in split(part, table, ids=_ids(table, key[part]), buckets=buckets)
        )
        yield from pack(parts, _COLLECTED)

    return map_batches(packed, spread, PACKED)


def spread_names(names: DataFrame, *, buckets: int) -> DataFrame:
    """Names as rows of ``ENTITY``, packed."""

    def spread(batches: Iterator[Any]) -> Iterator[Any]:
        while some := list(itertools.islice(batches, _NAME_BATCHES)):
            yield from pack_names(pa.Table.from_batches(some).cast(ENTITY), buckets=buckets)

    return map_batches(names.select(*ENTITY.names), spread, PACKED)


def pack_names(names: Any, *, buckets: int) -> Iterator[Any]:
    """Names in an Arrow table of ``ENTITY``, packed."""
    return pack(split("entity", names, ids=_ids(names, "id"), buckets=buckets), _COLLECTED)


def distinct_facts(packed: DataFrame, *, buckets: int) -> DataFrame:
    """Requests, prompts and names, each once, and what is made of requests one by one; packed as ``DISTINCT``.

    One shuffle, of packed tables. A key on very many records was brought down to one row per task before it.

    Parameters
    ----------
    packed : requests, prompts and names by their ids.
    """

    def distinct(batches: Iterator[Any]) -> Iterator[Any]:
        whole = whole_parts(unpack(batches, _COLLECTED))
        made = (told for part, bucket, table in whole for told in _DISTINCT[part](table, bucket, buckets))
        yield from pack(made, DISTINCT)

    return map_batches(by_bucket(packed), distinct, PACKED)


def by_bucket(packed: DataFrame) -> DataFrame:
    """Packed tables of one bucket in one task, one after the other, parts in the order of their names."""
    return packed.repartition("bucket").sortWithinPartitions("bucket", PART)


def _distinct_requests(requests: Any, bucket: int, buckets: int) -> Iterator[Told]:
    kept = keep_least(requests)
    yield "request", bucket, kept
    yield gathered("coverage_day", roll_up_coverage(kept))
    left_out = (pc.sum(kept[name]).as_py() for name in ("repeats", "conflicts"))
    yield gathered("sum", pa.table([[number] for number in (len(kept), *left_out, 0)], schema=SUM))
    days = day_ids(_ids(kept, "account_id"), _ids(kept, "at_ms"))
    yield from split("by_account", kept, ids=days, buckets=buckets)
    prompted = kept.filter(kept["prompt_id"].is_valid())
    yield from split("prompted", prompted, ids=_ids(prompted, "prompt_id"), buckets=buckets)


def _distinct_prompts(prompts: Any, bucket: int, buckets: int) -> Iterator[Told]:
    kept = least_prompts(prompts)
    yield "prompt", bucket, kept
    yield gathered("sum", pa.table([[0], [0], [0], [len(kept)]], schema=SUM))
    yield gathered("named", pa.table([pc.unique(kept["gateway_template"].drop_null())], schema=NAMES))


def _distinct_names(names: Any, bucket: int, buckets: int) -> Iterator[Told]:
    kept = distinct_names([names]).sort_by("id")
    ids = _ids(kept, "id")
    is_double = np.append(ids[1:] == ids[:-1], False)
    yield gathered("collision", kept.filter(pa.array(is_double)))
    is_account = pc.equal(kept["kind"], "account")
    for name, table in (("account", kept.filter(is_account)), ("entity", kept.filter(pc.invert(is_account)))):
        table = table.select(TABLES[name].names)
        yield name, bucket, table
        yield gathered("digest", digest_of(name, table))


_DISTINCT: Final[Mapping[str, Callable[[Any, int, int], Iterator[Told]]]] = {
    "request": _distinct_requests,
    "prompt": _distinct_prompts,
    "entity": _distinct_names,
}


def digest_of(name: str, table: Any) -> Any:
    """Rows and digest of a part of a table that a store takes, as a row of ``DIGEST``."""
    digest = row_digest(table.cast(TABLES[name])) % 2**64
    return pa.table([[name], [len(table)], pa.array([digest], pa.uint64())], schema=DIGEST)


def rows_of(packed: DataFrame, shapes: Mapping[str, Any], part: str) -> DataFrame:
    """The rows of one part, unpacked: for what leaves as rows, and for what comes to the driver."""
    return map_batches(packed.where(f"part = '{part}'"), functools.partial(_unpacked, shapes), shapes[part])


def _unpacked(shapes: Mapping[str, Any], batches: Iterator[Any]) -> Iterator[Any]:
    for _, _, table in unpack(batches, shapes):
        yield from table.to_batches()


def _ids(table: Any, name: str) -> Ints:
    return np.asarray(table[name].to_numpy())
