-- entity_parents
-- Which family does each template belong to, as numbers?
-- parameters: none
-- columns:    id, parent_id
-- order:      id
-- index:      none
select id, parent_id
from entity
where parent_id is not null
order by id
