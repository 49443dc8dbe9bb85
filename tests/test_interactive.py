"""The graph of a report: who stands where, what it says of each, and that it is the same each time."""

import dataclasses
import hashlib
import itertools
import json
import math
import random
from pathlib import Path

import pytest
from details import HOSTILE, make_detail

from linkage import outputs
from linkage.outputs import interactive
from linkage.outputs.layout import place_dots
from linkage.outputs.masking import mask_detail
from linkage.outputs.ties import whole_cluster

VENDOR = Path(outputs.__file__).parent / "vendor"


def test_the_library_that_draws_is_the_one_of_the_registry_and_comes_with_its_licence() -> None:
    sums = dict(reversed(line.split()) for line in (VENDOR / "SHA256SUMS").read_text(encoding="utf-8").splitlines())
    files = {"dist/cytoscape.min.js": "cytoscape.min.js", "LICENSE": "cytoscape.LICENSE"}
    for name, kept in files.items():
        assert hashlib.sha256((VENDOR / kept).read_bytes()).hexdigest() == sums[name]
    assert "Permission is hereby granted" in (VENDOR / "cytoscape.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("size", [5, 50, 450])
def test_every_account_and_every_tie_of_a_drawn_value_is_in_the_graph(size: int) -> None:
    detail = make_detail(size)
    graph = interactive.graph_data(detail)
    assert [account[0] for account in graph["accounts"]] == list(detail.members["account_id"])
    names = list(detail.members["account_id"])
    shared = detail.shared.groupby("value")["account_id"].agg(set)
    drawn = [value for value in graph["values"] if value[2] in shared.index]
    assert drawn
    assert all({names[account] for account in value[7]} == shared[value[2]] for value in drawn)
    assert {name for name, _, _ in graph["families"]} == set(detail.links["family"])


@pytest.mark.parametrize("size", [5, 50, 450])
def test_no_two_dots_lie_on_each_other(size: int) -> None:
    graph = interactive.graph_data(make_detail(size))
    dots = [(x, y, 11.0) for _, _, x, y, _ in graph["accounts"]] + [value[3:6] for value in graph["values"]]
    for one, other in itertools.combinations(dots, 2):
        assert math.dist(one[:2], other[:2]) > 0.9 * (one[2] + other[2])


def test_of_a_large_cluster_groups_are_drawn_that_share_what_few_have() -> None:
    detail = make_detail(2_400)
    whole, graph = whole_cluster(detail), interactive.graph_data(detail)
    names = [account[0] for account in graph["accounts"]]
    assert len(names) == interactive.drawn_accounts(2_400) < 2_400
    assert names == sorted(names)
    places = {name: place for place, name in enumerate(detail.members["account_id"])}
    drawn = {places[name] for name in names}
    narrow = [row for row in range(len(whole.value_ties)) if len(whole.holders(row)) <= 100]
    assert narrow
    assert all(set(whole.holders(row).tolist()) <= drawn for row in narrow[:5])
    labels = {value[2]: value for value in graph["values"]}
    [client] = [value for value in labels.values() if value[2].startswith("python-httpx")]
    assert dict(client[6])["members here"] == "2,400", "what is told is of all members"
    assert len(client[7]) == len(names), "what is drawn is of those drawn"
    counts = {name: 0 for name, _, _ in graph["families"]}
    for value in graph["values"]:
        counts[graph["families"][value[0]][0]] += value[8]
    assert counts == whole.value_ties["family"].value_counts().reindex(list(counts)).to_dict()


def test_values_that_most_share_stand_beside_the_accounts_and_weak_ones_together() -> None:
    graph = interactive.graph_data(make_detail(450))
    reach = max(abs(account[2]) for account in graph["accounts"])
    for value in graph["values"]:
        is_wide = len(value[7]) > 225
        assert (value[9] != 0) == is_wide
        assert (abs(value[3]) > reach) or not is_wide
    counts = {name: 0 for name, _, _ in graph["families"]}
    for value in graph["values"]:
        counts[graph["families"][value[0]][0]] += value[8]
    shared = make_detail(450).shared.drop_duplicates("value")
    assert counts["payment"] == (shared["family"] == "payment").sum()


def test_accounts_that_share_a_card_stand_nearer_to_it_than_others_do() -> None:
    graph = interactive.graph_data(make_detail(50))
    cards = [value for value in graph["values"] if graph["families"][value[0]][0] == "payment"]
    assert len(cards) == 6
    for card in cards:
        distance = [math.dist(card[3:5], account[2:4]) for account in graph["accounts"]]
        nearest = sorted(range(50), key=distance.__getitem__)[: len(card[7])]
        assert set(nearest) == set(card[7])


def test_the_same_cluster_gives_the_same_graph_and_no_generator_of_anyone_moves() -> None:
    random.seed(4)
    state = random.getstate()
    first = interactive.graph_script(make_detail(50))
    assert random.getstate() == state
    again = dataclasses.replace(make_detail(50), shared=make_detail(50).shared.sample(frac=1, random_state=1))
    assert interactive.graph_script(again) == first


def test_hostile_text_cannot_end_the_script_and_comes_back_as_text() -> None:
    script = interactive.graph_script(make_detail(14, hostile=True))
    assert not {"<", ">", "&", "\u202e"} & set(script)
    names = [account[0] for account in json.loads(script)["accounts"]]
    assert HOSTILE["script"] in names
    assert "abc\\u202egnp.exe" in names


def test_a_masked_cluster_shows_no_address_and_no_card() -> None:
    raw, masked = (interactive.graph_script(each) for each in (make_detail(14), mask_detail(make_detail(14))))
    assert ("card-0001-9e37" in raw, "card-0001-9e37" in masked) == (True, False)
    assert ("203.0.113.1" in raw, '"203.0.113.1"' in masked) == (True, False)


@pytest.mark.parametrize("accounts", [0, 1, 2])
def test_very_few_dots_have_places_too(accounts: int) -> None:
    assert place_dots(accounts, [], radii=[5.0] * accounts).shape == (accounts, 2)
