-- account_history
-- In which cluster was one account in each run that is kept, and how many requests did it make in the days of the run?
-- parameters: account_id  the account's own (text) id
-- columns:    run_id, since, as_of, requests, cluster_id, tier, membership, flagged
-- order:      sequence of the run
-- index:      account(primary key), account_day(primary key), membership(primary key)
select r.id as run_id, r.since_ms as since, r.as_of_ms as as_of, (
           select coalesce(sum(d.request_count), 0)
           from account_day as d
           where d.account_id = a.id and d.day >= r.since_ms / 86400000 and d.day < (r.as_of_ms + 86399999) / 86400000
       ) as requests, m.cluster_id as cluster_id, m.tier as tier, m.membership as membership, m.flagged as flagged
from account as a
cross join run as r
left join membership as m on m.run_id = r.id and m.account_id = a.id
where a.value = :account_id
order by r.sequence
