-- store_counts
-- How much is in the store?
-- parameters: none
-- columns:    requests, accounts, recorded_accounts, entities, prompts, templates, source_files, set_aside, runs,
--             first_at, last_at
-- order:      requests
-- index:      none
select (select coalesce(sum(request_count), 0) from account_day) as requests, (select count(*) from account) as accounts,
       (select count(distinct account_id) from account_record) as recorded_accounts,
       (select count(*) from entity) as entities,
       (select count(*) from prompt) as prompts, (select count(*) from template) as templates,
       (select count(*) from source_file) as source_files, (select count(*) from rejected) as set_aside,
       (select count(*) from run) as runs, (select min(first_ms) from account_day) as first_at,
       (select max(last_ms) from account_day) as last_at
order by 1
