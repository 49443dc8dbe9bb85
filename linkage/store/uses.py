"""What accounts used, and when they were at work, in a window: numbers of the rollups, named once.

There are as many uses as twenty for every account, and each name is read once and stands in them as a category: 33
bytes a row instead of four times as many, and no table of uses is sorted by text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from linkage.arrays import Ints, Small
from linkage.coding import rows_by_code, text_codes
from linkage.kernels import inner_kernel, kernel
from linkage.memory import give_back, join_parts
from linkage.sorting import order_of
from linkage.store.names import AccountNames, Names, read_names
from linkage.store.store import Database, utc_times
from linkage.terms import HOUR_MS, HOURS, TEMPLATE_USES, TEXT, USES, check_frame, make_frame

_NEVER: Final = np.iinfo(np.int64).max
_FEW_ROWS: Final = 64
_NO_HOURS: Final = np.empty((0, 4), dtype=np.int64)


def read_uses(database: Database, *, accounts: AccountNames, since_day: int, until_day: int) -> pd.DataFrame:
    """Which account used which entity in a window of whole UTC days, how often and when: the query ``account_uses``.

    Parameters
    ----------
    accounts : all of the store.
    since_day, until_day : days since the epoch, since inclusive, until exclusive.

    Returns
    -------
    DataFrame of shape ``USES``, by account, kind and value, whose texts are categories in the order of their text.
    O(uses log uses).
    """
    entity, values = read_names(database, "entity_names")
    kinds = database.query("entity_kinds")
    days = {"since_day": since_day, "until_day": until_day}
    gathered = _gather_uses(database, accounts.numbers, entity, days)
    kind_code = np.repeat(np.arange(len(kinds), dtype=np.int8), kinds["entities"])
    value_code, value_names = pd.factorize(values, sort=True)
    give_back(accounts=len(accounts.ids))  # what texts took while they were sorted: a gigabyte at a million accounts
    columns = {
        "account_id": pd.Categorical.from_codes(gathered.account, accounts.ids),
        "kind": pd.Categorical.from_codes(kind_code[gathered.place], pd.Index(list(kinds["kind"]), dtype=TEXT)),
        "value": pd.Categorical.from_codes(value_code[gathered.place].astype(np.int32), value_names),
        "request_count": gathered.request_count,
        "first_at": utc_times(gathered.first_ms),
        "last_at": utc_times(gathered.last_ms),
    }
    return check_frame(pd.DataFrame(columns, copy=False), USES, name="uses")


def read_hours(database: Database, *, accounts: AccountNames, since_day: int, until_day: int) -> pd.DataFrame:
    """In which clock hours of a window each account was at work: the query ``account_hours``.

    Parameters
    ----------
    accounts, since_day, until_day : as for :func:`read_uses`.

    Returns
    -------
    DataFrame of shape ``HOURS``, by account and hour; ids are categories. O(hours log hours).
    """
    names = Names(accounts.numbers)
    parts = [_NO_HOURS]
    for part in database.numbers("window_hours", since_day=since_day, until_day=until_day):
        part[:, 0] = names.places(part[:, 0])
        parts.append(part)
    rows = np.concatenate(parts)
    del parts
    order = np.argsort(rows[:, 0], kind="stable")
    columns = {
        "account_id": pd.Categorical.from_codes(rows[order, 0].astype(np.int32), accounts.ids),
        "hour_at": utc_times(rows[order, 1] * HOUR_MS),
        "request_count": rows[order, 2],
        "limited_count": rows[order, 3],
    }
    return check_frame(pd.DataFrame(columns, copy=False), HOURS, name="hours")


def count_template_uses(uses: pd.DataFrame) -> pd.DataFrame:
    """How each template is used, by all accounts together: what the query ``template_uses`` tells of one.

    Parameters
    ----------
    uses : ``USES``, one row per account, kind and value.

    Returns
    -------
    DataFrame of shape ``TEMPLATE_USES``, by template. O(uses).
    """
    rows = uses[uses["kind"] == "template"]
    code, names = text_codes(rows["value"])
    place, used = pd.factorize(code, sort=True)
    requests, firsts, lasts = np.zeros(len(used), dtype=np.int64), np.full(len(used), _NEVER), np.full(len(used), -1)
    np.add.at(requests, place, rows["request_count"].to_numpy())
    np.minimum.at(firsts, place, rows["first_at"].astype("int64").to_numpy())
    np.maximum.at(lasts, place, rows["last_at"].astype("int64").to_numpy())
    columns = {
        "template_id": names[used],
        "requests": requests,
        "accounts": np.bincount(place, minlength=len(used)),
        "first_at": utc_times(firsts),
        "last_at": utc_times(lasts),
    }
    return make_frame(TEMPLATE_USES, columns)


class _Uses(NamedTuple):
    """Uses as columns."""

    account: Small
    """Place of the account among those of the store."""
    place: Small
    """Place of the entity among their names."""
    request_count: Ints
    first_ms: Ints
    last_ms: Ints


def _gather_uses(database: Database, numbers: Ints, entity: Ints, days: dict[str, int]) -> _Uses:
    """Uses by account and entity, one row for each."""
    names, entities = Names(numbers), Names(entity)
    parent_of = _parents(database, entities, len(entity))
    columns: list[list[Any]] = [[np.empty(0, dtype)] for dtype in (np.int32, np.int32, np.int64, np.int64, np.int64)]

    def add(account: Ints, place: Ints, rows: Ints) -> None:
        for column, part in zip(columns, (account.astype(np.int32), place.astype(np.int32), *rows.T), strict=True):
            column.append(part.copy())

    for part in database.numbers("window_uses", **days):
        rows = part[: _join_days(part)]
        account, place = names.places(rows[:, 0]), entities.places(rows[:, 1])
        add(account, place, rows[:, 2:])
        parent = parent_of[place]
        add(account[parent >= 0], parent[parent >= 0], rows[parent >= 0, 2:])
    for account, place, rows in _declared(database, names, entities, len(numbers), days):
        add(account, place, rows)
    known = _Uses._make(join_parts(column) for column in columns)
    give_back()  # what the parts were
    merged = _Uses._make(np.empty_like(column) for column in known)
    end = _merge_uses(*rows_by_code(known.account, count=len(numbers)), known, merged)
    return _Uses._make(column[:end] for column in merged)


def _declared(
    database: Database, names: Names, entities: Names, accounts: int, days: dict[str, int]
) -> Iterator[tuple[Ints, Ints, Ints]]:
    """What records of accounts at work name: places of account and entity, with no request in the account's time."""
    spans = np.full((accounts, 3), -1)
    for part in database.numbers("account_spans", **days):
        spans[names.places(part[:, 0])] = part * [0, 1, 1]
    for part in database.numbers("declared_values"):
        account = names.places(part[:, 1])
        for value in part[:, 2:].T:
            known = (value >= 0) & (account >= 0) & (spans[account, 0] == 0)
            yield account[known], entities.places(value[known]), spans[account[known]]


@kernel
def _join_days(rows: Ints) -> int:
    """Make one row of neighbours of one account and entity, in place: how many there are then."""
    end = 0
    for row in range(len(rows)):
        if end and rows[row, 0] == rows[end - 1, 0] and rows[row, 1] == rows[end - 1, 1]:
            rows[end - 1, 2] += rows[row, 2]
            rows[end - 1, 3] = min(rows[end - 1, 3], rows[row, 3])
            rows[end - 1, 4] = max(rows[end - 1, 4], rows[row, 4])
        else:
            for column in range(rows.shape[1]):
                rows[end, column] = rows[row, column]
            end += 1
    return end


@inner_kernel
def _sort_by(keys: Any, rows: Any) -> None:
    """Put rows in the order of their keys, in place; most accounts have too few to be worth a sort that divides."""
    if len(rows) > _FEW_ROWS:
        held, before = np.empty(len(rows), np.int64), rows.copy()
        for at in range(len(rows)):
            held[at] = keys[rows[at]]
        for at, place in enumerate(order_of(held)):
            rows[at] = before[place]
        return
    for end in range(1, len(rows)):
        row, place = rows[end], end
        while place and keys[rows[place - 1]] > keys[row]:
            rows[place] = rows[place - 1]
            place -= 1
        rows[place] = row


@kernel
def _merge_uses(start: Ints, rows: Small, known: _Uses, merged: _Uses) -> int:
    """Put the uses of each account in the order of the entity, one row for each, into ``merged``: how many there are.

    Parameters
    ----------
    start, rows : as from :func:`linkage.coding.rows_by_code` of the accounts.
    """
    end = 0
    for number in range(len(start) - 1):
        own = rows[start[number] : start[number + 1]]
        _sort_by(known.place, own)
        begin = end
        for row in own:
            count, first_ms, last_ms = known.request_count[row], known.first_ms[row], known.last_ms[row]
            if end > begin and merged.place[end - 1] == known.place[row]:
                merged.request_count[end - 1] += count
                merged.first_ms[end - 1] = min(merged.first_ms[end - 1], first_ms)
                merged.last_ms[end - 1] = max(merged.last_ms[end - 1], last_ms)
                continue
            merged.account[end], merged.place[end] = number, known.place[row]
            merged.request_count[end], merged.first_ms[end], merged.last_ms[end] = count, first_ms, last_ms
            end += 1
    return end


def _parents(database: Database, entities: Names, total: int) -> Ints:
    """Per place of an entity that of the family it belongs to, -1 for none."""
    result = np.full(total, -1, dtype=np.int64)
    for rows in database.numbers("entity_parents"):
        result[entities.places(rows[:, 0])] = entities.places(rows[:, 1])
    return result
