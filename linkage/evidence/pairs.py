"""Pairs of accounts: compared a part at a time, scored, and told in words.

There are ten pairs for every use of a shared value and few of them become links, so of a pair that becomes none nothing
is kept but its number.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from linkage.arrays import Codes, Small
from linkage.coding import codes_of, distinct, run_starts, sort_rows, text_codes
from linkage.evidence.agreement import PatternCode, Patterns, number_codes
from linkage.evidence.conduct import LEVEL_SHARES, Vectors, pair_levels
from linkage.evidence.projection import Proposed
from linkage.evidence.value_index import ValueIndex
from linkage.parallel import PARTS_AHEAD, in_threads
from linkage.terms import LINK_EVIDENCE, TEXT, Shape, make_frame

Bits = npt.NDArray[np.float64]
"""Worth of values, of levels or of pairs, in bits."""

_T = TypeVar("_T")

PART_PAIRS: Final = 1_000_000
"""Pairs that are looked at together: 130 MB."""

_WEIGHED_AHEAD: Final = 16
"""Parts whose strong pairs, 7 MB of each, may wait while those of parts before them are held against each other."""

BOUND_SLACK: Final = 1e-6
"""Sums of bits of a pair and of the best pair of its pattern are rounded apart by far less than this."""


@dataclasses.dataclass(frozen=True)
class Coded:
    """Values with their weights, and the uses of them, as codes."""

    table: pd.DataFrame
    account: Codes
    value: Codes
    accounts: int
    families: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Candidate pairs: best shared value per family (row of the value table or -1) and conduct level."""

    a: Small
    b: Small
    best: Mapping[str, Small]
    conduct: npt.NDArray[np.int8]

    def take(self, rows: npt.NDArray[np.bool_] | Codes) -> Pairs:
        """The pairs of a mask, or of some rows."""
        best = {family: column[rows] for family, column in self.best.items()}
        return Pairs(self.a[rows], self.b[rows], best, self.conduct[rows])


def family_bits(pairs: Pairs, worth: Bits, conduct_bits: Bits) -> dict[str, Bits]:
    """Bits per pair and family, in the order of the families; conduct at most the others together."""
    padded = np.append(worth, 0.0)
    bits = {family: padded[rows] for family, rows in pairs.best.items()}
    others = sum(bits.values(), np.zeros(len(pairs.a)))
    bits["conduct"] = np.minimum(conduct_bits[pairs.conduct], others)
    return bits


def score_pairs(pairs: Pairs, worth: Bits, conduct_bits: Bits) -> Bits:
    """Bits per pair; they do not fall when any worth rises."""
    return sum(family_bits(pairs, worth, conduct_bits).values(), np.zeros(len(pairs.a)))


def join_pairs(parts: Sequence[Pairs]) -> Pairs:
    """The pairs of all parts, one part after the other; at least one."""
    best = {family: np.concatenate([part.best[family] for part in parts]) for family in parts[0].best}
    a, b, conduct = (np.concatenate([getattr(part, name) for part in parts]) for name in ("a", "b", "conduct"))
    return Pairs(a, b, best, conduct)


def sort_pairs(pairs: Pairs, names: pd.Index[str]) -> Pairs:
    """The pairs with the first id as ``a``, sorted by id."""
    place = np.empty(len(names), dtype=np.int32)
    place[np.argsort(names)] = np.arange(len(names), dtype=np.int32)
    swap = place[pairs.a] > place[pairs.b]
    a, b = np.where(swap, pairs.b, pairs.a), np.where(swap, pairs.a, pairs.b)
    order = sort_rows(place[b], place[a])
    best = {family: rows[order] for family, rows in pairs.best.items()}
    return Pairs(a[order], b[order], best, pairs.conduct[order])


class Comparer:
    """Compares pairs: the best value each family shares, and how alike the two work.

    Parameters
    ----------
    coded : values and their uses.
    habits, edges : as for ``pair_levels``.

    Of what was seen of a pair only the pattern of its levels is kept. Once values have their worth, it tells whether a
    pair can be a link at all, and only those that can are looked at again.
    """

    def __init__(self, coded: Coded, *, habits: Vectors, edges: Vectors) -> None:
        self._families = coded.families
        family = codes_of(coded.table["family"], pd.Index(coded.families, dtype=TEXT))
        order = np.lexsort((-coded.table["prior_bits"].to_numpy(), family))
        self._index = ValueIndex(
            coded.account,
            coded.value,
            family=family,
            order=order,
            accounts=coded.accounts,
            families=len(coded.families),
        )
        self._value = np.append(order, -1).astype(np.int32)
        self._habits, self._edges = habits, edges
        self._level = coded.table["level"].to_numpy(dtype=np.int32)
        self._levels = int(self._level.max(initial=-1)) + 1
        ranked = self._level[order], family[order]
        self._code = PatternCode.of(*ranked, families=len(coded.families), levels=self._levels)

    def count(self, pairs: Proposed) -> Patterns:
        """The patterns of levels that the pairs have."""
        seen = list(_each_part(lambda part: self._patterns_of(*pairs.part(part)), len(pairs)))
        codes = distinct(np.concatenate([found for found, _, _ in seen]))
        times, of_pairs = np.zeros(len(codes), dtype=np.int64), []
        for found, place, counts in seen:
            mine = np.searchsorted(codes, found)
            times[mine] += counts
            of_pairs.append((mine, place))
        return Patterns(self._code.rows(codes), times, of_pairs)

    def weigh(
        self,
        pairs: Proposed,
        worth: Bits,
        conduct_bits: Bits,
        *,
        least_bits: float,
        patterns: Patterns | None = None,
    ) -> Iterator[tuple[Pairs, Bits]]:
        """The pairs of at least so many bits and the bits of each, part by part; at least one part.

        Parameters
        ----------
        worth, conduct_bits : as for :func:`score_pairs`.
        patterns : what :meth:`count` said of the same pairs; None: all are looked at.
        """
        can_pass = None if patterns is None else self._bounds(patterns, worth, conduct_bits) >= least_bits - BOUND_SLACK

        def weigh_part(part: slice) -> tuple[Pairs, Bits]:
            a, b = pairs.part(part)
            if patterns is not None and can_pass is not None:
                mine, place = patterns.of_pairs[part.start // PART_PAIRS]
                asked = can_pass[mine][place]
                a, b = a[asked], b[asked]
            seen = self._compare(a, b)
            score = score_pairs(seen, worth, conduct_bits)
            strong = score >= least_bits
            return seen.take(strong), score[strong]

        return _each_part(weigh_part, len(pairs), ahead=_WEIGHED_AHEAD)

    def _bounds(self, patterns: Patterns, worth: Bits, conduct_bits: Bits) -> Bits:
        """The most bits that a pair of each pattern can have."""
        most = np.zeros(self._levels + 1)
        np.maximum.at(most, self._level, worth)
        bits = most[patterns.rows[:, :-1]].sum(axis=1)
        conduct = patterns.rows[:, -1]
        most_conduct = conduct_bits[np.where(conduct < 0, -1, conduct - self._levels)]
        return np.asarray(bits + np.minimum(most_conduct, bits), dtype=np.float64)

    def _compare(self, a: Small, b: Small) -> Pairs:
        best = self._index.best_shared(a, b)
        columns = {family: self._value[best[:, number]] for number, family in enumerate(self._families)}
        return Pairs(a, b, columns, pair_levels(self._habits, a, b, edges=self._edges))

    def _patterns_of(self, a: Small, b: Small) -> tuple[Codes, npt.NDArray[Any], Codes]:
        """The patterns of levels that these pairs have, which of them each has, and how many have each."""
        conduct = pair_levels(self._habits, a, b, edges=self._edges)
        return number_codes(self._code.of_pairs(self._index.best_shared(a, b), conduct))


def _each_part(function: Callable[[slice], _T], length: int, *, ahead: int = PARTS_AHEAD) -> Iterator[_T]:
    """What the function makes of each part of so many pairs, in their order; at least one part."""
    starts = range(0, max(length, 1), PART_PAIRS)
    return in_threads(function, (slice(start, min(start + PART_PAIRS, length)) for start in starts), ahead=ahead)


@dataclasses.dataclass(frozen=True)
class Ties:
    """What ties pairs of accounts, ready to be told."""

    pairs: Pairs
    """``a`` before ``b`` by id, sorted by id."""
    conduct_bits: Bits
    names: pd.Index[str]
    """Ids of the accounts, by code."""
    value_table: pd.DataFrame
    spans: Mapping[str, Any]
    """When each value of ``value_table`` was used: :func:`span_values`."""

    def tell(self, wanted: Codes) -> pd.DataFrame:
        """Frame of shape ``LINK_EVIDENCE`` about the pairs of some rows, texts as categories."""
        pairs = self.pairs.take(wanted)
        bits = family_bits(pairs, self.value_table["bits"].to_numpy(dtype=np.float64), self.conduct_bits)
        # Levels of conduct stand behind the values, as if they were shared, too.
        level = pairs.conduct.astype(np.int64) % (len(LEVEL_SHARES) + 2)
        rows: dict[str, Codes] = {family: best.astype(np.int64) for family, best in pairs.best.items()}
        rows["conduct"] = len(self.value_table) + level
        given = {f: np.flatnonzero((bits[f] != 0) & (rows[f] >= 0)) for f in sorted(rows)}
        pair = np.concatenate(list(given.values()))
        order = np.argsort(pair, kind="stable")  # families ascend within a pair
        pair = pair[order]
        row = np.concatenate([rows[f][at] for f, at in given.items()])[order]
        told = self._told()
        columns: dict[str, Any] = {name: _take(told[name], row) for name in _TOLD}
        columns["bits"] = np.concatenate([bits[f][at] for f, at in given.items()])[order]
        for name, codes in (("account_a", pairs.a), ("account_b", pairs.b)):
            columns[name] = pd.Categorical.from_codes(codes[pair], self.names)
        return pd.DataFrame({name: columns[name] for name in LINK_EVIDENCE}, copy=False)

    def _told(self) -> pd.DataFrame:
        """What is told of each value: when it was used, too; and of each level of conduct, the unknown one last."""
        kept = ("family", "kind", "value", "accounts", "unrelated_accounts")
        shared = make_frame(_TOLD, {**{name: self.value_table[name].array for name in kept}, **self.spans})
        label = [*(f"closest {share:.1%} of pairs" for share in (*LEVEL_SHARES, 1.0)), ""]
        names = {"family": ["conduct"] * len(label), "kind": ["habits"] * len(label), "value": label}
        return pd.concat([shared, make_frame(_TOLD, names)], ignore_index=True)


def span_values(evidence: pd.DataFrame, value: Codes, *, values: int) -> Mapping[str, Any]:
    """The first and the last time of each value, by name of the column.

    Parameters
    ----------
    evidence : ``first_at`` and ``last_at`` of each row.
    value : number of the value of each row; rows of one stand together for the most part.
    values : how many there are.
    """
    starts, spans = run_starts(value), {}
    for name, join in (("first_at", np.fmin), ("last_at", np.fmax)):
        times = evidence[name].to_numpy(dtype="datetime64[ms]")
        whole = np.full(values, np.datetime64("NaT", "ms"))
        join.at(whole, value[starts], join.reduceat(times, starts) if len(starts) else times)
        spans[name] = pd.DatetimeIndex(whole).tz_localize("UTC")
    return spans


def _take(column: pd.Series[Any], rows: Codes) -> Any:
    """Some rows of a column, text as categories."""
    if str(column.dtype) != TEXT:
        return column.array.take(rows)
    codes, texts = text_codes(column)
    return pd.Categorical.from_codes(codes[rows], texts)


_TOLD: Final[Shape] = {
    name: dtype for name, dtype in LINK_EVIDENCE.items() if name not in ("account_a", "account_b", "bits")
}
