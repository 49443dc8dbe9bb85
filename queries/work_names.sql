-- work_names
-- Which work is each template, the family it belongs to or itself, by name?
-- parameters: none
-- columns:    id, kind, work  (kind: template_family or template)
-- order:      id
-- index:      entity(primary key)
select t.id as id, coalesce(f.kind, t.kind) as kind, coalesce(f.value, t.value) as work
from entity as t
left join entity as f on f.id = t.parent_id
where t.kind = 'template'
order by t.id
