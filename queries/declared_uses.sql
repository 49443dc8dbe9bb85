-- declared_uses
-- Which payment instrument and mail domain do the records of accounts at work name, and when were those at work?
-- parameters: since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    account, entity, request_count, first_ms, last_ms  (request_count: 0, no request carried it)
-- order:      account, entity
-- index:      account_record_account
with active as (
    select account_id, min(first_ms) as first_ms, max(last_ms) as last_ms
    from account_day
    where day >= :since_day and day < :until_day
    group by account_id
),
declared as (
    select a.account_id, r.payment_id as entity_id, a.first_ms, a.last_ms
    from active as a
    join account_record as r on r.account_id = a.account_id
    where r.payment_id is not null
    union
    select a.account_id, r.email_domain_id, a.first_ms, a.last_ms
    from active as a
    join account_record as r on r.account_id = a.account_id
    where r.email_domain_id is not null
)
select account_id as account, entity_id as entity, 0 as request_count, first_ms, last_ms
from declared
order by account_id, entity_id
