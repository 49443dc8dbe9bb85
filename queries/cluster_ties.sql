-- cluster_ties
-- Which pairs of members of a cluster are linked, by the numbers of their accounts, by what, and what is it worth?
-- parameters: run_id, cluster_id  the run and the cluster
-- columns:    number_a, number_b, accounts, unrelated_accounts, bits, first_ms, last_ms, reason
--             (reason: family, kind and value, with the character 31 between them)
-- order:      number_a, number_b, family, kind, value
-- index:      link(primary key)
select l.account_a as number_a, l.account_b as number_b, l.accounts as accounts,
       l.unrelated_accounts as unrelated_accounts, l.bits as bits, coalesce(l.first_ms, -1) as first_ms,
       coalesce(l.last_ms, -1) as last_ms, l.family || char(31) || l.kind || char(31) || l.value as reason
from link as l
where l.run_id = :run_id and l.cluster_id = :cluster_id
order by l.account_a, l.account_b, l.family, l.kind, l.value
