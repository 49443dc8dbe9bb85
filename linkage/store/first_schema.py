"""The tables of a store as its first version had them; :mod:`linkage.store.schema` says what became of them."""

from __future__ import annotations

from typing import Final

_FACTS: Final = """
begin immediate;
pragma application_id = 0x4C4E4B47;
create table account (id integer primary key, value text not null unique) strict;

create table entity (
    id integer primary key,
    kind text not null,
    value text not null,
    parent_id integer,          -- the family of a template
    unique (kind, value)
) strict;

create table account_record (
    content integer primary key,
    account_id integer not null,
    organization_id integer,
    email_domain_id integer,
    payment_id integer,
    created_ms integer,
    country text,
    plan text
) strict;
create index account_record_account on account_record (account_id);

create table request (
    key integer primary key,    -- hash of source and request id
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

create table prompt (
    id integer primary key,     -- hash of the normalised text; the text itself is not kept
    features blob not null,
    gateway_template text,      -- the template's id at the gateway, where it says so
    template_id integer,
    text blob                   -- compressed, only with --keep-prompts
) strict;
create index prompt_template on prompt (template_id);

create table prompt_item (
    prompt_id integer not null,
    item integer not null,
    primary key (prompt_id, item)
) strict, without rowid;

create table template (
    id integer primary key,
    name text not null unique,
    text text not null,
    slots integer not null,
    contract text,
    family_id integer,
    similarity real
) strict;
"""

_ROLLUPS: Final = """
create table entity_use (
    account_id integer not null,
    entity_id integer not null,
    day integer not null,
    request_count integer not null,
    first_ms integer not null,
    last_ms integer not null,
    primary key (account_id, entity_id, day)
) strict, without rowid;
create index entity_use_entity on entity_use (entity_id, account_id);

create table account_day (
    account_id integer not null,
    day integer not null,
    request_count integer not null,
    failed_count integer not null,
    limited_count integer not null,
    input_count integer not null,
    input_tokens integer not null,
    log_input_micros integer not null,   -- sum of ln(1 + tokens) in millionths: whole numbers add up
    output_count integer not null,       -- the same in any order, floats do not
    output_tokens integer not null,
    log_output_micros integer not null,
    prompt_count integer not null,
    first_ms integer not null,
    last_ms integer not null,
    primary key (account_id, day)
) strict, without rowid;

create table account_hour (
    account_id integer not null,
    hour integer not null,
    request_count integer not null,
    limited_count integer not null,
    primary key (account_id, hour)
) strict, without rowid;

create table prompt_day (
    account_id integer not null,
    day integer not null,
    distinct_count integer not null,
    templated_count integer not null,
    primary key (account_id, day)
) strict, without rowid;

create table item_use (
    account_id integer not null,
    item integer not null,
    day integer not null,
    request_count integer not null,
    first_ms integer not null,
    primary key (account_id, item, day)
) strict, without rowid;
create index item_use_item on item_use (item, account_id);

create table coverage_day (
    day integer not null,
    field text not null,
    present integer not null,
    total integer not null,
    primary key (day, field)
) strict, without rowid;
"""

_LEDGER: Final = """
create table source_file (
    id integer primary key,
    path text not null,
    size integer not null,
    sha256 text not null,
    format text not null,
    reading text not null,      -- digest of everything else that decides how the file is read
    kind text not null,
    kept integer not null,
    set_aside integer not null,
    seen_before integer not null,
    conflicting integer not null,
    unique (sha256, format, reading)
) strict;

create table rejected (
    source_file_id integer not null,
    line integer not null,
    reason text not null,
    primary key (source_file_id, line, reason)
) strict, without rowid;

create table input_state (
    id integer primary key check (id = 1),
    revision integer not null,  -- counts the changes of what a rebuild reads
    mined_revision integer not null
) strict;
insert into input_state (id, revision, mined_revision) values (1, 0, 0);
"""

_RUNS: Final = """
create table run (
    id text primary key,
    sequence integer not null unique,
    input_digest text not null,
    as_of_ms integer not null,
    since_ms integer not null,
    seed integer not null,
    settings text not null,
    input_revision integer not null,
    versions text not null,
    counts text not null,
    weights text not null
) strict;

create table published (
    id integer primary key check (id = 1),
    run_id text not null
) strict;

create table cluster (
    run_id text not null,
    cluster_id text not null,
    tier text not null,
    accounts integer not null,
    requests integer not null,
    controller_probability real not null,
    extraction_probability real not null,
    q_value real not null,
    families text not null,
    first_ms integer not null,
    last_ms integer not null,
    stability real not null,
    expected_wrong real not null,
    organizations integer not null,
    strongest text not null,
    readings text not null,
    primary key (run_id, cluster_id)
) strict, without rowid;

create table membership (
    run_id text not null,
    account_id integer not null,
    cluster_id text not null,
    membership text not null,
    tier text not null,
    controller_probability real not null,
    extraction_probability real not null,
    q_value real not null,
    reasons text not null,
    flagged integer not null,
    stability real not null,
    requests integer not null,
    primary key (run_id, account_id)
) strict, without rowid;
create index membership_cluster on membership (run_id, cluster_id);

create table link (
    run_id text not null,
    cluster_id text not null,
    account_a integer not null,
    account_b integer not null,
    family text not null,
    kind text not null,
    value text not null,
    accounts integer not null,
    unrelated_accounts integer not null,
    bits real not null,
    first_ms integer,
    last_ms integer,
    primary key (run_id, cluster_id, account_a, account_b, family, kind, value)
) strict, without rowid;

create table shared_value (
    run_id text not null,
    cluster_id text not null,
    account_id integer not null,
    family text not null,
    kind text not null,
    value text not null,
    request_count integer not null,
    accounts integer not null,
    unrelated_accounts integer not null,
    first_ms integer,
    last_ms integer,
    primary key (run_id, cluster_id, family, kind, value, account_id)
) strict, without rowid;

create table statement (
    run_id text not null,
    cluster_id text not null,
    position integer not null,
    topic text not null,
    sentence text not null,
    query text,
    rows text,
    primary key (run_id, cluster_id, position)
) strict, without rowid;

create table event (
    run_id text not null,
    position integer not null,
    cluster_id text not null,
    event text not null,
    other_id text,
    accounts_before integer not null,
    accounts_after integer not null,
    accounts_shared integer not null,
    primary key (run_id, position)
) strict, without rowid;

create table case_note (
    id integer primary key,
    cluster_id text not null,
    state text not null,
    note text not null,
    author text not null,
    noted_ms integer not null
) strict;
create index case_note_cluster on case_note (cluster_id);

create index event_cluster on event (cluster_id);
pragma user_version = 1;
commit;
"""

FIRST_VERSION: Final = _FACTS + _ROLLUPS + _LEDGER + _RUNS
"""Makes an empty store of version 1 of an empty file, in one transaction."""
