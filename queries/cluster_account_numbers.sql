-- cluster_account_numbers
-- Under which numbers does the store keep the members of a cluster?
-- parameters: run_id, cluster_id  the run and the cluster
-- columns:    account_id, number
-- order:      account_id
-- index:      membership_cluster
select a.value as account_id, m.account_id as number
from membership as m indexed by membership_cluster
join account as a on a.id = m.account_id
where m.run_id = :run_id and m.cluster_id = :cluster_id
order by a.value
