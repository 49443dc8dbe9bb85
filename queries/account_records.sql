-- account_records
-- What does each record of an account say of it, values as numbers?
-- parameters: none
-- columns:    record, account, organization, email_domain, created_ms, country, plan  (-1: no such value; created_ms:
--             the largest number where it is unknown)
-- order:      record
-- index:      none
select content as record, account_id as account, coalesce(organization_id, -1) as organization,
       coalesce(email_domain_id, -1) as email_domain, coalesce(created_ms, 9223372036854775807) as created_ms,
       country, plan
from account_record
order by content
