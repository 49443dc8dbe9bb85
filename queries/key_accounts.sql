-- key_accounts
-- Which accounts, the first few, used the API key of this id?
-- parameters: text, max_accounts  the id of a key, and how many accounts are told at most
-- columns:    account_id
-- order:      account_id
-- index:      entity_value, entity_use_entity
select distinct a.value as account_id
from entity as e
join entity_use as u on u.entity_id = e.id
join account as a on a.id = u.account_id
where e.kind = 'api_key' and e.value = :text
order by a.value
limit :max_accounts
