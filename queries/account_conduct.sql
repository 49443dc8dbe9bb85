-- account_conduct
-- How does each account work: volume, hours, failures, lengths, share of templated prompts?
-- parameters: since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    account_id, request_count, active_days, active_hours, failed_count, limited_count, input_tokens,
--             output_tokens, log_input_mean, log_output_mean, templated_count, prompt_count, distinct_prompt_count
-- order:      account_id
-- index:      account_day(primary key), account_hour(primary key), prompt_day(primary key)
with daily as (
    select account_id, sum(request_count) as request_count, count(*) as active_days,
           sum(failed_count) as failed_count, sum(limited_count) as limited_count,
           sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
           sum(input_count) as input_count, sum(output_count) as output_count,
           sum(log_input_micros) as log_input_micros, sum(log_output_micros) as log_output_micros,
           sum(prompt_count) as prompt_count
    from account_day
    where day >= :since_day and day < :until_day
    group by account_id
),
hourly as (
    select account_id, count(*) as active_hours
    from account_hour
    where hour >= 24 * :since_day and hour < 24 * :until_day
    group by account_id
),
prompted as (
    select account_id, sum(distinct_count) as distinct_count, sum(templated_count) as templated_count
    from prompt_day
    where day >= :since_day and day < :until_day
    group by account_id
)
select a.value as account_id, d.request_count as request_count, d.active_days as active_days,
       coalesce(h.active_hours, 0) as active_hours, d.failed_count as failed_count, d.limited_count as limited_count,
       d.input_tokens as input_tokens, d.output_tokens as output_tokens,
       d.log_input_micros / 1e6 / nullif(d.input_count, 0) as log_input_mean,
       d.log_output_micros / 1e6 / nullif(d.output_count, 0) as log_output_mean,
       coalesce(p.templated_count, 0) as templated_count, d.prompt_count as prompt_count,
       coalesce(p.distinct_count, 0) as distinct_prompt_count
from daily as d
join account as a on a.id = d.account_id
left join hourly as h on h.account_id = d.account_id
left join prompted as p on p.account_id = d.account_id
order by a.value
