from __future__ import annotations

from linking_frames import World

from linkage.evidence.content import content_evidence
from linkage.evidence.shared import USE_EVIDENCE
from linkage.terms import USES, make_frame

KINDS = ["template", "template_family"]


def test_content_takes_its_kinds_and_no_other() -> None:
    world = World(seed=5)
    others = ("model", "api_key", "template", "client", "contract", "ip_prefix", "template_family")
    world.add("a", values={kind: [f"{kind}-1", f"{kind}-2"] for kind in {*others, *KINDS}}, created_day=1)
    rows = content_evidence(world.frames()["uses"])
    assert set(rows["kind"]) == set(KINDS)
    assert set(rows["family"]) == {"content"}
    assert len(rows) == 2 * len(KINDS)


def test_content_of_nothing_has_the_full_shape() -> None:
    rows = content_evidence(make_frame(USES))
    assert rows.empty
    assert {name: str(dtype) for name, dtype in rows.dtypes.items()} == dict(USE_EVIDENCE)
