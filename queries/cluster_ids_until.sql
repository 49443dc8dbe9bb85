-- cluster_ids_until
-- Which cluster ids were given in kept runs up to a run?
-- parameters: as_of_ms  when the run's window ends, UTC epoch milliseconds
--             run_id    the run itself; where it is kept, runs made after it do not count
-- columns:    cluster_id
-- order:      cluster_id
-- index:      none
with earlier as (
    select r.id
    from run as r
    where r.as_of_ms <= :as_of_ms and r.id <> :run_id
        and r.sequence < coalesce((select own.sequence from run as own where own.id = :run_id), 9223372036854775807)
)
select c.cluster_id as cluster_id from cluster as c join earlier as e on e.id = c.run_id
union
select v.cluster_id from event as v join earlier as e on e.id = v.run_id
order by cluster_id
