-- like_records
-- Which accounts at work in a window have a record with some payment instrument, or were created near a time?
-- parameters: payments                      numbers of payment instruments, as a JSON array
--             near_since_ms, near_until_ms  created then, UTC epoch milliseconds, since inclusive, until exclusive
--             domain                        number of a mail domain; -1: none
--             wide_since_ms, wide_until_ms  created then and of this mail domain
--             since_day, until_day          whole UTC days since the epoch, since inclusive, until exclusive
--             max_rows                      records that are told at most, those with the payment instrument first
-- columns:    account, account_id, payment, email_domain, created_at, is_paid  (payment: its number; -1: none)
-- order:      is_paid descending, account, content
-- index:      account(primary key), account_day(primary key)
select r.account_id as account, a.value as account_id, coalesce(r.payment_id, -1) as payment,
       m.value as email_domain, r.created_ms as created_at,
       coalesce(r.payment_id in (select value from json_each(:payments)), 0) as is_paid
from account_record as r
cross join account as a on a.id = r.account_id
left join entity as m on m.id = r.email_domain_id
where (
        r.payment_id in (select value from json_each(:payments))
        or (r.created_ms >= :near_since_ms and r.created_ms < :near_until_ms)
        or (r.email_domain_id = :domain and r.created_ms >= :wide_since_ms and r.created_ms < :wide_until_ms)
    )
    and exists (
        select 1 from account_day as d
        where d.account_id = r.account_id and d.day >= :since_day and d.day < :until_day
    )
order by is_paid desc, account, r.content
limit :max_rows
