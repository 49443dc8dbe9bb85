-- sent_organizations
-- Under which organizations did each account send requests, as numbers?
-- parameters: none
-- columns:    account, organization
-- order:      account, organization
-- index:      entity_value, entity_use_entity
select distinct u.account_id as account, u.entity_id as organization
from entity as e
cross join entity_use as u on u.entity_id = e.id
where e.kind = 'organization'
order by u.account_id, u.entity_id
