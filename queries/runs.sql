-- runs
-- Which rebuilds are kept, and what went into each?
-- parameters: none
-- columns:    run_id, sequence, as_of, since, seed, counts
-- order:      sequence
-- index:      none
select id as run_id, sequence, as_of_ms as as_of, since_ms as since, seed, counts
from run
order by sequence
