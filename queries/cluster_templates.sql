-- cluster_templates
-- Which templates do two or more members of a cluster use?
-- parameters: run_id, cluster_id  the run and the cluster
-- columns:    template_id, members, text, slots, prompts, family_id, contract
-- order:      members, template_id
-- index:      shared_value(primary key)
with used as (
    select s.value, count(*) as members
    from shared_value as s
    where s.run_id = :run_id and s.cluster_id = :cluster_id and s.family = 'content' and s.kind = 'template'
    group by s.value
)
select t.name as template_id, u.members as members, t.text as text, t.slots as slots, t.prompts as prompts,
       f.value as family_id, t.contract as contract
from used as u
join template as t on t.name = u.value
left join entity as f on f.id = t.family_id
order by u.members desc, t.name
