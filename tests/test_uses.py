"""What is read as numbers and named once is what the queries of text say."""

import contextlib
import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import linkage as lk
from linkage.errors import StoreError
from linkage.store.inputs import hash_rows
from linkage.store.names import read_account_names, read_names
from linkage.store.store import Database
from linkage.store.uses import count_template_uses, read_hours, read_uses
from linkage.terms import HOURS, TEMPLATE_USES, TEXT, USES, make_frame


def windows(store: lk.Store) -> list[dict[str, int]]:
    """All days, the days of the published run but its first two, and none."""
    days = store.run._days
    return [
        {"since_day": 0, "until_day": 30_000},
        {"since_day": days["since_day"] + 2, "until_day": days["until_day"] - 1},
        {"since_day": 0, "until_day": 1},
    ]


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("is_settled", [False, True])
def test_uses_and_hours_as_numbers_are_those_of_the_queries(planted: lk.Store, number: int, is_settled: bool) -> None:
    database, days = planted._database, windows(planted)[number]
    names = read_account_names(database)
    with database.settled() if is_settled else contextlib.nullcontext():
        found = read_uses(database, accounts=names, **days), read_hours(database, accounts=names, **days)
    queries = (("account_uses", USES), ("account_hours", HOURS))
    for made, (query, shape) in zip(found, queries, strict=True):
        wanted = database.frame(query, shape, **days)
        texts = [name for name in ("account_id", "kind", "value") if name in made]
        assert all(made[name].cat.categories.is_monotonic_increasing for name in texts)
        pd.testing.assert_frame_equal(made.astype(dict.fromkeys(texts, TEXT)), wanted)
        assert hash_rows(made) == hash_rows(wanted)


@pytest.mark.parametrize("is_settled", [False, True])
def test_numbers_are_the_rows_of_their_query(
    planted: lk.Store, is_settled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("linkage.store.store._PART_ROWS", 7)
    database: Database = planted._database
    days = {"since_day": 0, "until_day": 30_000}
    with database.settled() if is_settled else contextlib.nullcontext():
        parts = list(database.numbers("window_hours", **days))
    assert {len(part) for part in parts[:-1]} == {7}
    assert np.concatenate(parts).tolist() == database.query("window_hours", **days).to_numpy().tolist()


@pytest.mark.parametrize("is_settled", [False, True])
@pytest.mark.parametrize("room", [1, 64])
def test_texts_and_blobs_behind_numbers_are_those_of_their_query(
    planted: lk.Store, is_settled: bool, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("linkage.store.store._PART_ROWS", 7)
    monkeypatch.setattr("linkage.store.stepping._ROOM", room)
    database: Database = planted._database
    days = {"since_day": 0, "until_day": 30_000}
    for name, known in (("entity_names", {}), ("account_works", days), ("account_works", {**days, "until_day": 1})):
        found: list[tuple[object, ...]] = []
        with database.settled() if is_settled else contextlib.nullcontext():
            for numbers, ends, data in database.packed(name, **known):
                starts = np.append(0, ends)
                told = [data[first:end].tobytes() for first, end in itertools.pairwise(starts)]
                found += [(*row, value) for row, value in zip(numbers.tolist(), told, strict=True)]
        wanted = database.query(name, **known).itertuples(index=False, name=None)
        assert found == [(*row, last.encode() if isinstance(last, str) else last) for *row, last in wanted]


@pytest.mark.parametrize("is_settled", [False, True])
def test_a_name_that_is_no_text_is_told(tiny_store: lk.Store, is_settled: bool) -> None:
    database: Database = tiny_store._database
    database.connection.execute("insert into entity (id, kind, value) values (1, 'ip', cast(x'ff41' as text))")
    with database.settled() if is_settled else contextlib.nullcontext(), pytest.raises(StoreError, match="UTF"):
        read_names(database, "entity_names")


@pytest.mark.parametrize("number", range(3))
def test_uses_of_templates_are_counted_as_the_query_counts_them(planted: lk.Store, number: int) -> None:
    database, days = planted._database, windows(planted)[number]
    uses = read_uses(database, accounts=read_account_names(database), **days)
    names = json.dumps(planted.templates["template_id"].tolist())
    wanted = database.frame("template_uses", TEMPLATE_USES, template_ids=names, **days)
    assert wanted.empty == (number == 2)
    for told in (uses, database.frame("account_uses", USES, **days)):  # categories, and plain text
        pd.testing.assert_frame_equal(count_template_uses(told), wanted)
    assert count_template_uses(make_frame(USES)).empty


def test_a_run_keeps_how_the_templates_of_its_clusters_are_used(tiny_store: lk.Store, tmp_path: Path) -> None:
    run, connection = lk.rebuild(tiny_store), tiny_store._database.connection
    [cluster_id] = run.clusters["cluster_id"]
    counted, told = tiny_store.query("run_templates", run_id=run.run_id), run.cluster(cluster_id).templates
    assert not told.empty
    assert sorted(told["template_id"]) == counted["template_id"].tolist()
    run.report(tmp_path / "report")
    connection.execute("delete from template_use")  # as a run of an earlier version
    pd.testing.assert_frame_equal(tiny_store.run.cluster(cluster_id).templates, told)
    assert tiny_store.verify(tmp_path / "report").is_true
    connection.execute("insert into template_use values (?, ?, 7, 3, 0, 1)", (run.run_id, told["template_id"].iloc[0]))
    assert tiny_store.run.cluster(cluster_id).templates.loc[0, ["requests", "accounts"]].tolist() == [7, 3]
