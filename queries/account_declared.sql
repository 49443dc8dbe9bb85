-- account_declared
-- Which payment instruments and mail domains do the records of one account name?
-- parameters: number  the account's number in the rollups, as account_window tells it
-- columns:    entity, kind, value
-- order:      entity
-- index:      account_record_account, entity(primary key)
select distinct e.id as entity, e.kind as kind, e.value as value
from account_record as r
cross join entity as e on e.id in (r.payment_id, r.email_domain_id)
where r.account_id = :number
order by e.id
