-- kept_run
-- What is known of one run that is kept?
-- parameters: run_id  the run
-- columns:    run_id, sequence, input_digest, as_of_ms, since_ms, seed, settings,
--             input_revision, versions, counts, weights
-- order:      run_id
-- index:      run(primary key)
select r.id as run_id, r.sequence as sequence, r.input_digest as input_digest, r.as_of_ms as as_of_ms,
       r.since_ms as since_ms, r.seed as seed, r.settings as settings,
       r.input_revision as input_revision, r.versions as versions, r.counts as counts,
       r.weights as weights
from run as r
where r.id = :run_id
order by r.id
