"""Families of templates: paraphrases, reorderings, versions; and the contract that survives a paraphrase."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from linkage.arrays import Ints
from linkage.coding import run_starts
from linkage.settings import TemplateSettings
from linkage.templates.normalize import normalize
from linkage.terms import NUMBER, TEXT, Shape, TemplateId, make_frame

FAMILIES: Final[Shape] = {"template_id": TEXT, "family_id": TEXT, "similarity": NUMBER, "contract": TEXT}
"""One row per template. ``similarity`` (0 to 1) is to the nearest other member of the family; both
are null for a template like no other."""

_SLOT: Final = "<*>"
_STEM: Final = 5  # letters of a word compared: "summarize", "summary" and "summarise" are one
_ASKED: Final = 3.0  # times that a tag, key, format or layout counts as much as a word: it outlives other wording
_COMMON: Final = 200  # a word or layout in more templates than this proposes no pairs, which bounds them
_LARGEST: Final = 1_500  # templates compared each with each; larger bunches are cut at a higher similarity first
_STEP: Final = 0.05
_PAIRS: Final = 200_000  # pairs compared at a time

_SOFT: Final = frozenset({"bullets", "numbered", "one-word", "one-sentence", "steps", "score", "table"})
"""Formats that a paraphrase may or may not name: no part of a contract that has tags or keys."""

_FORMATS: Final = {
    "json": r"\bjson\b",
    "xml": r"\bxml\b",
    "yaml": r"\byaml\b",
    "csv": r"\bcsv\b",
    "html": r"\bhtml\b",
    "latex": r"\blatex\b",
    "markdown": r"\bmarkdown\b",
    "sql": r"\bsql\b",
    "table": r"\b(?:a|in|as) table\b",
    "bullets": r"\bbullet(?:ed|s)?\b",
    "numbered": r"\bnumbered (?:list|steps|points|lines)\b",
    "boxed": r"\\boxed",
    "yes-no": r"\byes (?:or|/) no\b|\byes/no\b",
    "true-false": r"\btrue (?:or|/) false\b|\btrue/false\b",
    "choice": r"\b(?:only|just) the (?:letter|option|choice)\b|\bletter of the\b",
    "one-word": r"\b(?:one|single) word\b",
    "one-sentence": r"\b(?:one|single) sentence\b",
    "steps": r"\bstep[- ]by[- ]step\b|\bchain of thought\b|\bshow (?:your|all) (?:work|steps|reasoning)\b",
    "score": r"\b(?:scale|score|rating) (?:of|from)\b|\bfrom 0 to \d+\b|\b1 (?:to|-) (?:5|10|100)\b",
}
_TAG: Final = re.compile(r"</?([A-Za-z][\w-]{0,40})\s*/?>|\[/?([A-Z][A-Z_]{1,40})\]")
_KEY: Final = re.compile(r"""["']([A-Za-z_][\w-]{0,40})["']\s*:""")
_LABEL: Final = re.compile(r"^[^\n:]{1,40}:\s*$")


def find_contract(text: str) -> str | None:
    """What a template asks the answer to look like, as one canonical value; None if nothing specific.

    Format words, tags and JSON keys, each sorted, and the number of slots where there is any of them. It stays
    the same when the template is paraphrased or reordered.

    Examples
    --------
    >>> find_contract('Solve <*>. Answer in JSON: {"answer": ..., "steps": ...}')
    'format=json;keys=answer,steps;slots=1'
    >>> find_contract("Tell me about <*>") is None
    True
    """
    parts = _find_asked(text)
    named = [f"{name}={','.join(values)}" for name, values in parts.items() if values]
    return ";".join([*named, f"slots={text.count(_SLOT)}"]) if named else None


def _find_asked(text: str) -> dict[str, list[str]]:
    """Formats, tags and JSON keys that a template asks for, each sorted."""
    plain = text.replace(_SLOT, " ")
    tags = sorted({(a or b).lower() for a, b in _TAG.findall(plain)})
    keys = sorted({key.lower() for key in _KEY.findall(plain)})
    found = {name for name, pattern in _FORMATS.items() if re.search(pattern, text, re.IGNORECASE)}
    return {"format": sorted(found - _SOFT if tags or keys else found), "tags": tags, "keys": keys}


def find_layout(text: str) -> str | None:
    r"""The order of labels and slots, without the words; None where there are fewer than two labels.

    A template whose labels are translated or renamed keeps its layout.

    Examples
    --------
    >>> find_layout("Question: <*>\nAnswer:") == find_layout("Frage: <*>\nAntwort:") == "LS|L"
    True
    """
    shapes: list[str] = []
    for line in text.split("\n"):
        before, slot, after = line.partition(_SLOT)
        if not line.strip():
            continue
        label = "L" if _LABEL.match(before.strip()) else "T" if before.strip() else ""
        shapes.append(label + ("S" if slot else "") + ("T" if after.strip() else ""))
    return "|".join(shapes) if sum(shape.startswith("L") for shape in shapes) > 1 else None


def tie_families(texts: Mapping[TemplateId, str], *, settings: TemplateSettings | None = None) -> pd.DataFrame:
    r"""Which templates are versions, paraphrases or reorderings of one another, and their contracts.

    The similarity of two templates is the cosine of what they are made of: their fixed words (the first five
    letters of each), and, three times as heavy, the tags, keys and formats they ask for and their layout of labels
    and slots; what few templates have weighs more (Salton and Buckley 1988, doi:10.1016/0306-4573(88)90021-0).
    A family is a bunch whose members are, on average, at least ``family_similarity`` alike (average linkage,
    Sokal and Michener 1958), so that a chain of small likenesses makes none.

    Parameters
    ----------
    texts : template id to its text with ``<*>`` for slots.
    settings : thresholds; None takes the defaults.

    Returns
    -------
    DataFrame as in :data:`FAMILIES`, sorted by template id. ``family_id`` is named after the member with the
    lowest id; it and ``similarity`` are null for a template that is like no other. O(templates x templates
    that share a word which at most 200 have).

    Examples
    --------
    >>> one, two = TemplateId("t-1"), TemplateId("t-2")
    >>> texts = {one: "Question: <*>\nBrief answer:", two: "Brief question: <*>\nAnswer:"}
    >>> tie_families(texts)["family_id"].tolist()
    ['f-1', 'f-1']
    """
    least = (settings or TemplateSettings()).family_similarity
    names = sorted(texts)
    vectors = _weigh([_count_parts(texts[name]) for name in names])
    first, similarity = _find_families(vectors, least=float(least))
    return make_frame(
        FAMILIES,
        {
            "template_id": names,
            "family_id": [f"f-{names[at].removeprefix('t-')}" if at >= 0 else None for at in first.tolist()],
            "similarity": similarity,
            "contract": [find_contract(texts[name]) for name in names],
        },
    )


def _count_parts(text: str) -> dict[str, float]:
    """How much of each part a template has: words, what it asks for, its layout."""
    fixed = normalize(text.replace(_SLOT, "\n"))
    counts = Counter(word[:_STEM] for word in fixed.split() if word != ":")
    parts = {word: math.sqrt(times) for word, times in counts.items()}
    parts.update({f"{kind} {one}": _ASKED for kind, asked in _find_asked(text).items() for one in asked})
    layout = find_layout(text)
    return parts if layout is None else {**parts, f"layout {layout}": _ASKED}


def _weigh(counts: list[dict[str, float]]) -> csr_array:
    """One unit row per template and one column per part; rare parts weigh more."""
    frequency = Counter(part for parts in counts for part in parts)
    columns = {part: at for at, part in enumerate(sorted(frequency))}
    cells = [
        (row, columns[part], much * math.log(1 + len(counts) / frequency[part]))
        for row, parts in enumerate(counts)
        for part, much in parts.items()
    ]
    rows, places, values = np.array(cells or np.zeros((0, 3))).T
    shape = (len(counts), len(columns))
    weights = coo_array((values, (rows.astype(np.int64), places.astype(np.int64))), shape=shape).tocsr()
    lengths = np.sqrt(np.asarray((weights * weights).sum(axis=1)).ravel())
    return csr_array(weights.multiply(1 / np.maximum(lengths, 1e-12)[:, None]))


def _find_pairs(vectors: Any, *, least: float) -> tuple[Ints, Ints]:
    """Pairs of rows at least so much alike, among those that share a part which not too many have."""
    counts = np.bincount(vectors.indices, minlength=vectors.shape[1])
    rare = vectors[:, np.flatnonzero((counts > 1) & (counts <= _COMMON))]
    shared = (rare @ rare.T).tocoo()
    ahead = shared.row < shared.col
    first, second = shared.row[ahead].astype(np.int64), shared.col[ahead].astype(np.int64)
    alike = np.zeros(len(first))
    for at in range(0, len(first), _PAIRS):
        part = slice(at, at + _PAIRS)
        alike[part] = vectors[first[part]].multiply(vectors[second[part]]).sum(axis=1)
    return first[alike >= least], second[alike >= least]


def _find_families(vectors: Any, *, least: float) -> tuple[Ints, npt.NDArray[np.float64]]:
    """Of each row: the first row of its family, -1 for none, and how much its nearest relative is alike."""
    size = vectors.shape[0]
    first, similarity = np.full(size, -1, np.int64), np.full(size, np.nan)
    waiting = [(np.arange(size), least)]
    while waiting:
        rows, level = waiting.pop()
        for bunch in _split_apart(vectors, rows, level):
            if len(bunch) > _LARGEST:
                waiting.append((bunch, level + _STEP))
                continue
            alike = (vectors[bunch] @ vectors[bunch].T).toarray()
            for family in _bunch(alike, least=least):
                inside = alike[np.ix_(family, family)]
                np.fill_diagonal(inside, 0.0)
                first[bunch[family]], similarity[bunch[family]] = bunch[family].min(), np.minimum(inside.max(axis=1), 1)
    return first, similarity


def _split_apart(vectors: Any, rows: Ints, level: float) -> list[Ints]:
    """Bunches of two or more rows that are connected by likenesses of this level."""
    one, other = _find_pairs(vectors[rows], least=level)
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(len(rows), len(rows)))
    labels = connected_components(graph, directed=False)[1]
    order = np.argsort(labels, kind="stable")
    starts = run_starts(labels[order])
    return [rows[part] for part in np.split(order, starts[1:]) if len(part) > 1]


def _bunch(alike: npt.NDArray[np.float64], *, least: float) -> list[Ints]:
    """Places of the members of each family of two or more, by average linkage."""
    # Imported late: a quarter of a second for every command, and only mining needs it.
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    apart = np.clip(1 - (alike + alike.T) / 2, 0, 1)
    np.fill_diagonal(apart, 0.0)
    labels = fcluster(linkage(squareform(apart, checks=False), "average"), 1 - least, "distance")
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    return [group for group in groups if len(group) > 1]
