"""Templates of a whole store: mined over all prompts it has, described from the prompts of this ingest."""

from __future__ import annotations

from typing import Final

from linkage.intake.entities import entity_id
from linkage.intake.mining import assign_templates, describe_template, learn_templates, tie_templates
from linkage.settings import TemplateSettings
from linkage.store import facts
from linkage.store.facts import Connection
from linkage.store.store import Database

_EXAMPLES: Final = 6


def mine_store(database: Database, *, settings: TemplateSettings) -> None:
    """Bring templates, items and what follows from them up to date; without new records nothing is done.

    One pass over the fingerprints of all prompts learns, a second assigns; the outcome depends on the set of prompts
    alone, whatever was loaded first. A template id that the gateway gave stands above what was mined.
    """
    revision, mined = database.revision()
    if mined == revision:
        return
    with database.transaction("store templates") as connection:
        model = learn_templates(facts.prompt_blocks(connection), settings=settings)
        blocks = assign_templates(facts.prompt_blocks(connection), model=model)
        facts.set_templates(connection, ((block.templates, block.items) for block in blocks))
        names = facts.gateway_templates(connection)
        facts.use_gateway_templates(connection, [(entity_id("gateway_template", name), name) for name in names])
        _describe(connection)
        ties = tie_templates(facts.template_texts(connection), settings=settings)
        facts.tie_templates(
            connection, [(tie.template_id, tie.contract, tie.family_id, tie.similarity) for tie in ties]
        )
        families = {tie.family_id: tie.family_name for tie in ties if tie.family_id is not None and tie.family_name}
        facts.follow_templates(connection, families)


def _describe(connection: Connection) -> None:
    described = (
        describe_template(template_id, facts.new_texts(connection, template_id, limit=_EXAMPLES))
        for template_id in facts.undescribed_templates(connection)
    )
    facts.add_templates(connection, [(each.template_id, each.name, each.text, each.slots) for each in described])
