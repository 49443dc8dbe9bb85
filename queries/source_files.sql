-- source_files
-- Which files were loaded, and what became of their lines?
-- parameters: none
-- columns:    path, format, kind, size, sha256, kept, set_aside, seen_before, conflicting
-- order:      path, sha256, format, reading, limits
-- index:      none
select path, format, kind, size, sha256, kept, set_aside, seen_before, conflicting
from source_file
order by path, sha256, format, reading, limits
