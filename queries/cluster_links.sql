-- cluster_links
-- Which pairs of members of a cluster are linked (of each account the strongest), by what, and what is each reason worth?
-- parameters: run_id, cluster_id  the run and the cluster
-- columns:    account_a, account_b, family, kind, value, accounts, unrelated_accounts, bits, first_at, last_at
-- order:      account_a, account_b, family, kind, value
-- index:      link(primary key)
select a.value as account_a, b.value as account_b, l.family as family, l.kind as kind, l.value as value,
       l.accounts as accounts, l.unrelated_accounts as unrelated_accounts, l.bits as bits,
       l.first_ms as first_at, l.last_ms as last_at
from link as l
join account as a on a.id = l.account_a
join account as b on b.id = l.account_b
where l.run_id = :run_id and l.cluster_id = :cluster_id
order by a.value, b.value, l.family, l.kind, l.value
