"""A cluster to move, filter and pick from, and its picture where that cannot be shown."""

import json
import sys

import pytest
from matplotlib.axes import Axes

import linkage as lk
from linkage.notebook import view as view_room


@pytest.fixture
def cluster(planted: lk.Store) -> lk.Cluster:
    run = planted.run
    return run.cluster(run.clusters["cluster_id"].iloc[0])


def test_what_is_picked_can_be_read_and_set(cluster: lk.Cluster) -> None:
    view = cluster.view()
    accounts = sorted(cluster.members["account_id"])
    assert sorted(account[0] for account in view.graph["accounts"]) == accounts
    assert view.selected == view.hidden == []
    view.selected, view.hidden = accounts[:2], ["network"]
    assert view.get_state()["selected"] == accounts[:2]
    assert repr(view).startswith(f"<ClusterView {cluster.cluster_id}: 24 accounts, ")


def test_a_widget_brings_its_picture_along(cluster: lk.Cluster) -> None:
    data, _ = cluster.view()._repr_mimebundle_()
    assert {"application/vnd.jupyter.widget-view+json", "image/png", "text/plain"} <= set(data)
    assert data["image/png"].startswith(b"\x89PNG")


def test_without_the_library_the_picture_stands_for_it(cluster: lk.Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    view_room._widget_class.cache_clear()
    assert isinstance(cluster.view(), Axes)
    monkeypatch.undo()
    view_room._widget_class.cache_clear()
    assert not isinstance(cluster.view(), Axes)


def test_personal_data_can_be_left_out(cluster: lk.Cluster) -> None:
    shared = cluster.shared
    raw = set(shared.loc[shared["kind"].isin(["ip", "payment"]), "value"])
    full, masked = (json.dumps(cluster.view(personal_data=shown).graph) for shown in (True, False))
    assert any(value in full for value in raw)
    assert not any(f'"{value}"' in masked for value in raw)


def test_the_script_writes_text_only_and_asks_for_nothing() -> None:
    own = (view_room._HERE / "view.js").read_text(encoding="utf-8")
    assert "innerHTML" not in own
    assert not any(word in own for word in ("http:", "https:", "fetch(", "import("))
