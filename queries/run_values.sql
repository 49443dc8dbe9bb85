-- run_values
-- What are some of the values that link accounts or that members share, and what did the run count of them?
-- parameters: run_id  the run
--             wanted  numbers of values, as a JSON array
-- columns:    number, family, kind, value, accounts, unrelated_accounts, first_at, last_at
-- order:      number
-- index:      run_value(primary key)
select v.number as number, v.family as family, v.kind as kind, v.value as value, v.accounts as accounts,
       v.unrelated_accounts as unrelated_accounts, v.first_ms as first_at, v.last_ms as last_at
from json_each(:wanted) as w
cross join run_value as v on v.run_id = :run_id and v.number = w.value
order by v.number
