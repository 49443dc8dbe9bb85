-- run_events
-- What happened to the clusters since the run before?
-- parameters: run_id  the run
-- columns:    cluster_id, event, other_id, accounts_before, accounts_after, accounts_shared
-- order:      position
-- index:      event(primary key)
select cluster_id, event, other_id, accounts_before, accounts_after, accounts_shared
from event
where run_id = :run_id
order by position
