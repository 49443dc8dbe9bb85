-- account_facts
-- What is declared of some accounts, and in which cluster of a run is each?
-- parameters: run_id    the run
--             accounts  numbers of accounts in the rollups, as a JSON array
-- columns:    number, account_id, organization_id, email_domain, created_at, country, plan, records, cluster_id, tier,
--             membership  (records: how many account records there are)
-- order:      account_id
-- index:      account(primary key), account_record_account, entity_use(primary key), membership(primary key)
select a.id as number, a.value as account_id, coalesce(
           max(o.value),
           (
               select max(e.value)
               from entity_use as u
               join entity as e on e.id = u.entity_id
               where u.account_id = a.id and e.kind = 'organization'
           )
       ) as organization_id,
       max(d.value) as email_domain, min(r.created_ms) as created_at, max(r.country) as country, max(r.plan) as plan,
       count(r.content) as records, m.cluster_id as cluster_id, m.tier as tier, m.membership as membership
from json_each(:accounts) as w
cross join account as a on a.id = w.value
left join account_record as r on r.account_id = a.id
left join entity as o on o.id = r.organization_id
left join entity as d on d.id = r.email_domain_id
left join membership as m on m.run_id = :run_id and m.account_id = a.id
group by a.id
order by a.value
