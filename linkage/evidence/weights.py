"""What a shared value is worth, in bits, and the links between accounts that follow from it.

A value is worth ``log2(m / u)`` (Fellegi and Sunter 1969): how much more often two accounts of one
controller share such a value (m) than two random accounts share this one (u). Rarity gives u, per value.
Shipped shares give a first m, per kind; the data correct it per family and popularity class by EM without
labels. Few pairs correct little: the shipped shares count for ``prior_pairs`` pairs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.evidence.conduct import (
    LEVEL_SHARES,
    Vectors,
    conduct_order,
    level_edges,
    measure_habits,
    pair_levels,
)
from linkage.evidence.projection import Codes, ValueIndex, propose_pairs, signature, value_table
from linkage.settings import EvidenceSettings
from linkage.terms import (
    ACCOUNTS,
    COUNT,
    EVIDENCE,
    LINK_EVIDENCE,
    LINKS,
    NUMBER,
    TEXT,
    Family,
    Shape,
    check_frame,
    make_frame,
)

MATE_SHARE: Final[Mapping[str, float]] = {
    "payment": 0.4,
    "ip": 0.3,
    "ip_prefix": 0.1,
    "template": 0.5,
    "template_family": 0.4,
    "contract": 0.4,
    "client": 0.4,
    "email_domain": 0.3,
    "signup_window": 0.3,
    "signup_mail_window": 0.25,
    "signup_wide_mail_window": 0.3,
}
"""Shipped m: share of pairs of one controller that share a value of the kind. Set so that a world of 20,000
accounts gives the weights EM found in the core prototype (card on 8 accounts 10 bits, address on 4 10.5)."""

TYPICAL_SHARE: Final[Mapping[str, float]] = {
    "payment": 0.0001,
    "ip": 0.0001,
    "ip_prefix": 0.0005,
    "template": 0.001,
    "template_family": 0.002,
    "contract": 0.05,
    "client": 0.05,
    "email_domain": 0.05,
    "signup_window": 0.002,
    "signup_mail_window": 0.001,
    "signup_wide_mail_window": 0.003,
}
"""Shipped u: share of all accounts a shared value of the kind is on; matters where few accounts are seen."""

OTHER_SHARE: Final = (0.2, 0.05)
"""m and u of a kind that is not listed: hardly any weight."""

CONDUCT_MATE_SHARE: Final = (0.06, 0.20, 0.35, 0.35, 0.04)
"""Shipped m of the levels of conduct, closest first; u are the steps between ``LEVEL_SHARES``."""

BLOCKING: Final[tuple[Family, ...]] = ("payment", "network", "content", "registration")
"""Families whose candidate pairs teach the weights of the other families."""

FELLOWS: Final = 4.0
"""Accounts of the same controller a random account is given before anything is known of it."""

MAX_SHIFT: Final = 3.0
"""Bits by which the data may correct a shipped weight."""

ROUNDS: Final = 30
"""Rounds of EM; after 30 no weight is more than 0.006 bits from that after 60 (two simulated worlds, 2026-11-24)."""

KEEP_BITS: Final = 6.0
"""A pair this far below the prior odds is no link: it could not matter beside three families."""

WEIGHTS: Final[Shape] = {
    "family": TEXT,
    "kind": TEXT,
    "least_accounts": COUNT,
    "most_accounts": COUNT,
    "values": COUNT,
    "prior_bits": NUMBER,
    "bits": NUMBER,
}
"""One row per family, kind and popularity class: the shipped and the corrected weight, in bits."""

VALUES: Final[Shape] = {
    "family": TEXT,
    "kind": TEXT,
    "value": TEXT,
    "accounts": COUNT,
    "unrelated_accounts": COUNT,
    "unseen": NUMBER,
    "chance": NUMBER,
    "bits": NUMBER,
}
"""One row per shared value: how many ``unseen`` accounts are taken to have it, ``chance`` that an account has it (0
to 1, with unseen accounts counted in), and ``bits``, what it is worth to a pair that shares it."""


@dataclasses.dataclass(frozen=True)
class Linked:
    """What linking returns."""

    links: pd.DataFrame
    """Shape ``LINKS``."""
    evidence: pd.DataFrame
    """Shape ``LINK_EVIDENCE``."""
    weights: pd.DataFrame
    """Shape ``WEIGHTS``."""
    values: pd.DataFrame
    """Shape ``VALUES``."""
    prior_bits: float
    """Bits a pair needs before it is as likely one controller as not."""


@dataclasses.dataclass(frozen=True)
class _Coded:
    """Values with their weights, and the uses of them, as codes."""

    table: pd.DataFrame
    account: Codes
    value: Codes
    accounts: int
    families: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class _Pairs:
    """Candidate pairs: best shared value per family (row of the value table or -1) and conduct level."""

    a: Codes
    b: Codes
    best: Mapping[str, Codes]
    conduct: Codes

    def take(self, mask: npt.NDArray[np.bool_]) -> _Pairs:
        best = {family: rows[mask] for family, rows in self.best.items()}
        return _Pairs(self.a[mask], self.b[mask], best, self.conduct[mask])


def link_accounts(
    evidence: pd.DataFrame,
    *,
    accounts: pd.DataFrame,
    conduct: pd.DataFrame,
    uses: pd.DataFrame,
    settings: EvidenceSettings,
    seed: int = 0,
) -> Linked:
    """Pairs of accounts with what they share and what it is worth.

    At most ``settings.links_per_use`` pairs per account and value are looked at, and as many more per
    account among the fellows of its fellows. Pairs of one declared organization are left out: they say
    themselves that they are one. Per family only the best shared value counts, so one value adds at most
    ``settings.max_bits``; conduct adds at most what the other families give together.

    Parameters
    ----------
    evidence : frame of shape ``EVIDENCE``.
    accounts : frame of shape ``ACCOUNTS``.
    conduct : frame of shape ``CONDUCT``.
    uses : frame of shape ``USES``; only its kind ``model`` is read, for the mix of models.
    settings : bounds and strength of the shipped weights.
    seed : of the samples that set the levels of conduct and of the candidate orders.

    Returns
    -------
    :class:`Linked`, everything sorted. O(uses * links_per_use) pairs.

    References
    ----------
    Fellegi and Sunter 1969, "A theory for record linkage", doi:10.1080/01621459.1969.10501049.
    Winkler 2000, "Frequency-based matching in Fellegi-Sunter model of record linkage".
    """
    check_frame(evidence, EVIDENCE, name="evidence")
    check_frame(accounts, ACCOUNTS, name="accounts")
    coded = _tabulate(evidence, accounts, settings)
    habits = measure_habits(accounts, conduct=conduct, uses=uses, settings=settings)
    edges = level_edges(habits, seed=seed)
    indexes = _index_families(coded)
    organization = pd.factorize(accounts["organization_id"])[0].astype(np.int64)

    def look_up(a: Codes, b: Codes) -> _Pairs:
        same = (organization[a] == organization[b]) & (organization[a] >= 0)
        a, b = a[~same], b[~same]
        best = {family: rows[index.best_shared(a, b)] for family, (index, rows) in indexes.items()}
        return _Pairs(a, b, best, pair_levels(habits, a, b, edges=edges))

    pairs = look_up(*_candidates(coded, accounts, habits, settings, seed=seed))
    values, conduct_bits, weights = _learn(coded, pairs, settings)
    prior_bits = float(np.log2((len(accounts) + settings.prior_accounts) / FELLOWS))
    bits = _score(pairs, values, conduct_bits)
    more = look_up(*_fellows_of_fellows(pairs, bits >= prior_bits, settings.links_per_use, seed=seed))
    pairs = _join(pairs, more)
    bits = _score(pairs, values, conduct_bits)
    kept = bits >= prior_bits - KEEP_BITS
    links, link_evidence = _frames(pairs.take(kept), values, conduct_bits, accounts, evidence, coded)
    return Linked(links, link_evidence, weights, _shape_values(values), prior_bits)


def _shape_values(values: pd.DataFrame) -> pd.DataFrame:
    columns = {name: values[name].array for name in VALUES}
    return make_frame(VALUES, columns).sort_values(["family", "kind", "value"], ignore_index=True)


def _tabulate(evidence: pd.DataFrame, accounts: pd.DataFrame, settings: EvidenceSettings) -> _Coded:
    """The value table with shipped bits, popularity classes and, per family, rows from best to worst."""
    values, row = value_table(evidence)
    shares = [MATE_SHARE.get(kind, OTHER_SHARE[0]) for kind in values["kind"]]
    typical = [TYPICAL_SHARE.get(kind, OTHER_SHARE[1]) for kind in values["kind"]]
    count = values["accounts"].to_numpy(dtype=np.float64)
    unseen = settings.prior_accounts
    frequency = (count + unseen * np.asarray(typical, dtype=np.float64)) / (len(accounts) + unseen)
    values["prior_bits"] = np.log2(np.asarray(shares, dtype=np.float64) / frequency)
    values["chance"] = frequency
    values["unseen"] = unseen * np.asarray(typical, dtype=np.float64)
    values["popularity"] = np.floor(2 * np.log10(np.maximum(count, 2))).astype(np.int64)
    account = pd.Index(accounts["account_id"]).get_indexer(evidence["account_id"]).astype(np.int64)
    families = tuple(sorted(set(values["family"])))
    return _Coded(values, account, row, len(accounts), families)


def _index_families(coded: _Coded) -> dict[str, tuple[ValueIndex, Codes]]:
    """Per family its index, and the value table's row for each rank (with -1 at the end for rank -1)."""
    result = {}
    family_of = coded.table["family"].to_numpy()
    for family in coded.families:
        rows = np.flatnonzero(family_of == family)
        prior = coded.table["prior_bits"].to_numpy()[rows]
        rows = rows[np.argsort(-prior, kind="stable")]
        rank = np.full(len(coded.table), -1, dtype=np.int64)
        rank[rows] = np.arange(len(rows))
        mine = rank[coded.value] >= 0
        index = ValueIndex(coded.account[mine], rank[coded.value[mine]], accounts=coded.accounts)
        result[family] = (index, np.append(rows, -1).astype(np.int64))
    return result


def _candidates(
    coded: _Coded, accounts: pd.DataFrame, habits: Vectors, settings: EvidenceSettings, *, seed: int
) -> tuple[Codes, Codes]:
    created = accounts["created_at"].fillna(accounts["first_at"])
    at = created.to_numpy(dtype="datetime64[ms]").astype(np.int64)
    orders = [
        signature(coded.account, coded.value, accounts=coded.accounts, seed=seed),
        at,
        conduct_order(habits),
    ]
    return propose_pairs(coded.account, coded.value, orders=orders, links_per_use=settings.links_per_use)


def _fellows_of_fellows(
    pairs: _Pairs, strong: npt.NDArray[np.bool_], links_per_use: int, *, seed: int
) -> tuple[Codes, Codes]:
    """Pairs two strong links apart, not looked at yet; at most ``links_per_use`` proposed by an account."""
    a, b = pairs.a[strong], pairs.b[strong]
    draw = np.random.default_rng(seed)
    near = _cap(np.concatenate([a, b]), np.concatenate([b, a]), links_per_use, draw)
    frame = pd.DataFrame({"via": near[0], "account": near[1]})
    two_steps = frame.merge(frame, on="via")
    left = two_steps["account_x"].to_numpy(dtype=np.int64)
    right = two_steps["account_y"].to_numpy(dtype=np.int64)
    total = int(max(left.max(initial=0), right.max(initial=0), pairs.b.max(initial=0))) + 1
    coded = np.unique(left[left < right] * total + right[left < right])
    coded = coded[~np.isin(coded, pairs.a * total + pairs.b)]
    first, second = _cap(coded // total, coded % total, links_per_use, draw)
    order = np.lexsort((second, first))
    return first[order], second[order]


def _cap(key: Codes, other: Codes, most: int, draw: np.random.Generator) -> tuple[Codes, Codes]:
    """At most ``most`` randomly chosen entries per key."""
    order = np.lexsort((draw.random(len(key)), key))
    key, other = key[order], other[order]
    starts = np.flatnonzero(np.diff(key, prepend=-1) != 0)
    position = np.arange(len(key)) - np.repeat(starts, np.diff(np.append(starts, len(key))))
    return key[position < most], other[position < most]


def _join(left: _Pairs, right: _Pairs) -> _Pairs:
    a, b = np.concatenate([left.a, right.a]), np.concatenate([left.b, right.b])
    order = np.lexsort((b, a))
    best = {f: np.concatenate([left.best[f], right.best[f]])[order] for f in left.best}
    return _Pairs(a[order], b[order], best, np.concatenate([left.conduct, right.conduct])[order])


def _learn(
    coded: _Coded, pairs: _Pairs, settings: EvidenceSettings
) -> tuple[pd.DataFrame, npt.NDArray[np.float64], pd.DataFrame]:
    """Corrected bits per value and per level of conduct (last entry: unknown), and the table of weights."""
    values = coded.table.copy()
    levels = values.groupby(["family", "kind", "popularity"], sort=True)
    values["level"] = levels.ngroup().astype(np.int64)
    prior, chance = _level_priors(values, coded.accounts)
    conduct_u = np.diff([0.0, *LEVEL_SHARES, 1.0])
    conduct_m = np.asarray(CONDUCT_MATE_SHARE, dtype=np.float64)
    level_of = np.append(values["level"].to_numpy(), -1)
    columns = {family: level_of[rows] for family, rows in pairs.best.items()}
    offset = len(prior)
    columns["conduct"] = np.where(pairs.conduct >= 0, pairs.conduct + offset, -1)
    mate = np.concatenate([prior, conduct_m])
    other = np.concatenate([chance, conduct_u])
    learned = _learn_shares(columns, mate, other, prior_pairs=settings.prior_pairs)
    shift = np.clip(np.log2(learned / mate), -MAX_SHIFT, MAX_SHIFT)
    raw = values["prior_bits"] + shift[values["level"].to_numpy()]
    values["bits"] = np.clip(_falling(values, raw), 0.0, settings.max_bits)
    conduct_bits = np.log2(conduct_m / conduct_u) + shift[offset:]
    conduct_bits = np.minimum.accumulate(np.minimum(conduct_bits, settings.max_bits))
    return values, np.append(conduct_bits, 0.0), _weight_table(values, conduct_bits)


def _level_priors(values: pd.DataFrame, accounts: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Shipped m and u per level: the share of mates, and of random pairs, whose value is of the level."""
    count = values["accounts"].to_numpy(dtype=np.float64)
    level = values["level"].to_numpy()
    shared = count * (count - 1) / max(accounts * (accounts - 1.0), 1.0)
    pairs = np.bincount(level, weights=shared).astype(np.float64)
    prior = np.bincount(level, weights=shared * values["prior_bits"].to_numpy(dtype=np.float64)) / pairs
    u = np.clip(pairs, 1e-9, 0.5)
    m = np.clip(u * np.exp2(prior), 1e-7, 0.9)
    family = values.groupby("level")["family"].first()
    total = pd.Series(m).groupby(family.to_numpy()).transform("sum").to_numpy(dtype=np.float64)
    return np.asarray(m * np.minimum(1.0, 0.9 / total), dtype=np.float64), np.asarray(u, dtype=np.float64)


def _learn_shares(
    columns: Mapping[str, Codes],
    mate: npt.NDArray[np.float64],
    other: npt.NDArray[np.float64],
    *,
    prior_pairs: float,
) -> npt.NDArray[np.float64]:
    """Shares of mates per level: pairs of one blocking family teach the levels of the others; averaged."""
    counts = np.zeros(len(mate))
    weight = np.zeros(len(mate))
    for block in BLOCKING:
        if block not in columns or not (columns[block] >= 0).any():
            continue
        inside = columns[block] >= 0
        taught = [column[inside] for family, column in columns.items() if family != block]
        patterns, times = np.unique(np.column_stack(taught), axis=0, return_counts=True)
        matched = _expect(patterns, times, mate, other, prior_pairs=prior_pairs)
        for column in patterns.T:
            known = column >= 0
            counts += np.bincount(column[known], weights=matched[known], minlength=len(mate))
            weight[np.unique(column[known])] += matched.sum()
    return (prior_pairs * mate + counts) / np.maximum(prior_pairs + weight, 1e-9)


def _expect(
    patterns: Codes,
    times: Codes,
    mate: npt.NDArray[np.float64],
    other: npt.NDArray[np.float64],
    *,
    prior_pairs: float,
) -> npt.NDArray[np.float64]:
    """Expected mates per pattern of levels after EM."""
    m, share = mate.copy(), 0.1
    matched = np.zeros(len(patterns))
    for _ in range(ROUNDS):
        odds = np.log(share / (1 - share)) + np.zeros(len(patterns))
        for column in patterns.T:
            levels = np.unique(column[column >= 0])
            none = np.log(max(1 - m[levels].sum(), 0.05) / max(1 - other[levels].sum(), 0.05))
            ratio = np.append(np.log(m / other), none)
            odds += ratio[column]
        matched = times / (1 + np.exp(-np.clip(odds, -50, 50)))
        total = float(matched.sum())
        for column in patterns.T:
            known = column >= 0
            seen = np.bincount(column[known], weights=matched[known], minlength=len(m))
            levels = np.unique(column[known])
            m[levels] = (prior_pairs * mate[levels] + seen[levels]) / (prior_pairs + total + 1e-9)
        m = np.clip(m, 1e-9, 0.95)
        share = min(max(total / max(times.sum(), 1), 0.001), 0.9)
    return matched


def _falling(values: pd.DataFrame, raw: pd.Series[float]) -> npt.NDArray[np.float64]:
    """Bits that never rise with popularity within a kind."""
    order = np.lexsort((values["accounts"].to_numpy(), values["kind"].to_numpy(dtype=object)))
    result = np.empty(len(values))
    sorted_raw = raw.iloc[order].groupby(values["kind"].iloc[order].to_numpy()).cummin()
    result[order] = sorted_raw.to_numpy(dtype=np.float64)
    return result


def _weight_table(values: pd.DataFrame, conduct_bits: npt.NDArray[np.float64]) -> pd.DataFrame:
    by_level = values.groupby(["family", "kind", "popularity"], sort=True)
    table = by_level.agg(
        least_accounts=("accounts", "min"),
        most_accounts=("accounts", "max"),
        values=("accounts", "size"),
        prior_bits=("prior_bits", "mean"),
        bits=("bits", "mean"),
    ).reset_index()
    shares = np.asarray(CONDUCT_MATE_SHARE) / np.diff([0.0, *LEVEL_SHARES, 1.0])
    rows = make_frame(
        WEIGHTS,
        {
            "family": ["conduct"] * len(conduct_bits),
            "kind": [f"closest {share:.1%}" for share in (*LEVEL_SHARES, 1.0)],
            "prior_bits": np.log2(shares),
            "bits": conduct_bits,
        },
    )
    made = make_frame(WEIGHTS, {name: table[name].array for name in WEIGHTS})
    return pd.concat([made, rows], ignore_index=True)


def _family_bits(
    pairs: _Pairs, values: pd.DataFrame, conduct_bits: npt.NDArray[np.float64]
) -> dict[str, npt.NDArray[np.float64]]:
    """Bits per pair and family, in the order of the families; conduct at most the others together."""
    worth = np.append(values["bits"].to_numpy(dtype=np.float64), 0.0)
    bits = {family: worth[rows] for family, rows in pairs.best.items()}
    others = sum(bits.values(), np.zeros(len(pairs.a)))
    bits["conduct"] = np.minimum(conduct_bits[pairs.conduct], others)
    return bits


def _score(pairs: _Pairs, values: pd.DataFrame, conduct_bits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return sum(_family_bits(pairs, values, conduct_bits).values(), np.zeros(len(pairs.a)))


def _frames(
    pairs: _Pairs,
    values: pd.DataFrame,
    conduct_bits: npt.NDArray[np.float64],
    accounts: pd.DataFrame,
    evidence: pd.DataFrame,
    coded: _Coded,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Links and their evidence as frames."""
    names = accounts["account_id"].to_numpy(dtype=object)
    bits = _family_bits(pairs, values, conduct_bits)
    total = sum(bits.values(), np.zeros(len(pairs.a)))
    families = sum(((b > 0).astype(np.int64) for b in bits.values()), np.zeros(len(pairs.a), dtype=np.int64))
    order = np.argsort(names, kind="stable")
    place = np.empty(len(names), dtype=np.int64)
    place[order] = np.arange(len(names))
    swap = place[pairs.a] > place[pairs.b] if len(pairs.a) else np.empty(0, dtype=bool)
    a, b = np.where(swap, pairs.b, pairs.a), np.where(swap, pairs.a, pairs.b)
    columns = {"account_a": names[a], "account_b": names[b], "bits": total, "families": families}
    links = make_frame(LINKS, columns).sort_values(["account_a", "account_b"], ignore_index=True)
    spans = evidence.groupby(coded.value)[["first_at", "last_at"]].agg({"first_at": "min", "last_at": "max"})
    parts = []
    for family, rows in pairs.best.items():
        given = (bits[family] > 0) & (rows >= 0)
        parts.append(_evidence_rows(names, a[given], b[given], values.iloc[rows[given]], spans, rows[given]))
    parts.append(_conduct_rows(names, a, b, bits["conduct"], pairs.conduct))
    joined = pd.concat(parts, ignore_index=True)
    return links, joined.sort_values(["account_a", "account_b", "family"], ignore_index=True)


def _evidence_rows(
    names: npt.NDArray[np.object_],
    a: Codes,
    b: Codes,
    values: pd.DataFrame,
    spans: pd.DataFrame,
    rows: Codes,
) -> pd.DataFrame:
    kept = [name for name in LINK_EVIDENCE if name in values.columns]
    columns = {name: values[name].array for name in kept}
    columns |= {name: spans[name].iloc[rows].array for name in ("first_at", "last_at")}
    return make_frame(LINK_EVIDENCE, {**columns, "account_a": names[a], "account_b": names[b]})


def _conduct_rows(
    names: npt.NDArray[np.object_],
    a: Codes,
    b: Codes,
    bits: npt.NDArray[np.float64],
    level: Codes,
) -> pd.DataFrame:
    given = bits != 0
    label = np.asarray([f"closest {share:.1%} of pairs" for share in (*LEVEL_SHARES, 1.0)] + [""])
    columns = {
        "account_a": names[a[given]],
        "account_b": names[b[given]],
        "family": ["conduct"] * int(given.sum()),
        "kind": ["habits"] * int(given.sum()),
        "value": label[level[given]],
        "bits": bits[given],
    }
    return make_frame(LINK_EVIDENCE, columns)
