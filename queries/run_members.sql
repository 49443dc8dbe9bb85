-- run_members
-- Which accounts are in a cluster of a run, how firmly, and why?
-- parameters: run_id  the run
-- columns:    account_id, cluster_id, membership, tier, controller_probability, extraction_probability, q_value,
--             reasons, flagged, stability, requests, left_out_by
-- order:      cluster_id, account_id
-- index:      membership_cluster
select a.value as account_id, m.cluster_id as cluster_id, m.membership as membership, m.tier as tier,
       m.controller_probability as controller_probability, m.extraction_probability as extraction_probability,
       m.q_value as q_value, m.reasons as reasons, m.flagged as flagged, m.stability as stability,
       m.requests as requests, m.left_out_by as left_out_by
from membership as m
join account as a on a.id = m.account_id
where m.run_id = :run_id
order by m.cluster_id, a.value
