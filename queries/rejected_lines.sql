-- rejected_lines
-- Which lines were set aside, and why?
-- parameters: none
-- columns:    path, line, reason
-- order:      path, sha256, line, reason
-- index:      rejected(primary key)
select f.path as path, r.line as line, r.reason as reason
from rejected as r
join source_file as f on f.id = r.source_file_id
order by f.path, f.sha256, r.line, r.reason
