-- cluster_uses
-- How often and when did each member of a cluster use each of the values it shares, by their numbers?
-- parameters: run_id, cluster_id  the run and the cluster
-- columns:    value_number, number, request_count, first_ms, last_ms  (-1: not told)
-- order:      value_number, number
-- index:      cluster(primary key), shared_value(primary key)
select s.value_number as value_number, s.account_id as number, s.request_count as request_count,
       coalesce(s.first_ms, -1) as first_ms, coalesce(s.last_ms, -1) as last_ms
from cluster as c
join shared_value as s on s.cluster_number = c.number
where c.run_id = :run_id and c.cluster_id = :cluster_id
order by s.value_number, s.account_id
