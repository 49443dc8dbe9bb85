-- links_of_account
-- Which accounts is this account tied to in a run, by what, and how strongly?
-- parameters: run_id, account_id  the run and the account's own (text) id
-- columns:    other_account, cluster_id, family, kind, value, accounts, unrelated_accounts, bits
-- order:      bits, other_account, family, kind, value
-- index:      membership(primary key), cluster(primary key), link(primary key), run_value(primary key)
with own as (
    select m.account_id, m.cluster_id
    from membership as m
    join account as a on a.id = m.account_id
    where m.run_id = :run_id and a.value = :account_id
)
select a.value as other_account, o.cluster_id as cluster_id, v.family as family, v.kind as kind, v.value as value,
       v.accounts as accounts, v.unrelated_accounts as unrelated_accounts, l.bits as bits
from own as o
join cluster as c on c.run_id = :run_id and c.cluster_id = o.cluster_id
join link as l on l.cluster_number = c.number
    and (l.account_a = o.account_id or l.account_b = o.account_id)
join run_value as v on v.run_id = :run_id and v.number = l.value_number
join account as a on a.id = case when l.account_a = o.account_id then l.account_b else l.account_a end
order by l.bits desc, a.value, v.family, v.kind, v.value, v.number
