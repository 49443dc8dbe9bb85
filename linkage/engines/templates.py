"""Templates of a whole store: mined over all prompts it has, described from the prompts of this ingest."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np

from linkage.arrays import Ints
from linkage.engines.ahead import map_ahead
from linkage.engines.assigning import assign_kept, assign_prompts
from linkage.engines.beside import Worker
from linkage.engines.kept import Kept
from linkage.engines.progress import ALL, FOLLOWING, MINING, Meter, Progress, tell_accounts, untold
from linkage.engines.prompts import Source, StoredPrompts
from linkage.engines.texts import Texts
from linkage.errors import SourceError
from linkage.intake.entities import entity_id
from linkage.intake.following import Followed, Requested, follow_templates, without_empty
from linkage.intake.mining import (
    Assigned,
    Features,
    Model,
    Named,
    Naming,
    find_changed,
    find_described,
    find_heirs,
    learn,
    name_templates,
    pick_examples,
    template_name,
)
from linkage.memory import give_back, keep_apart, keep_near
from linkage.parallel import THREADS, stand_back
from linkage.settings import TemplateSettings
from linkage.store import facts
from linkage.store.facts import Connection
from linkage.store.items import pack_items
from linkage.store.store import Database, keep_some_pages
from linkage.store.works import pack_works

_EXAMPLES: Final = 6
_WRITTEN_ROWS: Final = 50_000  # made to plain values at a time


def mine_store(
    database: Database,
    *,
    settings: TemplateSettings,
    kept: Kept[Mined] | None = None,
    worker: Worker | None = None,
    meter: Meter | None = None,
    progress: Progress = untold,
    connection: Connection | None = None,
) -> None:
    """Bring templates, items and what follows from them up to date; without new records nothing is done.

    One pass over the fingerprints of all prompts learns, a second assigns; the outcome depends on the set of prompts
    alone, whatever was loaded first. A template id that the gateway gave stands above what was mined.

    Parameters
    ----------
    settings : how templates are mined.
    kept : what loading kept beside the store; None: nothing, and no texts to describe templates from.
    worker : a process beside this one; assigns half of many prompts, and describes templates where it was started.
    meter : knows how far is what is made ahead of what was kept.
    progress : told how far it is, and then how far what follows from templates is stored.
    connection : of an open transaction that all of it is a part of; None: it is one by itself.
    """
    revision, mined_revision = database.revision()
    if mined_revision == revision:
        return
    database.forget_pages()
    give_back()  # learning needs the memory
    with contextlib.nullcontext(connection) if connection else database.transaction("store templates") as connection:
        progress(MINING, 0, ALL)
        if kept and kept.is_whole:
            keep_some_pages(connection)
            watch = functools.partial((meter or Meter()).tell, progress)
            mined = kept.ahead(watch) or mine_kept(kept, settings=settings, meter=Meter(progress))
            requested = kept.requested()
        else:
            mined = _mine(database, connection, settings, worker, Meter(progress))
            requested = StoredPrompts(connection).requested()
        progress(MINING, ALL, ALL)
        facts.forget_followed(connection)
        before = facts.prompt_templates(connection)
        texts = _inherit_texts(connection, mined.assigned, before)
        naming = functools.partial(_naming, texts, *mined, kept.texts if kept else None)
        with ThreadPoolExecutor(1) as beside:
            named = beside.submit(lambda: _name_beside(worker, naming(), settings))
            _store_followed(connection, requested, mined.assigned, before, progress)
            _store_named(connection, mined.assigned, named.result())
        facts.finish_mining(connection)


class Mined(NamedTuple):
    """What was mined of all prompts."""

    assigned: Assigned
    last_learned: int
    """The last id that was learned from."""


def mine_kept(kept: Kept[Mined], *, settings: TemplateSettings, meter: Meter) -> Mined:
    """Templates and items of all prompts that a first load kept; asks nothing of the store."""
    meter.begin(kept.count())
    model, last_learned = _learn(kept, settings, meter)
    return Mined(assign_kept(kept, model, watch=meter.read), last_learned)


def _mine(
    database: Database,
    connection: Connection,
    settings: TemplateSettings,
    worker: Worker | None,
    meter: Meter,
) -> Mined:
    """Templates and items of all prompts in the store; templates that gateways named are stored."""
    prompts = StoredPrompts(connection)
    meter.begin(prompts.count())
    model, last_learned = _learn(prompts, settings, meter)
    assigned, gateway_names = assign_prompts(database, model, worker=worker, watch=meter.read)
    named = ((entity_id("gateway_template", name), name) for name in sorted(gateway_names))
    texts = [(each, str(template_name(each)), f"(the gateway's template {name})", 0) for each, name in named]
    facts.add_templates(connection, texts)
    return Mined(assigned, last_learned)


def _learn(prompts: Source, settings: TemplateSettings, meter: Meter) -> tuple[Model, int]:
    """What prompts say of templates, and the last id that was learned from."""
    last_learned = prompts.last_of_lowest(int(settings.learn_prompts))
    learned = meter.read(prompts.blocks(last_id=last_learned))
    unpacking = map_ahead(lambda block: Features.from_packed(block.ids, block.features, block.places), learned)
    keep_apart()  # a few large arrays, and the greatest moment of all
    with contextlib.closing(unpacking) as unpacked:
        model = learn((features for _, features in unpacked), settings=settings)
    keep_near()
    meter.learned()
    return model, last_learned


def _inherit_texts(connection: Connection, assigned: Assigned, before: Ints) -> dict[int, str]:
    """Readable texts of templates, by ascending id; those that have but another id than before keep their text.

    Parameters
    ----------
    before : rows of prompt and template, as they were mined before.
    """
    stored = facts.template_texts(connection)
    texts = {template_id: text for template_id, (text, _) in stored.items()}
    heirs = find_heirs(assigned, known=before[:, 0], before=before[:, 1], described=find_described(texts))
    left = [(heir, str(template_name(heir)), *stored[template_id]) for heir, template_id in heirs.items()]
    facts.add_templates(connection, left)
    return dict(sorted((texts | {heir: texts[template_id] for heir, template_id in heirs.items()}).items()))


def _store_templates(connection: Connection, assigned: Assigned, before: Ints) -> None:
    """Write the templates of prompts that have another one than before, by ascending prompt id."""
    changed, outdated = find_changed(assigned, known=before[:, 0], before=before[:, 1])
    facts.forget_prompt_templates(connection, outdated.tolist())
    for start in range(0, len(changed), _WRITTEN_ROWS):
        rows = changed[start : start + _WRITTEN_ROWS]
        columns = assigned.prompt_ids[rows], assigned.template_ids[rows]
        facts.add_prompt_templates(connection, np.column_stack(columns))


def _naming(stored: Mapping[int, str], assigned: Assigned, last_learned: int, texts: Texts | None) -> Naming:
    """What templates are named from: texts that are stored, and examples of prompts that were learned from."""
    at_hand = texts.ids(last=last_learned) if texts else np.zeros(0, np.int64)
    examples = pick_examples(assigned, known=find_described(stored), at_hand=at_hand, limit=_EXAMPLES)
    wanted = [prompt for prompts in examples.values() for prompt in prompts]
    found = texts.read(wanted) if texts else {}
    used = np.unique(assigned.template_ids).tolist()
    return Naming(
        {each: stored[each] for each in used if each in stored},
        {each: [found[prompt] for prompt in prompts] for each, prompts in examples.items()},
    )


def _name_beside(worker: Worker | None, naming: Naming, settings: TemplateSettings) -> Named:
    """What :func:`name_templates` says, from the process beside this one where there is one."""
    if worker and worker.is_started:
        with contextlib.suppress(SourceError):  # it died: then here
            [named] = worker.stream(_names, {"naming": naming, "settings": settings}, about="templates")
            return named
    return name_templates(naming, settings=settings)


def _names(naming: Naming, settings: TemplateSettings) -> Iterator[Named]:
    yield name_templates(naming, settings=settings)


def _store_named(connection: Connection, assigned: Assigned, named: Named) -> None:
    """Write texts, numbers of prompts, contracts and families of templates, and their entities."""
    facts.add_templates(connection, [(each.template_id, each.name, each.text, each.slots) for each in named.described])
    ids, counts = np.unique(assigned.template_ids, return_counts=True)
    facts.count_prompts(connection, list(zip(ids.tolist(), counts.tolist(), strict=True)))
    ties = [(tie.template_id, tie.contract, tie.family_id, tie.similarity) for tie in named.tied]
    facts.tie_templates(connection, ties)
    families = {tie.family_id: tie.family_name for tie in named.tied if tie.family_id is not None and tie.family_name}
    facts.add_template_entities(connection, families)


class _Rows(NamedTuple):
    """What follows from templates, as the store takes it."""

    uses: Ints
    prompt_days: Ints
    items: tuple[Ints, list[bytearray]]
    """Account and day, and what is packed of them."""
    works: tuple[Ints, list[bytearray]]


def _rows(part: Followed) -> _Rows:
    days = np.column_stack(part.days)
    has_items, item_starts = without_empty(part.item_starts)
    has_works, work_starts = without_empty(part.work_starts)
    return _Rows(
        uses=np.column_stack(part.uses),
        prompt_days=days,
        items=(days[has_items, :2], pack_items(item_starts, part.items)),
        works=(days[has_works, :2], pack_works(work_starts, part.works)),
    )


def _store_followed(
    connection: Connection, requested: Iterator[Requested], assigned: Assigned, before: Ints, progress: Progress
) -> None:
    """Write templates of prompts, and what follows from them: made in two threads, the first of it meanwhile."""

    def follow(part: Requested | None) -> list[_Rows]:
        return [_rows(each) for each in follow_templates(part, assigned)] if part else []

    parts = itertools.chain([None], requested)
    # All wait for the thread that writes: others leave a busy core to it.
    with contextlib.closing(map_ahead(follow, parts, threads=THREADS, begin=stand_back)) as followed:
        next(followed)
        _store_templates(connection, assigned, before)
        made_by_account = ((int(part.account_ids.max()), made) for part, made in followed if part)
        for made in tell_accounts(progress, FOLLOWING, made_by_account):
            for rows in made:
                facts.add_template_uses(connection, rows.uses)
                facts.add_prompt_days(connection, rows.prompt_days)
                facts.add_item_days(connection, *rows.items)
                facts.add_work_days(connection, *rows.works)
