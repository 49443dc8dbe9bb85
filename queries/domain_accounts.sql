-- domain_accounts
-- Which accounts at work in a window have a record with this mail domain?
-- parameters: domain                number of the mail domain
--             since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
--             max_accounts          so many are told at most
-- columns:    account
-- order:      account
-- index:      account_day(primary key)
select distinct r.account_id as account
from account_record as r not indexed
where r.email_domain_id = :domain and exists (
    select 1 from account_day as d
    where d.account_id = r.account_id and d.day >= :since_day and d.day < :until_day
)
order by account
limit :max_accounts
