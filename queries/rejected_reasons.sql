-- rejected_reasons
-- Why were lines set aside, most frequent reason first?
-- parameters: none
-- columns:    reason, lines, files
-- order:      lines, reason
-- index:      none
select reason, count(*) as lines, count(distinct source_file_id) as files
from rejected
group by reason
order by count(*) desc, reason
