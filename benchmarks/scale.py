"""Every stage at growing sizes, beside what one would use instead, on the same files in the same run.

Worlds of one shape come from :mod:`benchmarks.scale_worlds`. Every measurement runs in a process of its own, so that
peak memory is its own; stage and peer take turns. Wall time is what counts, CPU time tells how much a busy machine
distorts it. The growth exponent is the slope of log time (or memory) over log requests: 1 is linear.
"""

import contextlib
import itertools
import json
import math
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.memory import peak_mb
from benchmarks.scale_worlds import make_world
from benchmarks.worlds import say

SIZES = (1_000_000, 4_000_000, 16_000_000)
SHORT_SIZES = (25_000, 100_000)
RUNS = 3

PEER_OF = {
    "read": ("pandas read_json",),
    "ingest": ("sqlite-utils insert",),
    "mine": ("rensa",),
    "inputs": ("pandas read_sql + groupby",),
    "project": ("scipy sparse product",),
    "partition": ("leidenalg", "networkx Louvain"),
}
"""Stage to what is measured beside it; the peers of read, ingest and inputs do less."""

LARGEST = {
    "pandas read_sql + groupby": 4_000_000,
    "rensa": 100_000,
    "scipy sparse product": 1_000_000,
    "leidenalg": 4_000_000,
    "networkx Louvain": 1_000_000,
}
"""Requests above which a peer is left out: beyond it takes longer than all stages together, or all memory."""

WHOLE = "whole"
PARTS_OF_WHOLE = ("ingest", "rebuild", "report")
"""From lines to clusters and a report."""

BLOCK_PROMPTS = 50_000

PRODUCT_ACCOUNTS = 2_000
"""Values on more accounts are left out of the full product: one on all of a million would alone be 10^12 pairs."""

Told = Mapping[str, float]


def run(
    *,
    folder: Path,
    is_short: bool = False,
    sizes: tuple[int, ...] = (),
    runs: int | None = None,
    stages: tuple[str, ...] = (),
) -> str:
    """A table of all stages at all sizes, or of some stages and their peers, as Markdown."""
    chosen = sizes or (SHORT_SIZES if is_short else SIZES)
    times = runs or (1 if is_short else RUNS)
    wanted = with_peers(stages) if stages else tuple(STAGES)
    measured = {size: measure(make_world(folder, size), size, runs=times, stages=wanted) for size in chosen}
    return "\n".join(stage_table(measured))


def with_peers(stages: Collection[str]) -> tuple[str, ...]:
    """Stages and the peers of each, in their order."""
    if unknown := set(stages) - set(STAGES):
        raise SystemExit(f"wanted stages; found {', '.join(sorted(unknown))}. There are: {', '.join(STAGES)}")
    wanted = {*stages, *(peer for stage in stages for peer in PEER_OF.get(stage, ()))}
    return tuple(name for name in STAGES if name in wanted)


def measure(world: Path, size: int, *, runs: int, stages: Sequence[str]) -> dict[str, Told]:
    """Medians of these stages and peers, in turns: wall and CPU seconds, peak MB, and the requests it was about."""
    names = [name for name in stages if size <= LARGEST.get(name, size)]
    results: dict[str, list[Told]] = {name: [] for name in names}
    for _ in range(runs):
        for path in [*world.glob("*.db*"), *world.glob("*.parquet")]:
            path.unlink()
        for name in names:
            results[name].append(_in_own_process(name, world))
            say(f"{size:,} {name}: " + "{wall:.1f} s, {cpu:.1f} CPU s, {peak:,.0f} MB".format(**results[name][-1]))
    medians: dict[str, Told] = {
        name: {key: statistics.median(each[key] for each in found) for key in found[0]}
        for name, found in results.items()
    }
    if not set(PARTS_OF_WHOLE) <= set(medians):
        return medians
    return {**medians, WHOLE: whole([medians[name] for name in PARTS_OF_WHOLE])}


def whole(parts: Sequence[Told]) -> Told:
    """What stages take one after the other, and the greatest memory of any of them."""
    return {key: (max if key == "peak" else sum)(part[key] for part in parts) for key in ("wall", "cpu", "peak")}


def _in_own_process(name: str, world: Path) -> Told:
    command = [sys.executable, "-m", "benchmarks.scale", name, str(world)]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(told.stdout.splitlines()[-1])
    return found


def _read(world: Path) -> None:
    from linkage.intake.batches import request_batch
    from linkage.intake.files import read_raw
    from linkage.intake.records import check_requests

    raw = read_raw(world / "requests.ndjson", as_columns=True)
    for batch in raw.batches:
        request_batch(check_requests(batch, raw.format), source="gw")


def _read_json(world: Path) -> None:
    import pandas as pd

    for _ in pd.read_json(world / "requests.ndjson", lines=True, chunksize=20_000, dtype=False):
        pass


def _ingest(world: Path) -> None:
    import linkage as lk

    with lk.open_store(world / "linkage.db") as store:
        store.ingest(world / "requests.ndjson", accounts=world / "accounts.csv")


def _insert(world: Path) -> None:
    import sqlite_utils

    database = sqlite_utils.Database(world / "peer.db")
    with (world / "requests.ndjson").open("rb") as lines:
        database.table("request").insert_all((json.loads(line) for line in lines), alter=True)
    database.close()


def _texts(world: Path) -> Iterator[str]:
    with (world / "requests.ndjson").open("rb") as lines:
        for line in lines:
            yield json.loads(line).get("prompt") or ""


def _mine(world: Path) -> None:
    """Fingerprints take the place of texts as they are read: sixteen million texts would be ten gigabytes."""
    from linkage.settings import TemplateSettings
    from linkage.templates.mine import assign, extract_features, learn

    texts = _texts(world)
    blocks = [extract_features(block) for block in iter(lambda: list(itertools.islice(texts, BLOCK_PROMPTS)), [])]
    model = learn(blocks, settings=TemplateSettings())
    for block in blocks:
        assign(block, model)


def _rensa(world: Path) -> None:
    from benchmarks.templates import group_with_rensa

    group_with_rensa(sorted(set(_texts(world))))


def _inputs(world: Path) -> None:
    with _stored(world) as inputs:
        inputs.whole()


@contextlib.contextmanager
def _stored(world: Path) -> Iterator[Any]:
    """Inputs as a rebuild reads them, while nobody writes: items are marked, and read when it is known of whom."""
    import linkage as lk
    from linkage.rebuild import Window, read_inputs
    from linkage.terms import DAY_MS

    with lk.open_store(world / "linkage.db") as store, store._database.writing():
        yield read_inputs(store._database, Window(0, 40_000 * DAY_MS), rest_later=True)


def _group(world: Path) -> None:
    """What an analyst would type: the same tables of uses from the peer's store, without templates or items."""
    import sqlite3

    import pandas as pd

    columns = ("account_id", "api_key_id", "ip", "payment_method", "user_agent", "model", "endpoint")
    connection = sqlite3.connect(world / "peer.db")
    there = {row[1] for row in connection.execute("pragma table_info(request)")}
    used = [name for name in columns if name in there]
    rows = pd.read_sql(f"select timestamp, {', '.join(used)} from request", connection)  # noqa: S608 - names are ours
    connection.close()
    rows["timestamp"] = pd.to_datetime(rows["timestamp"], format="ISO8601", utc=True)
    for name in used[1:]:
        rows.groupby(["account_id", name])["timestamp"].agg(["count", "min", "max"])


def _link(world: Path) -> None:
    """Evidence and links of the store, kept for the stages after it."""
    import pandas as pd

    from linkage.clusters.communities import weigh_links
    from linkage.coding import codes_of
    from linkage.evidence.projection import value_table
    from linkage.evidence.weights import link_accounts
    from linkage.settings import Settings
    from linkage.stages import find_evidence

    settings = Settings()
    with _stored(world) as inputs:
        evidence = find_evidence(inputs, settings=settings)
        known = {name: getattr(inputs, name) for name in ("accounts", "conduct", "uses")}
        linked = link_accounts(evidence, **known, settings=settings.evidence)
    codes = codes_of(evidence["account_id"], pd.Index(known["accounts"]["account_id"]))
    pd.DataFrame({"account": codes, "value": value_table(evidence)[1]}).to_parquet(world / "incidence.parquet")
    weight = weigh_links(linked.links, prior_bits=linked.prior_bits, settings=settings.communities)
    links = linked.links[["account_a", "account_b"]].assign(weight=weight)
    links[weight > 0].to_parquet(world / "links.parquet")


def _incidence(world: Path) -> tuple[Any, Any]:
    import pandas as pd

    frame = pd.read_parquet(world / "incidence.parquet")
    return frame["account"].to_numpy(), frame["value"].to_numpy()


def _project(world: Path) -> None:
    """Which pairs to look at, and the best value each shares: bounded under any hub."""
    import numpy as np

    from linkage.evidence.projection import propose_pairs
    from linkage.evidence.value_index import ValueIndex

    account, value = _incidence(world)
    accounts = int(account.max()) + 1
    pairs = propose_pairs(account, value, orders=[np.arange(accounts)], links_per_use=10)
    order = np.arange(int(value.max()) + 1)
    index = ValueIndex(account, value, family=np.zeros_like(order), order=order, accounts=accounts, families=1)
    index.best_shared(*pairs)


def _product(world: Path) -> None:
    """All pairs that share a value, by one product; values on very many accounts must be left out."""
    import numpy as np
    from scipy.sparse import csr_array

    account, value = _incidence(world)
    kept = np.bincount(value)[value] <= PRODUCT_ACCOUNTS
    table = csr_array((np.ones(int(kept.sum()), np.int32), (account[kept], value[kept])))
    _ = table @ table.T


def _links(world: Path) -> Any:
    import pandas as pd

    return pd.read_parquet(world / "links.parquet")


def _partition(world: Path) -> None:
    from linkage.clusters.graph import AccountGraph
    from linkage.settings import CommunitySettings

    AccountGraph(_links(world), weight="weight").leiden(resolution=CommunitySettings().resolution, seed=0)


def _leidenalg(world: Path) -> None:
    import igraph
    import leidenalg

    from linkage.settings import CommunitySettings

    graph = igraph.Graph.TupleList(_links(world).itertuples(index=False), weights=True)
    resolution = CommunitySettings().resolution
    leidenalg.find_partition(
        graph,
        leidenalg.CPMVertexPartition,
        weights="weight",
        resolution_parameter=resolution,
        n_iterations=-1,
        seed=0,
    )


def _louvain(world: Path) -> None:
    import networkx as nx

    graph = nx.from_pandas_edgelist(_links(world), "account_a", "account_b", "weight")
    nx.community.louvain_communities(graph, weight="weight", seed=0)


def _rebuild(world: Path) -> None:
    import linkage as lk

    with lk.open_store(world / "linkage.db") as store:
        lk.rebuild(store)


def _report(world: Path) -> None:
    import linkage as lk

    with lk.open_store(world / "linkage.db") as store:
        store.run.report(world / "report")


STAGES: Mapping[str, Callable[[Path], None]] = {
    "read": _read,
    "pandas read_json": _read_json,
    "ingest": _ingest,
    "sqlite-utils insert": _insert,
    "mine": _mine,
    "rensa": _rensa,
    "inputs": _inputs,
    "pandas read_sql + groupby": _group,
    "link": _link,
    "project": _project,
    "scipy sparse product": _product,
    "partition": _partition,
    "leidenalg": _leidenalg,
    "networkx Louvain": _louvain,
    "rebuild": _rebuild,
    "report": _report,
}
"""In the order they need each other. ``read``: file to checked facts; ``ingest``: file to store, templates mined;
``mine``: prompts to templates (reading the file included); ``inputs``: store to the tables of a rebuild; ``link``:
evidence and links; ``project``: the candidate pairs alone; ``partition``: one Leiden run from the links;
``rebuild``: store to published clusters, everything since ``inputs`` included; ``report``: clusters to pages;
``whole`` in the tables: ingest, rebuild and report."""


def stage_table(measured: Mapping[int, Mapping[str, Told]]) -> list[str]:
    """Markdown lines: a row per stage, its peers below it, with what each took at every size.

    Beside that the growth exponents between the smallest and the largest size at which it was measured, and at every
    size the time of the peer over that of the stage.
    """
    sizes = list(measured)
    columns = (*(f"{size:,}: s (CPU s), MB" for size in sizes), "growth of s, CPU s, MB", "times the peer's rate")
    lines = [f"| stage | {' | '.join(columns)} |", "|" + " --- |" * (len(columns) + 1)]
    for name in (*STAGES, WHOLE):
        told = {size: found[name] for size, found in measured.items() if name in found}
        if told:
            rates = "; ".join(_rates(told, peer, measured) for peer in PEER_OF.get(name, ()))
            cells = (*(_figures(told.get(size)) for size in sizes), _growth(told), rates)
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _figures(told: Told | None) -> str:
    return "" if told is None else f"{told['wall']:,.1f} ({told['cpu']:,.0f}), {told['peak']:,.0f}"


def _growth(told: Mapping[int, Told]) -> str:
    first, last = min(told), max(told)
    if first == last:
        return ""
    slopes = (math.log(told[last][key] / told[first][key]) / math.log(last / first) for key in ("wall", "cpu", "peak"))
    return ", ".join(f"{slope:.2f}" for slope in slopes)


def _rates(told: Mapping[int, Told], peer: str, measured: Mapping[int, Mapping[str, Told]]) -> str:
    beside = {size: measured[size][peer]["wall"] for size in told if peer in measured[size]}
    ratios = [f"{wall / told[size]['wall']:.2f}" for size, wall in beside.items()]
    return f"{peer} {', '.join(ratios)}" if ratios else ""


def _warm_up() -> None:
    """Load compiled kernels, which costs every process the same second whatever the size."""
    import linkage as lk

    lk.mine_templates([f"Tell me three facts about {city} today, please." for city in "abcdefgh"])


def _main(name: str, world: str) -> None:
    if name in ("read", "ingest", "mine", "rebuild"):
        _warm_up()
    wall, cpu = time.perf_counter(), _cpu_s()
    STAGES[name](Path(world))
    told = {"wall": time.perf_counter() - wall, "cpu": max(_cpu_s() - cpu, 1e-3), "peak": peak_mb()}
    print(json.dumps(told))


def _cpu_s() -> float:
    """CPU seconds of this process and of those it started that are over, such as the one that reads for ingest."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    _main(*sys.argv[1:])
