-- account_notes
-- What did people decide about one account, about a cluster while it was in it, or about one cluster?
-- parameters: account_id  the account's own (text) id
--             cluster_id  decisions about this whole cluster count, too; empty: none
-- columns:    cluster_id, account_id, state, note, author, noted_at  (account_id: empty for a whole cluster)
-- order:      noted_ms, id
-- index:      account(primary key), case_member(primary key)
select n.cluster_id as cluster_id, case when n.account_id is null then '' else :account_id end as account_id,
       n.state as state, n.note as note, n.author as author, n.noted_ms as noted_at
from case_note as n
left join account as a on a.value = :account_id
where n.account_id = a.id
    or (n.account_id is null and (n.cluster_id = :cluster_id or exists (
        select 1 from case_member as m where m.note_id = n.id and m.account_id = a.id
    )))
order by n.noted_ms, n.id
