"""Pictures: what they show at 5 to 2,000 accounts, that log text cannot break them, that nothing is global."""

import dataclasses
import io
import re

import numpy as np
import pandas as pd
import pytest
from details import make_detail
from matplotlib import _pylab_helpers
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from linkage import terms
from linkage.outputs import pictures, plots, ties
from linkage.outputs.marks import FAMILY_MARKS
from linkage.terms import FAMILIES, ClusterDetail, make_frame

DRAWINGS = [plots.cluster, plots.timeline, plots.evidence_matrix]
SIZES = [5, 14, 50, 400, 2000]


@pytest.fixture(scope="module")
def details() -> dict[int, ClusterDetail]:
    return {size: make_detail(size) for size in SIZES}


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def boxes(ax: Axes) -> list[FancyBboxPatch]:
    return [patch for patch in ax.patches if isinstance(patch, FancyBboxPatch)]


@pytest.mark.parametrize("size", SIZES)
def test_the_title_says_which_cluster_how_many_accounts_and_which_tier(
    size: int, details: dict[int, ClusterDetail]
) -> None:
    assert plots.cluster(details[size]).get_title(loc="left") == f"c-7f3a91 · {size:,} accounts · tier enforce"


@pytest.mark.parametrize("size", [5, 14])
def test_a_small_cluster_shows_every_account_by_name(size: int, details: dict[int, ClusterDetail]) -> None:
    ax = plots.cluster(details[size])
    assert set(details[size].members["account_id"]) <= set(texts(ax))
    assert len(boxes(ax)) == size


@pytest.mark.parametrize("size", [50, 400, 2000])
def test_a_large_cluster_is_drawn_as_few_boxes_that_count_every_account_once(
    size: int, details: dict[int, ClusterDetail]
) -> None:
    ax = plots.cluster(details[size])
    counted = [match for text in texts(ax) if (match := re.fullmatch(r"([\d,]+) (accounts?|others)", text))]
    assert sum(int(match.group(1).replace(",", "")) for match in counted) == size
    assert len(boxes(ax)) == len(counted) <= 25


@pytest.mark.parametrize("size", SIZES)
def test_labels_in_one_column_do_not_overlap_and_stay_inside(size: int, details: dict[int, ClusterDetail]) -> None:
    ax = plots.cluster(details[size])
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    extents = [text.get_window_extent() for text in ax.texts]
    for place, extent in enumerate(extents):
        assert extent.x0 >= 0
        assert extent.x1 <= figure.bbox.x1
        for other in extents[place + 1 :]:
            overlap = min(extent.y1, other.y1) - max(extent.y0, other.y0)
            apart = extent.x1 <= other.x0 or other.x1 <= extent.x0
            assert apart or overlap < 2.5, "labels lie on each other"


def test_the_legend_names_every_family_that_ties(details: dict[int, ClusterDetail]) -> None:
    legend = plots.cluster(details[14]).get_legend()
    assert legend is not None
    named = {text.get_text() for text in legend.get_texts()}
    assert {"payment", "network", "content", "client", "registration", "conduct", "core", "probable"} == named


def test_the_strongest_card_is_named_and_the_weaker_ones_are_counted(details: dict[int, ClusterDetail]) -> None:
    values = ties.shared_values(details[400])
    cards = values[values["family"] == "payment"]
    shown = texts(plots.cluster(details[400]))
    named = [value for value in cards["value"] if value in shown]
    assert named
    assert f"{len(cards) - len(named)} more of payment" in shown


def test_every_family_has_its_own_colour_and_marker() -> None:
    assert set(FAMILY_MARKS) == set(FAMILIES)
    colours, markers = zip(*FAMILY_MARKS.values(), strict=True)
    assert len(set(colours)) == len(set(markers)) == len(FAMILIES)


def test_the_timeline_holds_every_request_and_puts_early_accounts_on_top(details: dict[int, ClusterDetail]) -> None:
    for size in (14, 400):
        detail = details[size]
        matrix = plots.timeline(detail).images[0].get_array()
        assert matrix is not None
        assert np.ma.filled(matrix, 0).sum() == detail.activity["request_count"].sum()
    first = details[14].activity.sort_values(["hour_at", "account_id"])["account_id"].drop_duplicates()
    assert [tick.get_text() for tick in plots.timeline(details[14]).get_yticklabels()] == list(first)


def test_the_evidence_matrix_shows_the_strongest_bits_and_the_core_first(details: dict[int, ClusterDetail]) -> None:
    ax = plots.evidence_matrix(details[14])
    matrix = ax.images[0].get_array()
    assert matrix is not None
    assert matrix.max() == pytest.approx(details[14].links["bits"].max())
    rank = details[14].members.set_index("account_id")["membership"].map({"core": 0, "probable": 1, "bystander": 2})
    order = [rank[tick.get_text()] for tick in ax.get_yticklabels()]
    assert order == sorted(order)
    assert ax.get_xticklabels()[0].get_text() == "payment"


@pytest.mark.parametrize("draw", DRAWINGS)
def test_rows_are_folded_and_the_axis_says_so(draw: object, details: dict[int, ClusterDetail]) -> None:
    if draw is plots.cluster:
        return
    ax = draw(details[2000])  # type: ignore[operator]
    assert "2,000 accounts" in ax.get_ylabel()
    assert "7 to a row" in ax.get_ylabel()


@pytest.mark.parametrize("draw", DRAWINGS)
@pytest.mark.parametrize("size", SIZES)
def test_the_margins_have_room_for_every_text(draw: object, size: int, details: dict[int, ClusterDetail]) -> None:
    figure = draw(details[size]).get_figure(root=True)  # type: ignore[operator]
    figure.draw_without_rendering()
    drawn = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert 0.0 <= drawn.x0 < drawn.x1 <= width
    assert drawn.y0 >= 0.0
    if size > 5:  # in a lower picture the name of the colour bar is longer than the bar
        assert drawn.y1 <= height


def test_names_as_wide_as_can_be_stay_inside() -> None:
    detail = make_detail(14)
    wide = {name: "W" * 20 + name for name in detail.members["account_id"]}
    members = detail.members.assign(account_id=detail.members["account_id"].map(wide))
    activity = detail.activity.assign(account_id=detail.activity["account_id"].map(wide))
    shared = detail.shared.assign(value="W" * 40 + detail.shared["value"])
    broad = dataclasses.replace(detail, members=members, activity=activity, shared=shared)
    for draw in (plots.timeline, plots.cluster):
        figure = draw(broad).get_figure(root=True)
        figure.draw_without_rendering()
        assert figure.get_tightbbox().x0 >= 0.0


def test_the_colour_bar_has_round_numbers_up_to_the_most(details: dict[int, ClusterDetail]) -> None:
    for draw, first in ((plots.timeline, 1.0), (plots.evidence_matrix, 0.0)):
        ax, beside = draw(details[400]).get_figure(root=True).axes
        most = ax.images[0].norm.vmax
        shown = [float(tick.get_text().replace(",", "")) for tick in beside.get_yticklabels()]
        assert shown[0] == first
        assert most / 2.6 < shown[-1] <= most
        assert beside.get_yticks().tolist() == pytest.approx(ax.images[0].norm(shown).tolist())


@pytest.mark.parametrize("draw", DRAWINGS)
def test_hostile_text_draws_without_a_warning(draw: object) -> None:
    detail = make_detail(14, hostile=True)
    hostile = dataclasses.replace(detail, cluster={**detail.cluster, "cluster_id": "$\\bad$\x00\u202e口"})
    svg = pictures.inline_svg(lambda: draw(hostile), name="p", label='"><script>')  # type: ignore[operator]
    assert "<script" not in svg


@pytest.mark.parametrize("draw", DRAWINGS)
def test_an_empty_cluster_draws_too(draw: object) -> None:
    detail = make_detail(5)
    empty = dataclasses.replace(
        detail,
        members=make_frame(terms.MEMBERS),
        links=make_frame(terms.LINK_EVIDENCE),
        shared=make_frame(terms.EVIDENCE),
        activity=make_frame(terms.ACTIVITY),
    )
    ax = draw(empty)  # type: ignore[operator]
    assert ax.get_title(loc="left").startswith("c-7f3a91")


@pytest.mark.parametrize("draw", DRAWINGS)
def test_a_given_axes_is_used_and_no_global_figure_is_made(draw: object) -> None:
    ax = Figure().subplots()
    assert draw(make_detail(5), ax=ax) is ax  # type: ignore[operator]
    assert draw(make_detail(5)) is not ax  # type: ignore[operator]
    assert _pylab_helpers.Gcf.get_all_fig_managers() == []


@pytest.mark.parametrize("draw", DRAWINGS)
def test_the_same_detail_gives_the_same_picture_and_nothing_a_policy_blocks(draw: object) -> None:
    first, second = (
        pictures.inline_svg(lambda: draw(make_detail(50)), name="p", label="a picture")  # type: ignore[operator]
        for _ in range(2)
    )
    assert first == second
    assert "style" not in first
    assert "http" not in first
    assert set(re.findall(r'(?:href="|url\()#([^")]*)', first)) <= set(re.findall(r'id="([^"]*)"', first))


class SavedCanvas:
    """Writes a figure as matplotlib does by itself: drawn for its layout, then drawn again."""

    def __init__(self, figure: Figure) -> None:
        self._figure = figure

    def print_svg(self, file: io.BytesIO, *, metadata: dict[str, None]) -> None:
        self._figure.savefig(file, format="svg", metadata=metadata, transparent=True, dpi=150)


@pytest.mark.parametrize("draw", DRAWINGS)
@pytest.mark.parametrize("accounts", [5, 400])
def test_a_picture_drawn_once_is_the_one_drawn_twice(
    draw: object, accounts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def picture() -> str:
        return pictures.inline_svg(lambda: draw(make_detail(accounts)), name="p", label="a picture")  # type: ignore[operator]

    once = picture()
    monkeypatch.setattr(pictures, "FigureCanvasSVG", SavedCanvas)
    assert picture() == once


def regrowth_days() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "day_at": pd.date_range("2026-11-06", periods=10, tz="UTC").as_unit("ms"),
            "enforced_requests": [400, 420, 410, 390, 60, 0, 0, 0, 0, 0],
            "spared_requests": [30, 25, 20, 30, 35, 30, 20, 25, 30, 30],
            "new_requests": [0, 0, 0, 0, 0, 80, 190, 260, 330, 350],
        }
    )


def test_regrowth_tells_who_worked_on_and_how_much() -> None:
    ax = plots.regrowth(regrowth_days())
    legend = ax.get_legend()
    assert legend is not None
    told = {text.get_text() for text in legend.get_texts()}
    assert told == {"acted on: 1,680 requests", "came after: 1,210 requests", "spared: 275 requests"}
    assert [line.get_linestyle() for line in ax.lines] == ["-", "--", "-."]
    first = np.asarray(ax.lines[0].get_xdata())[0]
    assert first == pd.Timestamp("2026-11-06").value / 86_400e9  # days since 1970, as matplotlib counts
    assert texts(plots.regrowth(regrowth_days().head(0))) == ["nobody acted on these accounts"]


def test_reliability_puts_what_was_told_against_what_was_right() -> None:
    curve = pd.DataFrame(
        {
            "verdict": ["controller", "controller", "extraction"],
            "accounts": [100, 900, 50],
            "mean_probability": [0.2, 0.95, 0.5],
            "observed_share": [0.3, 0.93, 0.6],
        }
    )
    ax = plots.reliability(curve)
    assert [list(line.get_ydata()) for line in ax.lines] == [[0, 1], [0.3, 0.93], [0.6]]
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["controller, 1,000 accounts", "extraction, 50 accounts"]
    assert texts(plots.reliability(curve.head(0))) == ["no account to judge by"]
