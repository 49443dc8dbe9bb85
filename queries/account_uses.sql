-- account_uses
-- Which account used which entity inside the window, how often and when?
-- parameters: since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    account_id, kind, value, request_count, first_at, last_at
-- order:      account_id, kind, value
-- index:      entity_use(primary key), account_record_account
with windowed as (
    select account_id, entity_id, sum(request_count) as request_count,
           min(first_ms) as first_ms, max(last_ms) as last_ms
    from entity_use
    where day >= :since_day and day < :until_day
    group by account_id, entity_id
),
active as (
    select account_id, min(first_ms) as first_ms, max(last_ms) as last_ms
    from account_day
    where day >= :since_day and day < :until_day
    group by account_id
),
used as (
    select account_id, entity_id, request_count, first_ms, last_ms from windowed
    union all
    select w.account_id, e.parent_id, w.request_count, w.first_ms, w.last_ms
    from windowed as w
    join entity as e on e.id = w.entity_id
    where e.parent_id is not null
    union all
    select r.account_id, r.payment_id, 0, a.first_ms, a.last_ms
    from active as a
    join account_record as r on r.account_id = a.account_id
    where r.payment_id is not null
    union all
    select r.account_id, r.email_domain_id, 0, a.first_ms, a.last_ms
    from active as a
    join account_record as r on r.account_id = a.account_id
    where r.email_domain_id is not null
)
select a.value as account_id, e.kind as kind, e.value as value,
       sum(u.request_count) as request_count, min(u.first_ms) as first_at, max(u.last_ms) as last_at
from used as u
join entity as e on e.id = u.entity_id
join account as a on a.id = u.account_id
group by u.account_id, u.entity_id
order by a.value, e.kind, e.value
