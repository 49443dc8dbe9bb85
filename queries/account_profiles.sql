-- account_profiles
-- What is known of each account that made a request inside the window?
-- parameters: since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    account_id, organization_id, created_at, email_domain, country, plan, request_count, first_at, last_at
-- order:      account_id
-- index:      account_record_account, account_day(primary key)
with active as (
    select account_id, sum(request_count) as request_count, min(first_ms) as first_ms, max(last_ms) as last_ms
    from account_day
    where day >= :since_day and day < :until_day
    group by account_id
),
declared as (
    select r.account_id, max(o.value) as organization_id, min(r.created_ms) as created_ms,
           max(m.value) as email_domain, max(r.country) as country, max(r.plan) as plan
    from account_record as r
    left join entity as o on o.id = r.organization_id
    left join entity as m on m.id = r.email_domain_id
    group by r.account_id
),
sent as (
    select u.account_id, max(e.value) as organization_id
    from entity_use as u
    join entity as e on e.id = u.entity_id
    where e.kind = 'organization'
    group by u.account_id
)
select a.value as account_id, coalesce(d.organization_id, s.organization_id) as organization_id,
       d.created_ms as created_at, d.email_domain as email_domain, d.country as country, d.plan as plan,
       v.request_count as request_count, v.first_ms as first_at, v.last_ms as last_at
from active as v
join account as a on a.id = v.account_id
left join declared as d on d.account_id = v.account_id
left join sent as s on s.account_id = v.account_id
order by a.value
