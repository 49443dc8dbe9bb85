-- template_accounts
-- Which accounts use a template, how often and since when?
-- parameters: template_id  the template's own (text) id
-- columns:    account_id, request_count, first_at, last_at
-- order:      request_count, account_id
-- index:      entity_use_entity
select a.value as account_id, sum(u.request_count) as request_count, min(u.first_ms) as first_at,
       max(u.last_ms) as last_at
from entity as e
join entity_use as u on u.entity_id = e.id
join account as a on a.id = u.account_id
where e.kind = 'template' and e.value = :template_id
group by a.value
order by request_count desc, account_id
