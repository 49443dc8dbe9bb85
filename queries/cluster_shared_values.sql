-- cluster_shared_values
-- Which values do two or more members of a cluster share, and how many accounts share each in the whole store?
-- parameters: run_id, cluster_id  the run and the cluster
-- columns:    account_id, family, kind, value, request_count, first_at, last_at, accounts, unrelated_accounts
-- order:      family, kind, value, account_id
-- index:      shared_value(primary key)
select a.value as account_id, s.family as family, s.kind as kind, s.value as value, s.request_count as request_count,
       s.first_ms as first_at, s.last_ms as last_at, s.accounts as accounts, s.unrelated_accounts as unrelated_accounts
from shared_value as s
join account as a on a.id = s.account_id
where s.run_id = :run_id and s.cluster_id = :cluster_id
order by s.family, s.kind, s.value, a.value
