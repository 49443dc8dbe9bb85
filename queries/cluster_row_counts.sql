-- cluster_row_counts
-- How many links and shared values of members does a cluster have?
-- parameters: run_id, cluster_id  the run and the cluster
-- columns:    links, shared
-- order:      one row
-- index:      link(primary key), shared_value(primary key)
select (select count(*) from link as l where l.run_id = :run_id and l.cluster_id = :cluster_id) as links,
       (select count(*) from shared_value as s where s.run_id = :run_id and s.cluster_id = :cluster_id) as shared
order by 1, 2
