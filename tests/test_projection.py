from __future__ import annotations

import importlib

import numpy as np
import pytest

from linkage.evidence.projection import in_order, pair_up, propose, propose_pairs, signature


def test_one_address_on_100_thousand_accounts_gives_ten_links_each_at_most() -> None:
    accounts = np.arange(100_000)
    hub = np.zeros(100_000, dtype=np.int64)
    draw = np.random.default_rng(1)
    orders = [draw.permutation(100_000), draw.permutation(100_000), accounts]
    a, b = propose_pairs(accounts, hub, orders=orders, links_per_use=10)
    assert (a < b).all()
    assert len(a) <= 10 * len(accounts)
    assert len(np.unique(np.concatenate([a, b]))) == len(accounts)


def test_a_rare_value_proposes_all_its_pairs() -> None:
    accounts = np.array([3, 5, 8, 9])
    a, b = propose_pairs(accounts, np.zeros(4, dtype=np.int64), orders=[np.arange(10)], links_per_use=10)
    assert list(zip(a.tolist(), b.tolist(), strict=True)) == [(3, 5), (3, 8), (3, 9), (5, 8), (5, 9), (8, 9)]


def test_pairs_of_hubs_and_rare_values_are_coded_alike() -> None:
    # A rare value among low account numbers beside a hub among high ones.
    accounts = np.concatenate([[0, 1], np.arange(2, 60)])
    values = np.concatenate([[0, 0], np.ones(58, dtype=np.int64)])
    a, b = propose_pairs(accounts, values, orders=[np.arange(60)], links_per_use=3)
    assert (a < b).all()
    assert (a[0], b[0]) == (0, 1)
    assert (a[1:] >= 2).all()


def test_nothing_proposes_nothing() -> None:
    none = np.empty(0, dtype=np.int64)
    a, b = propose_pairs(none, none, orders=[none], links_per_use=10)
    assert len(a) == len(b) == 0


@pytest.mark.parametrize("room", [1, 90, 16_000_000])
def test_pairs_of_one_organization_are_not_proposed_and_all_others_are_known(
    room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng(5)
    uses = np.unique(draw.integers(0, (50, 30), (300, 2)), axis=0)
    organization = draw.integers(-1, 4, 50)
    orders = [draw.permutation(50), np.arange(50)]
    every = propose_pairs(uses[:, 0], uses[:, 1], orders=orders, links_per_use=3)
    apart = (organization[every[0]] < 0) | (organization[every[0]] != organization[every[1]])
    monkeypatch.setattr(importlib.import_module("linkage.evidence.projection"), "_PART_ROOM", room)
    found = propose(uses[:, 0], uses[:, 1], orders=orders, links_per_use=3, organization=organization)
    assert len(found) == apart.sum() < len(apart)
    assert np.column_stack(in_order(*found.part(slice(None)))).tolist() == np.column_stack(every)[apart].tolist()
    ends = np.column_stack(found.part(slice(None)))
    assert np.column_stack(found.part(slice(7, 20))).tolist() == ends[7:20].tolist()
    held = np.bincount(uses[:, 0], minlength=50)[ends]
    assert (np.diff(held[:, 0]) <= 0).all()  # accounts with many values have the first turns
    assert (held[:, 0] >= held[:, 1]).all()
    a, b = np.triu_indices(50, 1)
    known = set(zip(*(side[apart].tolist() for side in every), strict=True))
    assert found.among(a, b).tolist() == [pair in known for pair in zip(a.tolist(), b.tolist(), strict=True)]
    turned = pair_up(every[0][apart][::-1], every[1][apart][::-1], accounts=50)
    assert np.column_stack(turned.part(slice(None))).tolist() == np.column_stack(every)[apart].tolist()
    assert turned.among(b, a).tolist() == found.among(a, b).tolist()


def test_accounts_with_the_same_values_have_the_same_signature() -> None:
    account = np.array([0, 0, 1, 1, 2])
    value = np.array([4, 7, 7, 4, 1])
    marks = signature(account, value, accounts=4, seed=1)
    assert marks[0] == marks[1] != marks[2]
    assert marks[3] == 8
