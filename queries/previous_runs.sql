-- previous_runs
-- Which kept runs came before a run, in the time they tell of, the last first?
-- parameters: as_of_ms  when the run's window ends, UTC epoch milliseconds
--             run_id    the run itself; where it is kept, runs made after it do not count
-- columns:    run_id, as_of_ms
-- order:      as_of_ms descending, sequence descending
-- index:      none
select r.id as run_id, r.as_of_ms as as_of_ms
from run as r
where r.as_of_ms <= :as_of_ms and r.id <> :run_id
    and r.sequence < coalesce((select own.sequence from run as own where own.id = :run_id), 9223372036854775807)
order by r.as_of_ms desc, r.sequence desc
