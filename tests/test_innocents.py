"""Each innocent recipe gives the world the property that its recipe states (seeds 11 and 5)."""

import numpy as np
import pandas as pd
import pytest
from world_reading import START_MS, make_draft, read_requests, read_table

from linkage.terms import DAY_MS
from linkage.worlds.innocents import INNOCENTS, add_agency, add_aggregator, add_corporate_egress, add_wrapper_app
from linkage.worlds.population import Mixed, Wrapped
from linkage.worlds.simulate import World, simulate

DAYS = 30


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return simulate(tmp_path_factory.mktemp("innocents"), accounts=1_500, days=DAYS, seed=11, scenarios=["innocents"])


@pytest.fixture(scope="module")
def requests(world: World) -> pd.DataFrame:
    return read_requests(world.directory)


@pytest.fixture(scope="module")
def accounts(world: World) -> pd.DataFrame:
    table = read_table(world.accounts).merge(read_table(world.truth), on="account_id")
    created = pd.to_datetime(table["created_at"])
    table["created_day"] = (created - pd.Timestamp(START_MS, unit="ms", tz="UTC")) / pd.Timedelta(days=1)
    return table


def of(frame: pd.DataFrame, role: str) -> pd.DataFrame:
    return frame[frame["role"] == role]


def test_every_kind_of_innocent_is_there_and_room_is_left(accounts: pd.DataFrame) -> None:
    tagged = {tag for tags in accounts["tags"] for tag in tags.split("+")}
    assert set(INNOCENTS) <= set(accounts["role"]) | tagged
    ordinary = accounts["role"].isin(["ordinary", "HN-08", "HN-13", "HN-14"])
    assert ordinary.mean() > 0.3
    assert (accounts["campaign"] == "").all()
    assert accounts["role"].value_counts()[["HN-04", "HN-10", "HN-12", "HN-20"]].min() >= 12


def test_carrier_customers_see_three_to_eight_of_eight_addresses_a_day(requests: pd.DataFrame) -> None:
    carrier = of(requests, "HN-01")
    daily = carrier.groupby(["account_id", "day"])["ip"].agg(["nunique", "size"])
    assert carrier["ip"].nunique() == 8
    assert daily["nunique"].max() <= 8
    assert daily.loc[daily["size"] >= 25, "nunique"].min() >= 3


def test_carrier_customers_have_cards_of_their_own(accounts: pd.DataFrame) -> None:
    cards = of(accounts, "HN-01")["payment_method"]
    assert cards[cards != ""].is_unique


def test_staff_share_two_addresses_a_payer_and_a_declared_organization(
    requests: pd.DataFrame, accounts: pd.DataFrame
) -> None:
    staff = of(accounts, "HN-02")
    assert of(requests, "HN-02")["ip"].nunique() <= 2
    assert staff[["organization_id", "email_domain", "payment_method", "controller_id"]].nunique().tolist() == [1] * 4
    assert staff["organization_id"].iloc[0]


def test_three_in_five_staff_use_in_house_templates() -> None:
    draft = make_draft(accounts=20_000)
    add_corporate_egress(draft, 1.0)
    assert len(draft.cast) == 800
    templated = np.mean([isinstance(account.writer, Mixed) for account in draft.cast])
    assert 0.55 < templated < 0.65


def test_students_share_64_addresses_and_three_issuers_but_no_card(
    requests: pd.DataFrame, accounts: pd.DataFrame
) -> None:
    uses = of(requests, "HN-03").groupby("ip")["account_id"].nunique()
    assert len(uses[uses >= 3]) == 64
    students = of(accounts, "HN-03")
    assert students["issuer"].nunique() == 3
    cards = students["payment_method"]
    assert cards[cards != ""].is_unique


def test_the_class_works_before_the_deadline_and_falls_silent(requests: pd.DataFrame, accounts: pd.DataFrame) -> None:
    created = of(accounts, "HN-04")["created_day"]
    assert created.max() - created.min() <= 6
    pupils = of(requests, "HN-04")
    per_day = pupils.groupby("day").size().reindex(range(DAYS), fill_value=0)
    assert 0.6 < per_day.rolling(2).sum().max() / per_day.sum() < 0.8
    assert pupils["day"].max() < DAYS * 2 / 3


def test_cloud_jobs_stay_twenty_minutes_on_an_address(requests: pd.DataFrame) -> None:
    jobs = of(requests, "HN-05")
    shared = jobs.groupby("ip")["account_id"].nunique()
    assert shared.median() >= 5
    slots = jobs.groupby(["account_id", jobs["at_ms"] // (20 * 60_000)])["ip"].nunique()
    assert slots.max() == 1


def test_the_wrapper_app_has_one_template_on_95_percent_of_the_traffic() -> None:
    draft = make_draft(accounts=1_000)
    add_wrapper_app(draft, 1.0)
    assert draft.wrapper is not None
    customers = draft.cast[:200]
    opening = draft.wrapper.system or draft.wrapper.pieces[0]
    written = [
        account.writer.write(draft.rand, at_ms=0, limited=False).prompt.startswith(opening)
        for account in customers
        for _ in range(20)
    ]
    assert 0.94 < np.mean(written) < 0.965
    assert len({account.payment_method for account in customers if account.payment_method}) > 150


def test_the_aggregator_has_forty_keys_and_tells_its_end_users(requests: pd.DataFrame, accounts: pd.DataFrame) -> None:
    resold = of(requests, "HN-07")
    assert resold["api_key_id"].nunique() == 40
    assert resold["end_user"].notna().all()
    assert resold["end_user"].nunique() >= 60
    assert resold.loc[resold["day"] < DAYS // 2, "model"].nunique() == 4
    assert set(of(accounts, "HN-07")["purpose"]) == {"resale"}


def test_aggregators_of_large_worlds_have_300_templates() -> None:
    draft = make_draft(accounts=20_000)
    add_aggregator(draft, 1.0)
    writer = draft.cast[0].writer
    assert sum(hasattr(inner, "scaffolds") for inner in writer.writers) == 300  # type: ignore[attr-defined]


def test_a_fifth_of_ordinary_accounts_use_public_templates(accounts: pd.DataFrame) -> None:
    ordinary = accounts[accounts["role"].isin(["ordinary", "HN-08", "HN-13", "HN-14"])]
    assert 0.15 < ordinary["tags"].str.contains("HN-08").mean() < 0.25
    assert 0.34 < ordinary["tags"].str.contains("HN-13").mean() < 0.46
    assert 0.11 < ordinary["tags"].str.contains("HN-14").mean() < 0.19


def test_the_benchmark_is_run_in_one_order_within_72_hours(requests: pd.DataFrame) -> None:
    runs = of(requests, "HN-09")
    assert runs["day"].min() >= DAYS // 2
    assert runs["day"].max() <= DAYS // 2 + 2
    assert runs["params"].map(lambda contract: contract["temperature"]).eq(0).all()
    orders = runs.groupby("account_id")["prompt"].agg(lambda prompts: tuple(prompts.drop_duplicates()[:30]))
    assert len(set(orders)) == 1
    assert runs["prompt"].nunique() < len(runs) / 8


def test_the_hackathon_signs_up_in_48_hours_without_cards_and_dies(
    requests: pd.DataFrame, accounts: pd.DataFrame
) -> None:
    team = of(accounts, "HN-10")
    assert team["created_day"].max() - team["created_day"].min() < 2
    assert set(team["payment_method"]) == {""}
    hacked = of(requests, "HN-10")
    last = hacked.groupby("account_id")["day"].max() - hacked["day"].min()
    assert 0.5 <= (last <= 3).mean() <= 0.98
    assert hacked["ip"].value_counts(normalize=True).head(2).sum() > 0.75


def test_households_share_one_card_and_half_of_their_addresses(requests: pd.DataFrame, accounts: pd.DataFrame) -> None:
    homes = of(accounts, "HN-11")
    sizes = homes.groupby("payment_method").size()
    assert sizes.between(2, 5).all()
    assert homes.groupby("payment_method")["controller_id"].nunique().max() == 1
    sent = of(requests, "HN-11").merge(homes[["account_id", "controller_id"]], on="account_id")
    place = sent.groupby("controller_id")["ip"].transform(lambda ips: ips == ips.mode().iloc[0])
    assert 0.35 < place.mean() < 0.75


def test_the_agency_has_one_card_and_unrelated_clients() -> None:
    draft = make_draft(accounts=20_000)
    add_agency(draft, 1.0)
    assert len(draft.cast) == 30
    assert len({account.payment_method for account in draft.cast}) == 1
    assert len({account.email_domain for account in draft.cast}) == 30
    assert len({account.writer.first.scaffolds[0].pieces for account in draft.cast}) == 30  # type: ignore[attr-defined]


def test_sdk_sameness_is_one_client_with_the_defaults(requests: pd.DataFrame) -> None:
    same = requests[requests["tags"].str.contains("HN-13") & ~requests["tags"].str.contains("HN-14")]
    assert len(set(same["user_agent"])) == 1
    assert {(p["temperature"], p["max_tokens"]) for p in same["params"]} == {(1.0, 1024)}


def test_cron_jobs_fire_within_three_seconds_of_one_minute(requests: pd.DataFrame) -> None:
    jobs = requests[requests["tags"].str.contains("HN-14")]
    late_ms = jobs["at_ms"] % (30 * 60_000)
    started = jobs.groupby("account_id")["at_ms"].transform(lambda at: at // DAY_MS == at.min() // DAY_MS)
    assert late_ms[~started].max() <= 3_000
    slots = (jobs.loc[~started, "at_ms"] % DAY_MS) // (30 * 60_000)
    assert slots.groupby(jobs.loc[~started, "account_id"]).nunique().max() == 1


def test_a_third_to_a_half_of_benign_traffic_moves_on_release_day(requests: pd.DataFrame) -> None:
    moved = requests["model"].eq("sonata-next")
    assert not moved[requests["day"] < DAYS // 2].any()
    people = ~requests["role"].isin(["HN-09"])
    assert 0.3 < moved[people & requests["day"].eq(DAYS // 2)].mean() < 0.5


def test_virtual_cards_come_from_two_issuers_and_sign_up_evenly(accounts: pd.DataFrame) -> None:
    users = of(accounts, "HN-16")
    assert users["issuer"].nunique() == 2
    assert users["payment_method"].is_unique
    assert 0.35 < (users["created_day"] / DAYS).mean() < 0.65
    assert users["created_day"].between(0, DAYS).all()


def test_the_start_up_shares_everything_and_works_on_many_topics(
    requests: pd.DataFrame, accounts: pd.DataFrame
) -> None:
    firm = of(accounts, "HN-17")
    assert len(firm) == 6
    assert firm[["payment_method", "controller_id"]].nunique().tolist() == [1, 1]
    assert set(firm["purpose"]) == {"normal"}
    sent = of(requests, "HN-17")
    assert sent["ip"].nunique() == 3
    assert len(sent) / len(requests) > 0.02
    assert sent.groupby("account_id").size().max() > 3 * requests.groupby("account_id").size().median()


def test_permitted_distillation_declares_itself(requests: pd.DataFrame, accounts: pd.DataFrame) -> None:
    lab = of(accounts, "HN-18")
    assert len(lab) == 3
    assert set(lab["plan"]) == {"contract"}
    assert len(set(lab["organization_id"])) == 1
    assert set(lab["purpose"]) == {"extraction"}
    assert of(requests, "HN-18")["output_tokens"].mean() > 1.5 * requests["output_tokens"].mean()


def test_nomads_share_exits_with_others(requests: pd.DataFrame) -> None:
    nomads = of(requests, "HN-19")
    per_account = nomads.groupby("account_id")["ip"].nunique()
    assert per_account.max() <= 15
    exits = requests[requests["ip"].isin(nomads["ip"])]
    assert (exits["role"] != "HN-19").any()


def test_the_resale_pool_hands_over_at_the_quota_edge(requests: pd.DataFrame, accounts: pd.DataFrame) -> None:
    pool = of(requests, "HN-20").sort_values("at_ms", kind="stable")
    assert set(of(accounts, "HN-20")["purpose"]) == {"resale"}
    assert len(set(of(accounts, "HN-20")["controller_id"])) == 1
    assert pool.groupby("account_id")["ip"].nunique().max() == 1
    refused = pool[pool["status"] == 429]
    assert 0.015 < len(refused) / len(pool) < 0.045
    followed = [
        pool[(pool["at_ms"] > at) & (pool["at_ms"] <= at + 2_500) & (pool["account_id"] != account)].shape[0] > 0
        for at, account in zip(refused["at_ms"][:50], refused["account_id"][:50], strict=True)
    ]
    assert np.mean(followed) > 0.95


def test_long_outputs_alone_tell_nobody_apart(requests: pd.DataFrame) -> None:
    means = requests[requests["status"] == 200].groupby("account_id")["output_tokens"].mean()
    assert (means > 1_000).sum() > 50


def test_wrapping_keeps_what_people_say() -> None:
    draft = make_draft(accounts=400)
    add_wrapper_app(draft, 1.0)
    wrapped = draft.cast[0].writer.first  # type: ignore[attr-defined]
    assert isinstance(wrapped, Wrapped)
    texts = {wrapped.write(draft.rand, at_ms=0, limited=False).prompt for _ in range(30)}
    assert len(texts) > 20
