-- one_member
-- In which cluster of a run is one account, how firmly, and why?
-- parameters: run_id, account_id  the run and the account's own (text) id
-- columns:    account_id, cluster_id, membership, tier, controller_probability, extraction_probability, q_value,
--             reasons, flagged, stability, requests, left_out_by
-- order:      account_id
-- index:      account(primary key), membership(primary key)
select a.value as account_id, m.cluster_id as cluster_id, m.membership as membership, m.tier as tier,
       m.controller_probability as controller_probability, m.extraction_probability as extraction_probability,
       m.q_value as q_value, m.reasons as reasons, m.flagged as flagged, m.stability as stability,
       m.requests as requests, m.left_out_by as left_out_by
from account as a
join membership as m on m.run_id = :run_id and m.account_id = a.id
where a.value = :account_id
order by a.value
