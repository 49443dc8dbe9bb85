import dataclasses
import gzip
import json
import random
from collections import Counter

import numpy as np
import pytest

from linkage.templates import learning
from linkage.templates.choosing import choose_patterns
from linkage.templates.features import Features, extract_features
from linkage.templates.learning import learn_patterns
from linkage.templates.tables import count_of, count_weighted, find, make_table, place_of

LIMITS = {"least": 3, "least_strength": 3.0}


def features(seed: int, prompts: int) -> Features:
    rand = random.Random(seed)
    asked = (
        "Please list the birds of the {} coast, then those of the {} hills.\nAnswer in one line:",
        "In one short sentence, tell a child what a {} is good for.\n\n{}",
        "{} and also {} if you find the time",
        "{} {}",
    )
    words = [f"word{chr(97 + at % 26)}{chr(97 + at // 26)}" for at in range(600)]
    return extract_features([rand.choice(asked).format(rand.choice(words), rand.choice(words)) for _ in range(prompts)])


def test_patterns_are_the_same_however_small_the_parts_that_are_counted(monkeypatch):
    rows = features(1, 600)
    whole, chosen, ends = learn_patterns(rows, **LIMITS)
    monkeypatch.setattr(learning, "_MOST_KEYS", 700)
    monkeypatch.setattr(learning, "_BUCKET_KEYS", 40)
    parts, same_chosen, same_ends = learn_patterns(rows, **LIMITS)
    assert whole.kept.sum() >= 2
    for name in ("keys", "counts"):
        assert np.array_equal(getattr(parts.table, name), getattr(whole.table, name))
    assert np.array_equal(same_chosen, chosen)
    assert np.array_equal(same_ends, ends)


def test_patterns_do_not_depend_on_the_order_of_the_rows():
    rows = features(2, 500)
    order = np.random.default_rng(3).permutation(len(rows))
    chosen = learn_patterns(rows, **LIMITS)[1]
    assert np.array_equal(learn_patterns(rows.take(order), **LIMITS)[1], chosen[order])


def test_what_is_remembered_of_learned_prompts_is_what_they_would_take_anew():
    learned, chosen, ends = learn_patterns(features(4, 500), **LIMITS)
    new = features(5, 800)
    remembered = choose_patterns(new, learned, **LIMITS)
    assert np.array_equal(choose_patterns(features(4, 500), learned, **LIMITS)[0], chosen)
    nothing = {"known_cuts": np.uint64, "known_places": np.int32, "known_codes": np.int16}
    forgotten = dataclasses.replace(learned, **{name: np.zeros(0, dtype) for name, dtype in nothing.items()})
    anew = choose_patterns(new, forgotten, **LIMITS)
    assert (anew[0] >= 0).sum() > 200
    assert all(np.array_equal(*pair) for pair in zip(remembered, anew, strict=True))
    assert np.array_equal(choose_patterns(features(4, 500), forgotten, **LIMITS)[1], ends)


@pytest.mark.parametrize("least", [1, 3])
def test_weighted_counts_are_those_of_a_counter(least):
    rand = np.random.default_rng(6)
    keys = rand.integers(0, 300, 4_000).astype(np.uint64)
    weights = rand.integers(1, 4, 4_000).astype(np.int32)
    buckets = [np.flatnonzero(keys // np.uint64(100) == np.uint64(bucket)) for bucket in range(3)]
    order = np.concatenate(buckets)
    limits = np.cumsum([0, *map(len, buckets)])
    kept, sums = count_weighted(keys[order], weights[order], limits, least=least)
    counter = Counter()
    for key, weight in zip(keys.tolist(), weights.tolist(), strict=True):
        counter[key] += weight
    assert dict(zip(kept.tolist(), sums.tolist(), strict=True)) == {k: n for k, n in counter.items() if n >= least}
    assert kept.tolist() == sorted(kept.tolist())
    assert len(count_weighted(keys, weights, np.zeros(1, np.int64), least=1)[0]) == 0


def test_a_table_tells_place_and_count_of_each_key_and_nothing_of_others():
    keys = np.random.default_rng(7).permutation(2_000)[:900].astype(np.uint64)
    table = make_table(keys, np.arange(900, dtype=np.int32) + 1)
    for key, count in zip(keys.tolist(), range(1, 901), strict=True):
        found = np.uint64(find(table.entries, np.uint64(key)))
        assert count_of(found) == count
        assert table.keys[place_of(found)] == key
    absent = sorted(set(range(2_000)) - set(keys.tolist()))[:50]
    assert [find(table.entries, np.uint64(key)) for key in absent] == [0] * 50
    assert place_of(np.uint64(0)) == -1


def test_templates_are_looked_up_first_and_others_only_where_they_decide(planted_world):
    with gzip.open(planted_world / "requests.ndjson.gz", "rt") as lines:
        prompts = [json.loads(line).get("prompt", "") for line in lines]
    learned = learn_patterns(extract_features(sorted(set(prompts[::2]))), **LIMITS)[0]
    for name in ("known_cuts", "known_places", "known_codes"):
        object.__setattr__(learned, name, getattr(learned, name)[:0])
    new = extract_features(prompts[1::2])
    first = choose_patterns(new, learned, **LIMITS)
    object.__setattr__(learned, "kept_entries", learned.table.entries)
    assert 20 < learned.kept.sum() < len(learned.table) // 4
    assert all(np.array_equal(*pair) for pair in zip(first, choose_patterns(new, learned, **LIMITS), strict=True))
