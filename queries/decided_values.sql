-- decided_values
-- What tied the accounts of a cluster when each decision was made?
-- parameters: none
-- columns:    note_id, family, kind, value
-- order:      note_id, family, kind, value
-- index:      none
select note_id, family, kind, value
from case_value
order by note_id, family, kind, value
