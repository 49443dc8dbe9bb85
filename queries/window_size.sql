-- window_size
-- How much does a rebuild of a window read?
-- parameters: since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    accounts, uses
-- order:      accounts
-- index:      none
select (select count(distinct account_id) from account_day where day >= :since_day and day < :until_day) as accounts,
       (select count(*) from entity_use where day >= :since_day and day < :until_day) as uses
order by 1
