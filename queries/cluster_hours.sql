-- cluster_hours
-- When were the members of a cluster at work, by the numbers of their accounts?
-- parameters: run_id, cluster_id   the run and the cluster
--             since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    number, hour, request_count
-- order:      number, hour
-- index:      membership_cluster, account_hour(primary key)
select m.account_id as number, h.hour as hour, h.request_count as request_count
from membership as m indexed by membership_cluster
join account_hour as h on h.account_id = m.account_id
where m.run_id = :run_id and m.cluster_id = :cluster_id
  and h.hour >= 24 * :since_day and h.hour < 24 * :until_day
order by m.account_id, h.hour
