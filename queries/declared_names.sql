-- declared_names
-- What are organizations and mail domains called that stand for a number in records of accounts and in rollups?
-- parameters: none
-- columns:    id, value
-- order:      value, id
-- index:      entity_value
select id, value
from entity
where kind in ('email_domain', 'organization')
order by value, id
