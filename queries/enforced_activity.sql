-- enforced_activity
-- When were accounts at work that the last decision to enforce a cluster was about, or that are in it now?
-- parameters: run_id, cluster_id   the run and the cluster
--             since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    account_id, hour_at, request_count
-- order:      account_id, hour_at
-- index:      membership(primary key), case_note_cluster, account_hour(primary key)
with concerned as (
    select m.account_id
    from membership as m
    where m.run_id = :run_id and m.cluster_id = :cluster_id and m.membership <> 'bystander'
    union
    select c.account_id
    from case_member as c
    where c.note_id = (
        select last.id from case_note as last
        where last.cluster_id = :cluster_id and last.state = 'enforced' and last.account_id is null
        order by last.noted_ms desc, last.id desc limit 1
    )
)
select a.value as account_id, h.hour * 3600000 as hour_at, h.request_count as request_count
from concerned as c
join account_hour as h on h.account_id = c.account_id
join account as a on a.id = c.account_id
where h.hour >= 24 * :since_day and h.hour < 24 * :until_day
order by a.value, h.hour
