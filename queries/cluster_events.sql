-- cluster_events
-- What happened to a cluster in all runs that are kept?
-- parameters: cluster_id  the cluster
-- columns:    run_id, as_of, cluster_id, event, other_id, accounts_before, accounts_after, accounts_shared
-- order:      sequence of the run, position
-- index:      event_cluster
select e.run_id as run_id, r.as_of_ms as as_of, e.cluster_id as cluster_id, e.event as event, e.other_id as other_id,
       e.accounts_before as accounts_before, e.accounts_after as accounts_after, e.accounts_shared as accounts_shared
from event as e
join run as r on r.id = e.run_id
where e.cluster_id = :cluster_id
order by r.sequence, e.position
