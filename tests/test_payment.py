from __future__ import annotations

from linking_frames import World

from linkage.evidence.payment import payment_evidence
from linkage.evidence.shared import USE_EVIDENCE
from linkage.terms import USES, make_frame

KINDS = ["payment"]


def test_payment_takes_its_kinds_and_no_other() -> None:
    world = World(seed=5)
    others = ("model", "api_key", "template", "client", "contract", "ip_prefix", "template_family")
    world.add("a", values={kind: [f"{kind}-1", f"{kind}-2"] for kind in {*others, *KINDS}}, created_day=1)
    rows = payment_evidence(world.frames()["uses"])
    assert set(rows["kind"]) == set(KINDS)
    assert set(rows["family"]) == {"payment"}
    assert len(rows) == 2 * len(KINDS)


def test_payment_of_nothing_has_the_full_shape() -> None:
    rows = payment_evidence(make_frame(USES))
    assert rows.empty
    assert {name: str(dtype) for name, dtype in rows.dtypes.items()} == dict(USE_EVIDENCE)
