-- cluster_values
-- Which values do two or more members of a cluster share, and which members have each?
-- parameters: run_id, cluster_id  the run and the cluster
-- columns:    family, kind, value, accounts, unrelated_accounts, requests, first_at, last_at, members
-- order:      family, kind, value
-- index:      shared_value(primary key)
select s.family as family, s.kind as kind, s.value as value, max(s.accounts) as accounts,
       max(s.unrelated_accounts) as unrelated_accounts, sum(s.request_count) as requests,
       min(s.first_ms) as first_at, max(s.last_ms) as last_at, group_concat(s.account_id) as members
from shared_value as s
where s.run_id = :run_id and s.cluster_id = :cluster_id
group by s.family, s.kind, s.value
order by s.family, s.kind, s.value
