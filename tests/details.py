"""Cluster details for the tests of the outputs: a seeded, convincing campaign of any size."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd

from linkage import terms
from linkage.terms import CLUSTERS, ClusterDetail, make_frame

START = pd.Timestamp("2026-11-06", tz="UTC")
DAYS = 14
HOURS = [START + pd.Timedelta(hours=hour) for hour in range(24 * DAYS)]

# Frames cannot hold lone surrogates; SURROGATE goes where plain mappings and ids can.
SURROGATE = "x\ud800y"
HOSTILE = {
    "script": "<script>alert(1)</script>",
    "attribute": '" onmouseover="alert(1)',
    "formula": '=HYPERLINK("http://evil.example")',
    "bidi": "abc\u202egnp.exe",
    "nul": "a\x00b\x1bc",
    "maths": "$\\frac{1}{0}$",
    "comment": "--> <!-- ]]>",
    "wide": "口座番号😀",
    "template": "{{ 7 * 7 }}",
}


@functools.cache
def make_detail(accounts: int = 14, *, seed: int = 7, hostile: bool = False) -> ClusterDetail:
    """A campaign that shares cards, addresses, templates, a client and a mail domain.

    Equal calls return one object: tests must not change it.
    """
    rng = np.random.default_rng(seed)
    ids = [f"acct-{number:06x}" for number in sorted(rng.choice(16**6, size=accounts, replace=False))]
    if hostile:
        ids[: len(HOSTILE)] = list(HOSTILE.values())[: len(ids)]
    shared = _shared(ids, rng=rng)
    if hostile:
        shared["value"] = shared["value"].replace({"python-httpx/0.27 771,4865": HOSTILE["script"]})
    links = _links(shared, rng=rng)
    activity = _activity(ids, rng=rng)
    members = _members(ids, links, activity)
    return ClusterDetail(
        run=_run(),
        cluster=_cluster(members, shared) | ({"strongest": f"hostile {SURROGATE}"} if hostile else {}),
        members=members,
        links=links,
        shared=shared,
        activity=activity,
        templates=_templates(shared, hostile=hostile),
        statements=_statements(accounts, shared, hostile=hostile),
        events=_events(accounts),
    )


def _run() -> dict[str, Any]:
    return {
        "run_id": "r-20261120-5d1c02",
        "as_of": pd.Timestamp("2026-11-20", tz="UTC"),
        "since": START,
        "seed": 0,
        "window_days": 14,
        "settings": {"communities": {"resolution": 0.05, "seeds": 8}, "verdicts": {"min_families": 2}},
        "settings_digest": "0123456789abcdef",
        "versions": {"linkage": "0.1.0", "igraph": "0.11.8", "python": "3.11.2"},
        "inputs": {"requests": 330_000, "accounts": 20_000, "source_files": 14},
    }


def _shared(ids: list[str], *, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of EVIDENCE: each pool hands its values out to members in blocks or at random."""
    count = len(ids)
    pools = [
        ("payment", "payment", [f"card-{n:04d}-{seedless:04x}" for n, seedless in _pairs(count, 8)], "block"),
        ("network", "ip", [f"203.0.113.{n % 250 + 1}" for n in range(max(1, count // 25))], "random"),
        ("network", "ip_prefix", [f"198.51.{n}.0/24" for n in range(max(1, count // 40))], "random"),
        ("content", "template", [f"t-{n:016x}" for n in (7001, 7002, 7003, 7004)], "most"),
        ("client", "client", ["python-httpx/0.27 771,4865"], "all"),
        ("registration", "email_domain", ["mailbox-relay.example"], "most"),
    ]
    rows: list[tuple[Any, ...]] = []
    for family, kind, values, how in pools:
        for value, holders in _hand_out(ids, values, how=how, rng=rng):
            outside = int(rng.integers(0, 4)) if family != "client" else 412
            for holder in holders:
                first = int(rng.integers(0, 100))
                last = first + int(rng.integers(1, 200))
                requests = int(rng.integers(3, 90))
                seen = (HOURS[first], HOURS[last])
                rows.append((holder, family, kind, value, requests, *seen, len(holders) + outside, outside))
    columns = dict(zip(terms.EVIDENCE, zip(*rows, strict=True), strict=True))
    return make_frame(terms.EVIDENCE, {name: list(values) for name, values in columns.items()})


def _pairs(count: int, size: int) -> list[tuple[int, int]]:
    return [(n, (n * 40503) % 65536) for n in range(max(2, count // size))]


def _hand_out(ids: list[str], values: list[str], *, how: str, rng: np.random.Generator) -> list[tuple[str, list[str]]]:
    holders: dict[str, set[str]] = {value: set() for value in values}
    for place, account in enumerate(ids):
        if how == "block":
            holders[values[place * len(values) // len(ids)]].add(account)
        elif how == "random":
            picks = rng.choice(len(values), size=min(len(values), 2), replace=False)
            for pick in picks:
                holders[values[pick]].add(account)
        else:
            chance = 1.0 if how == "all" else 0.85
            for value in values:
                if rng.random() < chance:
                    holders[value].add(account)
    return [(value, sorted(held)) for value, held in holders.items() if len(held) >= 2]


def _links(shared: pd.DataFrame, *, rng: np.random.Generator) -> pd.DataFrame:
    """The rarest value per pair and family; each account is tied to its ten next in a value's list."""
    best: dict[tuple[str, str, str], tuple[Any, ...]] = {}
    worth = {"payment": 10.7, "network": 9.5, "content": 7.0, "client": 4.7, "registration": 5.0}
    for (family, kind, value), rows in shared.groupby(["family", "kind", "value"]):
        accounts, unrelated = int(rows["accounts"].max()), int(rows["unrelated_accounts"].max())
        bits = worth[family] - 0.4 * np.log2(1 + unrelated)
        holders = sorted(rows["account_id"])
        for place, account in enumerate(holders):
            for other in holders[place + 1 : place + 11]:
                key = (account, other, family)
                if key not in best or accounts < best[key][5]:
                    best[key] = (*key, kind, value, accounts, unrelated, bits, START, HOURS[9 * 24])
    rows = list(best.values())
    ids = sorted(set(shared["account_id"]))
    for account, other in itertools.pairwise(ids):
        if rng.random() < 0.7:
            bits = float(rng.uniform(2, 9))
            rows.append((account, other, "conduct", "conduct", "nearest 2%", 90, 40, bits, pd.NaT, pd.NaT))
    rows.sort(key=lambda row: row[:3])
    columns = dict(zip(terms.LINK_EVIDENCE, zip(*rows, strict=True), strict=True))
    return make_frame(terms.LINK_EVIDENCE, {name: list(values) for name, values in columns.items()})


def _activity(ids: list[str], *, rng: np.random.Generator) -> pd.DataFrame:
    accounts: list[str] = []
    hours: list[pd.Timestamp] = []
    counts: list[int] = []
    for place, account in enumerate(ids):
        first = int(place * 120 / len(ids) + rng.integers(0, 20))
        last = min(DAYS * 24, first + int(rng.integers(120, 260)))
        active = [hour for hour in range(first, last) if 6 <= hour % 24 <= 21 and rng.random() < 0.25]
        accounts += [account] * len(active)
        hours += [HOURS[hour] for hour in active]
        counts += [int(number) for number in rng.poisson(3, size=len(active)) + 1]
    return make_frame(terms.ACTIVITY, {"account_id": accounts, "hour_at": hours, "request_count": counts})


def _members(ids: list[str], links: pd.DataFrame, activity: pd.DataFrame) -> pd.DataFrame:
    requests = activity.groupby("account_id")["request_count"].sum().reindex(ids, fill_value=0)
    place = np.arange(len(ids)) / len(ids)
    membership = np.where(place < 0.75, "core", np.where(place < 0.93, "probable", "bystander"))
    return make_frame(
        terms.MEMBERS,
        {
            "account_id": ids,
            "cluster_id": ["c-7f3a91"] * len(ids),
            "membership": list(membership),
            "tier": ["enforce"] * len(ids),
            "controller_probability": list(np.round(0.99 - 0.4 * place**3, 4)),
            "extraction_probability": [0.94] * len(ids),
            "q_value": [0.001] * len(ids),
            "reasons": ["payment: card shared by 8 (10.7 bits); network: 203.0.113.1 shared by 6 (9.5 bits)"]
            * len(ids),
            "flagged": [name != "bystander" for name in membership],
            "stability": list(np.round(1 - 0.3 * place, 3)),
            "requests": list(requests),
            "left_out_by": ["families+share" if name == "bystander" else "" for name in membership],
        },
    )


def _cluster(members: pd.DataFrame, shared: pd.DataFrame) -> dict[str, Any]:
    return {
        "cluster_id": "c-7f3a91",
        "tier": "enforce",
        "accounts": len(members),
        "requests": int(members["requests"].sum()),
        "controller_probability": 0.973,
        "extraction_probability": 0.941,
        "q_value": 0.001,
        "families": "payment+network+content+client",
        "first_seen": shared["first_at"].min(),
        "last_seen": shared["last_at"].max(),
        "stability": 0.96,
        "expected_wrong": 0.027 * len(members),
        "organizations": 0,
        "strongest": "8 accounts paid with one card that nobody else uses",
        "readings": "a reseller that pays for its customers; one firm that did not declare its organization",
        "whole_probability": 0.941,
        "barred_by": "",
    }


def _templates(shared: pd.DataFrame, *, hostile: bool) -> pd.DataFrame:
    content = shared[shared["family"] == "content"]
    ids = sorted(set(content["value"]))
    texts = [
        "Solve the following problem step by step and give the final answer in a box.\n\nProblem: <*>",
        "You are an expert <*> teacher. Explain <*> to a student and then write three questions about it.",
        "Rewrite this code in idiomatic Rust, keep every comment, and explain each change:\n```\n<*>\n```",
        " ".join(HOSTILE.values()) if hostile else "Translate into <*> and list the idioms you used: <*>",
    ]
    return make_frame(
        terms.TEMPLATES,
        {
            "template_id": ids,
            "text": texts[: len(ids)],
            "slots": [text.count("<*>") for text in texts[: len(ids)]],
            "prompts": [900 - 200 * place for place in range(len(ids))],
            "requests": [1200 - 250 * place for place in range(len(ids))],
            "accounts": [int(content[content["value"] == name]["accounts"].max()) for name in ids],
            "first_at": [START] * len(ids),
            "last_at": [START + pd.Timedelta(days=13)] * len(ids),
            "family_id": ["f-00aa"] * len(ids),
            "contract": ["temperature=1.0, max_tokens=4096"] * len(ids),
        },
    )


def _statements(accounts: int, shared: pd.DataFrame, *, hostile: bool) -> pd.DataFrame:
    sentences = [
        ("why", f"All {accounts} accounts use the same client, and groups of about 8 pay with one card each."),
        ("why", "Addresses such as 203.0.113.1 were used by several of them within one hour."),
        ("rare", "Of 20,000 accounts in the window, 3 outside this cluster share any of these cards."),
        ("extraction", "Their prompts fill four templates with items that almost never repeat between accounts."),
        ("extraction", "When one account meets its rate limit, another continues the list within two minutes."),
        ("free", "A declared organization that owns these accounts would explain the shared cards."),
        ("for", "Two of the bystanders have paid for over a year and write ordinary prompts too."),
    ]
    if hostile:
        sentences += [("why", text) for text in HOSTILE.values()]
    return make_frame(
        terms.STATEMENTS,
        {
            "topic": [topic for topic, _ in sentences],
            "sentence": [sentence for _, sentence in sentences],
            "query": ["accounts_sharing_payment"] * len(sentences),
            "rows": ["card-0000-0000 (8 accounts)"] * len(sentences),
        },
    )


def _events(accounts: int) -> pd.DataFrame:
    return make_frame(
        terms.EVENTS,
        {
            "cluster_id": ["c-7f3a91"] * 3,
            "event": ["born", "grew", "merged"],
            "other_id": [None, None, "c-00b2d4"],
            "accounts_before": [0, accounts // 3, accounts // 2],
            "accounts_after": [accounts // 3, accounts // 2, accounts],
            "accounts_shared": [0, accounts // 3, accounts // 2],
        },
    )


def make_graph(detail: ClusterDetail) -> nx.Graph[str]:
    """The accounts and what they share as a graph with the attributes that exports carry."""
    graph: nx.Graph[str] = nx.Graph()
    for row in detail.members.itertuples():
        graph.add_node(
            row.account_id, kind="account", cluster_id=row.cluster_id, tier=row.tier, membership=row.membership
        )
    for row in detail.shared.itertuples():
        entity = f"{row.kind}:{row.value}"
        graph.add_node(entity, kind=row.kind)
        graph.add_edge(
            row.account_id,
            entity,
            family=row.family,
            bits=4.5,
            request_count=row.request_count,
            first_at=row.first_at,
            last_at=row.last_at,
        )
    return graph


def clusters_of(*details: ClusterDetail) -> pd.DataFrame:
    """The table of these clusters."""
    return make_frame(CLUSTERS, {name: [detail.cluster[name] for detail in details] for name in CLUSTERS})
