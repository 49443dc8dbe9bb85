-- run_templates
-- How were the templates that members of a cluster share used in the window of a run, as it counted them?
-- parameters: run_id  the run; one of an earlier version, or of before a purge, counted none
-- columns:    template_id, requests, accounts, first_at, last_at
-- order:      template_id
-- index:      template_use(primary key)
select t.name as template_id, t.requests as requests, t.accounts as accounts,
       t.first_ms as first_at, t.last_ms as last_at
from template_use as t
where t.run_id = :run_id
order by t.name
