-- item_total
-- How many items did all accounts send in the window, those of several days once for each?
-- parameters: since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    items
-- order:      items  (one row)
-- index:      none
select coalesce(sum(length(items)), 0) / 16 as items
from item_day
where day >= :since_day and day < :until_day
order by items
