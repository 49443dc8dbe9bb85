-- entity_names
-- What is each entity called that stands for a number in the rollups?
-- parameters: none
-- columns:    id, value
-- order:      kind, value
-- index:      entity_value
select id, value
from entity
order by kind, value
