"""Profiles and conduct that are read as numbers are those of the queries of text."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from test_uses import windows

import linkage as lk
from linkage.store.inputs import hash_rows
from linkage.store.names import Names, read_account_names
from linkage.store.profiles import read_profiles
from linkage.store.store import Database
from linkage.store.uses import read_hours
from linkage.terms import ACCOUNTS, CONDUCT


def check_profiles(database: Database, days: dict[str, int]) -> pd.DataFrame:
    """The profiles in a window, once they and conduct are known to be those of the queries, to the last bit."""
    names = read_account_names(database)
    found = read_profiles(database, accounts=names, hours=read_hours(database, accounts=names, **days), **days)
    for made, (query, shape) in zip(found, (("account_profiles", ACCOUNTS), ("account_conduct", CONDUCT)), strict=True):
        wanted = database.frame(query, shape, **days)
        pd.testing.assert_frame_equal(made, wanted)
        assert hash_rows(made) == hash_rows(wanted)
    return found[0]


@pytest.mark.parametrize("number", range(3))
def test_profiles_as_numbers_are_those_of_the_queries(planted: lk.Store, number: int) -> None:
    days = windows(planted)[number]
    assert check_profiles(planted._database, days).empty == (number == 2)


def test_of_several_records_and_of_none_the_same_is_told(tiny_store: lk.Store) -> None:
    database, days = tiny_store._database, {"since_day": 0, "until_day": 30_000}
    connection = database.connection
    [first, second, *_] = [row[0] for row in connection.execute("select id from account order by value")]
    for number, (kind, value) in enumerate((("organization", "ä"), ("organization", "a"), ("email_domain", "a")), 7):
        connection.execute("insert into entity (id, kind, value) values (?, ?, ?)", (number, kind, value))
    connection.execute("delete from account_record where account_id in (?, ?)", (first, second))
    add = "insert into account_record values (?, ?, ?, ?, null, ?, ?, ?)"
    connection.executemany(add, [(1, first, 7, None, 5, "b", None), (2, first, 8, 9, None, "a", "pro")])
    day = connection.execute("select min(day) from account_day where account_id = ?", (second,)).fetchone()[0]
    connection.execute("insert into entity_use values (?, 8, ?, 1, 0, 1)", (second, day))
    profiles = check_profiles(database, days)
    assert profiles.loc[0, ["organization_id", "email_domain", "country", "plan"]].tolist() == ["ä", "a", "b", "pro"]
    assert profiles.loc[0, "created_at"] == pd.Timestamp(5, unit="ms", tz="UTC")
    assert profiles.loc[1, "organization_id"] == "a"
    assert profiles.loc[1, ["created_at", "country"]].isna().all()


@pytest.mark.parametrize("ids", [[], [0], [3, 2, 2**62, 2**63 - 1], list(range(40)), [2**40 + 5, 2**40 + 4, 1]])
def test_numbers_find_their_places(ids: list[int]) -> None:
    asked = [*ids, -1, 1, 2**63 - 2, *(number + 1 for number in ids if number < 2**63 - 1)]
    wanted = [ids.index(number) if number in ids else -1 for number in asked]
    assert Names(np.array(ids, np.int64)).places(np.array(asked, np.int64)).tolist() == wanted
