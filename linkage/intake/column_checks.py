"""Checks of whole columns: the same outcome as reading value by value, for canonical records that came as columns.

Values that a vector test cannot vouch for are read by the one reader of that field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from linkage.intake.json_columns import contract_codes
from linkage.intake.values import (
    ABSENT_TEXTS,
    FIRST_TIME_US,
    LAST_TIME_US,
    NO_CLIENT_V4,
    PLAIN_V4,
    RAW_KEY,
    Fault,
    Reader,
    Repaired,
    read_present,
)

_PLAIN_TIME: Final = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$"
_UNFIT_FOR_IDS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]").pattern
_LONGEST_ABSENT: Final = max(map(len, ABSENT_TEXTS))


class CheckedColumn(NamedTuple):
    """One field of a batch after reading."""

    values: Any
    """Arrow array of canonical values; null where absent or not usable."""
    reasons: Mapping[int, str]
    """Row to why its value could not be used or was repaired."""


def check_times(texts: Any, read: Reader) -> CheckedColumn:
    """Times as UTC microseconds (int64); see :func:`linkage.intake.values.read_time`."""
    if texts.null_count == 0 and pc.all(pc.match_substring_regex(texts, _PLAIN_TIME)).as_py():
        try:
            micros = texts.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
        except pa.ArrowInvalid:
            return check_texts(texts, read, pa.int64())
        span = pc.min_max(micros)
        if span["min"].as_py() >= FIRST_TIME_US and span["max"].as_py() < LAST_TIME_US:
            return CheckedColumn(micros, {})
    return check_texts(texts, read, pa.int64())


def check_ids(texts: Any, read: Reader, *, longest: int) -> CheckedColumn:
    """Opaque ids, kept as they came; ``longest`` is their limit in characters."""
    unfit = pc.or_(
        pc.match_substring_regex(texts, _UNFIT_FOR_IDS), pc.greater(pc.utf8_length(texts), pa.scalar(longest))
    )
    if pc.any(pc.fill_null(pc.or_(unfit, _may_be_absent(texts)), False)).as_py():
        return check_texts(texts, read, pa.string())
    return CheckedColumn(texts, {})


def check_keys(texts: Any, read: Reader, *, longest: int) -> CheckedColumn:
    """Ids of API keys: opaque ids, none of them a raw key."""
    if pc.any(pc.match_substring_regex(texts, RAW_KEY)).as_py():
        return check_texts(texts, read, pa.string())
    return check_ids(texts, read, longest=longest)


def check_addresses(texts: Any, read: Reader) -> CheckedColumn:
    """Addresses of clients; those that are no plain IPv4 address are read each."""
    is_plain = pc.and_not(pc.match_substring_regex(texts, PLAIN_V4), pc.match_substring_regex(texts, NO_CLIENT_V4))
    rows = np.flatnonzero(~np.asarray(is_plain.fill_null(True).to_numpy(zero_copy_only=False), dtype=bool))
    if not len(rows):
        return CheckedColumn(texts, {})
    found = check_texts(texts.take(pa.array(rows)), read, pa.string())
    is_read = np.zeros(len(texts), bool)
    is_read[rows] = True
    reasons = {int(rows[at]): reason for at, reason in found.reasons.items()}
    return CheckedColumn(pc.replace_with_mask(texts, pa.array(is_read), found.values), reasons)


def check_prompts(texts: Any, read: Reader) -> CheckedColumn:
    """Prompt texts of any length."""
    if _holds_nul(texts) or pc.any(pc.fill_null(_may_be_absent(texts), False)).as_py():
        return check_texts(texts, read, pa.large_string())
    return CheckedColumn(texts.cast(pa.large_string()), {})


def check_texts(values: Any, read: Reader, kind: Any) -> CheckedColumn:
    """Any column, each distinct value read once.

    Parameters
    ----------
    values : Arrow array of texts or numbers.
    read : reader of one present value.
    kind : Arrow type of what it returns.
    """
    encoded = values.dictionary_encode()
    results = [read_present(value, read) for value in encoded.dictionary.to_pylist()]
    return _spread(results, encoded.indices, kind)


def check_numbers(numbers: Any, read: Reader, *, most: float) -> CheckedColumn:
    """Numbers from 0 to ``most``; others are read one by one for their reason."""
    span = pc.min_max(numbers)
    if span["min"].as_py() is None or (span["min"].as_py() >= 0 and span["max"].as_py() <= most):
        return CheckedColumn(numbers, {})
    return check_texts(numbers, read, numbers.type)


def check_contracts(params: Any, read: Reader) -> CheckedColumn:
    """Canonical text of the request contract in a struct column (or a column of JSON texts)."""
    if not pa.types.is_struct(params.type):
        return check_texts(params.cast(pa.string()), read, pa.string())
    codes, rows = contract_codes(params)
    results = [read_present(value, read) for value in params.take(pa.array(rows)).to_pylist()]
    return _spread(results, pa.array(codes), pa.string())


def _holds_nul(texts: Any) -> bool:
    """Whether there is a NUL in any text of an Arrow array; looking through its bytes is quicker than text by text."""
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return data is not None and not np.frombuffer(data, np.uint8)[ends[0] : ends[-1]].all()


def _may_be_absent(texts: Any) -> Any:
    """Whether each text may mean "no value": a short one, or nothing but white space."""
    return pc.or_(
        pc.less_equal(pc.utf8_length(texts), pa.scalar(_LONGEST_ABSENT)),
        pc.or_(pc.utf8_is_space(texts), pc.ascii_is_space(texts)),
    )


def _spread(results: list[Any], codes: Any, kind: Any) -> CheckedColumn:
    """What was read of distinct values, for every row that has them."""
    plain = [
        None if isinstance(result, Fault) else result.value if isinstance(result, Repaired) else result
        for result in results
    ]
    values = pc.take(pa.array(plain, type=kind), codes)
    told = {code: result.reason for code, result in enumerate(results) if isinstance(result, Fault | Repaired)}
    if not told:
        return CheckedColumn(values, {})
    rows = enumerate(codes.to_pylist())
    return CheckedColumn(values, {row: told[code] for row, code in rows if code in told})
