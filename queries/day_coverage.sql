-- day_coverage
-- On each day of a window, how many of the requests carried each field?
-- parameters: since_day, until_day  whole UTC days since the epoch, since inclusive, until exclusive
-- columns:    field, day, present, total
-- order:      field, day
-- index:      coverage_day(primary key)
select field, day, present, total
from coverage_day
where day >= :since_day and day < :until_day
order by field, day
