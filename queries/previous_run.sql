-- previous_run
-- Which kept run came last before a run, in the time it tells of?
-- parameters: as_of_ms  when the run's window ends, UTC epoch milliseconds
--             run_id    the run itself; where it is kept, runs made after it do not count
-- columns:    run_id
-- order:      as_of_ms, sequence
-- index:      none
select r.id as run_id
from run as r
where r.as_of_ms <= :as_of_ms and r.id <> :run_id
    and r.sequence < coalesce((select own.sequence from run as own where own.id = :run_id), 9223372036854775807)
    and not exists (
        select 1 from run as later
        where later.as_of_ms <= :as_of_ms and later.id <> :run_id
            and later.sequence < coalesce((select own.sequence from run as own where own.id = :run_id),
                                          9223372036854775807)
            and (later.as_of_ms > r.as_of_ms or (later.as_of_ms = r.as_of_ms and later.sequence > r.sequence))
    )
order by r.as_of_ms, r.sequence
