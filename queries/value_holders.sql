-- value_holders
-- Which accounts of a window have each of some values that few have?
-- parameters: parts                 pairs (number of a value, number of an entity it is made of), as a JSON array
--             since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    value_number, account  (account: its number in the rollups)
-- order:      value_number, account
-- index:      entity_use_entity
select distinct json_extract(w.value, '$[0]') as value_number, u.account_id as account
from json_each(:parts) as w
cross join entity_use as u on u.entity_id = json_extract(w.value, '$[1]')
where u.day >= :since_day and u.day < :until_day
order by value_number, account
