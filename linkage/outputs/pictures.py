"""Pictures as inline SVG that a strict content-security policy lets through."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import BytesIO
from typing import Final, cast
from xml.etree import ElementTree

import matplotlib
import matplotlib.style
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from linkage.outputs.text import visible

_REFERENCE: Final = re.compile(r"url\(#")
# matplotlib sets these two in a style sheet, which the policy of the page would block.
_ROOT_STYLE: Final = {"stroke-linejoin": "round", "stroke-linecap": "butt"}
_RASTER_DPI: Final = 150
_DROPPED: Final = frozenset({"metadata", "style"})


def inline_svg(draw: Callable[[], Axes], *, name: str, label: str) -> Markup:
    """The drawing as an ``<svg>`` element to put into HTML: no style attribute, no script, no link out.

    Letters are outlines, so it looks the same everywhere. The same drawing gives the same bytes, whatever
    the style sheet of the caller.

    Parameters
    ----------
    draw : makes the axes; called with matplotlib's default style in force.
    name : unique on the page; ids inside the picture begin with it.
    label : what a screen reader says.
    """
    options = {"svg.fonttype": "path", "svg.hashsalt": "linkage", "axes.linewidth": 0.6}
    with matplotlib.style.context(["default", options]):
        figure = cast(Figure, draw().get_figure(root=True))
        buffer = BytesIO()
        no_date = {"Date": None, "Creator": None, "Format": None, "Type": None}
        for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
            patch.set(facecolor="none", edgecolor="none")
        figure.set_dpi(_RASTER_DPI)
        # Not savefig: it draws twice, first for the layout alone, which drawing finds anyway.
        FigureCanvasSVG(figure).print_svg(buffer, metadata=no_date)  # type: ignore[no-untyped-call]
    root = ElementTree.fromstring(buffer.getvalue())  # noqa: S314 - our own picture, made above
    _simplify(root, prefix=f"{name}-")
    _describe(root, label=label)
    return Markup(ElementTree.tostring(root, encoding="unicode", short_empty_elements=True))  # noqa: S704


def _describe(root: ElementTree.Element, *, label: str) -> None:
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    root.attrib |= {"role": "img", "aria-label": visible(label), **_ROOT_STYLE}


def _simplify(element: ElementTree.Element, *, prefix: str) -> None:
    """Strips namespaces and style sheets, turns style attributes into plain ones, prefixes ids; in place."""
    element.tag = _local(element.tag)
    for child in list(element):
        if _local(child.tag) in _DROPPED:
            element.remove(child)
        else:
            _simplify(child, prefix=prefix)
    element.attrib = _plain_attributes(element.attrib, prefix=prefix)


def _plain_attributes(attributes: dict[str, str], *, prefix: str) -> dict[str, str]:
    plain: dict[str, str] = {}
    for name, value in attributes.items():
        if name == "style":
            plain |= _style_attributes(value, prefix=prefix)
        elif name == "id":
            plain["id"] = prefix + value
        elif value.startswith("#") and _local(name) == "href":
            plain["href"] = f"#{prefix}{value[1:]}"
        else:
            plain[_local(name)] = _repoint(value, prefix=prefix)
    return plain


def _style_attributes(style: str, *, prefix: str) -> dict[str, str]:
    pairs = (part.split(":", 1) for part in style.split(";") if ":" in part)
    return {name.strip(): _repoint(value.strip(), prefix=prefix) for name, value in pairs}


def _repoint(value: str, *, prefix: str) -> str:
    return _REFERENCE.sub(lambda match: match.group() + prefix, value)


def _local(name: str) -> str:
    return name.rpartition("}")[2]
