-- template_uses
-- How often, when and by how many accounts are some templates used in the whole store?
-- parameters: template_ids          as a JSON array
--             since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    template_id, requests, accounts, first_at, last_at
-- order:      template_id
-- index:      entity_value, entity_use_entity
select e.value as template_id, sum(u.request_count) as requests, count(distinct u.account_id) as accounts,
       min(u.first_ms) as first_at, max(u.last_ms) as last_at
from json_each(:template_ids) as w
cross join entity as e on e.kind = 'template' and e.value = w.value
cross join entity_use as u on u.entity_id = e.id
where u.day >= :since_day and u.day < :until_day
group by e.value
order by e.value
