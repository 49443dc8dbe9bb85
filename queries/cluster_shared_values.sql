-- cluster_shared_values
-- Which values do two or more members of a cluster share, and how many accounts share each in the whole store?
-- parameters: run_id, cluster_id  the run and the cluster
-- columns:    account_id, family, kind, value, request_count, first_at, last_at, accounts, unrelated_accounts
-- order:      family, kind, value, account_id
-- index:      cluster(primary key), shared_value(primary key), run_value(primary key)
select a.value as account_id, v.family as family, v.kind as kind, v.value as value, s.request_count as request_count,
       s.first_ms as first_at, s.last_ms as last_at, v.accounts as accounts, v.unrelated_accounts as unrelated_accounts
from cluster as c
join shared_value as s on s.cluster_number = c.number
join run_value as v on v.run_id = c.run_id and v.number = s.value_number
join account as a on a.id = s.account_id
where c.run_id = :run_id and c.cluster_id = :cluster_id
order by v.family, v.kind, v.value, a.value, v.number
