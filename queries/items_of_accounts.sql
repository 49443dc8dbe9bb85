-- items_of_accounts
-- Which items (what filled a template's slots) did some accounts send on each day, packed?
-- parameters: accounts  a JSON list of numbers of accounts
--   since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    account, day, items  (account: its number; items: a blob that linkage/store/items.py unpacks)
-- order:      account, day
-- index:      item_day(primary key)
select i.account_id as account, i.day as day, i.items as items
from account as a
join item_day as i on i.account_id = a.id
where a.id in (select value from json_each(:accounts))
  and i.day >= :since_day and i.day < :until_day
order by a.id, i.day
