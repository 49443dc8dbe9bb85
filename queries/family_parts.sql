-- family_parts
-- Which templates belong to some families of templates?
-- parameters: families  numbers of families, as a JSON array
-- columns:    family, value, entity  (value: what the family is called; entity: number of a template)
-- order:      family, entity
-- index:      entity_value
select e.parent_id as family, f.value as value, e.id as entity
from entity as e
join entity as f on f.id = e.parent_id
where e.kind = 'template' and e.parent_id in (select value from json_each(:families))
order by e.parent_id, e.id
