"""Which texts begin with others is what Python says."""

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage.intake.beginnings import begin_with

TEXTS = st.none() | st.text(alphabet="aé\0", max_size=4)


@settings(deadline=None)  # the first one compiles
@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=12), st.integers(0, 3))
def test_texts_begin_with_others_as_python_says(rows: list[tuple[str | None, str | None]], skipped: int) -> None:
    texts, beginnings = (pa.array([row[at] for row in rows], pa.large_string()).slice(skipped) for at in (0, 1))
    wanted = [(text or "").startswith(beginning or "") for text, beginning in rows[skipped:]]
    assert begin_with(texts, beginnings).tolist() == wanted
