-- values_of_some
-- Which of some values do some accounts have in a window?
-- parameters: accounts              numbers of accounts in the rollups, as a JSON array
--             parts                 pairs (number of a value, number of an entity it is made of), as a JSON array
--             since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    value_number, account
-- order:      value_number, account
-- index:      entity_use_entity
select distinct json_extract(w.value, '$[0]') as value_number, a.value as account
from json_each(:parts) as w
cross join json_each(:accounts) as a
cross join entity_use as u on u.account_id = a.value and u.entity_id = json_extract(w.value, '$[1]')
where u.day >= :since_day and u.day < :until_day
order by value_number, account
