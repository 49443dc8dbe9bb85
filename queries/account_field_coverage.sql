-- account_field_coverage
-- How many accounts have an account record, and which of its fields do they carry?
-- parameters: none
-- columns:    field, present, total
-- order:      field
-- index:      account_record_account
with field(name) as (
    values ('account_record'), ('country'), ('created_at'), ('email_domain'), ('organization_id'),
           ('payment_method'), ('plan')
),
known as (
    select account_id, max(organization_id is not null) as organization_id, max(created_ms is not null) as created_at,
           max(email_domain_id is not null) as email_domain, max(payment_id is not null) as payment_method,
           max(country is not null) as country, max(plan is not null) as plan
    from account_record
    group by account_id
)
select f.name as field,
       (select coalesce(sum(case f.name when 'account_record' then 1 when 'country' then k.country
                            when 'created_at' then k.created_at when 'email_domain' then k.email_domain
                            when 'organization_id' then k.organization_id when 'payment_method' then k.payment_method
                            else k.plan end), 0) from known as k) as present,
       (select count(*) from account) as total
from field as f
order by f.name
