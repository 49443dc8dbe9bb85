-- case_notes
-- What did people decide about a cluster, when and why?
-- parameters: cluster_id  the cluster
-- columns:    cluster_id, state, note, author, noted_at
-- order:      noted_ms, id
-- index:      case_note_cluster
select cluster_id, state, note, author, noted_ms as noted_at
from case_note
where cluster_id = :cluster_id
order by noted_ms, id
