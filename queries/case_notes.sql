-- case_notes
-- What did people decide about a cluster, or about one account of it, when and why?
-- parameters: cluster_id  the cluster
-- columns:    cluster_id, state, note, author, noted_at
-- order:      noted_ms, id
-- index:      case_note_cluster
select n.cluster_id as cluster_id, n.state as state,
       case when a.value is null then n.note else 'account ' || a.value || ': ' || n.note end as note,
       n.author as author, n.noted_ms as noted_at
from case_note as n
left join account as a on a.id = n.account_id
where n.cluster_id = :cluster_id
order by n.noted_ms, n.id
