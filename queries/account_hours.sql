-- account_hours
-- In which clock hours (UTC) of the window was each account at work?
-- parameters: since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    account_id, hour_at, request_count, limited_count
-- order:      account_id, hour_at
-- index:      account_hour(primary key)
select a.value as account_id, h.hour * 3600000 as hour_at, h.request_count as request_count,
       h.limited_count as limited_count
from account_hour as h
join account as a on a.id = h.account_id
where h.hour >= 24 * :since_day and h.hour < 24 * :until_day
order by a.value, h.hour
