-- decisions
-- What was last decided about each cluster, and about each account that was decided on by itself?
-- parameters: until_ms  decisions noted later do not count, UTC epoch milliseconds
-- columns:    note_id, cluster_id, state, account_id, noted_at
-- order:      note_id
-- index:      none
select n.id as note_id, n.cluster_id as cluster_id, n.state as state, a.value as account_id, n.noted_ms as noted_at
from case_note as n
left join account as a on a.id = n.account_id
where n.noted_ms <= :until_ms and not exists (
    select 1 from case_note as later
    where later.cluster_id = n.cluster_id and later.account_id is n.account_id and later.noted_ms <= :until_ms
        and (later.noted_ms > n.noted_ms or (later.noted_ms = n.noted_ms and later.id > n.id))
)
order by n.id
