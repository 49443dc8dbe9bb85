"""The promises that fuzzing looks for hold on the inputs that are kept, and on some made by hypothesis."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from targets import TARGETS

SEEDS = Path(__file__).parent / "seeds"
COSTLY = {"report_page"}


@pytest.mark.parametrize("name", TARGETS)
def test_kept_inputs_break_no_promise(name: str) -> None:
    paths = sorted((SEEDS / name).iterdir())
    assert paths
    for path in paths:
        TARGETS[name](path.read_bytes())


@pytest.mark.parametrize("name", sorted(set(TARGETS) - COSTLY))
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_bytes_break_a_promise(name: str, data: bytes) -> None:
    TARGETS[name](data)
