"""What shared values were worth, told from a run's table of weights: as the run itself had it."""

import numpy as np
import pandas as pd

import linkage as lk
from linkage.evidence.recalled import RECALLED, recall_bits
from linkage.settings import EvidenceSettings
from linkage.terms import check_frame


def test_bits_are_recalled_as_the_run_had_them(planted: lk.Store) -> None:
    run = planted.run
    links = pd.concat([run.cluster(name).evidence for name in run.clusters["cluster_id"]])
    links = links[links["family"] != "conduct"]
    accounts, settings = run.counts["accounts"], EvidenceSettings()
    found = recall_bits(links, run.weights, accounts=accounts, settings=settings)
    check_frame(found, RECALLED, name="recalled")
    assert len(found) > 1_000
    assert np.abs(found["bits"].to_numpy() - links["bits"].to_numpy()).max() < 0.5


def test_a_value_of_more_accounts_is_not_worth_more(planted: lk.Store) -> None:
    run = planted.run
    counts = range(2, 200)
    for family, kind in (("network", "ip"), ("content", "template"), ("registration", "signup_window")):
        values = pd.DataFrame({"family": family, "kind": kind, "accounts": counts})
        bits = recall_bits(values, run.weights, accounts=run.counts["accounts"], settings=EvidenceSettings())["bits"]
        assert bits.is_monotonic_decreasing, kind
        assert bits.between(0, EvidenceSettings().max_bits).all()


def test_a_kind_that_the_run_did_not_see_is_worth_what_was_shipped(planted: lk.Store) -> None:
    values = pd.DataFrame({"family": ["payment"], "kind": ["payment"], "accounts": [8]})
    none = planted.run.weights.iloc[:0]
    [row] = recall_bits(values, none, accounts=20_000, settings=EvidenceSettings()).to_dict("records")
    assert row["bits"] == row["prior_bits"]
    assert 9 < row["bits"] < 11, "a card on 8 of 20,000 accounts"
