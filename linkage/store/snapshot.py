"""A small store that holds one published run and nothing that a reader of it does not need."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import Final

from linkage.store.runs import RunRecord, RunTables, publish_run
from linkage.store.store import Database

_ATTACH: Final = "attach database :path as source"

# Both files have the schema of this version, so their columns are the same in the same order.
_COPY: Final = (
    "insert into account select * from source.account",
    "insert into template select * from source.template",
    """
    insert into entity (id, kind, value, parent_id)
    select id, kind, value, parent_id from source.entity where kind in ('template', 'template_family')
    """,
    """
    insert into entity_use (account_id, entity_id, day, request_count, first_ms, last_ms)
    select u.account_id, u.entity_id, u.day, u.request_count, u.first_ms, u.last_ms
    from entity as e
    join source.entity_use as u on u.entity_id = e.id
    where e.kind = 'template'
    """,
    "insert into coverage_day select * from source.coverage_day",
    "insert into case_note select * from source.case_note",
)

_NOTES: Final = "select id, note from case_note"
_HIDE_NOTE: Final = "update case_note set note = ? where id = ?"

_VIEWS: Final = (
    """
    create view cluster_member as
    select a.value as account_id, m.cluster_id, m.tier, m.membership, m.controller_probability,
           m.extraction_probability, m.requests, m.reasons
    from membership as m
    join account as a on a.id = m.account_id
    """,
    """
    create view account_link as
    select a.value as account_a, b.value as account_b, c.cluster_id, v.family, v.kind, v.value, v.accounts,
           v.unrelated_accounts, l.bits
    from link as l
    join cluster as c on c.number = l.cluster_number
    join run_value as v on v.run_id = c.run_id and v.number = l.value_number
    join account as a on a.id = l.account_a
    join account as b on b.id = l.account_b
    """,
)


def write_snapshot(
    source: Database,
    path: str | PathLike[str],
    *,
    record: RunRecord,
    tables: RunTables,
    hide: Callable[[str], str] | None = None,
) -> None:
    """Write a new store with one run, the accounts, the templates and the case notes of another store.

    Requests, prompts, items, addresses, payment instruments, account records and the names of input files stay
    behind; of shared values only what ``tables`` holds is in it. Two views, ``cluster_member`` and ``account_link``,
    show account ids as text. The file is in no write-ahead mode, so that it can be opened as one that never changes.

    Parameters
    ----------
    source : the store to take from; only read.
    path : the file to make.
    record : the run.
    tables : what the run found, masked where it has to be.
    hide : masks the words of a case note; None: they are kept as they are.

    Raises
    ------
    StoreError : the file cannot be written.
    """
    with Database(path, by_uri=True) as copy:
        copy.connection.execute(_ATTACH, {"path": source.name})
        with copy.transaction("copy what a reader needs") as connection:
            for statement in (*_COPY, *_VIEWS):
                connection.execute(statement)
            if hide:
                notes = connection.execute(_NOTES).fetchall()
                connection.executemany(_HIDE_NOTE, [(hide(note), number) for number, note in notes])
        copy.connection.execute("detach database source")
        publish_run(copy, record, tables, keep_runs=1)
        copy.connection.execute("pragma journal_mode = delete")
