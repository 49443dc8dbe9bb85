-- run_clusters
-- Which clusters did a run find?
-- parameters: run_id  the run
-- columns:    cluster_id, tier, accounts, requests, controller_probability, extraction_probability, q_value, families,
--             first_seen, last_seen, stability, expected_wrong, organizations, strongest, readings,
--             whole_probability, barred_by
-- order:      tier, controller_probability * extraction_probability, cluster_id
-- index:      cluster(primary key)
select cluster_id, tier, accounts, requests, controller_probability, extraction_probability, q_value, families,
       first_ms as first_seen, last_ms as last_seen, stability, expected_wrong, organizations, strongest, readings,
       whole_probability, barred_by
from cluster
where run_id = :run_id
order by case tier when 'enforce' then 0 when 'review' then 1 else 2 end,
         controller_probability * extraction_probability desc, cluster_id
