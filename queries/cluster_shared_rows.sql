-- cluster_shared_rows
-- How often and when did some members of a cluster use some of the values they share?
-- parameters: run_id, cluster_id  the run and the cluster
--             wanted              numbers of the value and the account of each row, as a JSON array of arrays
-- columns:    account_id, family, kind, value, request_count, first_at, last_at, accounts, unrelated_accounts
-- order:      family, kind, value, account_id
-- index:      cluster(primary key), shared_value(primary key), run_value(primary key)
select a.value as account_id, v.family as family, v.kind as kind, v.value as value, s.request_count as request_count,
       s.first_ms as first_at, s.last_ms as last_at, v.accounts as accounts, v.unrelated_accounts as unrelated_accounts
from cluster as c
cross join json_each(:wanted) as w
cross join shared_value as s
    on s.cluster_number = c.number
    and s.value_number = json_extract(w.value, '$[0]') and s.account_id = json_extract(w.value, '$[1]')
join run_value as v on v.run_id = c.run_id and v.number = s.value_number
join account as a on a.id = s.account_id
where c.run_id = :run_id and c.cluster_id = :cluster_id
order by v.family, v.kind, v.value, a.value, v.number
