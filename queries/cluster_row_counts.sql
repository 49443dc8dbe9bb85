-- cluster_row_counts
-- How many links and shared values of members does a cluster have?
-- parameters: run_id, cluster_id  the run and the cluster
-- columns:    links, shared
-- order:      one row
-- index:      cluster(primary key), link(primary key), shared_value(primary key)
select (select count(*) from link as l where l.cluster_number = c.number) as links,
       (select count(*) from shared_value as s where s.cluster_number = c.number) as shared
from cluster as c
where c.run_id = :run_id and c.cluster_id = :cluster_id
order by 1, 2
