"""Candidate links, components and communities on Spark, beside the local engine's."""

from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import linkage as lk
from linkage.clusters.graph import AccountGraph
from linkage.engines.spark.graph import place_links
from linkage.evidence.projection import propose_pairs, signature, value_table
from linkage.evidence.table import gather_evidence
from linkage.evidence.weights import link_accounts
from linkage.notebook.spark import label_links
from linkage.rebuild import Inputs, newest_window, read_inputs
from linkage.settings import Settings
from linkage.store.store import Database


@pytest.fixture(scope="module")
def inputs(local_path: Path) -> Inputs:
    with Database(local_path, create=False) as database:
        return read_inputs(database, newest_window(database, None, 30))


@pytest.fixture(scope="module")
def evidence(inputs: Inputs) -> pd.DataFrame:
    names = ("uses", "accounts", "conduct", "items", "hours")
    return gather_evidence(**{name: getattr(inputs, name) for name in names}, settings=Settings().evidence)


@pytest.fixture(scope="module")
def weighted(inputs: Inputs, evidence: pd.DataFrame) -> pd.DataFrame:
    """Links of the world with weights, as communities are sought in them."""
    linked = link_accounts(
        evidence,
        accounts=inputs.accounts,
        conduct=inputs.conduct,
        uses=inputs.uses,
        settings=Settings().evidence,
        seed=0,
    )
    weight = np.clip((linked.links["bits"] - linked.prior_bits + 3.0) / 10.0, 0, 2.5)
    links = linked.links[["account_a", "account_b"]].assign(weight=weight)
    return links[links["weight"] > 1.2].reset_index(drop=True)  # the firm ones: several components


def on_spark(spark: Any, **columns: Any) -> Any:
    return spark.createDataFrame(pa.table({name: pa.array(list(values)) for name, values in columns.items()}))


def links_on(spark: Any, links: pd.DataFrame) -> Any:
    return on_spark(spark, **{name: links[name] for name in links})


def told(frame: Any) -> set[tuple[Any, ...]]:
    rows = [tuple(row) for row in frame.collect()]
    assert len(rows) == len(set(rows))
    return set(rows)


def test_candidate_links_are_the_local_engines(spark: Any, inputs: Inputs, evidence: pd.DataFrame) -> None:
    names = inputs.accounts["account_id"]
    account = pd.Index(names).get_indexer(evidence["account_id"]).astype(np.int64)
    value = value_table(evidence)[1]
    # One address on half of the accounts, beside what they share anyway.
    hub = np.arange(0, len(names), 2)
    account, value = np.append(account, hub), np.append(value, np.full(len(hub), value.max() + 1))
    mark = signature(account, value, accounts=len(names), seed=0)
    turned = np.arange(len(names))[::-1]
    a, b = propose_pairs(account, value, orders=[mark, turned], links_per_use=5)
    uses = on_spark(spark, account=account, value=value, mark=mark[account], turned=turned[account])
    assert told(lk.spark.candidate_links(uses, orders=["mark", "turned"], links_per_use=5)) == set(
        zip(a.tolist(), b.tolist(), strict=True)
    )
    assert len(a) > 500


def test_components_are_those_of_a_walk_through_the_graph(spark: Any, weighted: pd.DataFrame) -> None:
    path = [(f"p{number:03d}", f"p{number + 1:03d}") for number in range(70)]  # far apart in few rounds
    star = [("m", f"s{number}") for number in range(40)]
    pairs = [*zip(weighted["account_a"], weighted["account_b"], strict=True), *path, *star]
    expected = {(each, min(part)) for part in nx.connected_components(nx.Graph(pairs)) for each in part}
    links = on_spark(spark, account_a=[a for a, _ in pairs], account_b=[b for _, b in pairs])
    assert told(lk.spark.components(links)) == expected
    assert len({component for _, component in expected}) > 3


def test_communities_of_components_are_those_of_one_machine(spark: Any, weighted: pd.DataFrame) -> None:
    found = told(lk.spark.communities(links_on(spark, weighted)))
    chosen = Settings().communities
    alone = set()
    for part in nx.connected_components(nx.Graph(list(zip(weighted["account_a"], weighted["account_b"], strict=True)))):
        links = pa.Table.from_pandas(weighted[weighted["account_a"].isin(part)], preserve_index=False)
        labels = label_links(links, resolution=float(chosen.resolution), seeds=range(int(chosen.seeds)))
        alone |= set(zip(*labels.to_pydict().values(), strict=True))
    assert found == alone
    whole = pa.Table.from_pandas(weighted, preserve_index=False)
    labels = label_links(whole, resolution=float(chosen.resolution), seeds=range(int(chosen.seeds)))
    assert found == set(zip(*labels.to_pydict().values(), strict=True))  # chance breaks no tie of this world otherwise
    assert {account for account, _ in found} == set(AccountGraph(weighted, weight="weight").accounts)
    sizes = pd.Series([community for _, community in found]).value_counts()
    assert sizes.iloc[0] > 5  # the campaign
    assert len(sizes) > 3


def test_a_component_too_large_for_a_worker_loses_its_weaker_half(spark: Any) -> None:
    pairs = [("a", "b", 3.0), ("b", "c", 3.0), ("c", "d", 1.0), ("d", "e", 2.5), ("x", "y", 0.5)]
    columns = dict(zip(("account_a", "account_b", "weight"), zip(*pairs, strict=True), strict=True))
    placed = told(place_links(on_spark(spark, **columns), most_links=3))
    assert placed == {("a", "b", 3.0, "a"), ("b", "c", 3.0, "a"), ("x", "y", 0.5, "x")}
    even = on_spark(spark, account_a=["a", "b"], account_b=["b", "c"], weight=[1.0, 1.0])
    assert len(told(place_links(even, most_links=1))) == 2  # nothing says which of them is weaker
