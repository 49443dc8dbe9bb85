-- accounts_of_key
-- Which accounts used an API key with this text in its id, and to which cluster of a run do they belong?
-- parameters: run_id, text  the run, and a part of a key's id
-- columns:    account_id, api_key, cluster_id, tier, membership
-- order:      account_id, api_key
-- index:      entity_use_entity, membership(primary key)
select distinct a.value as account_id, e.value as api_key, m.cluster_id as cluster_id, m.tier as tier,
       m.membership as membership
from entity as e
join entity_use as u on u.entity_id = e.id
join account as a on a.id = u.account_id
left join membership as m on m.run_id = :run_id and m.account_id = a.id
where e.kind = 'api_key' and instr(e.value, :text) > 0
order by a.value, e.value
