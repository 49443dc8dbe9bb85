-- find_accounts
-- Which accounts have this text in their id, and to which cluster of a run do they belong?
-- parameters: run_id, text  the run, and a part of an account's id
-- columns:    account_id, cluster_id, tier, membership, controller_probability, extraction_probability, reasons
-- order:      account_id
-- index:      membership(primary key)
select a.value as account_id, m.cluster_id as cluster_id, m.tier as tier, m.membership as membership,
       m.controller_probability as controller_probability, m.extraction_probability as extraction_probability,
       m.reasons as reasons
from account as a
left join membership as m on m.run_id = :run_id and m.account_id = a.id
where instr(a.value, :text) > 0
order by a.value
