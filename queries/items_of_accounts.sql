-- items_of_accounts
-- Which items (what filled a template's slots) did some accounts send on each day, packed?
-- parameters: accounts  a JSON list of account ids
--   since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    account_id, day, items  (items: a blob that linkage/store/items.py unpacks)
-- order:      account_id, day
-- index:      item_day(primary key)
select a.value as account_id, i.day as day, i.items as items
from json_each(:accounts) as wanted
join account as a on a.value = wanted.value
join item_day as i on i.account_id = a.id
where i.day >= :since_day and i.day < :until_day
order by a.value, i.day
