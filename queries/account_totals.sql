-- account_totals
-- How much did each account send in the window, on how many days, and when, as numbers?
-- parameters: since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    account, first_ms, last_ms, request_count, active_days, failed_count, limited_count, input_tokens,
--             output_tokens, prompt_count, input_count, log_input_micros, output_count, log_output_micros
-- order:      account
-- index:      none
select account_id as account, min(first_ms) as first_ms, max(last_ms) as last_ms, sum(request_count) as request_count,
       count(*) as active_days, sum(failed_count) as failed_count, sum(limited_count) as limited_count,
       sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens, sum(prompt_count) as prompt_count,
       sum(input_count) as input_count, sum(log_input_micros) as log_input_micros,
       sum(output_count) as output_count, sum(log_output_micros) as log_output_micros
from account_day
where day >= :since_day and day < :until_day
group by account_id
order by account_id
