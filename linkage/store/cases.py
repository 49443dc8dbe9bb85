"""What people decide about clusters: notes that are added and never changed."""

from __future__ import annotations

from typing import Final

from linkage.errors import NoSuchClusterError
from linkage.store.store import Database
from linkage.terms import CaseState

_ADD_NOTE: Final = """
insert into case_note (cluster_id, state, note, author, noted_ms)
values (:cluster_id, :state, :note, :author, :noted_ms)
"""


def add_case_note(
    database: Database, cluster_id: str, *, state: CaseState, note: str, author: str, noted_ms: int, wait_s: float = 0.0
) -> None:
    """Note a decision about a cluster of any run that is kept.

    Parameters
    ----------
    noted_ms : when, UTC epoch milliseconds.
    wait_s : how long to wait for another writer, in seconds.

    Raises
    ------
    NoSuchClusterError : no kept run has a cluster of this id.
    StoreBusyError : another process writes.
    """
    if cluster_id not in set(database.query("known_cluster_ids")["cluster_id"]):
        raise NoSuchClusterError(
            f"wanted a cluster of a run that is kept; found none named {cluster_id!r}. List them with: linkage clusters"
        )
    values = {"cluster_id": cluster_id, "state": state, "note": note, "author": author, "noted_ms": noted_ms}
    with database.writing(wait_s=wait_s), database.transaction("add a case note") as connection:
        connection.execute(_ADD_NOTE, values)
