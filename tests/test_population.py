import ipaddress
import itertools
import random
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world_reading import START_MS, make_draft

from linkage.errors import WorldError
from linkage.terms import DAY_MS, HOUR_MS
from linkage.worlds.population import App, Mixed, add_ordinary, draw_habits, make_contract, thin_out
from linkage.worlds.prompts import make_person
from linkage.worlds.scaffolds import TASKS, WorkList, make_item, make_scaffold
from linkage.worlds.traffic import Clock, Home, Shared, Space
from linkage.worlds.wording import FOREIGN, TOPICS, Grammar


def test_people_hardly_ever_say_the_same_as_another_person() -> None:
    rand = random.Random(1)
    people = [make_person(rand, kind="person", log_output=6.0, repeat_share=0.0) for _ in range(50)]
    said = [person.write(rand, at_ms=0, limited=False).prompt for person in people for _ in range(40)]
    assert len(set(said)) > 0.9 * len(said)
    long = [text for text in said if len(text) > 60]
    assert len(set(long)) == len(long)


def test_people_have_topics_and_habits_of_their_own() -> None:
    rand = random.Random(2)
    people = [make_person(rand, kind="person", log_output=6.0) for _ in range(40)]
    assert len({tuple(sorted(person.topics)) for person in people}) > 35
    assert len({person.log_output for person in people}) == 40


@pytest.mark.parametrize("language", sorted(FOREIGN))
def test_every_language_has_prompts(language: str) -> None:
    rand = random.Random(3)
    texts = {FOREIGN[language].grow("{prompt}", rand) for _ in range(200)}
    assert len(texts) > 150
    assert not any(re.search(r"\{[a-z]+\d?\}", text) for text in texts)


@pytest.mark.parametrize("topic", sorted(TOPICS))
def test_no_symbol_is_left_in_a_text(topic: str) -> None:
    rand = random.Random(4)
    for slot in ("passage", "paper", "question", "ticket", "review", "theme", "record", "product", "math", "logic"):
        for _ in range(20):
            text = make_item(slot, rand, topics=[topic])
            assert not re.search(r"\{[a-z]+\d?\}", text), text


def test_a_grammar_without_the_symbol_says_so() -> None:
    with pytest.raises(KeyError, match="nothing"):
        Grammar({}).grow("{nothing}", random.Random(0))


def test_apps_of_different_accounts_have_different_templates() -> None:
    rand = random.Random(5)
    for task in TASKS:
        pieces = [make_scaffold(task, rand) for _ in range(200)]
        assert len(set(pieces)) > 195, task


@given(st.integers(0, 2**40), st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_an_item_of_a_work_list_is_always_the_same(seed: int, index: int) -> None:
    scaffold = make_scaffold("math", random.Random(0))
    fresh = WorkList(seed, 10**7, ["physics"])
    used = WorkList(seed, 10**7, ["physics"])
    used.fill(scaffold, index + 1)
    assert fresh.fill(scaffold, index) == used.fill(scaffold, index)


@pytest.mark.parametrize("task", ["math", "logic", "coding", "agent", "judge", "expert"])
def test_items_of_a_work_list_are_all_different(task: str) -> None:
    scaffold = make_scaffold(task, random.Random(6))
    items = WorkList(9, 10**9, sorted(TOPICS))
    assert len({items.fill(scaffold, index) for index in range(3_000)}) == 3_000


def test_addresses_are_public_and_networks_are_given_once() -> None:
    space = Space(random.Random(7))
    sites = [space.site(30) for _ in range(200)]
    networks = [{ip.rsplit(".", 1)[0] for ip in site} for site in sites]
    assert not any(a & b for a, b in itertools.combinations(networks, 2))
    everywhere = [*itertools.chain.from_iterable(sites), *space.scattered(2_000)]
    assert all(ipaddress.ip_address(ip).is_global for ip in everywhere)


def test_the_address_space_ends_with_a_message() -> None:
    space = Space(random.Random(8), providers=11_900)
    networks = iter(space.network, None)
    with pytest.raises(WorldError, match="Fewer accounts"):
        list(itertools.islice(networks, 100_000))


def test_homes_change_their_address_now_and_then() -> None:
    rand = random.Random(9)
    home = Home(Space(rand), 3, drift=0.05)
    seen = [home.address(rand, day=day) for day in range(200)]
    assert 3 <= len(set(seen)) <= 25


def test_a_daily_pool_stays_within_its_bounds() -> None:
    rand = random.Random(10)
    book = Shared([f"a{number}" for number in range(8)], daily=(3, 8), sticky=False)
    for day in range(30):
        assert 3 <= len({book.address(rand, day=day) for _ in range(200)}) <= 8


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=30),
    st.sampled_from(["sessions", "scattered", "balanced", "cron"]),
    st.integers(0, 2**32),
)
@settings(max_examples=60, deadline=None)
def test_every_request_gets_a_time_inside_its_day(counts: list[int], pace: str, seed: int) -> None:
    clock = Clock([1.0] * 24, pace=pace)  # type: ignore[arg-type]
    at_ms, session = clock.times(np.random.default_rng(seed), np.array(counts, dtype=np.int64), day=0)
    assert len(at_ms) == len(session) == sum(counts)
    assert ((at_ms >= 0) & (at_ms < DAY_MS)).all()


def test_pauses_are_silent_for_all() -> None:
    paused = np.zeros((2, 24), dtype=bool)
    paused[0, 9:17] = True
    clock = Clock([1.0] * 24, pace="balanced", paused=paused)
    rng, counts = np.random.default_rng(11), np.full(20, 30, dtype=np.int64)
    hours = clock.times(rng, counts, day=0)[0] // HOUR_MS
    assert not np.isin(hours, np.arange(9, 17)).any()
    assert np.isin(clock.times(rng, counts, day=1)[0] // HOUR_MS, np.arange(9, 17)).any()


def test_office_hours_lie_in_the_zone_of_the_account() -> None:
    draft = make_draft(seed=12)
    rng, counts = np.random.default_rng(12), np.full(300, 10, dtype=np.int64)
    west, east = (np.median(draft.clock(zone=zone, shape=0).times(rng, counts, day=0)[0] / HOUR_MS) for zone in (1, 4))
    assert 15 < west < 20
    assert 5 < east < 10


def test_ordinary_accounts_are_of_many_kinds_and_volumes() -> None:
    draft = make_draft(seed=13)
    add_ordinary(draft, 1_000)
    kinds = [account.kind for account in draft.cast]
    assert set(kinds) == {"person", "developer", "author", "reader", "foreign", "app", "pipeline", "visitor"}
    volumes = np.array([account.volume.sum() for account in draft.cast])
    assert np.percentile(volumes, 90) > 5 * np.median(volumes)
    assert (volumes > 0).all()
    on_busy_days = [account.volume[account.volume > 0].mean() for account in draft.cast if account.kind == "person"]
    assert 3 < np.median(on_busy_days) < 9
    templated = [account for account in draft.cast if isinstance(account.writer, Mixed)]
    assert 0.1 < len(templated) / 1_000 < 0.3
    assert len({account.payment_method for account in draft.cast if account.payment_method}) > 800


def test_thinning_keeps_rates_and_reaches_the_budget() -> None:
    draft = make_draft(seed=14)
    add_ordinary(draft, 800)
    before = {account.account_id: account.volume.copy() for account in draft.cast}
    wanted = 0.4 * sum(volume.sum() for volume in before.values())
    thin_out(draft, draft.cast, budget=wanted)
    assert sum(account.volume.sum() for account in draft.cast) == pytest.approx(wanted, rel=0.15)
    for account in draft.cast:
        kept = account.volume > 0
        assert kept.any()
        assert (account.volume[kept] == before[account.account_id][kept]).all()


def test_habits_differ_between_worlds() -> None:
    habits = [draw_habits(random.Random(seed)) for seed in range(8)]
    assert len(set(habits)) == 8
    assert all(0 <= drawn.aged_share <= 0.25 for drawn in habits)


def test_half_of_the_contracts_are_sdk_defaults_and_long_answers_get_room() -> None:
    rand = random.Random(15)
    contracts = [make_contract(rand) for _ in range(1_000)]
    default = {"temperature": 1.0, "max_tokens": 1024}
    assert 0.5 < sum(contract == default for contract in contracts) / 1_000 < 0.6
    roomy = [make_contract(rand, careful=True, log_output=7.3)["max_tokens"] for _ in range(50)]
    assert min(roomy) >= 2048


def test_refused_items_of_an_app_are_sent_again() -> None:
    app = App([make_scaffold("math", random.Random(0))], WorkList(1, 100, ["physics"]), 5.0, retry_share=0.0)
    rand = random.Random(16)
    refused = app.write(rand, at_ms=START_MS, limited=True).prompt
    assert app.write(rand, at_ms=START_MS, limited=False).prompt == refused
    assert app.write(rand, at_ms=START_MS, limited=False).prompt != refused
