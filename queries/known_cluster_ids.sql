-- known_cluster_ids
-- Which cluster ids were ever given in a run that is kept?
-- parameters: none
-- columns:    cluster_id
-- order:      cluster_id
-- index:      none
select cluster_id from cluster
union
select cluster_id from event
order by cluster_id
