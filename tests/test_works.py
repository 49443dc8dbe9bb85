"""Work of accounts by template: packed, read back and joined by family."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from linkage.store import facts
from linkage.store.entities import add_entities
from linkage.store.names import read_account_names
from linkage.store.store import Database
from linkage.store.works import pack_works, read_works
from linkage.terms import WORKS, make_frame


def ints(*values: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(values, dtype=np.int64)


def filled(path: Path) -> Database:
    """Accounts a, b and c; templates 5 and 6 of family 9, template 7 without one, and 8 that only c has."""
    database = Database(path)
    with database.writing(), database.transaction("fill") as connection:
        add_entities(connection, {"account": pa.table({"id": [3, 2, 1], "value": ["a", "b", "c"]})})
        facts.add_templates(connection, [(each, f"t-{each}", "", 0) for each in (5, 6, 7, 8)])
        facts.tie_templates(connection, [(5, None, 9, None), (6, None, 9, None)])
        facts.add_template_entities(connection, {9: "f-9"})
        columns = [
            ints(5, 6, 7, 5, 6, 8),
            ints(2, 1, 4, 1, 2, 1),
            ints(2, 0, 4, 1, 2, 1),
            ints(10, 0, 30, 5, 7, 9),
            ints(1, 2, 4, 8, 1, 1),
        ]
        blobs = pack_works(ints(0, 3, 3, 4, 6), columns)
        assert blobs[1] == b""
        facts.add_work_days(connection, np.array([(3, 1), (2, 1), (1, 2)]), [blobs[0], *blobs[2:]])
    return database


def works(database: Database, *, since_day: int = 0, until_day: int = 9) -> pd.DataFrame:
    return read_works(database, accounts=read_account_names(database), since_day=since_day, until_day=until_day)


def test_templates_of_a_family_are_one_work_and_what_one_account_has_alone_is_left_out(tmp_path: Path) -> None:
    with filled(tmp_path / "s.db") as database:
        found = works(database)
    rows = [
        tuple(row) for row in found.astype({"account_id": "str", "kind": "str", "work": "str"}).itertuples(index=False)
    ]
    assert rows == [
        ("a", 1, "template_family", "f-9", 3, 2, 10, 3),
        ("b", 1, "template_family", "f-9", 1, 1, 5, 8),
        ("c", 2, "template_family", "f-9", 2, 2, 7, 1),
    ]


def test_only_days_of_the_window_count(tmp_path: Path) -> None:
    with filled(tmp_path / "s.db") as database:
        assert works(database, until_day=2)["account_id"].tolist() == ["a", "b"]
        pd.testing.assert_frame_equal(works(database, since_day=5), make_frame(WORKS))
        assert works(database, since_day=2).empty  # then nobody shares c's work


def test_an_empty_store_has_no_works(tmp_path: Path) -> None:
    with Database(tmp_path / "s.db") as database:
        pd.testing.assert_frame_equal(works(database), make_frame(WORKS))
