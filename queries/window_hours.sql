-- window_hours
-- In which clock hours (UTC, since the epoch) of the window was each account at work, as numbers?
-- parameters: since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    account, hour, request_count, limited_count
-- order:      account, hour
-- index:      none
select account_id as account, hour, request_count, limited_count
from account_hour
where hour >= 24 * :since_day and hour < 24 * :until_day
order by account_id, hour
