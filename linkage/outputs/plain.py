"""A cluster as plain text: what a terminal shows of it, in the order of its page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from linkage.outputs import wording
from linkage.outputs.tables import records
from linkage.outputs.text import one_line
from linkage.terms import ClusterDetail, counted, join_words

_LONGEST: Final = 2_000

_FREE: Final = "What would free them"
"""Left out where nothing is held against them."""

_HEADINGS: Final = {
    "What ties them, and how rare that is": ("why", "rare"),
    "What their traffic looks like": ("extraction",),
    "What speaks for them": ("for",),
    _FREE: ("free",),
}
"""Each with the topics under it; other topics stand with their traffic."""


def cluster_text(detail: ClusterDetail) -> str:
    """The cluster in words: verdict, what its tier asked for, reasons, history and what to do next.

    Parameters
    ----------
    detail : of its tables only members, statements, events and case notes are told.
    """
    return "\n".join(_lines(detail)) + "\n"


def _lines(detail: ClusterDetail) -> Iterator[str]:
    cluster = detail.cluster
    members = [f"{count:,} {name}" for name, count in wording.membership_counts(detail).items()]
    tier = str(cluster["tier"])
    name, size = one_line(str(cluster["cluster_id"])), counted(cluster["accounts"], "linked account")
    yield f"Cluster {name}: {size} ({join_words(members)})"
    yield f"Tier {tier}: {wording.TIER_WORDS.get(tier, '')}"
    yield ""
    yield from wording.summary(detail)
    yield from wording.lacks(detail.cluster, run=detail.run)
    steps = [f"{step.text} {step.command}" if step.command else step.text for step in wording.next_steps(detail)]
    yield from section("What to do next", steps)
    for heading, topics in _HEADINGS.items():
        if tier != "watch" or heading != _FREE:
            yield from section(heading, _said(detail, topics))
    happened = [wording.event_sentence(event) for event in records(detail.events)]
    yield from section("History", [*happened, *map(wording.case_sentence, records(detail.case_notes))])


def section(heading: str, sentences: Sequence[str]) -> Iterator[str]:
    """Lines of a heading and a list of sentences under it; none where there is no sentence."""
    if sentences:
        yield f"\n{heading}"
        yield from (f"- {one_line(sentence, longest=_LONGEST)}" for sentence in sentences)


def _said(detail: ClusterDetail, topics: tuple[str, ...]) -> list[str]:
    elsewhere = {topic for others in _HEADINGS.values() for topic in others}
    rows = detail.statements
    is_here = rows["topic"].isin(topics)
    if "extraction" in topics:
        is_here |= ~rows["topic"].isin(elsewhere)
    return [str(sentence) for sentence in rows.loc[is_here, "sentence"]]
