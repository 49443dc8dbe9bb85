-- cluster_statements
-- What does the tool say about a cluster, and which rows are behind each sentence?
-- parameters: run_id, cluster_id  the run and the cluster
-- columns:    topic, sentence, query, rows
-- order:      position
-- index:      statement(primary key)
select topic, sentence, query, "rows"
from statement
where run_id = :run_id and cluster_id = :cluster_id
order by position
