"""The graph as a Parquet table."""

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

import linkage as lk
from linkage.outputs.parquet import GRAPH_ROWS, write_parquet
from linkage.terms import ACCOUNTS, MEMBERS, USES, make_frame

AT = pd.Timestamp("2026-11-06", tz="UTC")


def test_every_account_is_in_the_table_and_what_it_uses(planted: lk.Store, tmp_path: Path) -> None:
    run = planted.run
    rows = pd.read_parquet(run.export(tmp_path / "g.parquet", format="parquet"))
    assert {name: str(dtype) for name, dtype in rows.dtypes.items()} == GRAPH_ROWS
    assert rows["account_id"].nunique() == run.counts["accounts"]
    graph = run._graph(personal_data=False)
    edges = {(a, b) if graph.nodes[a]["kind"] == "account" else (b, a) for a, b in graph.edges}
    shown = rows[rows["kind"].isin(["ip", "payment", "template"])]
    assert {(row.account_id, f"{row.kind}:{row.value}") for row in shown.itertuples()} == edges
    members = rows.dropna(subset="cluster_id").drop_duplicates("account_id")
    assert len(members) == run.counts["members"]


def test_the_file_says_of_which_run_it_is_and_whether_personal_data_is_in_it(planted: lk.Store, tmp_path: Path) -> None:
    for personal in (False, True):
        path = planted.run.export(tmp_path / "g.parquet", format="parquet", personal_data=personal)
        told = json.loads(pq.read_schema(path).metadata[b"linkage"])
        assert told == {"include_personal_data": personal, "run_id": planted.run.run_id}
        values = pd.read_parquet(path).query("kind == 'ip'")["value"]
        assert values.str.contains("/").all() != personal


def test_an_account_that_uses_nothing_has_one_row_and_an_empty_graph_is_a_file(tmp_path: Path) -> None:
    accounts = make_frame(
        ACCOUNTS, {"account_id": ["=a\u202e"], "request_count": [3], "first_at": [AT], "last_at": [AT]}
    )
    path = write_parquet(make_frame(USES), accounts, make_frame(MEMBERS), out=tmp_path / "g", about={})
    [row] = pd.read_parquet(path).to_dict("records")
    assert (row["account_id"], row["account_request_count"], row["request_count"]) == ("=a\u202e", 3, 0)
    assert pd.isna(row["kind"])
    empty = write_parquet(make_frame(USES), make_frame(ACCOUNTS), make_frame(MEMBERS), out=tmp_path / "g", about={})
    assert pd.read_parquet(empty).empty


def test_the_same_run_gives_the_same_bytes(planted: lk.Store, tmp_path: Path) -> None:
    first = planted.run.export(tmp_path / "a", format="parquet").read_bytes()
    assert planted.run.export(tmp_path / "b", format="parquet").read_bytes() == first
