"""The statements that write facts and rollups; values are bound by name or position, never pasted in."""

from __future__ import annotations

from typing import Final

SCRATCH: Final = """
create temp table if not exists incoming (
    key integer primary key, content integer not null, account_id integer not null, at_ms integer not null,
    api_key_id integer, organization_id integer, ip_id integer, ip_prefix_id integer, payment_id integer,
    client_id integer, model_id integer, endpoint_id integer, contract_id integer, end_user_id integer,
    prompt_id integer, input_tokens integer, output_tokens integer, status integer, latency_ms real
);
create temp table if not exists dirty (
    account_id integer not null, day integer not null, primary key (account_id, day)
) without rowid;
create temp table if not exists new_prompt (id integer primary key, text text not null);
create temp table if not exists mined (id integer primary key, template_id integer);
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
)
"""Columns of ``request`` and of a batch of requests, in the order the statements bind them."""

# Of two records with one key the one with the smaller content hash stays: the same whichever came first.
STAGE_REQUEST: Final = """
insert into incoming values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
on conflict (key) do update set
    content = excluded.content, account_id = excluded.account_id, at_ms = excluded.at_ms,
    api_key_id = excluded.api_key_id, organization_id = excluded.organization_id, ip_id = excluded.ip_id,
    ip_prefix_id = excluded.ip_prefix_id, payment_id = excluded.payment_id,
    client_id = excluded.client_id, model_id = excluded.model_id,
    endpoint_id = excluded.endpoint_id, contract_id = excluded.contract_id, end_user_id = excluded.end_user_id,
    prompt_id = excluded.prompt_id, input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,
    status = excluded.status, latency_ms = excluded.latency_ms
where excluded.content < incoming.content
"""

COUNT_REPEATS: Final = """
select coalesce(sum(r.content = i.content), 0), coalesce(sum(r.content <> i.content), 0)
from incoming as i join request as r on r.key = i.key
"""

MARK_REPLACED: Final = """
insert or ignore into dirty
select r.account_id, r.at_ms / 86400000
from incoming as i join request as r on r.key = i.key
where i.content < r.content
union
select i.account_id, i.at_ms / 86400000
from incoming as i join request as r on r.key = i.key
where i.content < r.content
"""

REPLACE_REQUESTS: Final = """
replace into request
select i.key, i.content, i.account_id, i.at_ms, i.api_key_id, i.organization_id, i.ip_id, i.ip_prefix_id,
       i.payment_id, i.client_id,
       i.model_id, i.endpoint_id, i.contract_id, i.end_user_id, i.prompt_id, i.input_tokens, i.output_tokens,
       i.status, i.latency_ms
from incoming as i join request as r on r.key = i.key
where i.content < r.content
"""

FORGET_REPEATS: Final = "delete from incoming where key in (select key from request)"

ADD_REQUESTS: Final = """
insert into request
select key, content, account_id, at_ms, api_key_id, organization_id, ip_id, ip_prefix_id, payment_id, client_id,
       model_id, endpoint_id, contract_id, end_user_id, prompt_id, input_tokens, output_tokens, status, latency_ms
from incoming
"""

FETCH_DIRTY: Final = """
insert into incoming
select r.key, r.content, r.account_id, r.at_ms, r.api_key_id, r.organization_id, r.ip_id, r.ip_prefix_id,
       r.payment_id, r.client_id,
       r.model_id, r.endpoint_id, r.contract_id, r.end_user_id, r.prompt_id, r.input_tokens, r.output_tokens,
       r.status, r.latency_ms
from request as r
join dirty as d on d.account_id = r.account_id and d.day = r.at_ms / 86400000
"""

FORGET_DIRTY: Final = (
    "delete from entity_use where (account_id, day) in (select account_id, day from dirty)",
    "delete from account_day where (account_id, day) in (select account_id, day from dirty)",
    """delete from account_hour where exists (
        select 1 from dirty as d where d.account_id = account_hour.account_id and d.day = account_hour.hour / 24)""",
)

ROLL_UP: Final = (
    """
insert into entity_use
select account_id, entity_id, at_ms / 86400000, count(*), min(at_ms), max(at_ms)
from (
    select account_id, api_key_id as entity_id, at_ms from incoming
    union all select account_id, organization_id, at_ms from incoming
    union all select account_id, ip_id, at_ms from incoming
    union all select account_id, ip_prefix_id, at_ms from incoming
    union all select account_id, payment_id, at_ms from incoming
    union all select account_id, client_id, at_ms from incoming
    union all select account_id, model_id, at_ms from incoming
    union all select account_id, endpoint_id, at_ms from incoming
    union all select account_id, contract_id, at_ms from incoming
    union all select account_id, end_user_id, at_ms from incoming
)
where entity_id is not null
group by account_id, entity_id, at_ms / 86400000
on conflict (account_id, entity_id, day) do update set
    request_count = request_count + excluded.request_count,
    first_ms = min(first_ms, excluded.first_ms), last_ms = max(last_ms, excluded.last_ms)
""",
    """
insert into account_day
select account_id, at_ms / 86400000, count(*),
       sum(coalesce(status >= 400 or status = 0, 0)), sum(coalesce(status = 429, 0)),
       count(input_tokens), coalesce(sum(input_tokens), 0), coalesce(sum(log_micros(input_tokens)), 0),
       count(output_tokens), coalesce(sum(output_tokens), 0), coalesce(sum(log_micros(output_tokens)), 0),
       count(prompt_id), min(at_ms), max(at_ms)
from incoming
group by account_id, at_ms / 86400000
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
    """
insert into account_hour
select account_id, at_ms / 3600000, count(*), sum(coalesce(status = 429, 0))
from incoming
group by account_id, at_ms / 3600000
on conflict (account_id, hour) do update set
    request_count = request_count + excluded.request_count,
    limited_count = limited_count + excluded.limited_count
""",
)

COVER: Final = """
insert into coverage_day
with daily as (
    select at_ms / 86400000 as day, count(*) as total, count(api_key_id) as api_key_id,
           count(organization_id) as organization_id, count(ip_prefix_id) as ip, count(payment_id) as payment_method,
           count(client_id) as client, count(model_id) as model, count(endpoint_id) as endpoint,
           count(contract_id) as params, count(end_user_id) as end_user, count(prompt_id) as prompt,
           count(input_tokens) as input_tokens, count(output_tokens) as output_tokens, count(status) as status,
           count(latency_ms) as latency_ms
    from incoming
    group by at_ms / 86400000
)
select day, 'api_key_id', api_key_id, total from daily
union all select day, 'organization_id', organization_id, total from daily
union all select day, 'ip', ip, total from daily
union all select day, 'payment_method', payment_method, total from daily
union all select day, 'client', client, total from daily
union all select day, 'model', model, total from daily
union all select day, 'endpoint', endpoint, total from daily
union all select day, 'params', params, total from daily
union all select day, 'end_user', end_user, total from daily
union all select day, 'prompt', prompt, total from daily
union all select day, 'input_tokens', input_tokens, total from daily
union all select day, 'output_tokens', output_tokens, total from daily
union all select day, 'status', status, total from daily
union all select day, 'latency_ms', latency_ms, total from daily
where true
on conflict (day, field) do update set present = present + excluded.present, total = total + excluded.total
"""

# coverage_day counts over all accounts, so a replaced record takes its whole day out and in again.
RECOVER_COVERAGE: Final = (
    "delete from incoming",
    """insert into incoming
    select r.key, r.content, r.account_id, r.at_ms, r.api_key_id, r.organization_id, r.ip_id, r.ip_prefix_id,
           r.payment_id, r.client_id, r.model_id, r.endpoint_id, r.contract_id, r.end_user_id, r.prompt_id,
           r.input_tokens, r.output_tokens, r.status, r.latency_ms
    from request as r
    where r.at_ms / 86400000 in (select day from dirty)""",
    "delete from coverage_day where day in (select day from dirty)",
)

ADD_ENTITY: Final = "insert or ignore into entity (id, kind, value) values (?, ?, ?)"
ADD_ACCOUNT: Final = "insert or ignore into account (id, value) values (?, ?)"
FIND_ENTITY: Final = "select kind, value from entity where id = ?"
FIND_ACCOUNT: Final = "select value from account where id = ?"

ADD_ACCOUNT_RECORD: Final = "insert or ignore into account_record values (?, ?, ?, ?, ?, ?, ?, ?)"

ADD_PROMPT: Final = """
insert into prompt (id, features, gateway_template, text) values (?, ?, ?, ?)
on conflict (id) do update set
    gateway_template = coalesce(min(gateway_template, excluded.gateway_template), gateway_template,
                                excluded.gateway_template),
    text = coalesce(min(text, excluded.text), text, excluded.text)
"""

KEEP_NEW_PROMPT: Final = "insert or ignore into new_prompt values (?, ?)"

SET_TEMPLATES: Final = (
    "update prompt set template_id = m.template_id from mined as m "
    "where m.id = prompt.id and m.template_id is not prompt.template_id",
    "delete from mined",
)

READ_PROMPTS: Final = "select id, features from prompt where id > ? order by id limit ?"

READ_GATEWAY_TEMPLATES: Final = """
select distinct gateway_template from prompt where gateway_template is not null order by gateway_template
"""
USE_GATEWAY_TEMPLATE: Final = "update prompt set template_id = ? where gateway_template = ?"

UNDESCRIBED_TEMPLATES: Final = """
select distinct template_id from prompt
where template_id is not null and template_id not in (select id from template)
order by template_id
"""

NEW_TEXTS: Final = """
select n.text
from prompt as p
join new_prompt as n on n.id = p.id
where p.template_id = ?
order by p.id
limit ?
"""

TEMPLATE_TEXTS: Final = """
select id, text from template where id in (select template_id from prompt) order by id
"""

ADD_TEMPLATE: Final = "insert or ignore into template (id, name, text, slots) values (?, ?, ?, ?)"
TIE_TEMPLATE: Final = "update template set contract = ?, family_id = ?, similarity = ? where id = ?"

# Templates and items of a prompt may change when more prompts are known, so what follows from them is made anew.
FORGET_TEMPLATES: Final = (
    "delete from template where id not in (select template_id from prompt where template_id is not null)",
    "delete from entity_use where entity_id in (select id from entity where kind = 'template')",
    "delete from entity where kind in ('template', 'template_family')",
    "delete from prompt_day",
    "delete from item_use",
)

FOLLOW_TEMPLATES: Final = (
    "insert into entity (id, kind, value, parent_id) select id, 'template', name, family_id from template",
    """insert into entity_use
    select r.account_id, p.template_id, r.at_ms / 86400000, count(*), min(r.at_ms), max(r.at_ms)
    from request as r
    join prompt as p on p.id = r.prompt_id
    where p.template_id is not null
    group by r.account_id, p.template_id, r.at_ms / 86400000""",
    """insert into prompt_day
    select r.account_id, r.at_ms / 86400000, count(distinct r.prompt_id), count(p.template_id)
    from request as r
    join prompt as p on p.id = r.prompt_id
    group by r.account_id, r.at_ms / 86400000""",
    """insert into item_use
    select r.account_id, i.item, r.at_ms / 86400000, count(*), min(r.at_ms)
    from request as r
    join prompt_item as i on i.prompt_id = r.prompt_id
    group by r.account_id, i.item, r.at_ms / 86400000""",
)

ADD_FAMILY: Final = """
insert or ignore into entity (id, kind, value) values (?, 'template_family', ?)
"""

ADD_SOURCE_FILE: Final = """
insert into source_file
    (path, size, sha256, format, reading, kind, kept, set_aside, seen_before, conflicting)
values (:path, :size, :sha256, :format, :reading, :kind, :kept, :set_aside, :seen_before, :conflicting)
"""

FIND_SOURCE_FILE: Final = """
select kept, set_aside, seen_before, conflicting, kind
from source_file
where sha256 = :sha256 and format = :format and reading = :reading
"""

BUMP_REVISION: Final = "update input_state set revision = revision + 1"
MARK_MINED: Final = "update input_state set mined_revision = revision"
READ_STATE: Final = "select revision, mined_revision from input_state"
