"""Pictures of one cluster: what ties its accounts, when they worked, how strong each tie is.

Every function returns matplotlib ``Axes`` and leaves pyplot alone: pass ``ax`` to draw into a figure of
your own, or get a new one. Colours are those of Okabe and Ito, and no meaning hangs on colour alone.

References
----------
Okabe and Ito (2008), Color Universal Design: how to make figures that are friendly to colorblind people.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Patch

from linkage.outputs import ties
from linkage.outputs.margins import Margins, bar_margin, colour_bar, drawable, new_axes, widest
from linkage.outputs.marks import INK, MUTED, family_mark
from linkage.outputs.text import is_null, shorten_middle
from linkage.terms import DAY_MS, HOUR_MS, MEMBERSHIPS, ClusterDetail, WholeCluster, counted

_LINES: Final[Mapping[str, tuple[str, str, str]]] = {
    "enforced": ("acted on", "#0072B2", "-"),
    "new": ("came after", "#D55E00", "--"),
    "spared": ("spared", "#7F7F7F", "-."),
}
_MEMBERSHIP_FILL: Final = {"core": 0.30, "probable": 0.13, "bystander": 0.0}

_MOST_SINGLE_ACCOUNTS: Final = 30
_MOST_GROUPS: Final = 24
_MOST_VALUES: Final = 26
_MOST_COLUMNS: Final = 170
_MOST_ROWS: Final = 300
_BIN_HOURS: Final = (1, 3, 6, 12, 24, 48, 96, 168)

_NAMED_KINDS: Final = ("contract", "model", "conduct", "rhythm", "partition", "succession")
_SMALL_SHARE: Final = 0.04
_FEWEST_VALUES: Final = 3

_WIDE: Final = 9.0
_REACH: Final = 1.12
_LABEL: Final = 8.0
_NOTE: Final = 6.5
_NAME: Final = 7.0
_BOX_HALF: Final = 0.19
_HUB_X: Final = 0.60
_LABEL_X: Final = 0.635
_CURVE: Final = np.linspace(0, 1, 24)


@dataclasses.dataclass(frozen=True)
class _Hub:
    """A shared value as drawn, or all the weaker values of one family together."""

    family: str
    label: str
    note: str
    holders: frozenset[str]


@dataclasses.dataclass(frozen=True)
class _Box:
    """Accounts drawn as one: a single account, or accounts with the same ties."""

    accounts: tuple[str, ...]
    label: str
    membership: str
    top: float
    height: float

    @property
    def middle(self) -> float:
        return self.top - self.height / 2


def cluster(detail: ClusterDetail, *, ax: Axes | None = None) -> Axes:
    """The accounts of a cluster (middle) and the values that tie them (left and right).

    Up to 30 accounts are drawn one by one. Above that, accounts with the same ties share a box whose height
    grows with their number, and the weaker values of a family are gathered under "more"; the total of boxes
    stays under 26 and of values under 30 whatever the size. Lines are as wide as the share of accounts they
    carry. Nothing is random: the same detail gives the same picture.

    Parameters
    ----------
    detail : the cluster; a masked detail gives a picture without personal data.
    ax : where to draw; None makes a new figure of a fitting size.

    Returns
    -------
    The axes; ``.figure`` is the figure around them.
    """
    hubs = _hubs(detail)
    boxes = _boxes(detail, hubs)
    sides = _split_sides(hubs)
    rows = max(len(boxes) * 0.75, *(len(side) for side in sides))
    handles = _handles(hubs, boxes)
    ax = ax or new_axes(width=_WIDE, height=min(11.0, 1.9 + 0.36 * rows), margins=_room(hubs, handles))
    for direction, side in zip((-1, 1), sides, strict=True):
        _draw_side(ax, side, boxes, direction=direction, total=len(detail.members))
    for box in boxes:
        _draw_box(ax, box)
    ax.set(xlim=(-_REACH, _REACH), ylim=(-1.02, 0.03))
    ax.axis("off")
    _title(ax, detail, f"{counted(len(detail.members), 'account')} · tier {detail.cluster['tier']}")
    _legend(ax, handles)
    return ax


def _room(hubs: Sequence[_Hub], handles: Sequence[Line2D | Patch]) -> Margins:
    """Around the accounts and values: for the widest label of a value, and for the legend below."""
    label = max(widest((hub.label for hub in hubs), points=_LABEL), widest((hub.note for hub in hubs), points=_NOTE))
    inside = (_REACH - _LABEL_X) / (2 * _REACH)  # of the width of the axes, beside where a label begins
    beside = max(0.05, (label - inside * _WIDE) / (1 - 2 * inside))
    return Margins(beside, beside, 0.17 + 0.19 * -(-len(handles) // _columns(handles)))


def _hubs(detail: ClusterDetail) -> list[_Hub]:
    """Hubs in the order of the families, strongest value first inside a family."""
    whole = ties.whole_cluster(detail)
    values = whole.value_ties
    found = set(values["family"].unique())
    families = [name for name in whole.family_ties["family"] if name in found]
    each = 8
    while each > 1 and sum(min(each + 1, n) for n in values["family"].value_counts()) > _MOST_VALUES:
        each -= 1
    by_family = {family: values[values["family"] == family] for family in families}
    small = _SMALL_SHARE * len(detail.members)
    return [hub for rows in by_family.values() for hub in _family_hubs(rows, whole, each=each, small=small)]


def _family_hubs(rows: pd.DataFrame, whole: WholeCluster, *, each: int, small: float) -> list[_Hub]:
    names = whole.account_bits.index.to_numpy(dtype=object)
    wide = int((rows["inside"] >= small).sum())
    shown = len(rows) if len(rows) <= each + 1 else min(each, max(wide, _FEWEST_VALUES))
    first = [(int(str(place)), row) for place, row in rows.iloc[:shown].iterrows()]
    hubs = [
        _Hub(str(row["family"]), _value_label(row), _value_note(row), frozenset(names[whole.holders(place)]))
        for place, row in first
    ]
    if shown < len(rows):
        rest = frozenset(names[whole.holders_of_any(rows.index[shown:])])
        note = f"{counted(len(rest), 'account')} share one or more"
        hubs.append(_Hub(hubs[0].family, f"{len(rows) - shown:,} more of {hubs[0].family}", note, rest))
    return hubs


def _value_label(row: pd.Series[Any]) -> str:
    family, kind, value = (str(row[name]) for name in ("family", "kind", "value"))
    if value == family:
        return f"alike in {family}"
    prefix = f"{kind} " if kind in _NAMED_KINDS else ""
    return shorten_middle(drawable(prefix + value), longest=30)


def _value_note(row: pd.Series[Any]) -> str:
    worth = "" if is_null(row["bits"]) else f" · {row['bits']:.1f} bits"
    outside = max(0, int(row["accounts"]) - int(row["inside"]))
    return f"{int(row['inside']):,} here, {outside:,} elsewhere{worth}"


def _boxes(detail: ClusterDetail, hubs: Sequence[_Hub]) -> list[_Box]:
    """Accounts or groups of accounts from top to bottom, alike ones beside each other."""
    accounts = list(detail.members["account_id"])
    membership = dict(zip(accounts, detail.members["membership"], strict=True))
    held = {account: tuple(account not in hub.holders for hub in hubs) for account in accounts}
    is_single = len(accounts) <= _MOST_SINGLE_ACCOUNTS
    groups = [[account] for account in accounts] if is_single else _alike(accounts, held, hubs)
    groups.sort(key=lambda group: (min(held[account] for account in group), group))
    groups, others = (groups, []) if is_single else _set_small_apart(groups)
    return _stack([*groups, others] if others else groups, membership, is_single=is_single, others=others)


def _set_small_apart(groups: Sequence[list[str]]) -> tuple[list[list[str]], list[str]]:
    """Groups worth a box of their own, and the accounts of all that hold under one account in a hundred."""
    smallest = max(2.0, 0.01 * sum(map(len, groups)))
    small = [group for group in groups if len(group) < smallest]
    if len(small) < 2:
        return list(groups), []
    return [group for group in groups if len(group) >= smallest], sorted(itertools.chain.from_iterable(small))


def _alike(accounts: Sequence[str], held: Mapping[str, tuple[bool, ...]], hubs: Sequence[_Hub]) -> list[list[str]]:
    """Groups with the same ties in as many families, strongest first, as keep the groups few."""
    columns: list[int] = []
    for family in dict.fromkeys(hub.family for hub in hubs):
        wider = columns + [place for place, hub in enumerate(hubs) if hub.family == family]
        if len(_group_by(accounts, held, wider)) <= _MOST_GROUPS:
            columns = wider
    return list(_group_by(accounts, held, columns).values())


def _group_by(
    accounts: Sequence[str], held: Mapping[str, tuple[bool, ...]], columns: Sequence[int]
) -> dict[tuple[bool, ...], list[str]]:
    groups: dict[tuple[bool, ...], list[str]] = {}
    for account in accounts:
        groups.setdefault(tuple(held[account][column] for column in columns), []).append(account)
    return groups


def _stack(
    groups: Sequence[Sequence[str]],
    membership: Mapping[str, str],
    *,
    is_single: bool,
    others: Sequence[str],
) -> list[_Box]:
    total = sum(len(group) for group in groups)
    smallest = 0.5 / max(1, len(groups))
    boxes, top = [], 0.0
    for group in groups:
        height = smallest + 0.5 * len(group) / total
        label = shorten_middle(drawable(group[0]), longest=24) if is_single else counted(len(group), "account")
        label = counted(len(group), "other") if group is others else label
        kind = Counter(membership[account] for account in group).most_common(1)[0][0]
        boxes.append(_Box(tuple(group), label, kind, top, height))
        top -= height
    return boxes


def _split_sides(hubs: Sequence[_Hub]) -> tuple[list[_Hub], list[_Hub]]:
    """Whole families to the left or right, so that both sides have about as many values."""
    left: list[_Hub] = []
    right: list[_Hub] = []
    for family in dict.fromkeys(hub.family for hub in hubs):
        side = left if len(left) <= len(right) else right
        side += [hub for hub in hubs if hub.family == family]
    return left, right


def _draw_side(ax: Axes, side: Sequence[_Hub], boxes: Sequence[_Box], *, direction: int, total: int) -> None:
    step = 1 / max(1, len(side))
    for place, hub in enumerate(_by_height(side, boxes)):
        y = -step * (place + 0.5)
        colour, marker = family_mark(hub.family)
        _draw_lines(ax, hub, boxes, y=y, direction=direction, total=total)
        size = 5 + 9 * (len(hub.holders) / max(1, total)) ** 0.5
        x = direction * _HUB_X
        ax.plot([x], [y], marker=marker, markersize=size, color=colour, markeredgecolor="white", zorder=4)
        _draw_label(ax, hub, x=direction * _LABEL_X, y=y, align="left" if direction > 0 else "right")


def _by_height(side: Sequence[_Hub], boxes: Sequence[_Box]) -> list[_Hub]:
    """Families stay together; inside one, each value stands near the accounts that have it."""

    def middle(hub: _Hub) -> float:
        weights = [(box.middle, sum(a in hub.holders for a in box.accounts)) for box in boxes]
        return sum(y * n for y, n in weights) / max(1, sum(n for _, n in weights))

    families = list(dict.fromkeys(hub.family for hub in side))
    return sorted(side, key=lambda hub: (families.index(hub.family), -round(middle(hub), 6), hub.label))


def _draw_lines(ax: Axes, hub: _Hub, boxes: Sequence[_Box], *, y: float, direction: int, total: int) -> None:
    curves, widths = [], []
    for box in boxes:
        count = sum(account in hub.holders for account in box.accounts)
        if count:
            start = (direction * _BOX_HALF, box.middle)
            curves.append(_curve(start, (direction * _HUB_X, y)))
            widths.append(0.9 if len(box.accounts) == 1 else 0.6 + 9 * count / total)
    colour, _ = family_mark(hub.family)
    ax.add_collection(LineCollection(curves, linewidths=widths, colors=colour, alpha=0.42, zorder=1))


def _curve(start: tuple[float, float], end: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Points of an S-shaped line between two places, level at both ends."""
    eased = _CURVE**2 * (3 - 2 * _CURVE)
    x = start[0] + (end[0] - start[0]) * _CURVE
    return np.column_stack([x, start[1] + (end[1] - start[1]) * eased])


def _draw_label(ax: Axes, hub: _Hub, *, x: float, y: float, align: str) -> None:
    options: dict[str, Any] = {"ha": align, "parse_math": False, "zorder": 5}
    ax.text(x, y, hub.label, fontsize=_LABEL, color=INK, va="bottom", **options)
    ax.text(x, y, hub.note, fontsize=_NOTE, color=MUTED, va="top", **options)


def _draw_box(ax: Axes, box: _Box) -> None:
    gap = min(0.006, box.height * 0.12)
    patch = FancyBboxPatch(
        (-_BOX_HALF, box.top - box.height + gap),
        2 * _BOX_HALF,
        box.height - 2 * gap,
        boxstyle="round,pad=0,rounding_size=0.006",
        zorder=3,
        **_box_style(box.membership),
    )
    ax.add_patch(patch)
    ax.text(0, box.middle, box.label, fontsize=7.5, color=INK, ha="center", va="center", parse_math=False, zorder=5)


def _box_style(membership: str) -> dict[str, Any]:
    shade = 1 - _MEMBERSHIP_FILL.get(membership, 0.0)
    style = "--" if membership == "bystander" else "-"
    return {
        "facecolor": (shade, shade, min(1.0, shade + 0.02)),
        "edgecolor": MUTED,
        "linewidth": 0.8,
        "linestyle": style,
    }


def _handles(hubs: Sequence[_Hub], boxes: Sequence[_Box]) -> list[Line2D | Patch]:
    """What the legend explains: the families and memberships that are drawn."""
    handles: list[Line2D | Patch] = []
    for family in dict.fromkeys(hub.family for hub in hubs):
        colour, marker = family_mark(family)
        handles.append(Line2D([], [], color=colour, marker=marker, markersize=6, alpha=0.9, label=drawable(family)))
    for membership in MEMBERSHIPS:
        if any(box.membership == membership for box in boxes):
            handles.append(Patch(label=membership, **_box_style(membership)))
    return handles


def _columns(handles: Sequence[Line2D | Patch]) -> int:
    return min(5, max(1, len(handles)))


def _legend(ax: Axes, handles: list[Line2D | Patch]) -> None:
    ax.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=_columns(handles),
        fontsize=8,
        frameon=False,
        labelcolor=INK,
    )


def timeline(detail: ClusterDetail, *, ax: Axes | None = None) -> Axes:
    """Requests per account (rows, first to become active on top) and stretch of time (columns, UTC).

    Columns are 1 hour to 1 week wide, so that there are at most about 170. Above 300 accounts a row is the
    sum of several neighbours, and the axis says how many. Shades are logarithmic; no request is no shade.

    Parameters
    ----------
    detail : the cluster.
    ax : where to draw; None makes a new figure of a fitting size.
    """
    counts, edges, names = _activity_matrix(detail)
    matrix, each = _fold_rows(counts, how="sum")
    labels, most = _row_labels(names), max(2.0, float(matrix.max(initial=0.0)))
    room = Margins(_names_margin(labels), bar_margin(most, is_log=True), 0.45)
    ax = ax or new_axes(width=_WIDE, height=_raster_height(len(names)), margins=room)
    _title(ax, detail, "requests over time")
    if not matrix.size:
        return _say_empty(ax, "no request of these accounts lies in the window")
    extent = (edges[0], edges[-1], len(matrix) - 0.5, -0.5)
    shown = np.ma.masked_less(matrix, 1)
    norm = LogNorm(vmin=1, vmax=most)
    image = ax.imshow(shown, aspect="auto", interpolation="none", extent=extent, cmap="viridis_r", norm=norm)
    _date_axis(ax)
    hours = round((edges[1] - edges[0]) * 24)
    width = f"{hours} h" if hours < 24 else f"{hours // 24} d"
    colour_bar(ax, image, label=f"requests per {width}")
    _name_rows(ax, labels, accounts=len(names), each=each, order="by first activity")
    return ax


def _activity_matrix(
    detail: ClusterDetail,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], list[str]]:
    """Requests (accounts x time bins), bin edges in matplotlib days, account ids in row order."""
    rows = ties.whole_cluster(detail).activity.sort_values(["hour_at", "account_id"])
    if rows.empty:
        return np.zeros((0, 0)), np.zeros(1), []
    index, names = pd.factorize(rows["account_id"])
    hours = rows["hour_at"].astype("int64").to_numpy() // HOUR_MS
    span = int(hours.max() - hours.min()) + 1
    width = next((hours for hours in _BIN_HOURS if span <= hours * _MOST_COLUMNS), _BIN_HOURS[-1])
    start = int(hours.min()) // width * width
    bins = (hours - start) // width
    matrix = np.zeros((len(names), int(bins.max()) + 1))
    np.add.at(matrix, (index, bins), rows["request_count"].to_numpy())
    return matrix, (start + width * np.arange(matrix.shape[1] + 1)) / 24.0, list(names)


def evidence_matrix(detail: ClusterDetail, *, ax: Axes | None = None) -> Axes:
    """The strongest bits of each account (rows) in each evidence family (columns).

    Rows: core first, then probable, then bystanders; most bits on top. Up to 30 accounts the bits are written
    in. Above 300 accounts a row is the mean of several neighbours, and the axis says how many.

    Parameters
    ----------
    detail : the cluster.
    ax : where to draw; None makes a new figure of a fitting size.
    """
    bits = _ordered_bits(detail)
    matrix, each = _fold_rows(bits.to_numpy(), how="mean")
    labels, most = _row_labels(list(bits.index)), max(1.0, float(matrix.max(initial=0.0)))
    room = Margins(_names_margin(labels), bar_margin(most, is_log=False), 0.3)
    ax = ax or new_axes(width=max(5.0, 2.4 + 0.95 * bits.shape[1]), height=_raster_height(len(bits)), margins=room)
    _title(ax, detail, "bits of evidence by family")
    if not matrix.size:
        return _say_empty(ax, "no link among these accounts")
    image = ax.imshow(matrix, aspect="auto", interpolation="none", cmap="Blues", vmin=0, vmax=most)
    families = [drawable(str(family)) for family in bits.columns]
    ax.set_xticks(range(len(families)), families, fontsize=8)
    ax.tick_params(length=0)
    colour_bar(ax, image, label="bits (each doubles the odds of one operator)")
    _name_rows(ax, labels, accounts=len(bits), each=each, order="core first")
    if len(bits) <= _MOST_SINGLE_ACCOUNTS:
        _write_bits(ax, matrix)
    return ax


def _ordered_bits(detail: ClusterDetail) -> pd.DataFrame:
    bits = ties.account_bits(detail)
    ranks = {str(name): place for place, name in enumerate(MEMBERSHIPS)}
    order = pd.DataFrame(
        {
            "rank": [ranks.get(name, len(ranks)) for name in detail.members["membership"]],
            "bits": -bits.sum(axis=1).to_numpy(),
            "account_id": list(bits.index),
        }
    )
    return bits.loc[list(order.sort_values(["rank", "bits", "account_id"])["account_id"])]


def regrowth(curve: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Requests a day of the accounts that were acted on, of those spared, and of those that came after.

    Parameters
    ----------
    curve : one row per UTC day: ``day_at`` and ``enforced_requests``, ``spared_requests``, ``new_requests``, such as
        ``cluster.regrowth``.
    ax : where to draw; None makes a new figure.
    """
    ax = ax or new_axes(width=8.0, height=3.6)
    ax.set_title("requests a day before and after action", fontsize=10, color=INK, loc="left")
    if curve.empty:
        return _say_empty(ax, "nobody acted on these accounts")
    # Days since 1970, which is how matplotlib counts: no zone of a style sheet moves them.
    days = curve["day_at"].astype("int64").to_numpy() / DAY_MS
    for name, (label, colour, line) in _LINES.items():
        total = curve[f"{name}_requests"]
        ax.plot(
            days, total, line, color=colour, drawstyle="steps-mid", label=f"{label}: {counted(total.sum(), 'request')}"
        )
    _date_axis(ax)
    ax.set_ylim(bottom=0)
    ax.set_ylabel("requests a day", fontsize=8, color=INK)
    return _plain_frame(ax)


def reliability(curve: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """How often a verdict of some probability turned out right, against the line where it is right as often as it says.

    Parameters
    ----------
    curve : one row per verdict and bin: ``verdict``, ``accounts``, ``mean_probability`` and ``observed_share``, such as
        the ``calibration`` of an evaluation. Larger marks stand for more accounts.
    ax : where to draw; None makes a new figure.
    """
    ax = ax or new_axes(width=4.8, height=4.6)
    ax.set_title("reliability of the verdicts", fontsize=10, color=INK, loc="left")
    if curve.empty:
        return _say_empty(ax, "no account to judge by")
    ax.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":")
    most = max(1, int(curve["accounts"].max()))
    for (verdict, rows), (_, colour, line) in zip(curve.groupby("verdict"), _LINES.values(), strict=False):
        at, right = rows["mean_probability"].to_numpy(), rows["observed_share"].to_numpy()
        label = f"{drawable(str(verdict))}, {counted(rows['accounts'].sum(), 'account')}"
        ax.plot(at, right, line, color=colour, linewidth=1.2, label=label)
        ax.scatter(at, right, s=12 + 160 * rows["accounts"] / most, color=colour, alpha=0.6, linewidths=0)
    ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
    ax.set_xlabel("probability told", fontsize=8, color=INK)
    ax.set_ylabel("share that was right", fontsize=8, color=INK)
    return _plain_frame(ax)


def _plain_frame(ax: Axes) -> Axes:
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8)
    ax.legend(fontsize=8, frameon=False, labelcolor=INK)
    return ax


def _date_axis(ax: Axes) -> None:
    locator = dates.AutoDateLocator(tz="UTC")  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    formatter = dates.ConciseDateFormatter(locator, tz="UTC")  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_formatter(formatter)


def _write_bits(ax: Axes, matrix: npt.NDArray[np.float64]) -> None:
    for (row, column), bits in np.ndenumerate(matrix):
        if bits > 0:
            colour = "white" if bits > 0.6 * matrix.max() else INK
            ax.text(column, row, f"{bits:.1f}", ha="center", va="center", fontsize=7, color=colour)


def _fold_rows(matrix: npt.NDArray[np.float64], *, how: str) -> tuple[npt.NDArray[np.float64], int]:
    """The matrix with at most ``_MOST_ROWS`` rows, and how many accounts one row stands for."""
    each = max(1, -(-len(matrix) // _MOST_ROWS))
    if each == 1:
        return matrix, 1
    starts = np.arange(0, len(matrix), each)
    folded: npt.NDArray[np.float64] = np.add.reduceat(matrix, starts, axis=0)
    if how == "mean":
        folded = folded / np.diff([*starts, len(matrix)])[:, None]
    return folded, each


def _row_labels(names: Sequence[str]) -> list[str]:
    """Names of the accounts where each has a row of its own with room for it; none where not."""
    return [shorten_middle(drawable(name), longest=24) for name in names] if len(names) <= _MOST_SINGLE_ACCOUNTS else []


def _names_margin(labels: Sequence[str]) -> float:
    return 0.2 + widest(labels, points=_NAME) if labels else 0.3


def _name_rows(ax: Axes, labels: Sequence[str], *, accounts: int, each: int, order: str) -> None:
    if labels:
        ax.set_yticks(range(len(labels)), labels, fontsize=_NAME, parse_math=False)
        return
    ax.set_yticks([])
    folded = f", {each} to a row" if each > 1 else ""
    ax.set_ylabel(f"{counted(accounts, 'account')}, {order}{folded}", fontsize=8, color=INK)


def _title(ax: Axes, detail: ClusterDetail, words: str) -> None:
    name = shorten_middle(drawable(str(detail.cluster["cluster_id"])), longest=32)
    # Where it stands is told: matplotlib would measure all ticks to find out.
    ax.set_title(f"{name} · {words}", fontsize=10, color=INK, loc="left", y=1.0, parse_math=False)


def _say_empty(ax: Axes, words: str) -> Axes:
    ax.axis("off")
    ax.text(0.5, 0.5, words, ha="center", va="center", color=MUTED, transform=ax.transAxes)
    return ax


def _raster_height(accounts: int) -> float:
    """Inches: every row can be told apart while rows have names, and a fixed height above that."""
    return 1.5 + 0.22 * max(4, accounts) if accounts <= _MOST_SINGLE_ACCOUNTS else 5.2
