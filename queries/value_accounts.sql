-- value_accounts
-- On how many accounts of a window is each of some values?
-- parameters: parts                 pairs (number of a value, number of an entity it is made of), as a JSON array
--             since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
--             max_uses              uses of a value (account, entity, day) that are looked at, of all days
-- columns:    value_number, accounts, uses  (uses: as many as max_uses means that there may be more accounts)
-- order:      value_number
-- index:      entity_use_entity
with part as materialized (
    select json_extract(w.value, '$[0]') as value_number, json_extract(w.value, '$[1]') as entity_id
    from json_each(:parts) as w
),
told as materialized (
    select v.value_number, (
        select json_array(
            count(distinct h.account_id) filter (where h.day >= :since_day and h.day < :until_day), count(*)
        )
        from (
            select u.account_id, u.day
            from part as p
            cross join entity_use as u on u.entity_id = p.entity_id
            where p.value_number = v.value_number
            limit :max_uses
        ) as h
    ) as counts
    from (select distinct value_number from part) as v
)
select value_number, json_extract(counts, '$[0]') as accounts, json_extract(counts, '$[1]') as uses
from told
order by value_number
