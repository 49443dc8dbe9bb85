-- cluster_templates
-- Which templates do two or more members of a cluster use, and how many accounts use each in the whole store?
-- parameters: run_id, cluster_id   the run and the cluster
--             since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    template_id, text, slots, prompts, requests, accounts, first_at, last_at, family_id, contract
-- order:      members that use it, requests, template_id
-- index:      membership_cluster, entity_use(primary key), entity_use_entity
with used as (
    select u.entity_id, count(distinct u.account_id) as members
    from membership as m
    join entity_use as u on u.account_id = m.account_id
    join entity as e on e.id = u.entity_id
    where m.run_id = :run_id and m.cluster_id = :cluster_id and e.kind = 'template'
      and u.day >= :since_day and u.day < :until_day
    group by u.entity_id
    having count(distinct u.account_id) > 1
),
everywhere as (
    select u.entity_id, sum(u.request_count) as requests, count(distinct u.account_id) as accounts,
           min(u.first_ms) as first_ms, max(u.last_ms) as last_ms
    from entity_use as u
    where u.entity_id in (select entity_id from used) and u.day >= :since_day and u.day < :until_day
    group by u.entity_id
)
select t.name as template_id, t.text as text, t.slots as slots,
       t.prompts as prompts,
       w.requests as requests, w.accounts as accounts, w.first_ms as first_at, w.last_ms as last_at,
       f.value as family_id, t.contract as contract
from used as u
join everywhere as w on w.entity_id = u.entity_id
join entity as e on e.id = u.entity_id
join template as t on t.name = e.value
left join entity as f on f.id = t.family_id
order by u.members desc, w.requests desc, t.name
