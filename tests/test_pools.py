"""Pools: groups that only together hold what they share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from linkage.clusters.pools import find_pooled, join_pools
from linkage.clusters.ties import Incidence

FAMILIES = ("client", "content", "network", "payment", "registration")
KINDS = ("ip", "ip_prefix")
CELLS, SIZE, STRANGERS = 6, 10, 40
EVERYBODY = CELLS * SIZE + STRANGERS


def incidence_of(uses: dict[tuple[str, str], list[int]]) -> Incidence:
    """Uses as (family, value) to the accounts that have it; a value that is a kind is of it."""
    rows = [
        {"family": family, "kind": value if value in KINDS else family, "accounts": len(set(who))}
        for (family, value), who in uses.items()
    ]
    table = pd.DataFrame(rows)
    pairs = sorted({(account, value) for value, who in enumerate(uses.values()) for account in who})
    account, value = (np.array(column, dtype=np.int64) for column in zip(*pairs, strict=True))
    family = np.array([FAMILIES.index(name) for name in table["family"]], dtype=np.int64)
    names, blank = pd.Index([f"a{number:03}" for number in range(EVERYBODY)]), np.ones(len(table))
    return Incidence(names, FAMILIES, table, family, blank, blank, blank, account, value)


def cells() -> np.ndarray:
    """Six groups of ten accounts; the other accounts are in none."""
    return np.append(np.arange(CELLS * SIZE) // SIZE, np.full(STRANGERS, -1))


def members(*numbers: int) -> list[int]:
    return [number * SIZE + place for number in numbers for place in range(SIZE)]


ALL = tuple(range(CELLS))
CARDS = {("payment", f"card-{number}"): members(number) for number in ALL}
TEMPLATES = {("content", f"t-{number}"): members(*ALL) for number in range(3)}
ADDRESS = {("network", "proxy"): members(*ALL)[::2]}


def groups_left(uses: dict[tuple[str, str], list[int]]) -> list[list[int]]:
    """Cells that ended in one group, each list ascending."""
    after = join_pools(cells(), incidence_of(uses), pooled_share=0.8)
    assert (after[CELLS * SIZE :] == -1).all()
    label = after[: CELLS * SIZE].reshape(CELLS, SIZE)
    assert (label == label[:, :1]).all()
    return sorted(np.flatnonzero(label[:, 0] == each).tolist() for each in np.unique(label[:, 0]))


def test_cells_on_cards_of_their_own_are_one_when_they_alone_have_the_wording_and_the_addresses() -> None:
    assert groups_left(CARDS | TEMPLATES | ADDRESS) == [list(ALL)]


@pytest.mark.parametrize("missing", [TEMPLATES, ADDRESS])
def test_an_app_or_a_proxy_alone_joins_nobody(missing: dict[tuple[str, str], list[int]]) -> None:
    uses = {name: who for name, who in (CARDS | TEMPLATES | ADDRESS).items() if name not in missing}
    assert groups_left(uses) == [[number] for number in ALL]


@pytest.mark.parametrize("popular", [TEMPLATES, ADDRESS])
def test_what_strangers_have_as_well_pools_nobody(popular: dict[tuple[str, str], list[int]]) -> None:
    strangers = list(range(CELLS * SIZE, EVERYBODY))
    uses = CARDS | TEMPLATES | ADDRESS
    assert groups_left(uses | {name: who + strangers for name, who in popular.items()}) == [[n] for n in ALL]


def test_two_operators_behind_one_proxy_stay_two() -> None:
    first, second = ALL[:3], ALL[3:]
    wording = {
        ("content", f"t-{side}-{number}"): members(*who) for side, who in ((0, first), (1, second)) for number in (0, 1)
    }
    one_for_both = {("content", "t-both"): members(*ALL)}
    assert groups_left(CARDS | wording | one_for_both | ADDRESS) == [list(first), list(second)]


def test_nothing_in_gives_nothing() -> None:
    nobody = np.full(EVERYBODY, -1)
    assert (join_pools(nobody, incidence_of(CARDS), pooled_share=0.8) == -1).all()


@pytest.mark.parametrize(
    ("uses", "pooled"),
    [
        ({("client", "own"): members(0, 1)}, [0, 1]),
        ({("client", "own"): members(0, 1)[::2]}, [0, 1]),
        ({("client", "own"): members(0, 1)[::5]}, []),
        ({("client", "own"): members(0)}, []),
        ({("client", "own"): members(0, 1, 3)}, []),
        ({("client", "own"): [*members(0, 1), *range(60, 65)]}, [0, 1]),
        ({("client", "own"): [*members(0, 1), *range(60, 66)]}, []),
        ({("registration", "day"): members(0, 1)}, []),
        ({("network", "ip"): members(0, 1)}, [0, 1]),
        ({("network", "ip_prefix"): members(0, 1)}, []),
        ({("network", "proxy"): members(1, 2), ("content", "t"): members(0, 1)}, [0, 1, 2]),
    ],
)
def test_chosen_groups_are_pooled_by_what_hardly_anybody_outside_of_them_has(
    uses: dict[tuple[str, str], list[int]], pooled: list[int]
) -> None:
    chosen = np.arange(CELLS) < 3
    found = find_pooled(cells(), incidence_of(uses), chosen, least=10)
    assert np.flatnonzero(found).tolist() == pooled


def test_two_small_groups_are_pooled_only_if_together_they_are_more_than_few() -> None:
    uses = {("client", "own"): members(0, 1)}
    for least, count in ((20, 2), (21, 0)):
        assert find_pooled(cells(), incidence_of(uses), np.ones(CELLS, dtype=bool), least=least).sum() == count
