-- cluster_hour_count
-- How many hours of work do the members of a cluster have?
-- parameters: run_id, cluster_id   the run and the cluster
--             since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    activity
-- order:      one row
-- index:      membership_cluster, account_hour(primary key)
select count(*) as activity
from membership as m indexed by membership_cluster
join account_hour as h on h.account_id = m.account_id
where m.run_id = :run_id and m.cluster_id = :cluster_id
  and h.hour >= 24 * :since_day and h.hour < 24 * :until_day
order by 1
