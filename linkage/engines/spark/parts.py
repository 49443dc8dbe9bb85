"""Packed tables: how rows of many kinds pass through Spark without being rows to it.

Spark moves rows one at a time, and a JVM that takes apart twenty numbers a request is slower than the functions that
make them. So a map hands on few rows: each carries a table of a part (its name) whose ids fall into one bucket, as
Arrow's bytes. Spark writes, shuffles and sorts these; only functions of batches look inside.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa

from linkage.arrays import Ints
from linkage.coding import run_starts

PART: Final = "part"
"""The column that names the table a packed row belongs to."""

PACKED: Final = pa.schema(
    [
        (PART, pa.string()),
        ("bucket", pa.int64()),
        ("rows", pa.int64()),
        ("size", pa.int64()),
        ("packed", pa.binary()),
    ]
)
"""A packed table: its part and bucket, how many rows, their bytes unpacked, and an Arrow record batch (LZ4)."""

Shapes = Mapping[str, Any]
"""Name of each part to the Arrow schema of its tables."""

Told = tuple[str, int, Any]
"""A part, a bucket, and an Arrow table of rows in it."""

Batches = Iterator[Any]
"""Arrow record batches, as Spark hands them to a mapped function and takes them from it."""

BatchMap = Callable[[Batches], Batches]

_CODEC: Final = "lz4"
_BATCH_BYTES: Final = 8_000_000  # packed, that leave a worker at once
_ANY: Final = 0  # bucket of tables that only the driver gathers
_LAST_ID: Final = 2**63 - 1


def bucket_of(ids: Ints, buckets: int) -> Ints:
    """The bucket of each 63-bit hash: ranges of equal width, so that the lowest ids are in the first ones.

    Examples
    --------
    >>> bucket_of(np.array([0, 2**61, 2**62, 2**63 - 1]), 2).tolist()
    [0, 0, 1, 1]
    """
    return np.asarray(np.minimum(ids // (_LAST_ID // buckets), buckets - 1), dtype=np.int64)


def split(part: str, table: Any, *, ids: Ints, buckets: int) -> Iterator[Told]:
    """The rows of an Arrow table by the bucket of their ids; of one bucket they stay in order."""
    if not len(table):
        return
    bucket = bucket_of(ids, buckets)
    if np.any(bucket[1:] < bucket[:-1]):
        order = np.argsort(bucket, kind="stable")
        table, bucket = table.take(pa.array(order)), bucket[order]
    table = table.combine_chunks()
    for start, end in itertools.pairwise([*run_starts(bucket).tolist(), len(bucket)]):
        yield part, int(bucket[start]), table.slice(start, end - start)


def gathered(part: str, table: Any) -> Told:
    """A table that only the driver gathers, of no bucket."""
    return part, _ANY, table


def pack(told: Iterable[Told], shapes: Shapes) -> Iterator[Any]:
    """Tables as record batches of ``PACKED``, a row each; those without rows are left out."""
    rows: list[dict[str, Any]] = []
    held = 0
    for part, bucket, table in told:
        for batch in table.select(shapes[part].names).cast(shapes[part]).combine_chunks().to_batches():
            plain = batch.serialize()
            packed = pa.compress(plain, codec=_CODEC, asbytes=True)
            rows.append({PART: part, "bucket": bucket, "rows": len(batch), "size": plain.size, "packed": packed})
            held += len(packed)
        if held > _BATCH_BYTES:
            yield pa.RecordBatch.from_pylist(rows, schema=PACKED)
            rows, held = [], 0
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema=PACKED)


def unpack(batches: Iterable[Any], shapes: Shapes) -> Iterator[Told]:
    """The tables in record batches of ``PACKED``, one after the other.

    Examples
    --------
    >>> shapes = {"age": pa.schema([("id", pa.int64())])}
    >>> ids = np.array([5, 2**62, 7])
    >>> packed = pack(split("age", pa.table({"id": ids}), ids=ids, buckets=2), shapes)
    >>> [(part, bucket, table["id"].to_pylist()) for part, bucket, table in unpack(packed, shapes)]
    [('age', 0, [5, 7]), ('age', 1, [4611686018427387904])]
    """
    for batch in batches:
        columns = (batch.column(name).to_pylist() for name in (PART, "bucket", "size"))
        for part, bucket, size, packed in zip(*columns, batch.column("packed"), strict=True):
            plain = pa.decompress(packed.as_buffer(), decompressed_size=size, codec=_CODEC)
            yield part, bucket, pa.Table.from_batches([pa.ipc.read_record_batch(plain, shapes[part])])


def whole_parts(told: Iterable[Told]) -> Iterator[Told]:
    """Tables that come sorted by bucket and part, those of one bucket and part as one; memory is bounded by it.

    Examples
    --------
    >>> some = pa.table({"id": [1]})
    >>> [(part, bucket, len(table)) for part, bucket, table in whole_parts([("a", 0, some), ("a", 0, some)])]
    [('a', 0, 2)]
    """
    for (part, bucket), tables in itertools.groupby(told, key=lambda each: each[:2]):
        yield part, bucket, pa.concat_tables([table for _, _, table in tables])
