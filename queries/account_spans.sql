-- account_spans
-- When was each account at work in the window, as numbers?
-- parameters: since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    account, first_ms, last_ms
-- order:      account
-- index:      none
select account_id as account, min(first_ms) as first_ms, max(last_ms) as last_ms
from account_day
where day >= :since_day and day < :until_day
group by account_id
order by account_id
