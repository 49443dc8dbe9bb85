-- cluster_shared_rows
-- How often and when did some members of a cluster use some of the values they share?
-- parameters: run_id, cluster_id  the run and the cluster
--             wanted              family, kind, value and number of the account of each row, as a JSON array of arrays
-- columns:    account_id, family, kind, value, request_count, first_at, last_at, accounts, unrelated_accounts
-- order:      family, kind, value, account_id
-- index:      shared_value(primary key)
select a.value as account_id, s.family as family, s.kind as kind, s.value as value, s.request_count as request_count,
       s.first_ms as first_at, s.last_ms as last_at, s.accounts as accounts, s.unrelated_accounts as unrelated_accounts
from json_each(:wanted) as w
cross join shared_value as s
    on s.run_id = :run_id and s.cluster_id = :cluster_id
    and s.family = json_extract(w.value, '$[0]') and s.kind = json_extract(w.value, '$[1]')
    and s.value = json_extract(w.value, '$[2]') and s.account_id = json_extract(w.value, '$[3]')
join account as a on a.id = s.account_id
order by s.family, s.kind, s.value, a.value
