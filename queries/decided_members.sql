-- decided_members
-- Whom was each decision about?
-- parameters: none
-- columns:    note_id, account_id
-- order:      note_id, account_id
-- index:      none
select m.note_id as note_id, a.value as account_id
from case_member as m
join account as a on a.id = m.account_id
order by m.note_id, a.value
