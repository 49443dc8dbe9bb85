"""The table of companions, as one version of the schema: see :mod:`linkage.store.schema`."""

from __future__ import annotations

from typing import Final

COMPANIONS: Final = """
begin immediate;
create table companion (        -- what a second log tells of a request
    key integer primary key,    -- as in request
    at_ms integer not null,
    account_id integer,         -- who asked, where it says so
    ip_prefix_id integer,
    ip_id integer,
    client_id integer,
    prompt_id integer,
    input_tokens integer,
    output_tokens integer,
    taken integer,              -- which of these its request took, as bits; null while it waits for its request
    features blob,              -- of a prompt that waits, and its text only with --keep-prompts
    text blob
) strict;
create index companion_time on companion (at_ms);
create index companion_waiting on companion (at_ms) where taken is null;
alter table input_state add column aged_companions integer not null default 0;  -- let go before their request came
pragma user_version = 15;
commit;
"""
"""What second logs tell of requests waits there, and how many were let go is counted."""
