"""The scale benchmark: worlds of one shape at every size, and tables of what was measured."""

from __future__ import annotations

import pytest

from benchmarks import scale, scale_worlds


def test_campaigns_at_full_size_are_the_published_ones_at_a_quarter_of_their_requests() -> None:
    shapes = scale_worlds.shapes(scale_worlds.FULL_SIZE)
    assert sum(shape.accounts for shape in shapes) == 25_000
    worked = 0.75 * scale_worlds.DAYS
    requests = [shape.accounts * shape.rate * worked for shape in shapes]
    assert requests == pytest.approx([37_500, 850_000, 3_250_000])


def test_smaller_worlds_have_the_same_shape() -> None:
    small, full = scale_worlds.shapes(1_000_000), scale_worlds.shapes(scale_worlds.FULL_SIZE)
    for one, other in zip(small, full, strict=True):
        assert one.accounts * 16 == pytest.approx(other.accounts, rel=0.01)
        assert (one.rate, one.families) == (other.rate, other.families)


MEASURED = {
    100: {
        "ingest": {"wall": 2.0, "cpu": 3.0, "peak": 100.0},
        "sqlite-utils insert": {"wall": 5.0, "cpu": 4.0, "peak": 50.0},
        "rensa": {"wall": 1.0, "cpu": 1.0, "peak": 10.0},
    },
    1_000: {
        "ingest": {"wall": 20.0, "cpu": 30.0, "peak": 100.0},
        "sqlite-utils insert": {"wall": 500.0, "cpu": 40.0, "peak": 500.0},
    },
}


def test_each_stage_stands_beside_its_peer_with_its_growth() -> None:
    assert scale.stage_table(MEASURED) == [
        "| stage | 100: s (CPU s), MB | 1,000: s (CPU s), MB | growth of s, CPU s, MB | times the peer's rate |",
        "| --- | --- | --- | --- | --- |",
        "| ingest | 2.0 (3), 100 | 20.0 (30), 100 | 1.00, 1.00, 0.00 | sqlite-utils insert 2.50, 25.00 |",
        "| sqlite-utils insert | 5.0 (4), 50 | 500.0 (40), 500 | 2.00, 1.00, 1.00 |  |",
        "| rensa | 1.0 (1), 10 |  |  |  |",
    ]


def test_peers_that_are_named_are_measured() -> None:
    peers = {peer for each in scale.PEER_OF.values() for peer in each}
    assert peers | set(scale.PEER_OF) | set(scale.LARGEST) <= set(scale.STAGES)


def test_the_whole_takes_the_time_of_its_parts_and_the_memory_of_the_greatest() -> None:
    parts = [{"wall": 2.0, "cpu": 3.0, "peak": 100.0}, {"wall": 1.0, "cpu": 1.5, "peak": 400.0}]
    assert scale.whole(parts) == {"wall": 3.0, "cpu": 4.5, "peak": 400.0}
    assert set(scale.PARTS_OF_WHOLE) <= set(scale.STAGES)


def test_some_stages_come_with_their_peers_in_the_order_they_need_each_other() -> None:
    assert scale.with_peers(["rebuild", "ingest"]) == ("ingest", "sqlite-utils insert", "rebuild")
    with pytest.raises(SystemExit, match="found rebiuld"):
        scale.with_peers(["rebiuld"])
