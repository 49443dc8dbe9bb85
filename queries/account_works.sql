-- account_works
-- What did each account do in each template on each day, packed?
-- parameters: since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    account, day, works  (works: a blob that linkage/store/works.py unpacks)
-- order:      account, day
-- index:      none
select account_id as account, day, works
from work_day
where day >= :since_day and day < :until_day
order by account_id, day
