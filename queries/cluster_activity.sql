-- cluster_activity
-- When were the members of a cluster at work?
-- parameters: run_id, cluster_id   the run and the cluster
--             since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    account_id, hour_at, request_count
-- order:      account_id, hour_at
-- index:      membership_cluster, account_hour(primary key)
select a.value as account_id, h.hour * 3600000 as hour_at, h.request_count as request_count
from membership as m
join account_hour as h on h.account_id = m.account_id
join account as a on a.id = m.account_id
where m.run_id = :run_id and m.cluster_id = :cluster_id
  and h.hour >= 24 * :since_day and h.hour < 24 * :until_day
order by a.value, h.hour
