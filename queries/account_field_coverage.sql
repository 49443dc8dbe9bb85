-- account_field_coverage
-- How many accounts have an account record, and which of its fields do they carry?
-- parameters: none
-- columns:    field, present, total
-- order:      field
-- index:      account_record_account
with known as (
    select account_id, max(organization_id is not null) as organization_id, max(created_ms is not null) as created_at,
           max(email_domain_id is not null) as email_domain, max(payment_id is not null) as payment_method,
           max(country is not null) as country, max(plan is not null) as plan
    from account_record
    group by account_id
),
counted as materialized (  -- once, however many fields there are
    select count(*) as account_record, total(country) as country, total(created_at) as created_at,
           total(email_domain) as email_domain, total(organization_id) as organization_id,
           total(payment_method) as payment_method, total(plan) as plan
    from known
),
field(name, present) as (
    select 'account_record', account_record from counted
    union all select 'country', country from counted
    union all select 'created_at', created_at from counted
    union all select 'email_domain', email_domain from counted
    union all select 'organization_id', organization_id from counted
    union all select 'payment_method', payment_method from counted
    union all select 'plan', plan from counted
)
select name as field, cast(present as integer) as present, (select count(*) from account) as total
from field
order by name
