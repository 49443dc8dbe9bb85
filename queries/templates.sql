-- templates
-- Which prompt templates are there, how many accounts use each, and since when?
-- parameters: none
-- columns:    template_id, text, slots, prompts, requests, accounts, first_at, last_at, family_id, contract
-- order:      accounts, requests, template_id
-- index:      entity_use_entity
with used as (
    select entity_id, sum(request_count) as requests, count(distinct account_id) as accounts,
           min(first_ms) as first_ms, max(last_ms) as last_ms
    from entity_use
    group by entity_id
)
select t.name as template_id, t.text as text, t.slots as slots, t.prompts as prompts,
       u.requests as requests, u.accounts as accounts, u.first_ms as first_at, u.last_ms as last_at,
       f.value as family_id, t.contract as contract
from template as t
join entity as e on e.kind = 'template' and e.value = t.name
join used as u on u.entity_id = e.id
left join entity as f on f.id = t.family_id
order by u.accounts desc, u.requests desc, t.name
