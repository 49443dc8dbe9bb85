-- item_sizes
-- How many items did all accounts send on each day of the window, those of several days once for each?
-- parameters: since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    day, items
-- order:      day
-- index:      none
select day, sum(length(items)) / 16 as items
from item_day
where day >= :since_day and day < :until_day
group by day
order by day
