-- cluster_links
-- Which pairs of members of a cluster are linked (of each account the strongest), by what, and what is each reason worth?
-- parameters: run_id, cluster_id  the run and the cluster
-- columns:    account_a, account_b, family, kind, value, accounts, unrelated_accounts, bits, first_at, last_at
-- order:      account_a, account_b, family, kind, value
-- index:      cluster(primary key), link(primary key), run_value(primary key)
select a.value as account_a, b.value as account_b, v.family as family, v.kind as kind, v.value as value,
       v.accounts as accounts, v.unrelated_accounts as unrelated_accounts, l.bits as bits,
       v.first_ms as first_at, v.last_ms as last_at
from cluster as c
join link as l on l.cluster_number = c.number
join run_value as v on v.run_id = c.run_id and v.number = l.value_number
join account as a on a.id = l.account_a
join account as b on b.id = l.account_b
where c.run_id = :run_id and c.cluster_id = :cluster_id
order by a.value, b.value, v.family, v.kind, v.value, v.number
