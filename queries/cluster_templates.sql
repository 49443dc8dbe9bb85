-- cluster_templates
-- Which templates do two or more members of a cluster use?
-- parameters: run_id, cluster_id  the run and the cluster
-- columns:    template_id, members, text, slots, prompts, family_id, contract
-- order:      members, template_id
-- index:      cluster(primary key), shared_value(primary key), run_value(primary key)
with held as materialized (  -- each value is looked up once, not for each of its members
    select s.value_number, count(*) as members
    from cluster as c
    join shared_value as s on s.cluster_number = c.number
    where c.run_id = :run_id and c.cluster_id = :cluster_id
    group by s.value_number
),
used as (
    select v.value, sum(h.members) as members
    from held as h
    cross join run_value as v on v.run_id = :run_id and v.number = h.value_number
    where v.family = 'content' and v.kind = 'template'
    group by v.value
)
select t.name as template_id, u.members as members, t.text as text, t.slots as slots, t.prompts as prompts,
       f.value as family_id, t.contract as contract
from used as u
join template as t on t.name = u.value
left join entity as f on f.id = t.family_id
order by u.members desc, t.name
