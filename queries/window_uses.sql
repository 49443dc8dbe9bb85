-- window_uses
-- Which account used which entity on each day of the window, how often and when, as numbers?
-- parameters: since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    account, entity, request_count, first_ms, last_ms
-- order:      account, entity, day
-- index:      none
select account_id as account, entity_id as entity, request_count, first_ms, last_ms
from entity_use
where day >= :since_day and day < :until_day
order by account_id, entity_id, day
