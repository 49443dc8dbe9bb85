-- model_moves
-- On the first whole day of each model that came up inside the window, how much of each account's traffic went to it?
-- parameters: since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
--             max_models            of the new models, those with most requests on that day (count)
-- columns:    account_id, model, first_at, day, to_model, request_count
-- order:      model, account_id
-- index:      account_day(primary key), entity_use(primary key), entity_use_entity
with begun as (
    select e.id as entity_id, e.value as model, min(u.day) as day
    from entity as e
    join entity_use as u on u.entity_id = e.id
    where e.kind = 'model'
    group by e.id
),
fresh as (
    select b.entity_id, b.model, b.day, min(u.first_ms) as first_ms,
           sum(case when u.day = b.day + 1 then u.request_count else 0 end) as uses
    from begun as b
    join entity_use as u on u.entity_id = b.entity_id and u.day in (b.day, b.day + 1)
    where b.day > :since_day and b.day > (select min(day) from account_day) and b.day + 1 < :until_day
    group by b.entity_id
    order by uses desc, b.model
    limit :max_models
)
select a.value as account_id, f.model as model, f.first_ms as first_at, d.day as day,
       coalesce(u.request_count, 0) as to_model, d.request_count as request_count
from fresh as f
join account_day as d on d.day = f.day + 1
join account as a on a.id = d.account_id
left join entity_use as u on u.account_id = d.account_id and u.entity_id = f.entity_id and u.day = d.day
where f.uses > 0
order by f.model, a.value
