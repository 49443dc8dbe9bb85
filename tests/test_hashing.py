"""The compiled hash beside the standard library's."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage.intake.hashing import hash_rows, hash_texts


def told_by_hashlib(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big") >> 1


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=200),
    st.lists(st.one_of(st.text(max_size=20), st.integers(100, 300).map(lambda size: "y" * size))),
)
def test_texts_hash_as_the_standard_library_says(prefix: bytes, texts: list[str]) -> None:
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    assert hash_texts(prefix, pa.array(texts, pa.string())).tolist() == [
        told_by_hashlib(prefix + text.encode()) for text in texts
    ]


def test_rows_hash_as_their_little_endian_bytes() -> None:
    for width in (1, 15, 16, 17, 33):
        rows = np.random.default_rng(width).integers(-(2**62), 2**62, (50, width))
        assert hash_rows(rows).tolist() == [told_by_hashlib(row.astype("<i8").tobytes()) for row in rows]


def test_nothing_hashes_to_nothing() -> None:
    assert hash_rows(np.empty((0, 3), np.int64)).tolist() == []
    assert hash_texts(b"x", pa.array([], pa.string())).tolist() == []
