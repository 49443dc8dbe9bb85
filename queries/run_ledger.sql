-- run_ledger
-- Which rebuilds were there, what went into each, how long did it take and what was unusual?
-- parameters: none
-- columns:    entry, run_id, exit_code, error, began_at, ended_at, steps, as_of, since, seed, input_digest,
--             settings_digest, versions, counts, anomalies, kept, published
-- order:      entry
-- index:      none
select e.id as entry, e.run_id as run_id, e.exit_code as exit_code, e.error as error, e.began_ms as began_at,
       e.ended_ms as ended_at, e.steps as steps, e.as_of_ms as as_of, e.since_ms as since, e.seed as seed,
       e.input_digest as input_digest, e.settings_digest as settings_digest, e.versions as versions,
       e.counts as counts, e.anomalies as anomalies, r.id is not null as kept, p.id is not null as published
from run_entry as e
left join run as r on r.id = e.run_id
left join published as p on p.run_id = e.run_id
order by e.id
