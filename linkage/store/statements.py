"""The statements that write facts and rollups; values are bound by name or position, never pasted in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from linkage.store.inserts import Insert, insertion

SCRATCH: Final = """
create temp table if not exists dirty (
    account_id integer not null, day integer not null, primary key (account_id, day)
) without rowid;
"""

REQUEST_COLUMNS: Final = (
    "key",
    "content",
    "account_id",
    "at_ms",
    "api_key_id",
    "organization_id",
    "ip_id",
    "ip_prefix_id",
    "payment_id",
    "client_id",
    "model_id",
    "endpoint_id",
    "contract_id",
    "end_user_id",
    "prompt_id",
    "input_tokens",
    "output_tokens",
    "status",
    "latency_ms",
    "forwarded_id",
)
"""Columns of ``request`` and of a batch of requests, in the order the statements bind them."""

FIND_REQUESTS: Final = """
select r.key, r.content
from json_each(?) as wanted
join request as r on r.key = wanted.value
"""

FIND_CONTENTS: Final = "select rowid, content from request where rowid in (select value from json_each(?))"

ADD_REQUEST: Final = insertion(
    "insert into request values", "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

MARK_DIRTY: Final = """
insert or ignore into dirty
select account_id, at_ms / 86400000 from request where key in (select value from json_each(?))
"""

FORGET_REQUESTS: Final = "delete from request where key in (select value from json_each(?))"

DIRTY_REQUESTS: Final = """
select key, content, account_id, at_ms, api_key_id, organization_id, ip_id, ip_prefix_id, payment_id, client_id,
       model_id, endpoint_id, contract_id, end_user_id, prompt_id, input_tokens, output_tokens, status, latency_ms,
       forwarded_id
from request
where (account_id, at_ms / 86400000) in (select account_id, day from dirty)
"""

# coverage_day counts over all accounts, so a replaced record takes its whole day out and in again.
DIRTY_DAYS: Final = """
select key, content, account_id, at_ms, api_key_id, organization_id, ip_id, ip_prefix_id, payment_id, client_id,
       model_id, endpoint_id, contract_id, end_user_id, prompt_id, input_tokens, output_tokens, status, latency_ms,
       forwarded_id
from request
where at_ms / 86400000 in (select day from dirty)
"""

FORGET_DIRTY: Final = (
    "delete from entity_use where (account_id, day) in (select account_id, day from dirty)",
    "delete from account_day where (account_id, day) in (select account_id, day from dirty)",
    """delete from account_hour where exists (
        select 1 from dirty as d where d.account_id = account_hour.account_id and d.day = account_hour.hour / 24)""",
    "delete from coverage_day where day in (select day from dirty)",
)

ADD_ROLLUP: Final[Mapping[str, Insert]] = {
    "entity_use": insertion(
        "insert into entity_use values",
        "(?, ?, ?, ?, ?, ?)",
        after="""
on conflict (account_id, entity_id, day) do update set
    request_count = request_count + excluded.request_count,
    first_ms = min(first_ms, excluded.first_ms), last_ms = max(last_ms, excluded.last_ms)
""",
    ),
    "account_day": insertion(
        "insert into account_day values",
        "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        after="""
on conflict (account_id, day) do update set
    request_count = request_count + excluded.request_count,
    failed_count = failed_count + excluded.failed_count,
    limited_count = limited_count + excluded.limited_count,
    input_count = input_count + excluded.input_count,
    input_tokens = input_tokens + excluded.input_tokens,
    log_input_micros = log_input_micros + excluded.log_input_micros,
    output_count = output_count + excluded.output_count,
    output_tokens = output_tokens + excluded.output_tokens,
    log_output_micros = log_output_micros + excluded.log_output_micros,
    prompt_count = prompt_count + excluded.prompt_count,
    first_ms = min(first_ms, excluded.first_ms), last_ms = max(last_ms, excluded.last_ms)
""",
    ),
    "account_hour": insertion(
        "insert into account_hour values",
        "(?, ?, ?, ?)",
        after="""
on conflict (account_id, hour) do update set
    request_count = request_count + excluded.request_count,
    limited_count = limited_count + excluded.limited_count
""",
    ),
    "coverage_day": insertion(
        "insert into coverage_day values",
        "(?, ?, ?, ?)",
        after="""
on conflict (day, field) do update set present = present + excluded.present, total = total + excluded.total
""",
    ),
}
"""How rows of each rollup table merge with what is stored; columns in the order of the table."""

IS_EMPTY: Final = """
select not exists (select 1 from request) and not exists (select 1 from prompt)
   and not exists (select 1 from entity_use)
"""
# As the schema has them. A sorted build costs a fifth of as many insertions all over an index.
DROP_INDEXES: Final = (
    "drop index request_key",
    "drop index prompt_id",
    "drop index entity_use_entity",
    "drop index entity_value",
)
ADD_KEY_INDEXES: Final = (
    "create unique index request_key on request (key)",
    "create unique index prompt_id on prompt (id)",
)
ADD_OTHER_INDEXES: Final = (
    "create unique index if not exists entity_value on entity (kind, value)",
    "create index if not exists entity_use_entity on entity_use (entity_id, account_id)",
)

# What is known changes nothing. Another value under the same id breaks the insertion: no value may be null.
ADD_ENTITY: Final = insertion(
    "insert into entity (id, kind, value) values",
    "(?, ?, ?)",
    after="""
on conflict do update set value = null
where id <> excluded.id or kind <> excluded.kind or value <> excluded.value
""",
)
ADD_ACCOUNT: Final = insertion(
    "insert into account (id, value) values",
    "(?, ?)",
    after="on conflict do update set value = null where id <> excluded.id or value <> excluded.value",
)
HAS_ENTITIES: Final = "select exists (select 1 from entity) or exists (select 1 from account)"
# What an empty table is given, by ascending id. What fails ends the transaction: see ADD_TEMPLATE_USE.
APPEND_ENTITY: Final = insertion("insert or rollback into entity (id, kind, value) values", "(?, ?, ?)")
APPEND_ACCOUNT: Final = insertion("insert or rollback into account (id, value) values", "(?, ?)")
FIND_ENTITIES: Final = (
    "select e.id, e.kind, e.value from json_each(?) as wanted join entity as e on e.id = wanted.value"
)
FIND_ACCOUNTS: Final = "select a.id, a.value from json_each(?) as wanted join account as a on a.id = wanted.value"

ADD_ACCOUNT_RECORD: Final = "insert or ignore into account_record values (?, ?, ?, ?, ?, ?, ?, ?)"

ADD_PROMPT: Final = """
insert into prompt (id, features, gateway_template, text) values (?, ?, ?, ?)
on conflict (id) do update set
    gateway_template = coalesce(min(gateway_template, excluded.gateway_template), gateway_template,
                                excluded.gateway_template),
    text = coalesce(min(text, excluded.text), text, excluded.text)
where excluded.gateway_template is not null or excluded.text is not null
"""
APPEND_PROMPT: Final = "insert into prompt (id, features, gateway_template, text) values (?, ?, ?, ?)"
APPEND_PLAIN_PROMPT: Final = insertion("insert into prompt (id, features) values", "(?, ?)")
COUNT_PROMPT_ROWS: Final = "select coalesce(max(rowid), 0) from prompt"

READ_PROMPTS: Final = """
select rowid, id, gateway_template is not null, features from prompt
where rowid > :after_row and rowid <= :until_row and id <= :last_id order by rowid
"""
READ_GATEWAY_TEMPLATES: Final = """
select rowid, gateway_template from prompt
where gateway_template is not null and rowid between :first_row and :last_row
"""
LAST_OF_LOWEST: Final = "select id from prompt order by id limit 1 offset ?"
PROMPT_TEMPLATES: Final = "select prompt_id, template_id from prompt_template order by prompt_id"
ADD_PROMPT_TEMPLATE: Final = insertion(
    "insert or rollback into prompt_template (prompt_id, template_id) values", "(?, ?)"
)
FORGET_PROMPT_TEMPLATE: Final = "delete from prompt_template where prompt_id = ?"

TEMPLATE_TEXTS: Final = "select id, text, slots from template order by id"

ADD_TEMPLATE: Final = """
insert into template (id, name, text, slots) values (?, ?, ?, ?)
on conflict (id) do update set text = excluded.text, slots = excluded.slots
"""
COUNT_PROMPTS: Final = "update template set prompts = ? where id = ?"
TIE_TEMPLATE: Final = "update template set contract = ?, family_id = ?, similarity = ? where id = ?"

READ_REQUESTED: Final = (
    "select account_id, prompt_id, at_ms, ifnull(output_tokens, -1) from request where prompt_id is not null"
)

# Templates and items of a prompt may change when more prompts are known, so what follows from them is made anew.
FORGET_TEMPLATES: Final = (
    # Without a template not a row of uses is looked at, which a first load has no index for.
    """delete from entity_use
    where exists (select 1 from entity where kind = 'template')
      and entity_id in (select id from entity where kind = 'template')""",
    "delete from entity where kind in ('template', 'template_family')",
    "delete from prompt_day",
    "delete from item_day",
    "delete from work_day",
)
KEEP_PAST_TEMPLATES: Final = """
insert or ignore into past_template (id, name, text, slots) select id, name, text, slots from template where prompts = 0
"""
FORGET_UNUSED_TEMPLATES: Final = "delete from template where prompts = 0"
ADD_TEMPLATE_ENTITIES: Final = (
    "insert into entity (id, kind, value, parent_id) select id, 'template', name, family_id from template"
)
# None of the rows is there before. What fails ends the transaction: so SQLite need not keep, of every page that one run
# of a statement changes, what it would have to undo (uses 4.7 -> 2.8 microseconds a row, 2026-11-30).
ADD_TEMPLATE_USE: Final = insertion("insert or rollback into entity_use values", "(?, ?, ?, ?, ?, ?)")
ADD_PROMPT_DAY: Final = insertion("insert or rollback into prompt_day values", "(?, ?, ?, ?)")
ADD_ITEM_DAY: Final = insertion("insert or rollback into item_day values", "(?, ?, ?)")
ADD_WORK_DAY: Final = insertion("insert or rollback into work_day values", "(?, ?, ?)")

ADD_FAMILY: Final = """
insert or ignore into entity (id, kind, value) values (?, 'template_family', ?)
"""

ADD_SOURCE_FILE: Final = """
insert into source_file
    (path, size, sha256, format, reading, limits, kind, kept, set_aside, seen_before, conflicting)
values (:path, :size, :sha256, :format, :reading, :limits, :kind, :kept, :set_aside, :seen_before, :conflicting)
on conflict (sha256, format, reading, limits) do update
set size = excluded.size, kept = kept + excluded.kept
returning id
"""

HAS_FILE_OF_SIZE: Final = "select exists (select 1 from source_file where size = ?)"
FIND_SOURCE_FILES: Final = """
select path, size, sha256, format, reading, limits, kind, kept, set_aside, seen_before, conflicting
from source_file
where sha256 = :sha256 and format = :format
order by id desc
"""
UNSETTLED_FILES: Final = """
select f.id, f.size, f.sha256, f.format, f.kind
from source_file as f
where f.set_aside > 0 and exists (select 1 from rejected as r where r.source_file_id = f.id)
order by f.id
"""
FORGET_REJECTED: Final = "delete from rejected where source_file_id = ?"

ADD_FAILED_FILE: Final = "insert or replace into failed_file (path, exit_code, reason) values (?, ?, ?)"
FORGET_FAILED_FILE: Final = "delete from failed_file where path = ?"

BUMP_REVISION: Final = "update input_state set revision = revision + 1"
# Records are as they were, and so are templates.
BUMP_REVISIONS: Final = """
update input_state
set mined_revision = case when mined_revision = revision then revision + 1 else mined_revision end,
    revision = revision + 1
"""
MARK_MINED: Final = "update input_state set mined_revision = revision"
READ_STATE: Final = "select revision, mined_revision from input_state"
