-- declared_values
-- Which payment instrument and mail domain does each record of an account name, as numbers?
-- parameters: none
-- columns:    record, account, payment, email_domain  (-1: none)
-- order:      record
-- index:      none
select content as record, account_id as account, coalesce(payment_id, -1) as payment,
       coalesce(email_domain_id, -1) as email_domain
from account_record
order by content
