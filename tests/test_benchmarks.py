"""The benchmarks ask what they say they ask: all recipes, seeds apart, worlds that come back from the folder."""

from pathlib import Path

import pandas as pd
import pytest

import linkage as lk
from benchmarks import __main__ as benchmarks
from benchmarks import grid, peers, worlds
from benchmarks.fit import markdown
from benchmarks.judge import WITHHELD, is_rich
from linkage.rebuild import newest_window, read_inputs
from linkage.terms import make_frame
from linkage.worlds.campaigns import CAMPAIGNS
from linkage.worlds.evaluate import TRUTH
from linkage.worlds.innocents import INNOCENTS
from linkage.worlds.simulate import read_scenarios

JUDGING = (*worlds.judging_plans(12), *worlds.calm_plans(6), *worlds.hard_plans(6), *worlds.extreme_plans())


def test_every_recipe_is_judged_and_all_innocents_stand_beside() -> None:
    chosen = [dict(read_scenarios(plan.scenarios)) for plan in worlds.judging_plans(6)]
    assert {name for one in chosen for name in one} >= set(CAMPAIGNS)
    assert all(set(one) >= set(INNOCENTS) for one in chosen)
    assert all(set(dict(read_scenarios(plan.scenarios))) == set(INNOCENTS) for plan in worlds.calm_plans(3))


def test_nothing_is_judged_on_a_world_it_was_fitted_on() -> None:
    training = {plan.seed for plan in worlds.training_plans(40)}
    judging = [plan.seed for plan in JUDGING]
    assert training <= set(range(2000, 2090))
    assert len(set(judging)) == len(judging)
    assert set(judging) <= set(range(3000, 3100))
    others = {plan.seed for plan in grid.grid_plans(grid.grid_shapes())} | {plan.seed for plan in grid.delay_plans(4)}
    assert not others & (training | set(judging))
    assert peers.DEVELOPMENT_SEED not in training


def test_the_grid_covers_its_cells_once_and_keeps_worlds_small() -> None:
    shapes = grid.grid_shapes()
    plans = grid.grid_plans(shapes)
    planted = [shape for plan in plans for shape in plan.shapes]
    assert sorted(shape.name for shape in planted) == sorted({shape.name for shape in shapes})
    assert all(sum(shape.accounts for shape in plan.shapes) <= 0.35 * plan.accounts for plan in plans)


def test_the_page_of_the_grid_counts_what_is_found() -> None:
    cell = {"size": 20, "families": 0, "mix": 0.0, "rate": 26.0, "world": "grid-3200", "innocents_flagged": 2}
    cells = [{**cell, "flag_recall": flagged, "review_recall": 1.0} for flagged in (0.79, 0.8)]
    delays = pd.DataFrame({"campaign": ["E1"], "accounts": [31], "delay_days": [1.0], "days_since_first": [2.0]})
    page = grid._page(pd.DataFrame(cells), delays, grid.grid_plans(grid.grid_shapes(is_short=True)))
    assert "| 0 | - | 1 / 2 of 2 | - |" in page
    assert "1 world of 10 days" in page
    assert "innocents flagged: 2." in page


def test_another_world_or_other_rooms_have_another_name() -> None:
    first, second = worlds.judging_plans(2)
    assert first.digest == worlds.judging_plans(1)[0].digest != second.digest
    assert worlds.source_digest(["templates"]) != worlds.source_digest(["clusters"])


def test_a_world_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = worlds.WorldPlan("tiny", 5, 60, 3, ("none", "E2"), is_daily=True)
    made = worlds.make_world(plan, tmp_path)
    monkeypatch.setattr(worlds, "simulate", None)
    again = worlds.make_world(plan, tmp_path)
    assert again.inputs.digest() == made.inputs.digest()
    monkeypatch.setattr(worlds, "source_digest", lambda _rooms: "changed")
    with pytest.raises(TypeError):
        worlds.make_world(plan, tmp_path)
    monkeypatch.setattr(worlds, "OLDER_WORLDS_ALLOWED", True)
    assert worlds.make_world(plan, tmp_path).requests == made.requests
    assert len(made.daily) == 2
    assert made.daily[-1][1].accounts["request_count"].sum() == made.inputs.accounts["request_count"].sum()


def test_withholding_takes_away_what_it_names_and_leaves_the_rest(tiny_store: lk.Store) -> None:
    inputs = read_inputs(tiny_store._database, newest_window(tiny_store._database, None, 30))
    assert WITHHELD["output lengths"](inputs).conduct["log_output_mean"].isna().all()
    assert WITHHELD["items"](inputs).items.empty
    assert set(WITHHELD["payment"](inputs).uses["kind"]) == set(inputs.uses["kind"]) - {"payment"}
    assert WITHHELD["nothing"](inputs) is inputs
    for change in WITHHELD.values():
        assert len(change(inputs).accounts) == len(inputs.accounts)


def test_classes_of_recall_name_the_recipes_without_shared_infrastructure() -> None:
    assert [name for name in CAMPAIGNS if not is_rich(name)] == ["E5", "E12", "E15", "E16", "E17"]


def test_a_peer_flags_groups_of_five_and_more() -> None:
    accounts = [*"abcdefgh"]
    columns = {"account_id": accounts, "campaign": ["A"] * 5 + [""] * 3, "role": ["E1"] * 5 + ["ordinary"] * 3}
    rest = {name: ["x"] * 8 for name in TRUTH if name not in columns}
    truth = make_frame(TRUTH, {**columns, **rest})
    scores = peers.score_groups(dict(zip(accounts, [0, 0, 0, 0, 0, 1, 1, 1], strict=True)), truth)
    assert (scores.flagged, scores.flag_precision, scores.flag_recall) == (5, 1.0, 1.0)


def test_peers_are_given_every_request_with_the_template_that_was_found(tmp_path: Path) -> None:
    world = peers.PeerWorld(tmp_path, seed=5, accounts=60)
    accounts, times, _, _, templates = zip(*world.requests, strict=True)
    assert set(accounts) <= set(world.truth["account_id"])
    assert sorted(times) == list(times)
    uses = world.inputs.uses.query("kind == 'template'")
    assert {name for name in templates if name} == set(uses["value"])
    assert sum(name is not None for name in templates) == uses["request_count"].sum()
    groups = peers.group_with_networkx(world, cap=50, shared=1, is_louvain=False)
    assert max(pd.Series(groups).value_counts()) >= peers.LEAST_ACCOUNTS


def test_tables_are_markdown() -> None:
    table = pd.DataFrame({"name": ["a"], "share": [0.25], "count": [1200], "none": [float("nan")]})
    assert markdown(table).splitlines()[-1] == "| a | 0.250 | 1,200 | - |"


def test_a_peer_that_is_not_installed_is_told_before_anything_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarks.importlib.util, "find_spec", lambda name: None if name == "rensa" else object())
    with pytest.raises(SystemExit, match=r"not installed: rensa\. Say make bench"):
        benchmarks.check_peers("scale")
    benchmarks.check_peers("judge")
    monkeypatch.setattr(benchmarks.importlib.util, "find_spec", lambda _name: object())
    benchmarks.check_peers(None)
