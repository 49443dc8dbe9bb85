-- entity_kinds
-- How many entities of each kind stand for a number in the rollups?
-- parameters: none
-- columns:    kind, entities
-- order:      kind
-- index:      entity_value
select kind, count(*) as entities
from entity
group by kind
order by kind
