-- account_values
-- Which entities did one account use in a window, how often and when?
-- parameters: number                the account's number in the rollups, as account_window tells it
--             since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    entity, kind, value, family, request_count, first_at, last_at
--             (family: number of the family of a template; -1: none)
-- order:      entity
-- index:      entity_use(primary key), entity(primary key)
select e.id as entity, e.kind as kind, e.value as value, coalesce(e.parent_id, -1) as family,
       sum(u.request_count) as request_count, min(u.first_ms) as first_at, max(u.last_ms) as last_at
from entity_use as u
join entity as e on e.id = u.entity_id
where u.account_id = :number and u.day >= :since_day and u.day < :until_day
group by e.id
order by e.id
