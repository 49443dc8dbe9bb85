-- named_templates
-- How do some templates read?
-- parameters: names  of templates, as a JSON array
-- columns:    template_id, text
-- order:      template_id
-- index:      template(primary key)
select t.name as template_id, t.text as text
from json_each(:names) as w
cross join template as t on t.name = w.value
order by t.name
