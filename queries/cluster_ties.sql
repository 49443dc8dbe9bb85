-- cluster_ties
-- Which pairs of members of a cluster are linked, by the numbers of their accounts, by what, and what is it worth?
-- parameters: run_id, cluster_id  the run and the cluster
-- columns:    number_a, number_b, value_number, bits, rest
--             (rest: an empty text, since floats are read with a text behind them)
-- order:      number_a, number_b, value_number
-- index:      cluster(primary key), link(primary key)
select l.account_a as number_a, l.account_b as number_b, l.value_number as value_number, l.bits as bits, '' as rest
from cluster as c
join link as l on l.cluster_number = c.number
where c.run_id = :run_id and c.cluster_id = :cluster_id
order by l.account_a, l.account_b, l.value_number
