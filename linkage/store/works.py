"""Work of accounts by template, one packed row per account and day: a few templates are one blob instead of rows.

A blob holds one record per template, little endian: its id (int64), the sum of the natural log of its output tokens and
one, in millionths (int64), its requests, those whose output length is known, and the hours with one of them (int32
each; bit 0 is the first hour of the UTC day).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.arrays import Ints
from linkage.coding import count_distinct, rows_by_code, run_starts
from linkage.store.names import AccountNames, Names
from linkage.store.store import Database
from linkage.terms import TEXT, WORKS, check_frame, make_frame

_RECORD: Final = np.dtype(
    [("template", "<i8"), ("micros", "<i8"), ("requests", "<i4"), ("outputs", "<i4"), ("hours", "<i4")]
)
_PACKED: Final = ("template", "requests", "outputs", "micros", "hours")


def pack_works(starts: Ints, columns: Sequence[Ints]) -> list[bytearray]:
    """The blobs of several accounts and days, empty ones where there is no template.

    Parameters
    ----------
    starts : where each begins, and the end.
    columns : template ids (ascending in each), requests, requests with an output length, the sum of ln(1 + tokens) in
        millionths, and hours as bits.

    Examples
    --------
    >>> columns = [np.array(column) for column in ([5, 5], [1, 3], [1, 2], [100, 250], [1, 6])]
    >>> unpack_works(pack_works(np.array([0, 1, 1, 2]), columns)[2]).tolist()
    [(5, 250, 3, 2, 6)]
    """
    records = np.empty(len(columns[0]), _RECORD)
    for name, column in zip(_PACKED, columns, strict=True):
        records[name] = column
    whole, edges = bytearray(records.tobytes()), (starts * _RECORD.itemsize).tolist()
    return [whole[begin:end] for begin, end in itertools.pairwise(edges)]


def unpack_works(blob: bytes | npt.NDArray[np.uint8]) -> Any:
    """The records of one blob or of several that are joined; see :func:`pack_works`."""
    return np.frombuffer(blob, _RECORD)


def read_works(database: Database, *, accounts: AccountNames, since_day: int, until_day: int) -> pd.DataFrame:
    """What accounts did in each work they share with others, by day: the query ``account_works``.

    A work is a family of templates, or a template that has none. Work of one account alone is left out: it is nobody's
    slice of anything.

    Parameters
    ----------
    accounts : all of the store.
    since_day, until_day : days since the epoch, since inclusive, until exclusive.

    Returns
    -------
    DataFrame of shape ``WORKS``, by account, day and work; texts are categories. O(rows); memory about 150
    bytes a row of an account, day and template.
    """
    names = Names(accounts.numbers)
    owners, days, parts = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, _RECORD)]
    for numbers, ends, data in database.packed("account_works", since_day=since_day, until_day=until_day):
        sizes = np.diff(ends, prepend=0) // _RECORD.itemsize
        owners.append(np.repeat(names.places(numbers[:, 0]), sizes))
        days.append(np.repeat(numbers[:, 1], sizes))
        parts.append(unpack_works(data))
    owner, day, records = np.concatenate(owners), np.concatenate(days), np.concatenate(parts)
    del owners, days, parts
    table = _work_names(database)
    ids = table["id"].to_numpy(dtype=np.int64)
    place = np.searchsorted(ids, records["template"])
    known = np.append(ids, -1)[place] == records["template"]
    if not known.any():
        return make_frame(WORKS)
    work = table["number"].to_numpy(dtype=np.int64)[place[known]]
    owner, day, records = owner[known], day[known], records[known]
    shared = _is_shared(owner, work)
    names_of = table.drop_duplicates("number").sort_values("number")
    return _frame(accounts.ids, names_of, owner[shared], day[shared], work[shared], records[shared])


def _work_names(database: Database) -> pd.DataFrame:
    """Ids of all templates, ascending, with the kind and name of the work each is, and its place among the names."""
    parts = [pd.DataFrame({"id": np.empty(0, np.int64), "kind": [], "work": []})]
    parts += [
        pd.DataFrame({name: list(column) for name, column in part.items()}) for part in database.parts("work_names")
    ]
    table = pd.concat(parts, ignore_index=True).astype({"id": np.int64, "kind": TEXT, "work": TEXT})
    return table.assign(number=pd.factorize(table["work"], sort=True)[0])


def _is_shared(owner: Ints, work: Ints) -> npt.NDArray[np.bool_]:
    """Whether the work of each row is that of another account, too."""
    return np.asarray(count_distinct(owner, work, groups=int(work.max()) + 1)[work] > 1)


def _frame(
    accounts: pd.Index[str], names: pd.DataFrame, owner: Ints, day: Ints, work: Ints, records: Any
) -> pd.DataFrame:
    """Rows of one account, day and work as one: counts added up, hours joined."""
    order = np.arange(len(owner))
    for code in (work, day - day.min(initial=0), owner):
        order = order[rows_by_code(code[order], count=int(code.max(initial=-1)) + 1)[1]]
    owner, day, work, records = owner[order], day[order], work[order], records[order]
    starts = run_starts(owner, day, work)
    if not len(starts):
        return make_frame(WORKS)
    total = {
        name: np.add.reduceat(records[name].astype(np.int64), starts) for name in ("requests", "outputs", "micros")
    }
    kinds, kind_names = pd.factorize(names["kind"], sort=True)
    columns = {
        "account_id": pd.Categorical.from_codes(owner[starts].astype(np.int32), accounts),
        "day": day[starts],
        "kind": pd.Categorical.from_codes(kinds[work[starts]], kind_names),
        "work": pd.Categorical.from_codes(work[starts].astype(np.int32), pd.Index(names["work"], dtype=TEXT)),
        "request_count": total["requests"],
        "output_count": total["outputs"],
        "log_output_micros": total["micros"],
        "hours": np.bitwise_or.reduceat(records["hours"].astype(np.int64), starts),
    }
    return check_frame(pd.DataFrame(columns, copy=False), WORKS, name="works")
