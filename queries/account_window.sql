-- account_window
-- When was one account at work, in a window and at all, and what do its requests tell in the window?
-- parameters: account_id            the account's own (text) id
--             since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    number, requests, active_days, prompts, outputs, first_at, last_at, all_requests, earliest_at, latest_at
--             (prompts, outputs: requests with a prompt, and with output tokens)
-- order:      number
-- index:      account(primary key), account_day(primary key)
select a.id as number,
       coalesce(sum(d.request_count) filter (where d.day >= :since_day and d.day < :until_day), 0) as requests,
       count(d.day) filter (where d.day >= :since_day and d.day < :until_day) as active_days,
       coalesce(sum(d.prompt_count) filter (where d.day >= :since_day and d.day < :until_day), 0) as prompts,
       coalesce(sum(d.output_count) filter (where d.day >= :since_day and d.day < :until_day), 0) as outputs,
       min(d.first_ms) filter (where d.day >= :since_day and d.day < :until_day) as first_at,
       max(d.last_ms) filter (where d.day >= :since_day and d.day < :until_day) as last_at,
       coalesce(sum(d.request_count), 0) as all_requests, min(d.first_ms) as earliest_at, max(d.last_ms) as latest_at
from account as a
left join account_day as d on d.account_id = a.id
where a.value = :account_id
group by a.id
order by a.id
