-- failed_files
-- Which files was an ingest given and could not load?
-- parameters: none
-- columns:    path, exit_code, reason
-- order:      path
-- index:      none
select path, exit_code, reason
from failed_file
order by path
