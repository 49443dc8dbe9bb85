-- day_volumes
-- How many requests of how many accounts came on each day?
-- parameters: none
-- columns:    day, requests, accounts, last_at
-- order:      day
-- index:      none
select day, sum(request_count) as requests, count(*) as accounts, max(last_ms) as last_at
from account_day
group by day
order by day
