-- one_run
-- What was a run made from?
-- parameters: run_id  the run
-- columns:    run_id, sequence, input_digest, as_of_ms, since_ms, seed, settings,
--             input_revision, versions, counts, weights
-- order:      run_id
-- index:      run(primary key)
select id as run_id, sequence, input_digest, as_of_ms, since_ms, seed, settings, input_revision, versions, counts,
       weights
from run
where id = :run_id
order by id
