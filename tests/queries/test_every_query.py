"""Every named query: its header tells the truth, its order has no ties, its plan uses the indexes it names."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

import linkage as lk
from linkage.store.queries import load_query, query_names

BY_NUMBER = ("account_facts", "values_of_some")
"""Queries that are told accounts by their numbers."""

FAN_OUT = re.compile(r"\bjoin\s+entity_use\b.*\bjoin\s+entity_use\b", re.DOTALL)
Values = dict[str, int | float | str]


@pytest.fixture(scope="module")
def known(planted_path: Path) -> Values:
    """A value for each parameter that any query names."""
    with lk.open_store(planted_path, create=False) as store:
        run = store.run
        cluster_id = str(run.clusters["cluster_id"].iloc[0])
        return {
            "run_id": run.run_id,
            "cluster_id": cluster_id,
            "account_id": run.members["account_id"].iloc[0],
            "accounts": json.dumps(run.members["account_id"].tolist()),
            **run._days,
            "template_id": store.templates["template_id"].iloc[0],
            "text": "acct",
            "template_ids": json.dumps(store.templates["template_id"].tolist()),
            "max_accounts": 30,
            "max_models": 20,
            "min_share": 0.5,
            "overlap_ms": 172_800_000,
            "as_of_ms": 2**62,
            "until_ms": 2**62,
            "names": json.dumps(store.templates["template_id"].tolist()),
            **_looked_up(store),
        }


def _looked_up(store: lk.Store) -> Values:
    """What is asked of one account and of what it uses."""
    run = store.run
    work = store.query("account_window", account_id=str(run.members["account_id"].iloc[0]), **run._days)
    number = int(work["number"].iloc[0])
    uses = store.query("account_values", number=number, **run._days)
    declared = store.query("account_declared", number=number)
    created_ms = int(work["first_at"].iloc[0].timestamp() * 1000)
    return {
        "number": number,
        "families": json.dumps(uses.loc[uses["family"] >= 0, "family"].tolist()),
        "parts": json.dumps(uses[["entity", "entity"]].to_numpy().tolist()),
        "payments": json.dumps(declared.loc[declared["kind"] == "payment", "entity"].tolist()),
        "domain": int(declared.loc[declared["kind"] == "email_domain", "entity"].iloc[0]),
        "near_since_ms": created_ms - 3 * 86_400_000,
        "near_until_ms": created_ms,
        "wide_since_ms": created_ms - 90 * 86_400_000,
        "wide_until_ms": created_ms,
        "max_uses": 1_000,
        "max_rows": 1_000,
    }


@pytest.fixture(scope="module")
def shared_uses(planted_path: Path, known: Values) -> pd.DataFrame:
    """Two uses of values that members of the first cluster share."""
    with lk.open_store(planted_path, create=False) as store:
        uses = store.query("cluster_uses", run_id=known["run_id"], cluster_id=known["cluster_id"])
    return uses.drop_duplicates("value_number").head(2)


@pytest.fixture
def values(name: str, known: Values, shared_uses: pd.DataFrame) -> Values:
    """A value for each parameter that the query names; what is wanted are the shared uses, or their values."""
    wanted = shared_uses["value_number"] if name == "run_values" else shared_uses[["value_number", "number"]]
    told = {**known, "wanted": json.dumps(wanted.to_numpy().tolist())}
    if name in BY_NUMBER:
        told["accounts"] = json.dumps([known["number"]])
    return {parameter: told[parameter] for parameter in load_query(name).parameters}


@pytest.mark.parametrize("name", query_names())
def test_the_header_names_the_columns_that_come_back(planted: lk.Store, name: str, values: Values) -> None:
    cursor = planted._database.connection.execute(load_query(name).sql, values)
    assert tuple(column[0] for column in cursor.description) == load_query(name).columns


@pytest.mark.parametrize("name", query_names())
def test_two_readings_are_equal_and_no_two_rows_are(planted: lk.Store, name: str, values: Values) -> None:
    first = planted.query(name, **values)
    assert first.equals(planted.query(name, **values))
    assert not first.duplicated().any()


@pytest.mark.parametrize("name", query_names())
def test_the_header_is_whole(name: str) -> None:
    query = load_query(name)
    assert query.question.endswith("?")
    assert query.columns
    assert query.order
    assert query.indexes
    assert re.search(r"order by [^()]*$|order by case[^;]*$|order by count[^;]*$", query.sql), "ends with its order"
    assert "select *" not in query.sql


@pytest.mark.parametrize("name", query_names())
def test_the_plan_uses_the_indexes_the_header_names(planted: lk.Store, name: str, values: Values) -> None:
    query = load_query(name)
    rows = planted._database.connection.execute(f"explain query plan {query.sql}", values)
    plan = "\n".join(str(row[3]) for row in rows)
    promised = " ".join(query.indexes)
    for table in re.findall(r"(\w+)\(primary key\)", promised):
        assert "PRIMARY KEY" in plan or f"autoindex_{table}" in plan or "INTEGER PRIMARY KEY" in plan, plan
    for index in re.findall(r"\b(\w+)\b(?!\()", re.sub(r"\w+\(primary key\)", "", promised)):
        if index != "none":
            assert index in plan, f"{index} not in\n{plan}"


@pytest.mark.parametrize("name", query_names())
def test_a_self_join_has_a_cap(name: str) -> None:
    query = load_query(name)
    if FAN_OUT.search(query.sql):
        assert any("max" in parameter for parameter in query.parameters)
