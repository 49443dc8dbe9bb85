"""What people decide about clusters: notes that are added and never changed."""

from __future__ import annotations

from typing import Final

from linkage.errors import NoSuchAccountError, NoSuchClusterError, UsageError
from linkage.store.statements import BUMP_REVISIONS
from linkage.store.store import Database
from linkage.terms import CaseState

_ADD_NOTE: Final = """
insert into case_note (cluster_id, state, note, author, noted_ms, account_id)
values (:cluster_id, :state, :note, :author, :noted_ms, (select id from account where value = :account))
"""

# What was known when it was decided: later runs are held against it, and the runs themselves go.
_REMEMBER: Final = (
    """
insert into case_member
select :note_id, m.account_id
from published as p
join membership as m on m.run_id = p.run_id
where m.cluster_id = :cluster_id and m.membership <> 'bystander'
    and (:account is null or m.account_id = (select id from account where value = :account))
""",
    """
insert into case_value
select distinct :note_id, v.family, v.kind, v.value
from published as p
join cluster as c on c.run_id = p.run_id
join shared_value as s on s.cluster_number = c.number
join run_value as v on v.run_id = c.run_id and v.number = s.value_number
where c.cluster_id = :cluster_id
    and (:account is null or s.account_id = (select id from account where value = :account))
""",
    BUMP_REVISIONS,
)


def add_case_note(
    database: Database,
    cluster_id: str,
    *,
    state: CaseState,
    note: str,
    author: str,
    noted_ms: int,
    account: str | None = None,
    wait_s: float = 0.0,
) -> None:
    """Note a decision about a cluster of any run that is kept, and what tied its accounts in the published one.

    Parameters
    ----------
    account : the decision is about this member alone; None: about the whole cluster.
    noted_ms : when, UTC epoch milliseconds.
    wait_s : how long to wait for another writer, in seconds.

    Raises
    ------
    NoSuchClusterError : no kept run has a cluster of this id.
    UsageError : a state that only a whole cluster can have, of an account.
    NoSuchAccountError : the account is in no kept run's cluster of this id.
    StoreBusyError : another process writes.
    """
    if cluster_id not in set(database.query("known_cluster_ids")["cluster_id"]):
        raise NoSuchClusterError(
            f"wanted a cluster of a run that is kept; found none named {cluster_id!r}. List them with: linkage clusters"
        )
    if account is not None and state not in ("appealed", "overturned", "open"):
        raise UsageError(f"state: wanted appealed, overturned or open of one account; got {state!r}. Leave out account")
    if account is not None and account not in set(
        database.query("cluster_accounts", cluster_id=cluster_id)["account_id"]
    ):
        raise NoSuchAccountError(
            f"wanted a member of cluster {cluster_id}; found none named {account!r}. "
            "List them with: linkage members STORE --cluster"
        )
    values = {"cluster_id": cluster_id, "state": state, "note": note, "author": author, "noted_ms": noted_ms}
    with database.writing(wait_s=wait_s), database.transaction("add a case note") as connection:
        note_id = connection.execute(_ADD_NOTE, {**values, "account": account}).lastrowid
        for statement in _REMEMBER:
            connection.execute(statement, {"note_id": note_id, "cluster_id": cluster_id, "account": account})
