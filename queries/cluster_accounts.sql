-- cluster_accounts
-- Which accounts were in a cluster in any run that is kept?
-- parameters: cluster_id  the cluster
-- columns:    account_id
-- order:      account_id
-- index:      none
select distinct a.value as account_id
from membership as m
join account as a on a.id = m.account_id
where m.cluster_id = :cluster_id
order by a.value
