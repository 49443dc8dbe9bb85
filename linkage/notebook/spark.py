"""``lk.spark``: logs that outgrow one machine, on a Spark session; needs the extra ``spark`` and Java 17 or later."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Sequence
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from linkage.clusters.graph import AccountGraph
from linkage.engines.local import Reading
from linkage.engines.spark.folder import Manifest
from linkage.errors import UsageError
from linkage.intake.entities import read_keyfile
from linkage.intake.mapping import read_mapping
from linkage.notebook.given import AnyPath, AnySettings, given_settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LABELS: Final = pa.schema([("account", pa.string()), ("community", pa.string())])
"""Accounts and the least account of their community."""

LINKS_PER_USE: Final = 10
"""As the setting ``[evidence] links_per_use``."""

MOST_LINKS: Final = 5_000_000
"""Links of a component that one worker holds: about 1.5 GB, of which a million took 0.3 (2026-11-24)."""


def incidence(
    spark: SparkSession | str,
    paths: AnyPath | Sequence[AnyPath],
    *,
    out: AnyPath,
    format: str = "auto",  # noqa: A002 - the word of Store.ingest
    map: AnyPath | None = None,  # noqa: A002 - the word of Store.ingest
    accounts: AnyPath | Sequence[AnyPath] = (),
    source: str | None = None,
    pseudonymize: AnyPath | None = None,
    settings: AnySettings | None = None,
) -> Manifest:
    """Everything a rebuild needs of some logs, as a folder that ``store.ingest(folder)`` takes into a store.

    The rebuild of that store is the one that the same logs give when ``store.ingest`` loads them itself. The outcome
    does not depend on the order or split of the logs, on partitions, or on tasks that failed and ran again.

    Parameters
    ----------
    spark : a session (not Spark Connect), or the address of a master, such as ``local[2]``.
    paths : logs by any path Spark can read: JSON lines (plain or gzip), Parquet, text with ``map``; and folders that
        this call made before, which then count as if their logs were read again.
    out : a new folder, by any path Spark can write.
    format, map, source, pseudonymize : as of :meth:`linkage.Store.ingest`.
    accounts : files of account records on this machine.
    settings : settings or the path of a settings file; ``[ingest]`` and ``[templates]`` matter.

    Returns
    -------
    What the folder holds; also in its ``manifest.json``.

    Raises
    ------
    UsageError : no PySpark or Java, or ``out`` has something in it.
    FormatError, SourceError, MappingError : an input cannot be used, or Spark failed.
    RejectedShareError : more lines of an input were set aside than the settings allow.
    """
    how = Reading(
        format_name=format,
        mapping=read_mapping(map) if map is not None else None,
        source=source,
        pseudonymizer=read_keyfile(pseudonymize) if pseudonymize is not None else None,
    )
    manifest: Manifest = _room("incidence").write_incidence(
        _room("session").make_session(spark) if isinstance(spark, str) else spark,
        _listed(paths),
        out=fspath(out),
        accounts=_listed(accounts),
        how=how,
        settings=given_settings(settings),
    )
    return manifest


def candidate_links(uses: DataFrame, *, orders: Sequence[str], links_per_use: int = LINKS_PER_USE) -> DataFrame:
    """Pairs of accounts worth scoring, bounded under any hub; the pairs that a rebuild would look at.

    Parameters
    ----------
    uses : DataFrame of Spark with ``account``, ``value`` and one column per order, no account twice on a value.
    orders : columns by which the accounts of a hub are sorted to find neighbours.
    links_per_use : bound for each account and value.

    Returns
    -------
    DataFrame of Spark: ``account_a``, ``account_b``, ``a < b``, no pair twice.
    """
    return _room("graph").propose_links(uses, orders=orders, links_per_use=links_per_use)


def components(links: DataFrame) -> DataFrame:
    """The connected components of links; see :func:`linkage.engines.spark.graph.connected_components`.

    Returns
    -------
    DataFrame of Spark: ``account`` and ``component``, the least account of its component.
    """
    return _room("graph").connected_components(links)


def communities(
    links: DataFrame, *, settings: AnySettings | None = None, seed: int = 0, most_links: int = MOST_LINKS
) -> DataFrame:
    """Consensus communities of weighted links: Leiden over several seeds, component by component, on the workers.

    In a component the outcome is that of the same links alone on one machine. Leiden draws at random, so that over a
    whole graph at once it can break ties of a component otherwise.

    Parameters
    ----------
    links : DataFrame of Spark with ``account_a``, ``account_b`` (text, ``a < b``) and ``weight`` above 0.
    settings : ``[communities]`` ``resolution`` and ``seeds`` matter.
    seed : the first of the seeds.
    most_links : a component of more is split first, by the rule of
        :func:`linkage.engines.spark.graph.place_links`; a million links took a worker 0.3 GB (2026-11-24).

    Returns
    -------
    DataFrame of Spark: ``account`` and ``community``, the least account of its community.
    """
    chosen = given_settings(settings).communities
    label = functools.partial(
        label_links, resolution=float(chosen.resolution), seeds=range(seed, seed + int(chosen.seeds))
    )
    graph = _room("graph")
    return graph.map_components(graph.place_links(links, most_links=most_links), label, LABELS)


def label_links(table: Any, *, resolution: float, seeds: Sequence[int]) -> Any:
    """Consensus communities of links, an Arrow table to an Arrow table; the pure function that workers run."""
    links = table.select(["account_a", "account_b", "weight"]).to_pandas()
    graph = AccountGraph(links, weight="weight")
    first, second = graph.ends.T
    labels = [graph.leiden(resolution=resolution, seed=seed) for seed in seeds]
    together = np.mean([label[first] == label[second] for label in labels], axis=0)
    label = graph.components(together >= 0.5)
    names = np.array(graph.accounts, dtype=object)  # sorted, so that the first of a community is the least
    least = np.unique(label, return_index=True)[1]
    return pa.table([pa.array(names, pa.string()), pa.array(names[least][label], pa.string())], schema=LABELS)


def _listed(paths: AnyPath | Sequence[AnyPath]) -> list[str]:
    return [fspath(path) for path in ([paths] if isinstance(paths, str | PathLike) else paths)]


def _room(name: str) -> Any:
    """A room of the Spark engine; the one place where PySpark is loaded."""
    try:
        importlib.import_module("pyspark")
    except ImportError as error:
        raise UsageError(
            f"wanted PySpark; it cannot be loaded ({error}). Install it: pip install 'linkage[spark]'"
        ) from error
    return importlib.import_module(f"linkage.engines.spark.{name}")
