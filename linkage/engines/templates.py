"""Templates of a whole store: mined over all prompts it has, described from the prompts of this ingest."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from linkage.intake.entities import entity_id
from linkage.intake.following import Followed, Requested, follow_templates
from linkage.intake.mining import (
    Assigned,
    assign_templates,
    describe_template,
    join_assigned,
    learn_templates,
    pick_examples,
    tie_templates,
)
from linkage.settings import TemplateSettings
from linkage.store import facts
from linkage.store.facts import Connection, PromptBlock
from linkage.store.items import pack_items
from linkage.store.store import Database

Ints = npt.NDArray[np.int64]

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
        assigned = _assign(connection, settings)
        _describe(connection, assigned)
        families = _tie(connection, settings)
        facts.forget_followed(connection)
        facts.add_template_entities(connection, families)
        for part in follow_templates(_requested(connection), assigned):
            _store_followed(connection, part)
        facts.finish_mining(connection)


def _assign(connection: Connection, settings: TemplateSettings) -> Assigned:
    """Template and items of every prompt; those whose template is another than before are written."""
    blocks = ((block.ids, block.features) for block in facts.prompt_blocks(connection))
    model = learn_templates(blocks, settings=settings)
    prompt_ids: list[int] = []
    template_ids, parts, gateway_names = [], [], set()
    for block in facts.prompt_blocks(connection):
        part = assign_templates((block.ids, block.features), model=model)
        chosen = _with_gateway(block, part.template_ids)
        gateway_names |= {name for name in block.gateway_templates if name is not None}
        facts.set_prompt_templates(connection, _changed(block, chosen))
        prompt_ids += block.ids
        template_ids.append(chosen)
        parts.append(part)
    named = ((entity_id("gateway_template", name), name) for name in sorted(gateway_names))
    texts = [(each, f"t-{each:016x}", f"(the gateway's template {name})", 0) for each, name in named]
    facts.add_templates(connection, texts)
    return join_assigned(prompt_ids, np.concatenate([np.zeros(0, np.int64), *template_ids]), parts)


def _with_gateway(block: PromptBlock, template_ids: Ints) -> Ints:
    chosen = template_ids.copy()
    for row, name in enumerate(block.gateway_templates):
        if name is not None:
            chosen[row] = entity_id("gateway_template", name)
    return chosen


def _changed(block: PromptBlock, template_ids: Ints) -> list[tuple[int | None, int]]:
    rows = zip(block.rows, block.template_ids, template_ids.tolist(), strict=True)
    return [(after or None, row) for row, before, after in rows if (before or 0) != after]


def _describe(connection: Connection, assigned: Assigned) -> None:
    """Give new templates their readable text, and all the number of their prompts."""
    known = np.array(facts.known_templates(connection), dtype=np.int64)
    at_hand = np.array(facts.new_prompts(connection), dtype=np.int64)
    examples = pick_examples(assigned, known=known, at_hand=at_hand, limit=_EXAMPLES)
    texts = facts.new_texts(connection, [prompt for prompts in examples.values() for prompt in prompts])
    described = (
        describe_template(template_id, [texts[prompt] for prompt in prompts])
        for template_id, prompts in examples.items()
    )
    facts.add_templates(connection, [(each.template_id, each.name, each.text, each.slots) for each in described])
    ids, counts = np.unique(assigned.template_ids, return_counts=True)
    facts.count_prompts(connection, list(zip(ids.tolist(), counts.tolist(), strict=True)))


def _tie(connection: Connection, settings: TemplateSettings) -> dict[int, str]:
    """Write contracts and families of the templates; family id to family name."""
    ties = tie_templates(facts.template_texts(connection), settings=settings)
    facts.tie_templates(connection, [(tie.template_id, tie.contract, tie.family_id, tie.similarity) for tie in ties])
    return {tie.family_id: tie.family_name for tie in ties if tie.family_id is not None and tie.family_name}


def _requested(connection: Connection) -> Requested:
    """Account, prompt and time of every request that has a prompt."""
    blocks = [np.array(rows, dtype=np.int64) for rows in facts.requested_prompts(connection)]
    table = np.concatenate([np.zeros((0, 3), np.int64), *blocks])
    return Requested(*table.T)


def _store_followed(connection: Connection, part: Followed) -> None:
    facts.add_rollup(connection, "entity_use", zip(*(column.tolist() for column in part.uses), strict=True))
    facts.add_prompt_days(connection, zip(*(column.tolist() for column in part.days), strict=True))
    starts = part.item_starts.tolist()
    owners = zip(part.days[0].tolist(), part.days[1].tolist(), starts, starts[1:], strict=False)
    facts.add_item_days(
        connection,
        (
            (account_id, day, pack_items(*(column[start:end] for column in part.items)))
            for account_id, day, start, end in owners
            if end > start
        ),
    )
