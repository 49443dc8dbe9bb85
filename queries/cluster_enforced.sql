-- cluster_enforced
-- Which accounts were acted on, and when, by the last decision to enforce a cluster?
-- parameters: cluster_id  the cluster
-- columns:    account_id, noted_at
-- order:      account_id
-- index:      case_note_cluster, case_member(primary key)
select a.value as account_id, n.noted_ms as noted_at
from case_note as n
join case_member as m on m.note_id = n.id
join account as a on a.id = m.account_id
where n.id = (
    select last.id from case_note as last
    where last.cluster_id = :cluster_id and last.state = 'enforced' and last.account_id is null
    order by last.noted_ms desc, last.id desc limit 1
)
order by a.value
