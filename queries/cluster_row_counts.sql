-- cluster_row_counts
-- How many links, shared values of members and hours of work does a cluster have?
-- parameters: run_id, cluster_id   the run and the cluster
--             since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    links, shared, activity
-- order:      one row
-- index:      link(primary key), shared_value(primary key), membership_cluster, account_hour(primary key)
select (select count(*) from link as l where l.run_id = :run_id and l.cluster_id = :cluster_id) as links,
       (select count(*) from shared_value as s where s.run_id = :run_id and s.cluster_id = :cluster_id) as shared,
       (
           select count(*)
           from membership as m
           join account_hour as h on h.account_id = m.account_id
           where m.run_id = :run_id and m.cluster_id = :cluster_id
             and h.hour >= 24 * :since_day and h.hour < 24 * :until_day
       ) as activity
order by 1, 2, 3
