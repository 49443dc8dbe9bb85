-- account_items
-- Which items (what filled a template's slots) did each account send inside the window?
-- parameters: since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    account_id, item, request_count, first_at
-- order:      account_id, item
-- index:      item_use(primary key)
select a.value as account_id, u.item as item, sum(u.request_count) as request_count, min(u.first_ms) as first_at
from item_use as u
join account as a on a.id = u.account_id
where u.day >= :since_day and u.day < :until_day
group by u.account_id, u.item
order by a.value, u.item
