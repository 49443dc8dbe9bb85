-- account_names
-- What is each account called that stands for a number in the rollups?
-- parameters: none
-- columns:    id, account_id
-- order:      account_id
-- index:      account(primary key)
select id, value as account_id
from account
order by value
