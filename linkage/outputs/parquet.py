"""The full graph as one Parquet table: a row per account and entity it uses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from linkage.outputs.files import write_whole
from linkage.outputs.tables import plain_value
from linkage.terms import COUNT, TEXT, USES, Shape, check_frame, make_frame

GRAPH_ROWS: Final[Shape] = {
    **USES,
    "cluster_id": TEXT,
    "tier": TEXT,
    "membership": TEXT,
    "account_request_count": COUNT,
}
"""``USES`` with where the account belongs; an account without any entity has one row whose ``kind`` is null."""


def write_parquet(
    uses: pd.DataFrame,
    accounts: pd.DataFrame,
    members: pd.DataFrame,
    *,
    out: str | PathLike[str],
    about: Mapping[str, Any],
) -> Path:
    """Write the table of the graph, sorted, whole or not at all.

    Parameters
    ----------
    uses : ``USES``, masked where it has to be.
    accounts : ``ACCOUNTS``; everyone is in the file.
    members : ``MEMBERS``.
    out : the file.
    about : goes into the file's metadata as JSON under the key ``linkage``.

    Raises
    ------
    ShapeError : ``uses`` lacks a column.
    OutputFileError : the file cannot be written.
    """
    rows = graph_rows(uses, accounts, members)
    table = pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata(
        {"linkage": json.dumps(plain_value(dict(about)), sort_keys=True)}
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return write_whole(sink.getvalue().to_pybytes(), out=out)


def graph_rows(uses: pd.DataFrame, accounts: pd.DataFrame, members: pd.DataFrame) -> pd.DataFrame:
    """The graph as a table of shape ``GRAPH_ROWS``, sorted by account, kind and value."""
    check_frame(uses, USES, name="uses")
    known = accounts[["account_id", "request_count"]].rename(columns={"request_count": "account_request_count"})
    rows = known.merge(uses, on="account_id", how="left")
    rows = rows.merge(members[["account_id", "cluster_id", "tier", "membership"]], on="account_id", how="left")
    rows["request_count"] = rows["request_count"].fillna(0).astype("int64")
    rows = rows.sort_values(["account_id", "kind", "value"])
    return make_frame(GRAPH_ROWS, {name: rows[name] for name in GRAPH_ROWS})
