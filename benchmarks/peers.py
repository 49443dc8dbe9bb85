"""``python -m benchmarks peers``: the clusters of this tool beside what one would pick instead, on the same worlds.

The peers get what they cannot find out themselves: every request's template, as this tool's miner found it. Their
thresholds are those that did best (by F1 of flagged accounts, with the truth in hand) on a development world; the ones
of this tool are its defaults. None of the peers tells extraction from joint work, so an account counts as flagged when
it is in a group of at least five.
"""

import contextlib
import csv
import io
import itertools
import logging
import sqlite3
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import networkx as nx
import pandas as pd

from benchmarks.fit import markdown
from benchmarks.worlds import WINDOW_DAYS, say
from linkage.notebook import open_store
from linkage.rebuild import Inputs, newest_window, read_inputs
from linkage.settings import Settings
from linkage.stages import judge_inputs
from linkage.terms import MEMBERS, make_frame
from linkage.worlds.evaluate import Evaluation, evaluate, read_truth
from linkage.worlds.simulate import simulate

DEVELOPMENT_SEED = 2090
FIRST_SEED = 3090
CAMPAIGNS = ("E1", "E3", "E5", "E6", "E13")
SHARED_KINDS = ("ip", "payment", "template")
LEAST_ACCOUNTS = 5

Groups = dict[str, int]
"""Account to group number."""

_REQUESTS = """
select a.value, r.at_ms / 1000, ip.value, pay.value, t.name
from request as r join account as a on a.id = r.account_id
left join entity as ip on ip.id = r.ip_id
left join account_record as record on record.account_id = r.account_id
left join entity as pay on pay.id = coalesce(r.payment_id, record.payment_id)
left join prompt_template as told on told.prompt_id = r.prompt_id left join template as t on t.id = told.template_id
order by r.at_ms, r.key
"""


class PeerWorld:
    """One mixed world: what this tool reads of it, its requests for the peers, and the truth."""

    def __init__(self, folder: Path, *, seed: int, accounts: int) -> None:
        self.folder = folder / f"peers-{seed}-{accounts}"
        if not (self.folder / "store.db").exists():
            world = simulate(self.folder, accounts=accounts, days=14, scenarios=["innocents", *CAMPAIGNS], seed=seed)
            with open_store(self.folder / "part.db") as store:
                store.ingest(world.requests, accounts=world.accounts)
            (self.folder / "part.db").rename(self.folder / "store.db")
        self.seed = seed
        self.truth = read_truth(self.folder / "truth.csv")
        with open_store(self.folder / "store.db", create=False) as store:
            window = newest_window(store._database, None, WINDOW_DAYS)
            self.inputs: Inputs = read_inputs(store._database, window)
            with contextlib.closing(sqlite3.connect(store.path)) as connection:
                self.requests = connection.execute(_REQUESTS).fetchall()
        uses = self.inputs.uses
        self.uses = uses[uses["kind"].isin(SHARED_KINDS)]


def group_with_linkage(world: PeerWorld) -> pd.DataFrame:
    """Members of all clusters of this tool with its defaults, flagged or not."""
    return judge_inputs(world.inputs, settings=Settings(), seed=world.seed).verdicts.members


def co_link_network(world: PeerWorld, window_s: int) -> pd.DataFrame:
    """Edges of coordination-network-toolkit's co-link network: the same value within the window, by two accounts."""
    place = world.folder / f"toolkit-{window_s}.pickle"
    if not place.exists():
        with tempfile.TemporaryDirectory(dir=world.folder) as work:
            _co_link_network(world, window_s, Path(work)).to_pickle(place)
    return pd.read_pickle(place)  # noqa: S301 - written above


def _co_link_network(world: PeerWorld, window_s: int, work: Path) -> pd.DataFrame:
    from coordination_network_toolkit.compute_networks import compute_co_link_network
    from coordination_network_toolkit.preprocess import preprocess_csv_files

    table, database = work / "messages.csv", str(work / "network.db")
    with table.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["message_id", "user_id", "username", "repost_id", "reply_id", "message", "timestamp", "urls"])
        for number, (account, at_s, *values) in enumerate(world.requests):
            links = " ".join(str(value).replace(" ", "_") for value in values if value)
            rows.writerow([number, account, account, "", "", "", at_s, links])
    with contextlib.redirect_stdout(io.StringIO()):
        preprocess_csv_files(database, [str(table)])
        compute_co_link_network(database, window_s, n_threads=2, min_edge_weight=2)
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return pd.read_sql_query(
            "select user_1, user_2, weight from co_link_network where user_1 < user_2 order by user_1, user_2",
            connection,
        )


def group_with_toolkit(world: PeerWorld, *, window_s: int, weight: int, is_louvain: bool) -> Groups:
    """Coordination-network-toolkit, co-link network, edges of this weight and more, then components or Louvain."""
    graph = nx.Graph()
    edges = co_link_network(world, window_s)
    graph.add_weighted_edges_from(edges[edges["weight"] >= weight].itertuples(index=False))
    return _groups_of(graph, is_louvain=is_louvain)


def group_with_networkx(world: PeerWorld, *, cap: int, shared: int, is_louvain: bool) -> Groups:
    """What a notebook does: link accounts by the values they share, without values of more than ``cap`` accounts."""
    counts: dict[tuple[str, str], int] = {}
    for _, accounts in world.uses.groupby(["kind", "value"])["account_id"]:
        if 2 <= len(accounts) <= cap:
            for pair in itertools.combinations(sorted(accounts), 2):
                counts[pair] = counts.get(pair, 0) + 1
    graph = nx.Graph()
    graph.add_weighted_edges_from((*pair, count) for pair, count in sorted(counts.items()) if count >= shared)
    return _groups_of(graph, is_louvain=is_louvain)


def _groups_of(graph: nx.Graph, *, is_louvain: bool) -> Groups:
    if is_louvain:
        parts = nx.community.louvain_communities(graph, weight="weight", seed=1) if graph.number_of_edges() else []
    else:
        parts = list(nx.connected_components(graph))
    ordered = sorted(map(sorted, parts))
    return {account: number for number, part in enumerate(ordered) for account in part}


def splink_pairs(world: PeerWorld) -> pd.DataFrame:
    """Pairs of accounts with Splink's match probability: trained without labels, as its tutorial says."""
    place = world.folder / "splink.pickle"
    if not place.exists():
        _splink_pairs(world).to_pickle(place)
    return pd.read_pickle(place)  # noqa: S301 - written above


def _splink_pairs(world: PeerWorld) -> pd.DataFrame:
    import splink.comparison_library as compare
    from splink import Linker, SettingsCreator, block_on
    from splink.backends.duckdb import DuckDBAPI

    records = _records(world)
    blocks = [block_on("payment"), block_on("ips", arrays_to_explode=["ips"])]
    blocks.append(block_on("templates", arrays_to_explode=["templates"]))
    settings = SettingsCreator(
        link_type="dedupe_only",
        comparisons=[
            compare.ExactMatch("payment").configure(term_frequency_adjustments=True),
            compare.ExactMatch("mail").configure(term_frequency_adjustments=True),
            compare.ExactMatch("client").configure(term_frequency_adjustments=True),
            compare.ArrayIntersectAtSizes("ips", [3, 1]),
            compare.ArrayIntersectAtSizes("templates", [3, 1]),
            compare.ArrayIntersectAtSizes("contracts", [1]),
            compare.ExactMatch("created_on").configure(term_frequency_adjustments=True),
        ],
        blocking_rules_to_generate_predictions=blocks,
    )
    linker = Linker(DuckDBAPI().register(records), settings, log_level=logging.ERROR)
    linker.training.estimate_probability_two_random_records_match([block_on("payment", "client")], recall=0.5)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
    for block in (block_on("payment"), block_on("client", "mail")):
        linker.training.estimate_parameters_using_expectation_maximisation(block)
    pairs = linker.inference.predict(threshold_match_probability=0.5).as_pandas_dataframe()
    return pairs[["unique_id_l", "unique_id_r", "match_probability"]]


def _records(world: PeerWorld) -> pd.DataFrame:
    """One record per account, as Splink wants them: single values and lists."""
    uses = world.inputs.uses.sort_values(["account_id", "kind", "request_count"], ascending=[True, True, False])
    lists = {kind: part.groupby("account_id")["value"].agg(list) for kind, part in uses.groupby("kind")}
    accounts = world.inputs.accounts.set_index("account_id")
    records = pd.DataFrame(index=accounts.index)
    for name, kind in (("payment", "payment"), ("mail", "email_domain"), ("client", "client")):
        records[name] = lists[kind].str[0].reindex(records.index)
    for name, kind in (("ips", "ip"), ("templates", "template"), ("contracts", "contract")):
        records[name] = lists[kind].reindex(records.index)
    records["created_on"] = accounts["created_at"].dt.strftime("%Y-%m-%d")
    return records.rename_axis("unique_id").reset_index().astype(object).where(lambda frame: frame.notna(), None)


def group_with_splink(world: PeerWorld, *, probability: float) -> Groups:
    """Splink: connected components of pairs of at least this match probability, as its clustering does."""
    pairs = splink_pairs(world)
    graph = nx.Graph()
    chosen = pairs[pairs["match_probability"] >= probability]
    graph.add_edges_from(zip(chosen["unique_id_l"], chosen["unique_id_r"], strict=True))
    return _groups_of(graph, is_louvain=False)


CHOICES: dict[str, tuple[Callable[..., Groups], list[dict[str, float]]]] = {
    "coordination-network-toolkit": (
        group_with_toolkit,
        [
            {"window_s": window, "weight": weight, "is_louvain": louvain}
            for window in (60, 3_600)
            for weight in (2, 5, 10, 20, 50, 100, 200)
            for louvain in (False, True)
        ],
    ),
    "Splink": (group_with_splink, [{"probability": level} for level in (0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)]),
    "NetworkX notebook": (
        group_with_networkx,
        [
            {"cap": cap, "shared": shared, "is_louvain": louvain}
            for cap in (10, 50, 200)
            for shared in (1, 2, 3)
            for louvain in (False, True)
        ],
    ),
}
"""Peer to its function and the settings that are tried on the development world."""


def score_groups(groups: Groups, truth: pd.DataFrame) -> Evaluation:
    """Scores of a peer: every account in a group of at least five counts as flagged."""
    sizes = pd.Series(groups, dtype="int64").value_counts()
    chosen = {account: number for account, number in groups.items() if sizes[number] >= LEAST_ACCOUNTS}
    members = make_frame(
        MEMBERS,
        {
            "account_id": list(chosen),
            "cluster_id": [str(number) for number in chosen.values()],
            "membership": ["core"] * len(chosen),
            "tier": ["enforce"] * len(chosen),
            "flagged": [True] * len(chosen),
        },
    )
    return evaluate(members, truth)


def _f1(scores: Evaluation) -> float:
    precision, recall = scores.flag_precision, scores.flag_recall
    return 2 * precision * recall / (precision + recall) if precision == precision and precision + recall else 0.0


def run(*, worlds: int, accounts: int, folder: Path) -> str:
    """Tune the peers on the development world, score everybody on the others; a Markdown report."""
    tuning = PeerWorld(folder, seed=DEVELOPMENT_SEED, accounts=accounts)
    chosen: dict[str, dict[str, float]] = {}
    for name, (function, settings) in CHOICES.items():
        chosen[name] = max(settings, key=lambda one: _f1(score_groups(function(tuning, **one), tuning.truth)))
        say(f"{name}: {chosen[name]} does best on seed {DEVELOPMENT_SEED}")
    rows, kinds = [], []
    for seed in range(FIRST_SEED, FIRST_SEED + worlds):
        world = PeerWorld(folder, seed=seed, accounts=accounts)
        for name, scores in _everybody(world, chosen):
            rows.append(_row(name, seed, scores))
            kinds.append(scores.innocents.assign(method=name))
    table = pd.DataFrame(rows)
    means = table.drop(columns="seed").groupby("method", sort=False).mean().reset_index()
    told = "\n".join(f"- {name}: {settings}" for name, settings in chosen.items())
    campaigns = ", ".join(CAMPAIGNS)
    head = (
        f"{worlds} worlds of {accounts:,} accounts (seeds {FIRST_SEED} and up), all innocents, campaigns {campaigns}. "
        f"Settings of the peers, the best of those tried on seed {DEVELOPMENT_SEED}:\n\n{told}"
    )
    shares = "## Share of innocents flagged, by kind"
    return "\n\n".join([head, markdown(means), markdown(table), shares, markdown(_by_kind(kinds))]) + "\n"


def _everybody(world: PeerWorld, chosen: dict[str, dict[str, float]]) -> Iterable[tuple[str, Evaluation]]:
    yield "linkage", evaluate(group_with_linkage(world), world.truth)
    for name, settings in chosen.items():
        yield name, score_groups(CHOICES[name][0](world, **settings), world.truth)


def _row(name: str, seed: int, scores: Evaluation) -> dict[str, object]:
    return {
        "method": name,
        "seed": seed,
        "flagged": float(scores.flagged),
        "precision": scores.flag_precision,
        "recall": scores.flag_recall,
        "pairwise F1": scores.pairwise_f1,
        "fragments": scores.fragments,
        "innocents flagged": float(scores.innocents_flagged),
    }


def _by_kind(kinds: list[pd.DataFrame]) -> pd.DataFrame:
    table = pd.concat(kinds, ignore_index=True)
    counts = table.pivot_table(index="role", columns="method", values=["flagged", "accounts"], aggfunc="sum")
    return (counts["flagged"] / counts["accounts"])[["linkage", *CHOICES]].reset_index()
