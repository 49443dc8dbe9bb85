"""The graph that a reader of a report can move, filter and ask: accounts, the values that tie them, and their places.

Everything in it is text that was made visible here; the page only draws it.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from linkage.outputs import ties, wording
from linkage.outputs.layout import place_dots
from linkage.outputs.marks import family_mark
from linkage.outputs.tables import records
from linkage.outputs.text import is_null, one_line, shorten_middle
from linkage.terms import MEMBERSHIPS, ClusterDetail, WholeCluster

MOST_DRAWN: Final = 2_000
"""Accounts of a cluster that is drawn whole: of more, a browser takes long to open it, and a dot is under a pixel."""

PART_DRAWN: Final = 1_000
"""Accounts drawn of a larger one, where dots and their names can still be told apart."""

_FEWEST_VALUES: Final = 60  # drawn one by one, or one for five accounts; the weaker ones of a family are one dot

_ACCOUNT_RADIUS: Final = 11.0
_MARKS: Final = re.compile(r'[<>&]|\\["\\]')  # what could end a script or an attribute, and quotes inside texts
_LEAST_REACH: Final = 230  # from the middle to the top, so that few accounts are not drawn as giants
_WIDE_SHARE: Final = 0.5
_MOST_IN_COLUMN: Final = 16
_LABEL_CHARS: Final = 26
_TOLD_CHARS: Final = 160


@dataclasses.dataclass(frozen=True)
class _Value:
    """One shared value, or the weaker values of a family together."""

    family: str
    kind: str
    label: str
    told: Sequence[tuple[str, str]]
    holders: tuple[int, ...]
    count: int
    """How many values it stands for."""


def drawn_accounts(members: int) -> int:
    """How many accounts of a cluster are drawn in its graph.

    Examples
    --------
    >>> drawn_accounts(2_000), drawn_accounts(18_000)
    (2000, 1000)
    """
    return members if members <= MOST_DRAWN else PART_DRAWN


def graph_data(detail: ClusterDetail) -> dict[str, Any]:
    """The graph of one cluster as plain JSON values.

    Values that more than half of the accounts share say nothing about who stands near whom, nor do those that tie no
    account by themselves: they stand in columns beside the others. Places are in units of which about ``height`` go
    from top to bottom.

    Returns
    -------
    ``families`` : name, colour and what is shared, strongest first; ``memberships``; ``height``; ``accounts`` : one
    ``[id, membership, x, y, [told, ...]]`` each, membership by number; ``values`` : one
    ``[family, kind, label, x, y, radius, [told, ...], [account, ...], values, side]`` each, family and accounts by
    number, ``values`` how many it stands for, ``side`` -1 or 1 in a column on the left or right, else 0. ``told`` are
    pairs of words, what and how much. The same detail gives the same graph. O(ties); about 1 s for 2,000 accounts.
    """
    whole = ties.whole_cluster(detail)
    families = [str(name) for name in whole.family_ties["family"]]
    drawn = _drawn(whole)
    values = _values(whole, drawn, families, where="in the store" if detail.whole else "in the JSON file")
    places, height = _places(len(drawn), values)
    told = [
        [
            families.index(value.family),
            value.kind,
            value.label,
            *place[:3],
            value.told,
            value.holders,
            value.count,
            place[3],
        ]
        for value, place in zip(values, places[len(drawn) :], strict=True)
    ]
    return {
        "families": [[name, family_mark(name)[0], wording.FAMILY_WORDS.get(name, "")] for name in families],
        "memberships": list(MEMBERSHIPS),
        "height": height,
        "accounts": [
            [*row[:2], *place[:2], row[2]] for row, place in zip(_accounts(detail, drawn), places, strict=False)
        ],
        "values": told,
    }


def _places(accounts: int, values: Sequence[_Value]) -> tuple[list[tuple[int, int, int, int]], int]:
    """x, y, radius and side of each account and then each value, and the height of them all."""
    # What is tied to no account that is drawn would drift far away from all others.
    is_wide = [not value.holders or len(value.holders) > _WIDE_SHARE * accounts for value in values]
    narrow = [value for value, wide in zip(values, is_wide, strict=True) if not wide]
    radii = [_ACCOUNT_RADIUS] * accounts + [12.0 + 4.0 * min(49, len(value.holders)) ** 0.5 for value in narrow]
    # A little more than the dots themselves, so that lines and labels have air.
    dots = place_dots(accounts, [value.holders for value in narrow], radii=[radius + 5 for radius in radii]).tolist()
    reach = max([_LEAST_REACH, *(abs(number) for dot in dots for number in dot)])
    placed = [(x, y, round(radius), 0) for (x, y), radius in zip(dots, radii, strict=True)]
    beside = iter(_columns(sum(is_wide), reach=reach))
    inside = iter(placed[accounts:])
    return placed[:accounts] + [next(beside if wide else inside) for wide in is_wide], 2 * reach


def _columns(count: int, *, reach: int) -> list[tuple[int, int, int, int]]:
    """Places in one column on the left, or in two when there are many; as large as the picture is high."""
    sides = 1 if count <= _MOST_IN_COLUMN else 2
    first = -(-count // sides)
    found = []
    for place in range(count):
        side, row, rows = (-1, place, first) if place < first else (1, place - first, count - first)
        step = 2 * reach / max(_MOST_IN_COLUMN, rows)
        x = side * (reach + 2.2 * reach / _MOST_IN_COLUMN)
        found.append((round(x), round((row - (rows - 1) / 2) * step), round(0.28 * step), side))
    return found


def graph_script(detail: ClusterDetail) -> Markup:
    """The graph as the text of a ``<script type="application/json">``, which nothing in it can end."""
    text = json.dumps(graph_data(detail), allow_nan=False, separators=(",", ":"))
    return Markup(_MARKS.sub(lambda match: f"\\u{ord(match.group()[-1]):04x}", text))  # noqa: S704


def _drawn(whole: WholeCluster) -> npt.NDArray[np.int64]:
    """Places of the members that are drawn: all, or of a large cluster those whom few others share a value with.

    One value of thousands would fill the picture with accounts that have nothing else in common, so groups are taken
    whole that are a tenth of it at most, those that tell most first.
    """
    members = len(whole.account_bits)
    left = drawn_accounts(members)
    if left == members:
        return np.arange(members)
    is_drawn = np.zeros(members, dtype=bool)
    for row in np.flatnonzero(np.diff(whole.held_from) <= left // 10):
        fresh = whole.holders(int(row))
        fresh = fresh[~is_drawn[fresh]]
        fresh = fresh[:left]
        is_drawn[fresh] = True
        left -= len(fresh)
        if not left:
            break
    is_drawn[np.flatnonzero(~is_drawn)[:left]] = True
    return np.flatnonzero(is_drawn)


def _accounts(detail: ClusterDetail, drawn: npt.NDArray[np.int64]) -> list[tuple[str, int, list[tuple[str, str]]]]:
    ranks = {str(name): number for number, name in enumerate(MEMBERSHIPS)}
    return [
        (
            one_line(row["account_id"], longest=_TOLD_CHARS),
            ranks.get(row["membership"], len(ranks) - 1),
            [("run as one", wording.percent(row["controller_probability"])), ("requests", f"{row['requests']:,}")],
        )
        for row in records(detail.members.iloc[drawn])
    ]


def _values(whole: WholeCluster, drawn: npt.NDArray[np.int64], families: Sequence[str], *, where: str) -> list[_Value]:
    """Values in the order of the families, the strongest first, and one for the rest of each family."""
    number = np.full(len(whole.account_bits), -1)
    number[drawn] = np.arange(len(drawn))
    held = np.repeat(np.arange(len(whole.value_ties)), np.diff(whole.held_from))
    ties_drawn = np.bincount(held[number[whole.held_by] >= 0], minlength=len(whole.value_ties)) >= 2

    def numbers(places: npt.NDArray[Any]) -> tuple[int, ...]:
        return tuple(each for each in number[places].tolist() if each >= 0)

    by_family = {name: np.flatnonzero(whole.value_ties["family"] == name) for name in families}
    most = max(_FEWEST_VALUES, len(drawn) // 5)
    shares = _shares([int(ties_drawn[rows].sum()) for rows in by_family.values()], most=most)
    found: list[_Value] = []
    for (name, rows), share in zip(by_family.items(), shares, strict=True):
        shown = rows[ties_drawn[rows]][:share]
        weaker = np.setdiff1d(rows, shown)
        found += [
            _value(row, numbers(whole.holders(place)))
            for place, row in zip(shown.tolist(), whole.value_ties.iloc[shown].itertuples(), strict=True)
        ]
        if len(weaker):
            left = np.setdiff1d(whole.holders_of_any(weaker), whole.holders_of_any(shown))
            found.append(_rest(name, len(weaker), len(left), numbers(left), where=where))
    return found


def _shares(counts: Sequence[int], *, most: int) -> list[int]:
    """How many values each family shows: all it has while they are few, else an equal part of ``most``.

    Examples
    --------
    >>> _shares([600, 22, 3], most=150), _shares([5, 2], most=150)
    ([125, 22, 3], [5, 2])
    """
    shares = [0] * len(counts)
    left = most
    waiting = sorted(range(len(counts)), key=lambda place: (counts[place], place))
    for turn, place in enumerate(waiting):
        shares[place] = min(counts[place], left // (len(waiting) - turn))
        left -= shares[place]
    return shares


def _value(row: Any, holders: tuple[int, ...]) -> _Value:
    outside = max(0, int(row.accounts) - int(row.inside))
    told = [("members here", f"{row.inside:,}"), ("accounts elsewhere", f"{outside:,}")]
    if not is_null(row.bits):
        told.append(("worth", f"{row.bits:.1f} bits"))
    if not is_null(row.first_at):
        told.append(("seen", f"{wording.day(row.first_at)} to {wording.day(row.last_at)}"))
    text = f"alike in {row.family}" if row.value == row.family else one_line(str(row.value), longest=_TOLD_CHARS)
    kind = "" if row.kind == row.family else one_line(str(row.kind)).replace("_", " ")
    return _Value(str(row.family), kind, shorten_middle(text, longest=_LABEL_CHARS), _whole(text) + told, holders, 1)


def _whole(text: str) -> list[tuple[str, str]]:
    return [("value", text)] if len(text) > _LABEL_CHARS else []


def _rest(family: str, values: int, left: int, drawn: tuple[int, ...], *, where: str) -> _Value:
    """The weaker values of a family as one, tied to the accounts that no value drawn of this family ties."""
    told = [("accounts that only these tie", f"{left:,}"), ("where", where)]
    return _Value(family, "", f"{values:,} more of {family}", told, drawn, values)
