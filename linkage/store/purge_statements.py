"""The statements of a purge, in the order they are carried out; see :mod:`linkage.store.purge`."""

from __future__ import annotations

from typing import Final

Statements = tuple[tuple[str, str], ...]
"""Pairs of a table and a statement that deletes rows of it."""

SCRATCH: Final = """
create temp table if not exists gone_account (id integer primary key, value text not null);
create temp table if not exists gone_value (value text primary key) without rowid;
create temp table if not exists shrunk_cluster (
    run_id text not null, cluster_id text not null, members integer not null, requests integer not null,
    primary key (run_id, cluster_id)
) without rowid;
create temp table if not exists touched_account (id integer primary key);
delete from gone_account;
delete from gone_value;
delete from shrunk_cluster;
delete from touched_account;
"""

CHOOSE_ACCOUNT: Final = "insert into gone_account select id, value from account where value = ?"

TOUCH_ACCOUNTS: Final = (
    "insert into touched_account select distinct account_id from request where at_ms < 86400000 * :day"
)
CHOOSE_SILENT: Final = """
insert into gone_account
select id, value from account
where id in (select id from touched_account)
    and id not in (select account_id from request where at_ms >= 86400000 * :day)
"""

FORGET_WAITING: Final = "delete from companion where taken is null and account_id = ?"

CHOSEN_REQUESTS: Final = """
select key, content, account_id, at_ms, api_key_id, organization_id, ip_id, ip_prefix_id, payment_id, client_id,
       model_id, endpoint_id, contract_id, end_user_id, prompt_id, input_tokens, output_tokens, status, latency_ms,
       forwarded_id
from request
where account_id in (select id from gone_account)
"""

SUBTRACT_COVERAGE: Final = (
    "update coverage_day set present = present - ?, total = total - ? where day = ? and field = ?"
)
FORGET_EMPTY_COVERAGE: Final = "delete from coverage_day where total <= 0"

REMEMBER_ACCOUNTS: Final = "insert or ignore into gone_value select value from gone_account"
REMEMBER_CLUSTERS: Final = """
insert into shrunk_cluster
select run_id, cluster_id, count(*), sum(requests)
from membership
where account_id in (select id from gone_account)
group by run_id, cluster_id
"""

FORGET_LEFT_ALONE: Final = (
    "companion",
    "delete from companion where taken is not null and key not in (select key from request)",
)
FORGET_ACCOUNTS: Final[Statements] = (
    ("request", "delete from request where account_id in (select id from gone_account)"),
    FORGET_LEFT_ALONE,
    ("account_record", "delete from account_record where account_id in (select id from gone_account)"),
    ("entity_use", "delete from entity_use where account_id in (select id from gone_account)"),
    ("account_day", "delete from account_day where account_id in (select id from gone_account)"),
    ("account_hour", "delete from account_hour where account_id in (select id from gone_account)"),
    ("prompt_day", "delete from prompt_day where account_id in (select id from gone_account)"),
    ("item_day", "delete from item_day where account_id in (select id from gone_account)"),
    ("work_day", "delete from work_day where account_id in (select id from gone_account)"),
    ("membership", "delete from membership where account_id in (select id from gone_account)"),
    (
        "link",
        """
delete from link
where account_a in (select id from gone_account) or account_b in (select id from gone_account)
""",
    ),
    ("shared_value", "delete from shared_value where account_id in (select id from gone_account)"),
    ("case_member", "delete from case_member where account_id in (select id from gone_account)"),
    ("case_note", "delete from case_note where account_id in (select id from gone_account)"),
    ("account", "delete from account where id in (select id from gone_account)"),
)

FORGET_BEFORE: Final[Statements] = (
    ("request", "delete from request where at_ms < 86400000 * :day"),
    FORGET_LEFT_ALONE,
    ("companion", "delete from companion where at_ms < 86400000 * :day"),
    ("entity_use", "delete from entity_use where day < :day"),
    ("account_day", "delete from account_day where day < :day"),
    ("account_hour", "delete from account_hour where hour < 24 * :day"),
    ("prompt_day", "delete from prompt_day where day < :day"),
    ("item_day", "delete from item_day where day < :day"),
    ("work_day", "delete from work_day where day < :day"),
    ("coverage_day", "delete from coverage_day where day < :day"),
)

RUNS_BEFORE: Final = "select id from run where as_of_ms <= 86400000 * :day order by sequence"

FORGET_RUN: Final[Statements] = (
    ("link", "delete from link where cluster_number in (select number from cluster where run_id = :run_id)"),
    (
        "shared_value",
        "delete from shared_value where cluster_number in (select number from cluster where run_id = :run_id)",
    ),
    ("run_value", "delete from run_value where run_id = :run_id"),
    ("cluster", "delete from cluster where run_id = :run_id"),
    ("membership", "delete from membership where run_id = :run_id"),
    ("template_use", "delete from template_use where run_id = :run_id"),
    ("statement", "delete from statement where run_id = :run_id"),
    ("event", "delete from event where run_id = :run_id"),
    ("published", "delete from published where run_id = :run_id"),
    ("run", "delete from run where id = :run_id"),
)

FORGET_PROMPTS: Final[Statements] = (
    (
        "prompt",
        """
delete from prompt where id not in (select prompt_id from request where prompt_id is not null)
""",
    ),
    ("prompt_template", "delete from prompt_template where prompt_id not in (select id from prompt)"),
    # Whose prompts a past template read like is not known.
    ("past_template", "delete from past_template"),
    # Whose requests are counted in it is not known; until the next run the uses that are left are counted.
    ("template_use", "delete from template_use"),
    (
        "template",
        """
delete from template
where prompts > 0 and id not in (select template_id from prompt_template)
""",
    ),
    (
        "entity_use",
        """
delete from entity_use
where entity_id in (select id from entity where kind = 'template' and id not in (select id from template))
""",
    ),
)
RECOUNT_PROMPTS: Final = (
    "update template set prompts = 0",
    """
update template set prompts = c.prompts
from (select template_id, count(*) as prompts from prompt_template group by template_id) as c
where c.template_id = template.id
""",
)

REMEMBER_VALUES: Final = """
insert or ignore into gone_value
select e.value
from entity as e
where e.id not in (select entity_id from entity_use)
    and e.id not in (select organization_id from account_record where organization_id is not null)
    and e.id not in (select email_domain_id from account_record where email_domain_id is not null)
    and e.id not in (select payment_id from account_record where payment_id is not null)
    and e.id not in (
        select c.ip_prefix_id from companion as c where c.ip_prefix_id is not null
        union select c.ip_id from companion as c where c.ip_id is not null
        union select c.client_id from companion as c where c.client_id is not null
    )
    and e.id not in (
        select t.family_id from template as t where t.family_id is not null
        union select t.id from template as t
    )
"""
FORGET_VALUES: Final[Statements] = (
    (
        "entity",
        """
delete from entity
where id not in (select entity_id from entity_use)
    and id not in (select organization_id from account_record where organization_id is not null)
    and id not in (select email_domain_id from account_record where email_domain_id is not null)
    and id not in (select payment_id from account_record where payment_id is not null)
    and id not in (
        select c.ip_prefix_id from companion as c where c.ip_prefix_id is not null
        union select c.ip_id from companion as c where c.ip_id is not null
        union select c.client_id from companion as c where c.client_id is not null
    )
    and id not in (
        select t.family_id from template as t where t.family_id is not null
        union select t.id from template as t
    )
""",
    ),
)

SHRINK_CLUSTERS: Final = """
update cluster
set accounts = (
        select count(*) from membership as m
        where m.run_id = cluster.run_id and m.cluster_id = cluster.cluster_id
    ),
    requests = requests - (
        select s.requests from shrunk_cluster as s
        where s.run_id = cluster.run_id and s.cluster_id = cluster.cluster_id
    )
where (run_id, cluster_id) in (select run_id, cluster_id from shrunk_cluster)
"""
FORGET_EMPTIED: Final[Statements] = (
    ("case_value", "delete from case_value where value in (select value from gone_value)"),
    (
        "case_note",
        """
delete from case_note
where cluster_id in (
        select s.cluster_id from shrunk_cluster as s
        join cluster as c on c.run_id = s.run_id and c.cluster_id = s.cluster_id
        where c.accounts < 2
    )
    and cluster_id not in (select cluster_id from cluster where accounts >= 2)
""",
    ),
    (
        "membership",
        """
delete from membership
where (run_id, cluster_id) in (select run_id, cluster_id from cluster where accounts < 2)
""",
    ),
    ("link", "delete from link where cluster_number in (select number from cluster where accounts < 2)"),
    (
        "shared_value",
        "delete from shared_value where cluster_number in (select number from cluster where accounts < 2)",
    ),
    (
        "run_value",
        """
delete from run_value
where run_id in (select run_id from shrunk_cluster)
    and (run_id, number) not in (
        select c.run_id, l.value_number
        from cluster as c join link as l on l.cluster_number = c.number
        where c.run_id in (select run_id from shrunk_cluster)
        union
        select c.run_id, s.value_number
        from cluster as c join shared_value as s on s.cluster_number = c.number
        where c.run_id in (select run_id from shrunk_cluster)
    )
""",
    ),
    (
        "statement",
        """
delete from statement
where (run_id, cluster_id) in (select run_id, cluster_id from cluster where accounts < 2)
""",
    ),
    ("cluster", "delete from cluster where accounts < 2"),
    ("case_member", "delete from case_member where note_id not in (select id from case_note)"),
    ("case_value", "delete from case_value where note_id not in (select id from case_note)"),
)
RECOUNT_RUNS: Final = """
update run
set counts = json_set(
    counts,
    '$.clusters', (select count(*) from cluster as c where c.run_id = run.id),
    '$.members', (select count(*) from membership as m where m.run_id = run.id),
    '$.flagged', (select count(*) from membership as m where m.run_id = run.id and m.flagged = 1)
)
where id in (select run_id from shrunk_cluster)
"""

# Files that would be read again when longer lines are allowed are known for good, or they would bring back what goes.
KNOW_FILES: Final = "update or ignore source_file set limits = ''"

# A short value that is no account's id is not told from an ordinary word or number.
WORDS: Final = "select value from gone_value where length(value) >= 3 union select value from gone_account"
TEXTS: Final[Statements] = (
    (
        "select distinct value from case_value order by value",
        "update or replace case_value set value = ? where value = ?",
    ),
    (
        "select distinct value from run_value order by value",
        "update run_value set value = ? where value = ?",
    ),
    (
        "select distinct reason from rejected order by reason",
        "update or replace rejected set reason = ? where reason = ?",
    ),
    (
        "select distinct note from case_note order by note",
        "update case_note set note = ? where note = ?",
    ),
    (
        "select distinct sentence from statement order by sentence",
        "update statement set sentence = ? where sentence = ?",
    ),
    (
        "select distinct rows from statement where rows is not null order by rows",
        "update statement set rows = ? where rows = ?",
    ),
    (
        "select distinct reasons from membership order by reasons",
        "update membership set reasons = ? where reasons = ?",
    ),
    (
        "select distinct strongest from cluster order by strongest",
        "update cluster set strongest = ? where strongest = ?",
    ),
    (
        "select distinct readings from cluster order by readings",
        "update cluster set readings = ? where readings = ?",
    ),
)
"""Texts that may name a value: how they are read, and how one is written in the place of another."""
