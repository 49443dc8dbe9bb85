"""Axes with room for what stands around them: margins follow from the widths of texts, and colours are told beside.

matplotlib's own layout measures all texts of a picture again and again, which is half of the time of drawing it, and
its colour bars take a quarter of what is left (2026-11-29).
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from matplotlib import colorbar, font_manager
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ft2font import LoadFlags
from matplotlib.ticker import MaxNLocator

from linkage.outputs.marks import INK
from linkage.outputs.text import one_line

_FONT_POINTS: Final = 100  # at which texts are measured, as matplotlib does it
_POINTS: Final = 72  # of an inch
_BAR_POINTS: Final = 7.0
_BAR_ROOM: Final = 0.36  # inches of its ticks and of its own name
_MOST_TICKS: Final = 9


class Margins(NamedTuple):
    """Inches between the axes and the edges of a picture."""

    left: float
    right: float
    bottom: float
    top: float = 0.32


def drawing_font() -> Any:
    """The font that pictures are drawn with; ships no types."""
    return font_manager.get_font(font_manager.findfont(font_manager.FontProperties()))


def drawable(text: str) -> str:
    """The text on one line, with a box for each character that the drawing font lacks.

    matplotlib warns about every missing glyph, and log text may hold any character.

    Examples
    --------
    >>> print(drawable("card 口"))
    card □
    """
    font = drawing_font()
    line = one_line(text, longest=200)
    return "".join(character if font.get_char_index(ord(character)) else "□" for character in line)


def widest(texts: Iterable[str], *, points: float) -> float:
    """Inches that the widest of some texts takes in a size of so many points; 0.0 where there is none.

    Parameters
    ----------
    texts : as :func:`drawable` gives them.
    """
    font = drawing_font()
    font.set_size(_FONT_POINTS, _POINTS)
    width = 0.0
    for text in texts:
        font.set_text(text, 0.0, flags=LoadFlags.NO_HINTING)
        width = max(width, font.get_width_height()[0] / 64)
    return width * points / _FONT_POINTS / _POINTS


def new_axes(*, width: float, height: float, margins: Margins | None = None) -> Axes:
    """Axes in a figure of their own, of so many inches.

    Parameters
    ----------
    margins : around the axes; None: matplotlib measures what it draws.
    """
    figure = Figure(figsize=(width, height), layout=None if margins else "constrained")
    axes: Axes = figure.subplots()
    if margins:
        axes.set_position(
            (
                margins.left / width,
                margins.bottom / height,
                1 - (margins.left + margins.right) / width,
                1 - (margins.bottom + margins.top) / height,
            )
        )
    # Without pyplot nothing tells a notebook to draw, so axes that end a cell bring their picture along.
    axes._repr_png_ = functools.partial(_png, figure)  # type: ignore[attr-defined]
    return axes


def _png(figure: Figure) -> bytes:
    """The picture as PNG, the same bytes each time."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    return file.getvalue()


def bar_margin(most: float, *, is_log: bool) -> float:
    """Inches to the right of axes that a colour bar up to ``most`` takes beside them."""
    return _BAR_ROOM + widest(map(_tick_label, _ticks(most, is_log=is_log)), points=_BAR_POINTS)


def colour_bar(ax: Axes, image: Any, *, label: str) -> None:
    """What the colours of an image stand for, beside its axes; its norm begins at 0, or is logarithmic from 1.

    Parameters
    ----------
    image : what ``ax.imshow`` gave.
    """
    beside, _ = colorbar.make_axes(ax, pad=0.015, fraction=0.04)
    shades = np.linspace(0.0, 1.0, 256)[:, None]
    beside.imshow(shades, cmap=image.cmap, aspect="auto", origin="lower", extent=(0, 1, 0, 1), interpolation="none")
    ticks = _ticks(float(image.norm.vmax), is_log=isinstance(image.norm, LogNorm))
    beside.set_xticks([])
    beside.yaxis.tick_right()
    beside.yaxis.set_label_position("right")
    beside.set_yticks(image.norm(ticks), [_tick_label(tick) for tick in ticks], fontsize=_BAR_POINTS)
    beside.set_ylabel(label, fontsize=8, color=INK)
    beside.spines[:].set_visible(False)


def _ticks(most: float, *, is_log: bool) -> Sequence[float]:
    """Round numbers up to ``most``: from 0 in equal steps, or from 1 in equal factors."""
    if not is_log:
        return [float(tick) for tick in MaxNLocator(7).tick_values(0.0, most) if tick <= most]
    ticks = [first * 10.0**power for power in range(len(f"{most:.0f}")) for first in (1, 2, 5)]
    ticks = [tick for tick in ticks if tick <= most]
    return ticks if len(ticks) <= _MOST_TICKS else ticks[::3]


def _tick_label(tick: float) -> str:
    return f"{tick:,g}"
