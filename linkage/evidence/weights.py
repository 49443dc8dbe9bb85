"""What a shared value is worth, in bits, and the links between accounts that follow from it.

A value is worth ``log2(m / u)`` (Fellegi and Sunter 1969): how much more often two accounts of one
controller share such a value (m) than two random accounts share this one (u). Rarity gives u, per value.
Shipped shares give a first m, per kind; the data correct it per family and popularity class by EM without
labels. Few pairs correct little: the shipped shares count for ``prior_pairs`` pairs.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from linkage.arrays import Codes, Small
from linkage.coding import (
    codes_of,
    distinct,
    hash_names,
    rows_by_code,
    rows_by_code_and_figure,
    run_places,
    text_codes,
    value_keys,
)
from linkage.evidence.agreement import count_patterns
from linkage.evidence.conduct import (
    LEVEL_SHARES,
    Vectors,
    conduct_order,
    level_edges,
    measure_habits,
)
from linkage.evidence.pairs import (
    Bits,
    Coded,
    Comparer,
    Ties,
    family_bits,
    sort_pairs,
    span_values,
)
from linkage.evidence.projection import Proposed, in_order, pair_up, propose, signature, value_table
from linkage.evidence.strongest import are_strongest, keep_strongest
from linkage.kernels import kernel
from linkage.settings import EvidenceSettings
from linkage.sorting import sort_up
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

MARGIN_BITS: Final = 1.0
"""A pair further below even odds is no link; those between are six links of seven (two worlds, 2026-11-29)."""

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
    """Shape ``LINKS``; ids are categories."""
    weights: pd.DataFrame
    """Shape ``WEIGHTS``."""
    values: pd.DataFrame
    """Shape ``VALUES``."""
    prior_bits: float
    """Bits a pair needs before it is as likely one controller as not."""
    ties: Ties
    """What ties each link, as codes."""

    @functools.cached_property
    def evidence(self) -> pd.DataFrame:
        """What ties each link, in the shape ``LINK_EVIDENCE``; made when it is first asked for."""
        told = self.ties.tell(np.arange(len(self.ties.pairs.a)))
        return told.astype({name: TEXT for name, dtype in LINK_EVIDENCE.items() if dtype == TEXT})

    def evidence_within(self, groups: pd.Series[Any], *, links_per_account: int) -> pd.DataFrame:
        """What ties the links inside groups: shape ``LINK_EVIDENCE``, texts as categories; the others are never made.

        Parameters
        ----------
        groups : name of the group of each account, by account id; accounts that it does not list are in none.
        links_per_account : of each account so many links inside its group, the strongest; a link that is among them
            for either end is told.
        """
        label = pd.factorize(groups.reindex(self.ties.names))[0]
        a, b = self.ties.pairs.a, self.ties.pairs.b
        inside = np.flatnonzero((label[a] >= 0) & (label[a] == label[b]))
        bits = self.links["bits"].to_numpy(dtype=np.float64)[inside]
        draws = hash_names(self.ties.names)
        are_told = are_strongest(a[inside], b[inside], bits, draws=draws, links_per_account=links_per_account)
        return self.ties.tell(inside[are_told])


def link_accounts(
    evidence: pd.DataFrame,
    *,
    accounts: pd.DataFrame,
    conduct: pd.DataFrame,
    uses: pd.DataFrame,
    settings: EvidenceSettings,
    margin_bits: float = MARGIN_BITS,
    seed: int = 0,
) -> Linked:
    """Pairs of accounts with what they share and what it is worth.

    At most ``settings.links_per_use`` pairs per account and value are looked at, and as many more per account among
    the fellows of its fellows. A link is kept where it is among the ``settings.links_per_account`` strongest of either
    account. Pairs of one declared organization are left out: they say themselves that they are one. Per family only
    the best shared value counts, so one value adds at most ``settings.max_bits``; conduct adds at most what the other
    families give together.

    Parameters
    ----------
    evidence : frame of shape ``EVIDENCE``.
    accounts : frame of shape ``ACCOUNTS``.
    conduct : frame of shape ``CONDUCT``.
    uses : frame of shape ``USES``; only its kind ``model`` is read, for the mix of models.
    settings : bounds and strength of the shipped weights.
    margin_bits : how far below even odds a pair is a link still.
    seed : of the samples that set the levels of conduct and of the candidate orders.

    Returns
    -------
    :class:`Linked`, everything sorted. O(uses * links_per_use) pairs; of one that becomes no link 8 bytes are kept.

    References
    ----------
    Fellegi and Sunter 1969, "A theory for record linkage", doi:10.1080/01621459.1969.10501049.
    Winkler 2000, "Frequency-based matching in Fellegi-Sunter model of record linkage".
    """
    check_frame(evidence, EVIDENCE, name="evidence")
    check_frame(accounts, ACCOUNTS, name="accounts")
    coded = _tabulate(evidence, accounts, settings)
    habits = measure_habits(accounts, conduct=conduct, uses=uses, settings=settings)
    prior_bits = float(np.log2((len(accounts) + settings.prior_accounts) / FELLOWS))
    organization = pd.factorize(accounts["organization_id"])[0].astype(np.int64)
    candidates = _candidates(coded, accounts, habits, organization, settings, seed=seed)
    comparer = Comparer(coded, habits=habits, edges=level_edges(habits, seed=seed))
    patterns = comparer.count(candidates)
    bits, conduct_bits, weights = _learn(coded, patterns.rows, patterns.times, settings)
    least_bits = prior_bits - margin_bits
    names: pd.Index[str] = pd.Index(accounts["account_id"])
    keep = functools.partial(keep_strongest, draws=hash_names(names), links_per_account=settings.links_per_account)
    pairs, score = keep(comparer.weigh(candidates, bits, conduct_bits, least_bits=least_bits, patterns=patterns))
    strong = score >= prior_bits
    ends = pairs.a[strong], pairs.b[strong]
    more = _fellows_of_fellows(*ends, candidates, organization, settings.links_per_use, seed=seed)
    del candidates, patterns
    pairs, _ = keep(itertools.chain([(pairs, score)], comparer.weigh(more, bits, conduct_bits, least_bits=least_bits)))
    values = coded.table.assign(bits=bits)
    spans = span_values(evidence, coded.value, values=len(values))
    ties = Ties(sort_pairs(pairs, names), conduct_bits, names, values, spans)
    return Linked(_frame_links(ties), weights, _shape_values(values), prior_bits, ties)


def chance_of(count: Any, typical: Any, *, accounts: int, settings: EvidenceSettings) -> Any:
    """Chance that an account has a value that so many have (one number or an array), unseen accounts counted in."""
    unseen = settings.prior_accounts
    return (count + unseen * typical) / (accounts + unseen)


def _conduct_prior_bits() -> Bits:
    """Shipped bits of each level of conduct."""
    shares = np.asarray(CONDUCT_MATE_SHARE, dtype=np.float64) / np.diff([0.0, *LEVEL_SHARES, 1.0])
    return np.asarray(np.log2(shares), dtype=np.float64)


def _shape_values(values: pd.DataFrame) -> pd.DataFrame:
    """The values by family, kind and value; texts stay categories, so that evidence finds its values by number."""
    shaped = values[list(VALUES)].take(np.argsort(value_keys(values), kind="stable")).reset_index(drop=True)
    return check_frame(shaped, VALUES, name="values")


def _tabulate(evidence: pd.DataFrame, accounts: pd.DataFrame, settings: EvidenceSettings) -> Coded:
    """The value table with shipped bits, popularity classes and, per family, rows from best to worst."""
    values, row = value_table(evidence)
    kind, kinds = text_codes(values["kind"])
    shares = np.array([MATE_SHARE.get(name, OTHER_SHARE[0]) for name in kinds], dtype=np.float64)[kind]
    typical = np.array([TYPICAL_SHARE.get(name, OTHER_SHARE[1]) for name in kinds], dtype=np.float64)[kind]
    count = values["accounts"].to_numpy(dtype=np.float64)
    frequency = chance_of(count, typical, accounts=len(accounts), settings=settings)
    values["prior_bits"] = np.log2(shares / frequency)
    values["chance"] = frequency
    values["unseen"] = settings.prior_accounts * typical
    values["popularity"] = np.floor(2 * np.log10(np.maximum(count, 2))).astype(np.int64)
    values["level"] = values.groupby(["family", "kind", "popularity"], sort=True).ngroup().astype(np.int64)
    account = codes_of(evidence["account_id"], pd.Index(accounts["account_id"]))
    families = tuple(sorted(values["family"].unique()))
    return Coded(values, account, row, len(accounts), families)


def _candidates(
    coded: Coded,
    accounts: pd.DataFrame,
    habits: Vectors,
    organization: Codes,
    settings: EvidenceSettings,
    *,
    seed: int,
) -> Proposed:
    """Pairs to look at; none of one declared organization."""
    created = accounts["created_at"].fillna(accounts["first_at"])
    at = created.to_numpy(dtype="datetime64[ms]").astype(np.int64)
    orders = [
        signature(coded.account, coded.value, accounts=coded.accounts, seed=seed),
        at,
        conduct_order(habits),
    ]
    return propose(
        coded.account, coded.value, orders=orders, links_per_use=settings.links_per_use, organization=organization
    )


def _fellows_of_fellows(
    a: Small, b: Small, known: Proposed, organization: Codes, links_per_use: int, *, seed: int
) -> Proposed:
    """Pairs two strong links apart that are not among the known ones; at most ``links_per_use`` by an account.

    Parameters
    ----------
    a, b : the strong links, in any order.
    known : pairs that were looked at.
    organization : as for :func:`propose`; pairs of one do not come back.
    """
    accounts = len(organization)
    draw = np.random.default_rng(seed)
    ends = in_order(a, b)
    via, fellow = _cap(np.concatenate(ends), np.concatenate(ends[::-1]), links_per_use, draw)
    first, second = _pair_fellows(via, fellow, accounts)
    is_new = ~known.among(first, second)
    first, second = _cap(first[is_new], second[is_new], links_per_use, draw)
    apart = (organization[first] < 0) | (organization[first] != organization[second])
    return pair_up(first[apart], second[apart], accounts=accounts)


def _pair_fellows(via: Codes, fellow: Codes, accounts: int) -> tuple[Codes, Codes]:
    """Each two fellows of one account, ``first < second``, ascending and without repeats.

    Parameters
    ----------
    via, fellow : accounts and their fellows; those of one account stand together, accounts ascend.
    """
    near = np.bincount(via, minlength=accounts)
    room = int((near * (near - 1) // 2).sum())
    first, second = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64)
    start = np.append(0, np.cumsum(near))
    end = _list_two_apart(via, fellow, start, *rows_by_code(fellow, count=accounts), first, second)
    return first[:end], second[:end]


@kernel
def _list_two_apart(
    via: Codes, fellow: Codes, start: Codes, start_of: Codes, rows: Small, first: Codes, second: Codes
) -> int:
    """Fill both; how many there are.

    Parameters
    ----------
    start : where the fellows of each account begin, and the end.
    start_of, rows : where the rows that have each account as a fellow begin, and the end; and these rows.
    """
    marks = np.full(start.size - 1, -1, dtype=np.int32)
    end = 0
    for account in range(start.size - 1):
        begin = end
        for row in rows[start_of[account] : start_of[account + 1]]:
            for other in fellow[start[via[row]] : start[via[row] + 1]]:
                if other > account and marks[other] != account:
                    marks[other] = account
                    first[end], second[end] = account, other
                    end += 1
        sort_up(second[begin:end])
    return end


def _cap(key: Any, other: Any, most: int, draw: np.random.Generator) -> tuple[Any, Any]:
    """At most ``most`` randomly chosen entries per key."""
    order = rows_by_code_and_figure(key, draw.random(len(key)), count=int(key.max(initial=-1)) + 1)
    key, other = key[order], other[order]
    is_kept = run_places(key) < most
    return key[is_kept], other[is_kept]


def _learn(coded: Coded, patterns: Codes, times: Codes, settings: EvidenceSettings) -> tuple[Bits, Bits, pd.DataFrame]:
    """Corrected bits per value and per level of conduct (last entry: unknown), and the table of weights.

    Parameters
    ----------
    patterns : one row per pattern of levels that pairs have, a column per family and one of conduct; -1 for none.
    times : how many pairs have each.
    """
    values = coded.table
    prior, chance = _level_priors(values, coded.accounts)
    conduct_u = np.diff([0.0, *LEVEL_SHARES, 1.0])
    conduct_m = np.asarray(CONDUCT_MATE_SHARE, dtype=np.float64)
    columns = dict(zip((*coded.families, "conduct"), patterns.T, strict=True))
    offset = len(prior)
    mate = np.concatenate([prior, conduct_m])
    other = np.concatenate([chance, conduct_u])
    learned = _learn_shares(columns, times, mate, other, prior_pairs=settings.prior_pairs)
    shift = np.clip(np.log2(learned / mate), -MAX_SHIFT, MAX_SHIFT)
    raw = values["prior_bits"] + shift[values["level"].to_numpy()]
    bits = np.clip(_falling(values, raw), 0.0, settings.max_bits)
    conduct_bits = _conduct_prior_bits() + shift[offset:]
    conduct_bits = np.minimum.accumulate(np.minimum(conduct_bits, settings.max_bits))
    return bits, np.append(conduct_bits, 0.0), _weight_table(values.assign(bits=bits), conduct_bits)


def _level_priors(values: pd.DataFrame, accounts: int) -> tuple[Bits, Bits]:
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
    times: Codes,
    mate: Bits,
    other: Bits,
    *,
    prior_pairs: float,
) -> Bits:
    """Shares of mates per level: pairs of one blocking family teach the levels of the others; averaged."""
    counts = np.zeros(len(mate))
    weight = np.zeros(len(mate))
    for block in BLOCKING:
        if block not in columns or not (columns[block] >= 0).any():
            continue
        inside = columns[block] >= 0
        taught = [column[inside] for family, column in columns.items() if family != block]
        patterns, found = count_patterns(taught, times[inside])
        matched = _expect(patterns, found, mate, other, prior_pairs=prior_pairs)
        for column in patterns.T:
            known = column >= 0
            counts += np.bincount(column[known], weights=matched[known], minlength=len(mate))
            weight[np.unique(column[known])] += matched.sum()
    return (prior_pairs * mate + counts) / np.maximum(prior_pairs + weight, 1e-9)


def _expect(
    patterns: Codes,
    times: Codes,
    mate: Bits,
    other: Bits,
    *,
    prior_pairs: float,
) -> Bits:
    """Expected mates per pattern of levels after EM."""
    m, share = mate.copy(), 0.1
    matched = np.zeros(len(patterns))
    levels_of = [distinct(column[column >= 0]) for column in patterns.T]
    for _ in range(ROUNDS):
        odds = np.log(share / (1 - share)) + np.zeros(len(patterns))
        for column, levels in zip(patterns.T, levels_of, strict=True):
            none = np.log(max(1 - m[levels].sum(), 0.05) / max(1 - other[levels].sum(), 0.05))
            ratio = np.append(np.log(m / other), none)
            odds += ratio[column]
        matched = times / (1 + np.exp(-np.clip(odds, -50, 50)))
        total = float(matched.sum())
        for column, levels in zip(patterns.T, levels_of, strict=True):
            known = column >= 0
            seen = np.bincount(column[known], weights=matched[known], minlength=len(m))
            m[levels] = (prior_pairs * mate[levels] + seen[levels]) / (prior_pairs + total + 1e-9)
        m = np.clip(m, 1e-9, 0.95)
        share = min(max(total / max(times.sum(), 1), 0.001), 0.9)
    return matched


def _falling(values: pd.DataFrame, raw: pd.Series[float]) -> Bits:
    """Bits that never rise with popularity within a kind."""
    kind = text_codes(values["kind"])[0]
    order = np.lexsort((values["accounts"].to_numpy(), kind))
    result = np.empty(len(values))
    sorted_raw = raw.iloc[order].groupby(kind[order]).cummin()
    result[order] = sorted_raw.to_numpy(dtype=np.float64)
    return result


def _weight_table(values: pd.DataFrame, conduct_bits: Bits) -> pd.DataFrame:
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


def _frame_links(ties: Ties) -> pd.DataFrame:
    pairs = ties.pairs
    bits = family_bits(pairs, ties.value_table["bits"].to_numpy(dtype=np.float64), ties.conduct_bits)
    total = sum(bits.values(), np.zeros(len(pairs.a)))
    families = sum(((b > 0).astype(np.int64) for b in bits.values()), np.zeros(len(pairs.a), dtype=np.int64))
    ends = {"account_a": pairs.a, "account_b": pairs.b}
    columns = {name: pd.Categorical.from_codes(codes, ties.names) for name, codes in ends.items()}
    return check_frame(pd.DataFrame({**columns, "bits": total, "families": families}, copy=False), LINKS, name="links")
