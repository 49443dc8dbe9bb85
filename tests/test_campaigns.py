"""Each evasion recipe gives the world the property that it states (world of seed 21, drafts of seed 5)."""

import itertools
import re

import numpy as np
import pandas as pd
import pytest
from world_reading import make_draft, read_requests, read_table

from linkage.errors import WorldError
from linkage.worlds import campaigns
from linkage.worlds.campaigns import Worker
from linkage.worlds.population import Draft, Mixed
from linkage.worlds.simulate import World, simulate
from linkage.worlds.traffic import Account, Clock

DAYS = 10


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    names = [f"E{number}" for number in range(1, 21)]
    directory = tmp_path_factory.mktemp("campaigns")
    return simulate(directory, accounts=700, days=DAYS, seed=21, scenarios=["none", *names])


@pytest.fixture(scope="module")
def everything(world: World) -> pd.DataFrame:
    return read_requests(world.directory)


@pytest.fixture(scope="module")
def requests(everything: pd.DataFrame) -> pd.DataFrame:
    return everything[everything["campaign"] != ""]


@pytest.fixture(scope="module")
def accounts(world: World) -> pd.DataFrame:
    return read_table(world.accounts).merge(read_table(world.truth), on="account_id").replace("", None)


def of(frame: pd.DataFrame, role: str) -> pd.DataFrame:
    return frame[frame["role"] == role]


def members_of(draft: Draft) -> list[Account]:
    return [account for account in draft.cast if account.campaign]


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def jaccard(a: set[str], b: set[str]) -> float:
    return len(a & b) / len(a | b)


def ip_reuse(frame: pd.DataFrame) -> pd.Series:
    """Share of an account's addresses that another account of the campaign has, over pairs."""
    sets = list(frame.groupby("account_id")["ip"].agg(set))
    return pd.Series([len(a & b) / min(len(a), len(b)) for a, b in itertools.combinations(sets, 2)])


def test_every_campaign_has_one_controller_and_extracts(accounts: pd.DataFrame) -> None:
    inside = accounts[accounts["campaign"].notna()]
    assert inside["role"].nunique() == 20
    assert inside.groupby("campaign")["controller_id"].nunique().max() == 1
    assert set(inside["purpose"]) == {"extraction"}
    assert inside.groupby("role").size().min() >= 8


def test_hydra_accounts_look_like_light_ones(requests: pd.DataFrame) -> None:
    hydra = of(requests, "E1")
    daily = hydra.groupby(["account_id", "day"]).size()
    assert 20 < daily.mean() < 32
    assert 20 <= hydra["account_id"].nunique() <= 60


def test_hydra_shares_a_card_between_eight_accounts(accounts: pd.DataFrame) -> None:
    assert of(accounts, "E1").groupby("payment_method").size().tolist() == [8, 8, 8]


def test_hydra_has_twelve_templates_on_three_capabilities() -> None:
    draft = make_draft()
    campaigns.add_hydra(draft, 1.0, "c")
    worker = draft.cast[0].writer
    assert isinstance(worker, Worker)
    assert len({scaffold.pieces for scaffold in worker.scaffolds}) == 12
    assert len({scaffold.slots for scaffold in worker.scaffolds}) <= 3


def test_many_campaigns_spread_their_load_evenly() -> None:
    paces = []
    for seed in range(12):
        draft = make_draft(seed=seed)
        campaigns.add_hydra(draft, 1.0, "c")
        paces.append(draft.cast[0].clock.pace)
    assert set(paces) == {"balanced", "scattered"}


def test_balanced_accounts_have_even_gaps() -> None:
    rng, counts = np.random.default_rng(1), np.full(50, 26, dtype=np.int64)
    variation = {}
    for pace in ("balanced", "scattered"):
        at_ms, _ = Clock([1.0] * 24, pace=pace).times(rng, counts, day=0)  # type: ignore[arg-type]
        gaps = np.diff(np.sort(at_ms.reshape(50, 26), axis=1), axis=1)
        variation[pace] = gaps.std() / gaps.mean()
    assert variation["balanced"] < 0.5
    assert variation["scattered"] > 0.85


def test_a_campaign_sends_few_items_twice_and_refused_ones_again(requests: pd.DataFrame) -> None:
    served = of(requests, "E1")
    served = served[served["status"] != 429]
    assert served["prompt"].duplicated().mean() < 0.05
    refused = of(requests, "E1")
    refused = refused[refused["status"] == 429]
    again = served[served["prompt"].isin(refused["prompt"])]
    assert len(again) >= 0.8 * len(refused)
    first = dict(zip(refused["prompt"], refused["account_id"], strict=True))
    assert (
        np.mean(
            [first[prompt] != account for prompt, account in zip(again["prompt"], again["account_id"], strict=True)]
        )
        > 0.8
    )


def test_narrow_campaigns_are_few_busy_accounts_on_three_paths(requests: pd.DataFrame, accounts: pd.DataFrame) -> None:
    narrow = of(accounts, "E2")
    assert len(narrow) == 12
    assert narrow["payment_method"].is_unique
    paths = of(requests, "E2").groupby("account_id")["ip"].agg(lambda ips: frozenset(ips)).nunique()
    assert paths == 3
    per_account = requests.groupby(["role", "account_id"]).size()
    assert per_account["E2"].median() > 2 * per_account["E1"].median()


def test_narrow_campaigns_of_large_worlds_send_ten_thousand_requests_an_account() -> None:
    draft = make_draft(accounts=20_000, days=60)
    campaigns.add_narrow(draft, 1.0, "c")
    volumes = [account.volume.sum() for account in draft.cast]
    assert np.mean(volumes) == pytest.approx(10_000, rel=0.01)


def test_residential_proxies_are_reused_by_less_than_one_percent(requests: pd.DataFrame) -> None:
    assert ip_reuse(of(requests, "E3")).mean() < 0.01
    sessions = of(requests, "E3").groupby(["account_id", "day"])["ip"].nunique()
    assert sessions.median() >= 8
    assert ip_reuse(of(requests, "E1")).mean() > 0.05


def test_virtual_cards_are_numbered_in_batches_that_sign_up_together(accounts: pd.DataFrame) -> None:
    cards = of(accounts, "E4")
    assert cards["payment_method"].is_unique
    assert len(set(cards["issuer"])) == 1
    serials = np.sort(cards["serial"].astype(int).to_numpy())
    assert (np.diff(serials) == 1).sum() == len(serials) - 2
    born = pd.to_datetime(cards["created_at"]).sort_values()
    batches = (born.diff() > pd.Timedelta(hours=3)).sum() + 1
    assert batches <= 2


def test_untraced_campaigns_share_neither_card_nor_address(requests: pd.DataFrame, accounts: pd.DataFrame) -> None:
    assert of(accounts, "E5")["payment_method"].is_unique
    assert of(accounts, "E5")["issuer"].nunique() > 20
    assert ip_reuse(of(requests, "E5")).mean() < 0.01


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_paraphrases_share_a_fifth_to_two_fifths_of_their_words(seed: int) -> None:
    draft = make_draft(seed=seed)
    campaigns.add_paraphrase(draft, 1.0, "c")
    writers = [account.writer for account in draft.cast]
    for template in range(4):
        texts = [words("".join(writer.scaffolds[template].pieces)) for writer in writers if isinstance(writer, Worker)]
        overlaps = [jaccard(a, b) for a, b in itertools.combinations(texts, 2)]
        assert 0.2 <= np.mean(overlaps) <= 0.4
        assert np.mean([0.15 <= overlap <= 0.5 for overlap in overlaps]) > 0.85


def test_paraphrases_keep_slots_and_output_format() -> None:
    draft = make_draft()
    campaigns.add_paraphrase(draft, 1.0, "c")
    scaffolds = [account.writer.scaffolds[0] for account in draft.cast]  # type: ignore[attr-defined]
    assert len({scaffold.pieces for scaffold in scaffolds}) == len(scaffolds)
    assert len({scaffold.slots for scaffold in scaffolds}) == 1
    forms = {re.search(r"Format: (.*)", "".join(scaffold.pieces)).group(1) for scaffold in scaffolds}  # type: ignore[union-attr]
    assert len(forms) == 1


def test_jittered_accounts_do_not_move_together(requests: pd.DataFrame) -> None:
    jitter = of(requests, "E7")
    busy = jitter[jitter["day"].between(jitter["day"].min() + 1, jitter["day"].max() - 1)]
    daily = busy.groupby(["day", "account_id"]).size().reset_index(name="count")
    daily = daily.pivot_table(index="day", columns="account_id", values="count", fill_value=0)
    correlations = np.corrcoef(daily.to_numpy().T)[np.triu_indices(daily.shape[1], 1)]
    assert abs(np.mean(correlations)) < 0.05


@pytest.mark.parametrize(("strength", "share"), [(0.5, 0.3), (1.0, 0.6), (2.0, 0.9), (3.0, 0.95)])
def test_dilution_buys_the_stated_share_of_benign_traffic(strength: float, share: float) -> None:
    draft = make_draft()
    campaigns.add_dilution(draft, strength, "c")
    writers = [account.writer for account in draft.cast]
    assert {writer.share for writer in writers if isinstance(writer, Mixed)} == {share}
    assert len({id(writer.second.queue) for writer in writers}) == 1  # type: ignore[attr-defined]


def test_slow_ramps_follow_one_curve() -> None:
    draft = make_draft(days=60)
    campaigns.add_slow_ramp(draft, 1.0, "c")
    curves = np.stack([account.volume for account in draft.cast])
    assert curves[:, 0].mean() == pytest.approx(2, rel=0.1)
    assert curves[:, 7].mean() == pytest.approx(2 * curves[:, 0].mean())
    assert curves.max() <= 66
    spread = curves / curves.mean(axis=0)
    assert 0.88 < spread.min() < spread.max() < 1.12


def test_aged_accounts_wake_up_on_one_day(requests: pd.DataFrame, accounts: pd.DataFrame) -> None:
    aged = of(requests, "E10")
    daily = aged.groupby("day").size().reindex(range(DAYS), fill_value=0)
    wakes = int(daily.diff().idxmax())
    assert daily[:wakes].mean() < daily[wakes:].mean() / 20
    first_busy = aged[aged["day"] >= wakes].groupby("account_id")["day"].min()
    assert (first_busy == wakes).mean() > 0.95
    born = pd.to_datetime(of(accounts, "E10")["created_at"])
    assert born.dt.date.nunique() > 12


def test_banned_accounts_are_replaced_within_a_day(requests: pd.DataFrame, accounts: pd.DataFrame) -> None:
    regrowth = of(accounts, "E11")
    banned, successors = (regrowth[regrowth["tags"] == tag] for tag in ("banned", "successor"))
    assert len(banned) == len(successors) >= 12
    sent = of(requests, "E11").groupby("account_id")["day"].agg(["min", "max"])
    assert sent.loc[banned["account_id"], "max"].max() < DAYS // 2
    assert sent.loc[successors["account_id"], "min"].min() == DAYS // 2
    assert not set(successors["payment_method"]) & set(banned["payment_method"])


def test_shards_never_overlap(requests: pd.DataFrame) -> None:
    shards = of(requests, "E12")
    assert shards["prompt"].is_unique
    assert shards["status"].ne(429).all()


def test_shards_of_large_worlds_come_from_200_thousand_items() -> None:
    draft = make_draft(accounts=20_000)
    campaigns.add_shards(draft, 1.0, "c")
    queues = [account.writer.queue for account in draft.cast]  # type: ignore[attr-defined]
    assert {queue.items.size for queue in queues} == {200_000}
    assert [queue.position for queue in queues] == list(range(250))
    assert {queue.step for queue in queues} == {250}


def test_cells_share_inside_and_nothing_between(requests: pd.DataFrame, accounts: pd.DataFrame) -> None:
    cells = of(accounts, "E13")
    assert cells.groupby("tags").size().tolist() == [8, 8, 8, 8]
    assert cells.groupby("tags")["payment_method"].nunique().tolist() == [1, 1, 1, 1]
    assert cells["payment_method"].nunique() == 4
    sent = of(requests, "E13").groupby("ip")["tags"].nunique()
    assert sent.max() == 1
    assert len(sent) == 8


def test_framing_copies_template_and_networks_of_the_wrapper_app(
    everything: pd.DataFrame, requests: pd.DataFrame
) -> None:
    wrapper = everything[everything["role"] == "HN-06"]
    victims = everything[everything["tags"].str.contains("E14-victim")]
    assert victims["account_id"].nunique() == min(20, wrapper["account_id"].nunique())
    framing = of(requests, "E14")
    networks = {ip.rsplit(".", 1)[0] for ip in victims["ip"]}
    assert 0.2 < framing["ip"].map(lambda ip: ip.rsplit(".", 1)[0] in networks).mean() < 0.4
    opening = wrapper["prompt"].str.slice(0, 60).value_counts().index[0]
    assert 0.22 < framing["prompt"].str.startswith(opening).mean() < 0.38


def test_framing_without_anybody_to_frame_is_refused() -> None:
    with pytest.raises(WorldError, match="Add HN-06"):
        campaigns.add_framing(make_draft(), 1.0, "c")


def test_a_split_campaign_shows_one_third_of_its_items() -> None:
    draft = make_draft(accounts=20_000)
    campaigns.add_split(draft, 1.0, "c")
    assert len(draft.cast) == 83
    assert {account.writer.queue.step for account in draft.cast} == {249}  # type: ignore[attr-defined]


def test_a_fifth_of_the_pool_is_the_extraction_queue() -> None:
    draft = make_draft(accounts=20_000)
    campaigns.add_pool_slice(draft, 1.0, "c")
    pool = members_of(draft)
    assert len(pool) == 250
    assert {account.writer.share for account in pool} == {0.2}  # type: ignore[attr-defined]
    assert len({id(account.clock) for account in pool}) == 1


def test_public_scaffolds_hide_the_payload() -> None:
    draft = make_draft()
    campaigns.add_public_scaffold(draft, 1.0, "c")
    worker = draft.cast[0].writer
    assert isinstance(worker, Worker)
    assert list(worker.scaffolds) == draft.public
    assert len(draft.public) == 15
    prompts = [worker.write(draft.rand, at_ms=0, limited=False).prompt for _ in range(400)]
    assert len(set(prompts)) > 370


def test_the_pivot_moves_half_of_the_traffic_on_release_day(requests: pd.DataFrame) -> None:
    pivot = of(requests, "E18")
    moved = pivot["model"].eq("sonata-next")
    assert not moved[pivot["day"] < DAYS // 2].any()
    assert 0.4 < moved[pivot["day"] == DAYS // 2].mean() < 0.6


def test_adaptive_waves_drop_what_gave_them_away(requests: pd.DataFrame, accounts: pd.DataFrame) -> None:
    waves = of(accounts, "E19")
    assert waves.groupby("tags").size().tolist() == [8, 8, 8]
    cards = waves.groupby("tags")["payment_method"].nunique()
    assert cards.tolist() == [1, 8, 8]
    sent = of(requests, "E19").groupby("tags")["day"].agg(["min", "max"])
    assert (
        sent.loc["wave-1", "max"] < sent.loc["wave-2", "min"] <= sent.loc["wave-2", "max"] < sent.loc["wave-3", "min"]
    )


def test_traces_are_asked_for_in_eight_languages(requests: pd.DataFrame) -> None:
    marks = ("Think aloud", "Denke laut", "Réfléchis", "Piensa", "Pense em", "Ragiona", "Myśl", "Denk hardop")
    traces = of(requests, "E20")
    shares = [traces["prompt"].str.contains(mark).mean() for mark in marks]
    assert sum(shares) == pytest.approx(1.0)
    assert min(shares) > 0.08
    assert traces.loc[traces["status"] == 200, "output_tokens"].median() > 500


def test_worlds_of_other_seeds_have_other_templates_and_contracts() -> None:
    found = []
    for seed in range(6):
        draft = make_draft(seed=seed)
        campaigns.add_hydra(draft, 1.0, "c")
        found.append((draft.cast[0].writer.scaffolds[0].pieces, repr(draft.cast[0].contract)))  # type: ignore[attr-defined]
    assert len(set(found)) == 6


def test_campaigns_differ_in_how_alike_their_accounts_are() -> None:
    contracts, clients, spans = set(), set(), []
    for seed in range(12):
        draft = make_draft(seed=seed)
        campaigns.add_hydra(draft, 1.0, "c")
        contracts.add(len({repr(account.contract) for account in draft.cast}))
        clients.add(len({account.client for account in draft.cast}))
        born = [account.created_ms for account in draft.cast if account.created_ms > draft.day_ms(-59)]
        spans.append((max(born) - min(born)) / 86_400_000)
    assert len(contracts) > 2
    assert len(clients) > 2
    assert min(spans) < 8 < 20 < max(spans)


@pytest.mark.parametrize("seed", range(5))
def test_untraced_campaigns_have_one_contract(seed: int) -> None:
    draft = make_draft(seed=seed)
    campaigns.add_untraced(draft, 1.0, "c")
    assert len({repr(account.contract) for account in draft.cast}) == 1
