"""A cluster to move, filter and pick from in a notebook; a picture where the widget library is missing."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Final

from linkage.outputs.interactive import graph_data
from linkage.terms import ClusterDetail

_HERE: Final = Path(__file__).parent
_CYTOSCAPE: Final = _HERE.parent / "outputs" / "vendor" / "cytoscape.min.js"


def cluster_view(detail: ClusterDetail) -> Any:
    """A Jupyter widget of one cluster, or its picture (``Axes``) where ``anywidget`` is not installed.

    The widget has ``selected``, the ids of the accounts that were picked, and ``hidden``, the families of evidence that
    are not drawn; both can be read, set and observed. It loads nothing from a network. Where no widget can be shown
    (a saved notebook, a page), the picture stands for it.
    """
    kind = _widget_class()
    return _picture(detail) if kind is None else kind(detail)


def _picture(detail: ClusterDetail) -> Any:
    # Only who draws waits for matplotlib.
    from linkage.outputs import plots

    return plots.cluster(detail)


@functools.cache
def _widget_class() -> type[Any] | None:
    try:
        # An optional extra: the one place where it is needed.
        import anywidget
        import traitlets
    except ImportError:
        return None

    class ClusterView(anywidget.AnyWidget):  # type: ignore[misc, unused-ignore]
        """Accounts of a cluster and the values that tie them, at the places they have in its report."""

        _esm = _script()
        _css = (_HERE / "view.css").read_text(encoding="utf-8")
        graph = traitlets.Dict().tag(sync=True)
        selected = traitlets.List(traitlets.Unicode()).tag(sync=True)
        hidden = traitlets.List(traitlets.Unicode()).tag(sync=True)

        def __init__(self, detail: ClusterDetail) -> None:
            super().__init__(graph=graph_data(detail))
            self._detail = detail

        def __repr__(self) -> str:
            accounts, values = len(self.graph["accounts"]), len(self.graph["values"])
            return f"<ClusterView {self._detail.cluster['cluster_id']}: {accounts:,} accounts, {values:,} values>"

        def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
            data, more = super()._repr_mimebundle_(**options) or ({}, {})
            picture: Any = _picture(self._detail)
            return {**data, "text/plain": repr(self), "image/png": picture._repr_png_()}, more

    return ClusterView


def _script() -> str:
    """The widget's module: cytoscape, kept apart from whatever loader the page has, and the view that uses it."""
    library = _CYTOSCAPE.read_text(encoding="utf-8")
    wrapped = (
        "const cytoscape = (() => { const exports = {}, module = { exports }; let define;\n"
        f"{library}\nreturn module.exports; }})();\n"
    )
    return wrapped + (_HERE / "view.js").read_text(encoding="utf-8")
