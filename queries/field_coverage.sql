-- field_coverage
-- For each canonical field: how many of the stored requests carry it?
-- parameters: none
-- columns:    field, present, total
-- order:      field
-- index:      none
select field, sum(present) as present, sum(total) as total
from coverage_day
group by field
order by field
