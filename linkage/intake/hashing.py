"""BLAKE2b of many short texts or rows at once, compiled: the same 63-bit ids as :mod:`hashlib` gives one by one.

References
----------
.. [1] M.-J. Saarinen, J.-P. Aumasson (2015), "The BLAKE2 Cryptographic Hash and Message Authentication Code (MAC)",
   RFC 7693, doi:10.17487/RFC7693; unkeyed, 8 bytes of digest.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from linkage.arrays import Ints
from linkage.intake.letters import letters_of
from linkage.kernels import inlined, inner_kernel, kernel

_BLOCK: Final = 128
_DIGEST_BYTES: Final = 8
_START = np.array(
    [
        0x6A09E667F3BCC908,
        0xBB67AE8584CAA73B,
        0x3C6EF372FE94F82B,
        0xA54FF53A5F1D36F1,
        0x510E527FADE682D1,
        0x9B05688C2B3E6C1F,
        0x1F83D9ABFB41BD6B,
        0x5BE0CD19137E2179,
    ],
    dtype=np.uint64,
)
_PARAMETERS = np.uint64(0x01010000 | _DIGEST_BYTES)
_ORDER = np.array(
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
        [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
        [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
        [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
        [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    ],
    dtype=np.uint8,
)


def hash_texts(prefix: bytes, texts: Any) -> Ints:
    r"""A 63-bit id of each text behind a prefix; never 0.

    Parameters
    ----------
    prefix : what every text follows.
    texts : Arrow array of strings, none null; sliced arrays too.

    Examples
    --------
    >>> import hashlib
    >>> import pyarrow as pa
    >>> digest = hashlib.blake2b(b"ip\x00192.0.2.1", digest_size=8).digest()
    >>> hash_texts(b"ip\x00", pa.array(["192.0.2.1"])).tolist() == [int.from_bytes(digest, "big") >> 1]
    True
    """
    letters, starts = letters_of(texts)
    ids = np.empty(len(texts), np.int64)
    block = np.empty(_BLOCK, np.uint8)
    _hash_runs(np.frombuffer(prefix, np.uint8), letters, starts, block, block.view(np.uint64), ids)
    return ids


def hash_rows(rows: npt.NDArray[np.int64]) -> Ints:
    """A 63-bit id of each row of a matrix, its bytes being the little-endian numbers one after the other."""
    ids = np.empty(len(rows), np.int64)
    _hash_rows(np.ascontiguousarray(rows, dtype="<i8").view(np.uint64), ids)
    return ids


@inlined
def _turn(value, count):
    return (value >> np.uint64(count)) | (value << np.uint64(64 - count))


@inner_kernel
def _mix(a, b, c, d, x, y):
    """The function G of the reference."""
    a = a + b + x
    d = _turn(d ^ a, 32)
    c = c + d
    b = _turn(b ^ c, 24)
    a = a + b + y
    d = _turn(d ^ a, 16)
    c = c + d
    b = _turn(b ^ c, 63)
    return a, b, c, d


@inner_kernel
def _compress(state, m, count, is_last):
    """The function F of the reference: mix one block into the state; ``count`` bytes so far."""
    v0, v1, v2, v3, v4, v5, v6, v7 = state[0], state[1], state[2], state[3], state[4], state[5], state[6], state[7]
    v8, v9, v10, v11 = _START[0], _START[1], _START[2], _START[3]
    v12, v13, v14, v15 = _START[4] ^ np.uint64(count), _START[5], _START[6], _START[7]
    if is_last:
        v14 = ~v14
    for step in range(12):
        s = _ORDER[step]
        v0, v4, v8, v12 = _mix(v0, v4, v8, v12, m[s[0]], m[s[1]])
        v1, v5, v9, v13 = _mix(v1, v5, v9, v13, m[s[2]], m[s[3]])
        v2, v6, v10, v14 = _mix(v2, v6, v10, v14, m[s[4]], m[s[5]])
        v3, v7, v11, v15 = _mix(v3, v7, v11, v15, m[s[6]], m[s[7]])
        v0, v5, v10, v15 = _mix(v0, v5, v10, v15, m[s[8]], m[s[9]])
        v1, v6, v11, v12 = _mix(v1, v6, v11, v12, m[s[10]], m[s[11]])
        v2, v7, v8, v13 = _mix(v2, v7, v8, v13, m[s[12]], m[s[13]])
        v3, v4, v9, v14 = _mix(v3, v4, v9, v14, m[s[14]], m[s[15]])
    state[0] ^= v0 ^ v8
    state[1] ^= v1 ^ v9
    state[2] ^= v2 ^ v10
    state[3] ^= v3 ^ v11
    state[4] ^= v4 ^ v12
    state[5] ^= v5 ^ v13
    state[6] ^= v6 ^ v14
    state[7] ^= v7 ^ v15


@inlined
def _begin(state):
    for at in range(8):
        state[at] = _START[at]
    state[0] ^= _PARAMETERS


@inlined
def _id_of(state):
    """The first 63 bits of the digest, big endian; never 0."""
    value = np.uint64(0)
    for step in range(_DIGEST_BYTES):
        value = value << np.uint64(8) | (state[0] >> np.uint64(8 * step)) & np.uint64(0xFF)
    return max(np.int64(value >> np.uint64(1)), np.int64(1))


@kernel
def _hash_rows(rows, ids):
    """Fill the id of each row of words."""
    words, state = np.empty(_BLOCK // 8, np.uint64), np.empty(8, np.uint64)
    for row in range(ids.size):
        _begin(state)
        for start in range(0, rows.shape[1], words.size):
            stop = min(start + words.size, rows.shape[1])
            for at in range(words.size):
                words[at] = rows[row, start + at] if start + at < stop else np.uint64(0)
            _compress(state, words, 8 * stop, stop == rows.shape[1])
        ids[row] = _id_of(state)


@kernel
def _hash_runs(prefix, data, offsets, block, words, ids):
    """Fill the id of each run of bytes behind the prefix; ``block`` and ``words`` are the same room to work in."""
    state = np.empty(8, np.uint64)
    for row in range(ids.size):
        start, size = offsets[row] - prefix.size, prefix.size + offsets[row + 1] - offsets[row]
        _begin(state)
        done = 0
        while True:
            taken = min(size - done, _BLOCK)
            for at in range(taken):
                place = done + at
                block[at] = prefix[place] if place < prefix.size else data[start + place]
            for at in range(taken, _BLOCK):
                block[at] = 0
            done += taken
            _compress(state, words, done, done == size)
            if done == size:
                break
        ids[row] = _id_of(state)
