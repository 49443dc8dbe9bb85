"""The account graph where it outgrows one machine: candidate links, connected components, and work per component."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as sf

from linkage.engines.spark.session import ddl_of, pandas_unasked
from linkage.errors import ClusterError

_MOST_ROUNDS: Final = 60  # of stars; a path of a billion accounts takes about 30


def propose_links(uses: DataFrame, *, orders: Sequence[str], links_per_use: int) -> DataFrame:
    """Pairs of accounts worth scoring; at most ``links_per_use`` for each account and value.

    The rule of the local engine's bounded projection: a value on few accounts proposes all its pairs; one on many
    proposes, for each account, only its neighbours in a few orders. A hub is sorted, never joined with itself: its
    accounts, three numbers each, pass through one task.

    Parameters
    ----------
    uses : ``account``, ``value`` and one column per order, no account twice on a value.
    orders : names of the columns that give orders.
    links_per_use : bound, at least 1; shared out over the orders as evenly as can be, the first ones getting the rest.

    Returns
    -------
    ``account_a``, ``account_b``, ``a < b``, no pair twice.
    """
    size = sf.count("*").over(Window.partitionBy("value"))
    sized = uses.withColumn("size", size)
    few = sized.where(sf.col("size") <= links_per_use + 1)
    many = sized.where(sf.col("size") > links_per_use + 1)
    found = [_neighbours(few, "account", links_per_use)]
    for number, order in enumerate(orders):
        reach = links_per_use // len(orders) + (1 if number < links_per_use % len(orders) else 0)
        if reach:
            found.append(_neighbours(many, order, reach))
    return functools.reduce(DataFrame.unionAll, found).distinct()


def _neighbours(uses: DataFrame, order: str, reach: int) -> DataFrame:
    """Pairs at most ``reach`` apart in an order of the accounts of each value."""
    ahead = Window.partitionBy("value").orderBy(order, "account").rowsBetween(1, reach)
    met = uses.withColumn("ahead", sf.collect_list("account").over(ahead))
    pairs = met.select("account", sf.explode("ahead").alias("other")).where("other <> account")
    return pairs.select(
        sf.least("account", "other").alias("account_a"), sf.greatest("account", "other").alias("account_b")
    )


def connected_components(links: DataFrame) -> DataFrame:
    """Which accounts hang together, whatever way round.

    Large stars and small stars in turns until nothing moves: every account ends up linked to the least one of its
    component. No account's links are gathered in one place; O(log accounts) rounds as measured by its authors, each
    two joins.

    Parameters
    ----------
    links : ``account_a`` and ``account_b`` of any type that has an order.

    Returns
    -------
    ``account`` and ``component``, the least account of its component; one row for each account that has a link.

    Raises
    ------
    ClusterError : nothing came to rest in 60 rounds, which cannot be.

    References
    ----------
    Kiveris, Lattanzi, Mirrokni, Rastogi and Vassilvitskii 2014, "Connected Components in MapReduce and Beyond",
    doi:10.1145/2670979.2670997, algorithm "alternating".
    """
    high, low = sf.greatest("account_a", "account_b"), sf.least("account_a", "account_b")
    edges = (
        links.select(high.alias("account"), low.alias("other")).where("account <> other").distinct().localCheckpoint()
    )
    mark = _mark(edges)
    for _ in range(_MOST_ROUNDS):
        edges = _small_star(_large_star(edges)).localCheckpoint()
        before, mark = mark, _mark(edges)
        if mark == before:
            roots = edges.select("other", "other").distinct().toDF("account", "component")
            return edges.toDF("account", "component").unionAll(roots)
    raise ClusterError("wanted components to come to rest; found them moving after 60 rounds. Please report this graph")


def _mark(edges: DataFrame) -> Any:
    """Tells two sets of links apart."""
    return edges.agg(sf.count("*"), sf.sum(sf.xxhash64("account", "other").cast("decimal(38,0)"))).collect()[0]


def _large_star(edges: DataFrame) -> DataFrame:
    """Every account's larger fellows, linked to the least of its fellows and itself."""
    both = edges.unionAll(edges.select(sf.col("other").alias("account"), sf.col("account").alias("other")))
    least = both.groupBy("account").agg(sf.min("other").alias("least"))
    larger = both.join(least, "account").where("other > account")
    return larger.select(sf.col("other").alias("account"), sf.least("account", "least").alias("other")).distinct()


def _small_star(edges: DataFrame) -> DataFrame:
    """Every account and its smaller fellows, linked to the least of them."""
    least = edges.groupBy("account").agg(sf.min("other").alias("least"))
    moved = edges.join(least, "account").where("other <> least")
    turned = moved.select(sf.col("other").alias("account"), sf.col("least").alias("other"))
    return turned.unionAll(least.toDF("account", "other")).distinct()


def place_links(links: DataFrame, *, most_links: int) -> DataFrame:
    """Links with their component, none of more than ``most_links`` links, so that one worker can hold it.

    The rule for a larger one: it loses its weaker half (links at or below its median weight; where half of the links
    have the greatest weight, all below that) and is taken for what still hangs together; so again until all are small
    enough or all weights of one are equal. Accounts that keep no link are in no component.

    Parameters
    ----------
    links : ``account_a``, ``account_b``, ``weight``, no pair twice.

    Returns
    -------
    The links that are left, with ``component``, the least account of each.
    """
    left, done = links.localCheckpoint(), []
    while True:
        of = connected_components(left).withColumnRenamed("account", "account_a")
        placed = left.join(of, "account_a").localCheckpoint()
        told = placed.groupBy("component").agg(
            sf.count("*").alias("links"),
            sf.expr("percentile(weight, 0.5)").alias("middle"),
            sf.max("weight").alias("greatest"),
            sf.min("weight").alias("smallest"),
        )
        is_large = sf.expr(f"links > {int(most_links)} and smallest < greatest")
        sized = placed.join(told, "component")
        names = ("account_a", "account_b", "weight", "component")
        done.append(sized.where(~is_large).select(*names))
        left = sized.where(is_large).where("weight > middle or weight = greatest").select(*names[:3]).localCheckpoint()
        if left.isEmpty():
            return functools.reduce(DataFrame.unionAll, done)


def map_components(placed: DataFrame, function: Callable[[Any], Any], schema: Any) -> DataFrame:
    """What a function of the links of one component (an Arrow table) makes of every component.

    Parameters
    ----------
    placed : as from :func:`place_links`.
    function : pure; from an Arrow table of links to one of ``schema``. It sees them in any order.
    schema : Arrow schema of what it gives.
    """

    def mapped(table: pa.Table) -> pa.Table:  # PySpark reads the hints
        return function(table)

    with pandas_unasked():
        return placed.groupBy("component").applyInArrow(mapped, ddl_of(schema))
