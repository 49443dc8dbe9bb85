"""Fragments: expected bits counted slowly, and joining in rounds that look only at what changed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from linkage.clusters import fragments
from linkage.clusters.fragments import join_fragments
from linkage.clusters.group_bits import GroupBits, GroupUses
from linkage.clusters.ties import Incidence
from linkage.settings import CommunitySettings

FAMILIES = ("content", "network", "payment")


def incidence_of(seed: int, *, accounts: int = 60, values: int = 30, uses: int = 400) -> Incidence:
    draw = np.random.default_rng(seed)
    pairs = np.unique(draw.integers(0, (accounts, values), (uses, 2)), axis=0)
    family = np.sort(draw.integers(0, len(FAMILIES), values))
    bits = np.round(draw.random(values) * 10, 1)
    table = pd.DataFrame({"family": [FAMILIES[f] for f in family]})
    names = pd.Index([f"a{n:03}" for n in range(accounts)])
    blank = np.ones(values)
    return Incidence(names, FAMILIES, table, family, bits, blank, blank, pairs[:, 0], pairs[:, 1])


def slow_best(incidence: Incidence, chances: dict[int, float], breadth: np.ndarray) -> list[float]:
    """Per family: the best shared value, the next when the best is not shared, and so on."""
    best = [0.0] * len(FAMILIES)
    missed = [1.0] * len(FAMILIES)
    for value in sorted(chances, key=lambda v: -incidence.bits[v]):
        family = incidence.family[value]
        best[family] += chances[value] * max(incidence.bits[value] - breadth[family], 0.0) * missed[family]
        missed[family] *= 1 - chances[value]
    return best


def slow_share(incidence: Incidence, group: np.ndarray, left: int, right: int) -> list[float]:
    uses = {
        n: [set(incidence.value[incidence.account == a]) for a in np.flatnonzero(group == n)] for n in (left, right)
    }
    typical, breadths = incidence.typical_uses, []
    for sets in uses.values():
        mean = np.array([np.mean([sum(incidence.family[v] == f for v in own) for own in sets]) for f in range(3)])
        breadths.append(np.maximum(np.log2(np.maximum(mean, 1e-9) / typical), 0))
    chances: dict[int, float] = {}
    for value in range(len(incidence.bits)):
        share = {n: np.mean([value in own for own in sets]) for n, sets in uses.items()}
        size = len(uses[left])
        chance = share[left] * share[right]
        if left == right:
            chance = (share[left] ** 2 * size - share[left]) / (size - 1)
        chances[value] = min(max(chance, 0.0), 1 - 1e-9)
    return slow_best(incidence, chances, np.mean(breadths, axis=0))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_shared_bits_are_those_counted_one_by_one(seed: int) -> None:
    incidence = incidence_of(seed)
    group = np.random.default_rng(seed).integers(-1, 5, len(incidence.accounts))
    pairs = np.array([[0, 1], [1, 3], [2, 4]])
    habits = np.full((len(group), 3), np.nan)
    bits = GroupBits(group, incidence, habits=habits)
    between = bits.between(pairs)
    assert bits.is_work.tolist() == [True, True, True, False]
    assert bits.is_by_lot.tolist() == [False, False, True, False]
    for number in range(5):
        assert bits.inside[number, :3] == pytest.approx(slow_share(incidence, group, number, number))
    for row, (left, right) in enumerate(pairs):
        assert between[row, :3] == pytest.approx(slow_share(incidence, group, left, right))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_uses_of_joined_groups_are_those_counted_anew(seed: int) -> None:
    incidence = incidence_of(seed, accounts=90)
    draw = np.random.default_rng(seed)
    group = draw.permutation(np.arange(90) // 3 - 1)  # three accounts are in none
    uses = GroupUses(group, incidence)
    for _ in range(3):
        target = np.arange(29)
        there = np.flatnonzero(uses.accounts)
        target[there[3:9]] = there[draw.integers(0, 3, 6)]
        group = np.where(group >= 0, target[group], -1)
        uses.join(target)
        anew = GroupUses(group, incidence)
        assert 0 < np.count_nonzero(uses.accounts) < 29
        assert uses.accounts.tolist() == np.append(anew.accounts, [0] * 29)[:29].tolist()
        for joined, counted in zip(uses.rows(incidence), anew.rows(incidence), strict=True):
            assert len(joined) > 0
            assert joined.tolist() == counted.tolist()


def test_bits_of_joined_groups_are_those_looked_at_anew() -> None:
    incidence = incidence_of(7, accounts=90)
    draw = np.random.default_rng(7)
    group, habits = draw.permutation(np.arange(90) // 10), draw.random((90, 3))
    habits[::7] = np.nan
    bits = GroupBits(group, incidence, habits=habits)
    target = np.array([0, 1, 1, 3, 0, 5, 6, 1, 8])
    bits.join(target)
    anew = GroupBits(target[group], incidence, habits=habits)
    there = np.flatnonzero(bits.accounts)
    assert bits.inside[there].tolist() == anew.inside[there].tolist()
    pairs = np.column_stack(np.triu_indices(len(there), 1))
    assert bits.between(there[pairs]).tolist() == anew.between(there[pairs]).tolist()


@pytest.mark.parametrize("seed", [4, 5, 6])
def test_rounds_that_look_only_at_changed_groups_join_the_same(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    incidence = incidence_of(seed, accounts=200, values=40, uses=3_000)
    draw = np.random.default_rng(seed)
    group = draw.permutation(np.arange(200) // 4)
    ends = draw.integers(0, 200, (900, 2))
    settings = dataclasses.replace(CommunitySettings(), merge_bits=1.0, merge_share=1.0)
    known = {"incidence": incidence, "ends": ends, "habits": draw.random((200, 3)), "settings": settings}
    quick = join_fragments(group, **known)
    monkeypatch.setattr(fragments._Scored, "of", lambda _self, pairs: np.full(len(pairs), np.nan))
    scored = fragments._score_pairs
    asked: list[int] = []

    def score_all(bits: GroupBits, pairs: np.ndarray, settings: CommunitySettings) -> np.ndarray:
        asked.append(len(pairs))
        return scored(bits, pairs, settings)

    monkeypatch.setattr(fragments, "_score_pairs", score_all)
    monkeypatch.setattr(fragments, "_changed", lambda groups, _chosen: np.ones(groups, dtype=bool))
    slow = join_fragments(group, **known)
    assert quick.tolist() == slow.tolist()
    assert len(asked) > 2
    assert 1 < len(set(quick)) < 50


def join_linked(
    group: np.ndarray,
    account: np.ndarray,
    value: np.ndarray,
    *,
    bits: np.ndarray,
    family: np.ndarray,
    families: tuple[str, ...] = FAMILIES,
) -> np.ndarray:
    """The groups after joining, where every account is linked to the first and nobody's habits are known."""
    table, blank = pd.DataFrame({"family": [families[f] for f in family]}), np.ones(len(family))
    names = pd.Index([f"a{n:03}" for n in range(len(group))])
    incidence = Incidence(names, families, table, family, bits, blank, blank, account, value)
    ends = np.column_stack([np.zeros(len(group) - 1, dtype=np.int64), np.arange(1, len(group))])
    habits = np.full((len(group), 3), np.nan)
    return join_fragments(group, incidence, ends=ends, habits=habits, settings=CommunitySettings())


@pytest.mark.parametrize(("apart", "groups"), [("payment", 1), ("registration", 1), ("network", 5), ("content", 5)])
def test_groups_alike_but_for_what_comes_by_the_lot_are_joined(apart: str, groups: int) -> None:
    """Forty accounts in five groups share a value of two families; of the third each group has one of its own."""
    families = FAMILIES if apart in FAMILIES else ("content", "network", apart)
    accounts, own = 40, families.index(apart)
    group = np.arange(accounts) // 8
    family = np.array([0, 1, 2, *[own] * 4])
    bits = np.where(family == own, 10.0, 4.0)
    shared = [np.full(accounts, f) for f in range(3) if f != own]
    value = np.concatenate([*shared, np.where(group == 0, own, group + 2)])
    account = np.tile(np.arange(accounts), 3)
    joined = join_linked(group, account, value, bits=bits, family=family, families=families)
    assert len(set(joined)) == groups


@pytest.mark.parametrize(
    ("bits", "own_bits", "size", "groups"),
    [(2.0, 0.0, 4, 1), (2.0, 0.3, 4, 1), (2.0, 1.0, 4, 3), (1.4, 0.0, 4, 3), (2.0, 0.0, 1, 3), (2.6, 0.0, 1, 1)],
)
def test_groups_that_are_as_alike_between_as_inside_need_few_bits(
    bits: float, own_bits: float, size: int, groups: int
) -> None:
    """Three groups share a value of two families, and each has a value of a third one that is its own."""
    accounts = 3 * size
    group = np.arange(accounts) // size
    worth, family = np.array([bits, *[own_bits] * 3, bits]), np.array([0, 1, 1, 1, 2])
    value = np.concatenate([np.full(accounts, 0), group + 1, np.full(accounts, 4)])
    joined = join_linked(group, np.tile(np.arange(accounts), 3), value, bits=worth, family=family)
    assert len(set(joined)) == groups


def test_a_large_group_takes_in_its_crumbs_by_the_tenth_and_not_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """230 accounts share three values: 200 in one group, the others each for itself, all tied to the first."""
    accounts, values = 230, 3
    account, value = np.divmod(np.arange(accounts * values), values)
    group = np.maximum(np.arange(accounts) - 199, 0)
    rounds: list[int] = []
    choose = fragments._choose_pairs

    def count(pairs: np.ndarray, score: np.ndarray, size: np.ndarray) -> np.ndarray:
        rounds.append(len(pairs))
        return choose(pairs, score, size)

    monkeypatch.setattr(fragments, "_choose_pairs", count)
    joined = join_linked(group, account, value, bits=np.full(values, 8.0), family=np.arange(values))
    assert joined.tolist() == [0] * accounts
    assert rounds == [30, 9, 0]  # in each round one best partner and a tenth of the group


def test_only_a_hundredth_of_a_group_is_a_crumb_and_a_better_partner_keeps_it() -> None:
    pairs = np.array([[0, 1], [0, 2], [0, 3], [2, 3]])
    score = np.array([3.0, 2.0, 1.5, 1.7])
    best = fragments._best_pairs(pairs, score, 5)
    assert best.tolist() == [0, 0, 1, 3, -1]
    size = np.array([300, 50, 4, 3, 1])
    assert fragments._crumbs(pairs, score, best, np.empty((0, 2), dtype=np.int64), size).tolist() == []
    size = np.array([300, 50, 3, 3, 1])
    assert fragments._crumbs(pairs, score, best, np.empty((0, 2), dtype=np.int64), size).tolist() == [[0, 2]]
    assert fragments._crumbs(pairs, score, best, np.array([[0, 2]]), size).tolist() == []
    assert fragments._choose_pairs(pairs, score, size).tolist() == [[0, 1], [0, 2]]


def test_of_equally_good_partners_the_lower_numbers_are_chosen() -> None:
    pairs = np.array([[0, 2], [1, 2], [1, 3], [4, 5]])
    score = np.array([2.0, 2.0, 2.0, 1.0])
    assert fragments._choose_pairs(pairs, score, np.ones(6, dtype=np.int64)).tolist() == [[0, 2], [4, 5]]
