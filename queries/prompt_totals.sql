-- prompt_totals
-- How many distinct prompts, and how many of a template, did each account send in the window, as numbers?
-- parameters: since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    account, distinct_count, templated_count  (prompts of several days count once for each)
-- order:      account
-- index:      none
select account_id as account, sum(distinct_count) as distinct_count, sum(templated_count) as templated_count
from prompt_day
where day >= :since_day and day < :until_day
group by account_id
order by account_id
