-- account_field_coverage
-- How many accounts have an account record, and which of its fields do they carry?
-- parameters: none
-- columns:    field, present, total
-- order:      field
-- index:      account_record_account
with several as materialized (  -- few accounts, if any
    select account_id from account_record group by account_id having count(*) > 1
),
again as (  -- how often their records tell what another one of them told
    select count(*) - 1 as account_record, count(country) - max(country is not null) as country,
           count(created_ms) - max(created_ms is not null) as created_at,
           count(email_domain_id) - max(email_domain_id is not null) as email_domain,
           count(organization_id) - max(organization_id is not null) as organization_id,
           count(payment_id) - max(payment_id is not null) as payment_method,
           count(plan) - max(plan is not null) as plan
    from account_record
    where account_id in (select account_id from several)
    group by account_id
),
repeated as materialized (
    select total(account_record) as account_record, total(country) as country, total(created_at) as created_at,
           total(email_domain) as email_domain, total(organization_id) as organization_id,
           total(payment_method) as payment_method, total(plan) as plan
    from again
),
told as materialized (  -- once, however many fields there are, and in the order of the table
    select count(*) as account_record, count(country) as country, count(created_ms) as created_at,
           count(email_domain_id) as email_domain, count(organization_id) as organization_id,
           count(payment_id) as payment_method, count(plan) as plan
    from account_record
),
field(name, present) as (
    select 'account_record', told.account_record - repeated.account_record from told, repeated
    union all select 'country', told.country - repeated.country from told, repeated
    union all select 'created_at', told.created_at - repeated.created_at from told, repeated
    union all select 'email_domain', told.email_domain - repeated.email_domain from told, repeated
    union all select 'organization_id', told.organization_id - repeated.organization_id from told, repeated
    union all select 'payment_method', told.payment_method - repeated.payment_method from told, repeated
    union all select 'plan', told.plan - repeated.plan from told, repeated
)
select name as field, cast(present as integer) as present, (select count(*) from account) as total
from field
order by name
