-- near_ids
-- Which accounts, the first few, have this text in their id?
-- parameters: text, max_accounts  a part of an account's id, and how many are told at most
-- columns:    account_id
-- order:      account_id
-- index:      account(primary key)
select value as account_id
from account
where instr(value, :text) > 0
order by value
limit :max_accounts
