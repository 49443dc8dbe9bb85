-- one_cluster
-- What did a run find of one cluster?
-- parameters: run_id, cluster_id  the run and the cluster
-- columns:    cluster_id, tier, accounts, requests, controller_probability, extraction_probability, q_value, families,
--             first_seen, last_seen, stability, expected_wrong, organizations, strongest, readings,
--             whole_probability, barred_by
-- order:      cluster_id
-- index:      cluster(primary key)
select cluster_id, tier, accounts, requests, controller_probability, extraction_probability, q_value, families,
       first_ms as first_seen, last_ms as last_seen, stability, expected_wrong, organizations, strongest, readings,
       whole_probability, barred_by
from cluster
where run_id = :run_id and cluster_id = :cluster_id
order by cluster_id
