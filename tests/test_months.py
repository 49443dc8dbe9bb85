"""The benchmark of months scores what it says: ids kept, replacements attached, events of the script told."""

import random

import pandas as pd

from benchmarks.months import Script, _follow, _holder, score
from linkage.terms import EVENTS, MEMBERS, make_frame


def day(**clusters: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One letter, one account."""
    rows = [(account, name) for name, accounts in clusters.items() for account in accounts]
    columns = {"account_id": [a for a, _ in rows], "cluster_id": [c for _, c in rows]}
    size = len(rows)
    return make_frame(MEMBERS, {**columns, "membership": ["core"] * size, "flagged": [True] * size}), make_frame(EVENTS)


def test_kept_ids_replacements_and_innocents_are_counted() -> None:
    script = Script(days=8, half=3, operator={**dict.fromkeys("abcdn", "E1"), **dict.fromkeys("pqrsm", "E3")})
    script.newcomers = {"n": (3, "E1"), "m": (3, "E3")}
    script.late_innocents = {"i": 3, "j": 2}
    found = [day(one="abcd", two="pqrs") for _ in range(4)]
    found += [day(one="abcdn", two="pqrsi")]
    found += [day(one="abcdn", other="pqrsi") for _ in range(3)]
    logs = [[{"account_id": name} for name in "abcdpqrsnmij"] for _ in range(8)]
    figures = score(script, logs, found)
    assert figures["clusters that survived a day"] == 14
    assert figures["of them under the same id"] == 13 / 14
    assert figures["of these under the same id"] == 13 / 14
    assert (figures["replacements"], figures["attached within 3 days"]) == (2, 0.5)
    assert figures["of them ever flagged"] == 0.5
    assert figures["merger told after days"] is None


def test_nobody_holds_a_slot_on_the_day_of_a_ban() -> None:
    chain = [(0, "a"), (4, "a-1")]
    assert [_holder(chain, number) for number in range(6)] == ["a", "a", "a", None, "a-1", "a-1"]
    script = Script(days=400, half=10)
    followers = _follow("a", "E1", False, script, random.Random(3))
    assert 4 <= len(followers) <= 25
    assert set(script.newcomers) == {name for _, name in followers[1:]}


def test_events_of_the_script_are_told_apart_from_others() -> None:
    script = Script(days=12, half=8, operator={**dict.fromkeys("abcd", "E3"), **dict.fromkeys("pqrs", "E8")})
    found = [day(one="abcd", two="pqrs") for _ in range(12)]
    columns = {"cluster_id": ["one"], "event": ["dormant"]}
    found[10] = (found[10][0], make_frame(EVENTS, columns))
    found[11] = (found[11][0], make_frame(EVENTS, {"cluster_id": ["two"], "event": ["ended"]}))
    logs = [[{"account_id": name} for name in "abcdpqrs"] for _ in range(12)]
    figures = score(script, logs, found)
    assert figures["rest told after days"] == 2
    assert figures["return told after days"] is None
    assert figures["events of main clusters besides the script"] == 1


def test_an_operator_that_rests_is_silent_for_its_days() -> None:
    script = Script(days=30, half=10)
    assert [number for number in range(30) if script.rests("E3", number)] == [20, 21, 22, 23]
    assert not any(script.rests("E1", number) for number in range(30))
