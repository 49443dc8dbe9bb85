"""What follows from templates: uses, counts and items of each account and day."""

from __future__ import annotations

import math

import numpy as np
import pytest

from linkage.intake import following
from linkage.intake.following import Requested, follow_templates
from linkage.intake.mining import Assigned, find_changed, find_heirs, pick_examples
from linkage.terms import DAY_MS, HOUR_MS


def ints(*values: int) -> following.Ints:
    return np.array(values, dtype=np.int64)


# Prompt 10 has template 5 and items 1, 2, 2; prompt 20 has no template and item 1; prompt 30 template 5, no item.
ASSIGNED = Assigned(ints(10, 20, 30), ints(5, 0, 5), ints(1, 0, 4), ints(3, 1, 0), ints(1, 1, 2, 2))
REQUESTED = Requested(
    ints(8, 7, 7, 7, 7, 8),
    ints(30, 10, 20, 10, 30, 20),
    ints(4, 9 * HOUR_MS, 3, 2, DAY_MS + 1, 2 * DAY_MS),
    ints(100, -1, 50, 7, 0, 3),
)


def followed() -> tuple[list[tuple[int, ...]], list[tuple[int, ...]], list[tuple[int, ...]]]:
    uses, days, items = [], [], []
    for part in follow_templates(REQUESTED, ASSIGNED):
        uses += [tuple(row) for row in np.array(part.uses).T.tolist()]
        days += [tuple(row) for row in np.array(part.days).T.tolist()]
        for row, (start, end) in enumerate(zip(part.item_starts, part.item_starts[1:], strict=False)):
            owner = (int(part.days[0][row]), int(part.days[1][row]))
            items += [(*owner, *found) for found in np.array([column[start:end] for column in part.items]).T.tolist()]
    return uses, days, items


@pytest.mark.parametrize("chunk", [1, 2, 1_000])
def test_the_parts_change_nothing(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(following, "_CHUNK_ITEMS", chunk)
    uses, days, items = followed()
    assert uses == [(7, 5, 0, 2, 2, 9 * HOUR_MS), (7, 5, 1, 1, DAY_MS + 1, DAY_MS + 1), (8, 5, 0, 1, 4, 4)]
    assert days == [(7, 0, 2, 2), (7, 1, 1, 1), (8, 0, 1, 1), (8, 2, 1, 0)]
    assert items == [(7, 0, 1, 3, 2), (7, 0, 2, 2, 2), (8, 2, 1, 1, 2 * DAY_MS)]


@pytest.mark.parametrize("chunk", [1, 2, 1_000])
def test_work_is_told_per_account_day_and_template(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(following, "_CHUNK_ITEMS", chunk)
    works = []
    for part in follow_templates(REQUESTED, ASSIGNED):
        for row, (start, end) in enumerate(zip(part.work_starts, part.work_starts[1:], strict=False)):
            owner = (int(part.days[0][row]), int(part.days[1][row]))
            works += [(*owner, *found) for found in np.array([column[start:end] for column in part.works]).T.tolist()]
    # Of two requests one tells its output, and they are in the first hour and the tenth.
    ten, hundred = (round(math.log1p(tokens) * 1e6) for tokens in (7, 100))
    assert works == [(7, 0, 5, 2, 1, ten, 1 | 1 << 9), (7, 1, 5, 1, 1, 0, 1), (8, 0, 5, 1, 1, hundred, 1)]


def test_nothing_requested_gives_nothing() -> None:
    assert list(follow_templates(Requested(ints(), ints(), ints(), ints()), ASSIGNED)) == []


def test_examples_are_the_first_prompts_at_hand_of_templates_not_yet_known() -> None:
    chosen = pick_examples(ASSIGNED, known=ints(), at_hand=ints(20, 30), limit=6)
    assert chosen == {5: [30]}
    assert pick_examples(ASSIGNED, known=ints(), at_hand=ints(10, 20, 30), limit=1) == {5: [10]}
    assert pick_examples(ASSIGNED, known=ints(5), at_hand=ints(10), limit=6) == {}


def test_only_prompts_whose_template_is_another_than_before_are_written() -> None:
    known, before = ints(10, 20, 25, 30), ints(5, 7, 8, 4)
    changed, outdated = find_changed(ASSIGNED, known=known, before=before)
    assert ASSIGNED.prompt_ids[changed].tolist() == [30]  # 10 has the template it had
    assert outdated.tolist() == [25, 20, 30]  # 25 is no prompt any more, 20 has no template, 30 has another
    everything, none = find_changed(ASSIGNED, known=ints(), before=ints())
    assert (ASSIGNED.prompt_ids[everything].tolist(), none.tolist()) == ([10, 30], [])


def test_prompts_are_found_wherever_their_ids_lie() -> None:
    rand = np.random.default_rng(4)
    for ids in (rand.integers(1, 2**63 - 1, 5_000), np.arange(1, 400), 2**63 - 1 - np.arange(400), ints(5)):
        known = np.unique(ids)
        wanted, rows = rand.permutation(known), np.empty(len(known), np.int64)
        following._find_rows(known, wanted, rows)
        assert (known[rows] == wanted).all()


def test_what_follows_is_what_a_slow_count_says() -> None:
    rand = np.random.default_rng(9)
    counts = rand.integers(0, 4, 60)
    items = rand.integers(1, 12, counts.sum())
    assigned = Assigned(np.arange(1, 61) * 2**57, rand.integers(0, 4, 60), np.cumsum(counts) - counts, counts, items)
    requested = Requested(
        rand.integers(1, 6, 900) * 2**60,
        rand.permutation(assigned.prompt_ids)[rand.integers(0, 60, 900)],
        rand.integers(0, 3 * DAY_MS, 900),
        rand.integers(-1, 90, 900),
    )
    uses: dict[tuple[int, ...], list[int]] = {}
    owned: dict[tuple[int, ...], list[int]] = {}
    for account, prompt, at, _ in np.array(requested).T.tolist():
        row, day = int(np.searchsorted(assigned.prompt_ids, prompt)), at // DAY_MS
        if assigned.template_ids[row]:
            uses.setdefault((account, int(assigned.template_ids[row]), day), []).append(at)
        begin = int(assigned.item_begins[row])
        for item in set(items[begin : begin + counts[row]].tolist()):
            owned.setdefault((account, day, item), []).append(at)
    parts = list(follow_templates(requested, assigned))
    found = [tuple(row) for part in parts for row in np.array(part.uses).T.tolist()]
    assert found == [(*key, len(times), min(times), max(times)) for key, times in sorted(uses.items())]
    listed = []
    for part in parts:
        for row, (start, end) in enumerate(zip(part.item_starts, part.item_starts[1:], strict=False)):
            owner = (int(part.days[0][row]), int(part.days[1][row]))
            listed += [(*owner, *rest) for rest in np.array([column[start:end] for column in part.items]).T.tolist()]
    assert listed == [(*key, len(times), min(times)) for key, times in sorted(owned.items())]


def test_a_template_that_has_but_another_id_is_an_heir_of_the_one_before() -> None:
    prompts, templates = ints(*range(10, 22)), ints(7, 7, 7, 8, 9, 9, 5, 5, 0, 6, 6, 7)
    assigned = Assigned(prompts, templates, ints(*[0] * 12), ints(*[0] * 12), ints())
    # 1 became 7 and lost a prompt; 2 fell into halves, one of which 4 joined; 5 stayed, 3 is gone, 6 is new.
    known, before = ints(9, *range(10, 19)), ints(1, 1, 1, 1, 2, 2, 4, 5, 5, 3)
    found = {"assigned": assigned, "known": known, "before": before}
    assert find_heirs(**found, described=ints(1, 2, 3, 4, 5)) == {7: 1}
    assert find_heirs(**found, described=ints(1, 2, 5, 7)) == {}
    assert find_heirs(**found, described=ints()) == {}
    assert find_heirs(assigned, known=ints(), before=ints(), described=ints(1)) == {}
