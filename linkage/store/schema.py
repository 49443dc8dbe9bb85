"""The tables of a store, one version of the schema after the other.

Ids are content hashes (63 bits) of what they stand for, so the same records give the same rows in any
order and any split of files, and batches made elsewhere merge without asking. Times are UTC epoch
milliseconds; days and hours are whole numbers since the epoch.
"""

from __future__ import annotations

from typing import Final

from linkage.store.companion_tables import COMPANIONS
from linkage.store.first_schema import FIRST_VERSION

APPLICATION_ID: Final = 0x4C4E4B47
"""``LNKG``: tells a linkage store from any other SQLite file."""

_APPENDED: Final = """
begin immediate;
create table appended_request (
    key integer not null,       -- hash of source and request id
    content integer not null,   -- hash of the whole record: tells a repeat from a conflict
    account_id integer not null,
    at_ms integer not null,
    api_key_id integer,
    organization_id integer,
    ip_id integer,
    ip_prefix_id integer,       -- kept apart: a masked address has a prefix only
    payment_id integer,
    client_id integer,
    model_id integer,
    endpoint_id integer,
    contract_id integer,
    end_user_id integer,        -- chosen by the caller: never evidence by itself
    prompt_id integer,
    input_tokens integer,
    output_tokens integer,
    status integer,
    latency_ms real
) strict;
insert into appended_request
select key, content, account_id, at_ms, api_key_id, organization_id, ip_id, ip_prefix_id, payment_id, client_id,
       model_id, endpoint_id, contract_id, end_user_id, prompt_id, input_tokens, output_tokens, status, latency_ms
from request;
drop table request;
alter table appended_request rename to request;
create unique index request_key on request (key);

create table appended_prompt (
    id integer not null,        -- hash of the normalised text; the text itself is not kept
    features blob not null,
    gateway_template text,      -- the template's id at the gateway, where it says so
    template_id integer,
    text blob                   -- compressed, only with --keep-prompts
) strict;
insert into appended_prompt select id, features, gateway_template, template_id, text from prompt;
drop table prompt;
alter table appended_prompt rename to prompt;
create unique index prompt_id on prompt (id);

alter table template add column prompts integer not null default 0;
drop table prompt_item;
drop table item_use;
create table item_day (
    account_id integer not null,
    day integer not null,
    items blob not null,        -- see linkage/store/items.py
    primary key (account_id, day)
) strict;
update input_state set mined_revision = -1;
pragma user_version = 2;
commit;
"""

_FORWARDED: Final = """
begin immediate;
alter table request add column forwarded_id integer;  -- an address the caller claims: never evidence by itself
pragma user_version = 3;
commit;
"""

_REMEMBERED: Final = """
begin immediate;
create table run_entry (        -- one row per rebuild that published or failed; kept when its run goes
    id integer primary key,
    run_id text,
    exit_code integer not null,
    error text,
    began_ms integer,           -- null where nobody gave a clock
    ended_ms integer,
    steps text not null,        -- JSON: milliseconds of each step
    as_of_ms integer,
    since_ms integer,
    seed integer not null,
    input_digest text,
    settings_digest text not null,
    versions text not null,
    counts text,
    anomalies text not null     -- JSON: list of check and finding
) strict;
insert into run_entry (run_id, exit_code, steps, as_of_ms, since_ms, seed, input_digest, settings_digest, versions,
                       counts, anomalies)
select id, 0, '{}', as_of_ms, since_ms, seed, input_digest, '', versions, counts, '[]' from run order by sequence;

alter table case_note add column account_id integer;  -- null: the decision is about the whole cluster
create table case_member (      -- whom a decision was about
    note_id integer not null,
    account_id integer not null,
    primary key (note_id, account_id)
) strict, without rowid;
create table case_value (       -- what tied them when it was made
    note_id integer not null,
    family text not null,
    kind text not null,
    value text not null,
    primary key (note_id, family, kind, value)
) strict, without rowid;
pragma user_version = 4;
commit;
"""

_PAST: Final = """
begin immediate;
create table past_template (    -- how templates read that later prompts changed: for replays
    id integer primary key,
    name text not null,
    text text not null,
    slots integer not null
) strict;
pragma user_version = 5;
commit;
"""

_WORKED: Final = """
begin immediate;
create table work_day (
    account_id integer not null,
    day integer not null,
    works blob not null,        -- see linkage/store/works.py
    primary key (account_id, day)
) strict;
-- Made with the next ingest, of requests; a store that was filled without them gets it with its next folder.
update input_state set mined_revision = -1 where exists (select 1 from request);
pragma user_version = 6;
commit;
"""

_APART: Final = """
begin immediate;
create table prompt_template (  -- prompts that have a template; apart from prompts, which stay as they were appended
    prompt_id integer primary key,
    template_id integer not null
) strict;
insert into prompt_template select id, template_id from prompt where template_id is not null order by id;
alter table prompt drop column template_id;
pragma user_version = 7;
commit;
"""

_NAMED: Final = """
begin immediate;
create table appended_entity (
    id integer primary key,
    kind text not null,
    value text not null,
    parent_id integer           -- the family of a template
) strict;
insert into appended_entity (id, kind, value, parent_id) select id, kind, value, parent_id from entity order by id;
drop table entity;
alter table appended_entity rename to entity;
create unique index entity_value on entity (kind, value);  -- by itself, so that a first load can make it at its end
pragma user_version = 8;
commit;
"""

_COUNTED: Final = """
begin immediate;
create table template_use (     -- how a template that members of a cluster share is used in the window of the run
    run_id text not null,
    name text not null,
    requests integer not null,
    accounts integer not null,
    first_ms integer not null,
    last_ms integer not null,
    primary key (run_id, name)
) strict, without rowid;
pragma user_version = 9;
commit;
"""

_VALUED: Final = """
begin immediate;
alter table cluster add column number integer not null default 0;  -- of it and its run, in link and shared_value
update cluster set number = c.number
from (
    select run_id, cluster_id, row_number() over (order by run_id, cluster_id) - 1 as number from cluster
) as c
where c.run_id = cluster.run_id and c.cluster_id = cluster.cluster_id;
create unique index cluster_number on cluster (number);

create table run_value (        -- what links accounts or what members share, with what the run counted of it
    run_id text not null,
    number integer not null,
    family text not null,
    kind text not null,
    value text not null,
    accounts integer not null,
    unrelated_accounts integer not null,
    first_ms integer,           -- of all its uses, where links tell it
    last_ms integer,
    primary key (run_id, number)
) strict, without rowid;
insert into run_value
select run_id, row_number() over (
           partition by run_id order by family, kind, value, accounts, unrelated_accounts, first_ms, last_ms
       ) - 1, family, kind, value, accounts, unrelated_accounts, first_ms, last_ms
from (
    select run_id, family, kind, value, accounts, unrelated_accounts, first_ms, last_ms from link
    union
    select run_id, family, kind, value, accounts, unrelated_accounts, null, null from shared_value
)
order by 1, 2;
create index found_value on run_value (run_id, family, kind, value);

create table numbered_link (
    cluster_number integer not null,
    account_a integer not null,
    account_b integer not null,
    value_number integer not null,
    bits real not null,
    primary key (cluster_number, account_a, account_b, value_number)
) strict, without rowid;
insert into numbered_link
select c.number, l.account_a, l.account_b, v.number, l.bits
from link as l
cross join cluster as c on c.run_id = l.run_id and c.cluster_id = l.cluster_id
cross join run_value as v on v.run_id = l.run_id and v.family = l.family and v.kind = l.kind and v.value = l.value
    and v.accounts = l.accounts and v.unrelated_accounts = l.unrelated_accounts
    and v.first_ms is l.first_ms and v.last_ms is l.last_ms
order by 1, 2, 3, 4;
drop table link;
alter table numbered_link rename to link;

create table numbered_shared_value (
    cluster_number integer not null,
    value_number integer not null,
    account_id integer not null,
    request_count integer not null,
    first_ms integer,
    last_ms integer,
    primary key (cluster_number, value_number, account_id)
) strict, without rowid;
insert into numbered_shared_value
select c.number, v.number, s.account_id, s.request_count, s.first_ms, s.last_ms
from shared_value as s
cross join cluster as c on c.run_id = s.run_id and c.cluster_id = s.cluster_id
cross join run_value as v on v.run_id = s.run_id and v.family = s.family and v.kind = s.kind and v.value = s.value
    and v.accounts = s.accounts and v.unrelated_accounts = s.unrelated_accounts
    and v.first_ms is null and v.last_ms is null
order by 1, 2, 3;
drop table shared_value;
alter table numbered_shared_value rename to shared_value;
drop index found_value;
pragma user_version = 10;
commit;
"""

_FAILED: Final = """
begin immediate;
create table failed_file (      -- files that an ingest was given and could not load, until it can or they are gone
    path text primary key,
    exit_code integer not null,
    reason text not null        -- of a few; errors may quote what is in a file
) strict, without rowid;
pragma user_version = 11;
commit;
"""

_BARRED: Final = """
begin immediate;
alter table cluster add column whole_probability real;  -- this and the next are null in runs of before
alter table cluster add column barred_by text;
pragma user_version = 12;
commit;
"""

_PARTED: Final = """
begin immediate;
create table parted_file (
    id integer primary key,
    path text not null,
    size integer not null,
    sha256 text not null,
    format text not null,
    reading text not null,      -- digest of everything else that decides how the file is read, but for these limits
    limits text not null,       -- JSON: those that left lines out which larger ones may let in; empty where none did
    kind text not null,
    kept integer not null,
    set_aside integer not null,
    seen_before integer not null,
    conflicting integer not null,
    unique (sha256, format, reading, limits)
) strict;
insert into parted_file
select id, path, size, sha256, format, substr(reading, 1, instr(reading || ' ', ' ') - 1),
       substr(reading, instr(reading || ' ', ' ') + 1), kind, kept, set_aside, seen_before, conflicting
from source_file
order by id;
drop table source_file;
alter table parted_file rename to source_file;
pragma user_version = 13;
commit;
"""

_LEFT_OUT: Final = """
begin immediate;
alter table membership add column left_out_by text;  -- null for bystanders of runs of before, whose rule is not known
update membership set left_out_by = case
    when membership <> 'bystander' then ''
    when reasons glob 'overturned on ????-??-??, new since: nothing*' then 'overturned'
end;
pragma user_version = 14;
commit;
"""

MIGRATIONS: Final[tuple[str, ...]] = (
    FIRST_VERSION,
    _APPENDED,
    _FORWARDED,
    _REMEMBERED,
    _PAST,
    _WORKED,
    _APART,
    _NAMED,
    _COUNTED,
    _VALUED,
    _FAILED,
    _BARRED,
    _PARTED,
    _LEFT_OUT,
    COMPANIONS,
)
"""Scripts in order, each one transaction that sets ``user_version`` to its place (from 1)."""
