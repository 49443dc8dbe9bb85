-- template_origins
-- How many accounts that share nothing else use each template, and which earlier version does it follow?
-- parameters: max_accounts  an address, payment instrument or organization of more accounts relates nobody (count)
--             min_share     share of the accounts of either version that must have moved (0 to 1)
--             overlap_ms    how long an account may go on with the earlier version (milliseconds)
-- columns:    template_id, unrelated_accounts, follows_id
-- order:      template_id
-- index:      entity_use_entity, entity_use(primary key)
with used as materialized (
    select u.entity_id, u.account_id, min(u.first_ms) as first_ms, max(u.last_ms) as last_ms
    from entity as e
    join entity_use as u on u.entity_id = e.id
    where e.kind = 'template'
    group by u.entity_id, u.account_id
),
hard as materialized (
    select u.entity_id
    from entity as e
    join entity_use as u on u.entity_id = e.id
    where e.kind in ('ip', 'payment', 'organization')
    group by u.entity_id
    having count(distinct u.account_id) between 2 and :max_accounts
),
near as materialized (
    select distinct a.account_id as account_a, b.account_id as account_b
    from hard as h
    join entity_use as a on a.entity_id = h.entity_id
    join entity_use as b on b.entity_id = h.entity_id
    where a.account_id <> b.account_id
),
related as (
    select distinct a.entity_id, a.account_id
    from used as a
    join near as n on n.account_a = a.account_id
    join used as b on b.entity_id = a.entity_id and b.account_id = n.account_b
),
apart as (
    select a.entity_id, count(*) - count(r.account_id) as unrelated_accounts, count(*) as accounts
    from used as a
    left join related as r on r.entity_id = a.entity_id and r.account_id = a.account_id
    group by a.entity_id
),
named as materialized (
    select t.name, t.family_id, e.id as entity_id, w.accounts, w.unrelated_accounts
    from template as t
    join entity as e on e.kind = 'template' and e.value = t.name
    join apart as w on w.entity_id = e.id
),
moved as (
    select later.name, earlier.name as earlier_name, count(*) as movers,
           row_number() over (partition by later.name order by count(*) desc, earlier.name) as place
    from named as later
    join named as earlier on earlier.family_id = later.family_id and earlier.name <> later.name
    join used as b on b.entity_id = later.entity_id
    join used as a on a.entity_id = earlier.entity_id and a.account_id = b.account_id
    where a.first_ms < b.first_ms and a.last_ms <= b.first_ms + :overlap_ms
    group by later.name, earlier.name
    having count(*) >= :min_share * min(later.accounts, earlier.accounts)
)
select n.name as template_id, n.unrelated_accounts as unrelated_accounts, m.earlier_name as follows_id
from named as n
left join moved as m on m.name = n.name and m.place = 1
order by n.name
