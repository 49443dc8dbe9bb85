"""Families of templates: paraphrases, reorderings, versions; and the contract that survives a paraphrase."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Final

import pandas as pd

from linkage.settings import TemplateSettings
from linkage.templates.normalize import normalize
from linkage.terms import NUMBER, TEXT, Shape, TemplateId, make_frame

FAMILIES: Final[Shape] = {"template_id": TEXT, "family_id": TEXT, "similarity": NUMBER, "contract": TEXT}
"""One row per template. ``similarity`` (0 to 1) is to the nearest other member of the family; both
are null for a template like no other."""

_SLOT: Final = "<*>"
_STEM: Final = 5  # letters of a word compared: "summarize", "summary" and "summarise" are one
_WORDS_SHARE: Final = 0.6
_LAYOUT_SHARE: Final = 0.25
_CONTRACT_SHARE: Final = 0.15
_COMMON: Final = 200  # a word or layout in more templates than this ties nobody, which bounds the pairs

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
    formats = sorted(name for name, pattern in _FORMATS.items() if re.search(pattern, text, re.IGNORECASE))
    plain = text.replace(_SLOT, " ")
    tags = sorted({(a or b).lower() for a, b in _TAG.findall(plain)})
    keys = sorted({key.lower() for key in _KEY.findall(plain)})
    named = (("format", formats), ("tags", tags), ("keys", keys))
    parts = [f"{name}={','.join(values)}" for name, values in named if values]
    return ";".join([*parts, f"slots={text.count(_SLOT)}"]) if parts else None


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

    The similarity of two templates is a weighted sum: 0.6 times the cosine of their fixed words (the first
    five letters of each; rare ones weigh more), 0.25 for the same layout of labels and slots, 0.15 for the
    same contract; each share that neither template has is left out of the sum. Templates more alike than
    ``family_similarity`` are one family, and so are those tied through others.

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
    contracts = [find_contract(texts[name]) for name in names]
    layouts = [find_layout(texts[name]) for name in names]
    words = _weigh([_count_words(texts[name]) for name in names])
    family = list(range(len(names)))
    nearest = [0.0] * len(names)
    for a, b in sorted(_candidates(words, layouts, contracts)):
        similarity = _compare(words[a], words[b], layouts[a], layouts[b], contracts[a], contracts[b])
        if similarity >= least:
            nearest[a], nearest[b] = max(nearest[a], similarity), max(nearest[b], similarity)
            root_a, root_b = _root(family, a), _root(family, b)
            family[max(root_a, root_b)] = min(root_a, root_b)
    roots = [_root(family, at) for at in range(len(names))]
    is_tied = [value > 0 for value in nearest]
    return make_frame(
        FAMILIES,
        {
            "template_id": names,
            "family_id": [
                f"f-{names[root].removeprefix('t-')}" if tied else None
                for root, tied in zip(roots, is_tied, strict=True)
            ],
            "similarity": [value or float("nan") for value in nearest],
            "contract": contracts,
        },
    )


def _count_words(text: str) -> Counter[str]:
    fixed = normalize(text.replace(_SLOT, "\n"))
    return Counter(word[:_STEM] for word in fixed.split() if word != ":")


def _weigh(counts: list[Counter[str]]) -> list[dict[str, float]]:
    """Unit vectors of word weights: the square root of how often, times how rare among templates."""
    frequency = Counter(word for count in counts for word in count)
    vectors = []
    for count in counts:
        weights = {
            word: math.sqrt(times) * math.log(1 + len(counts) / frequency[word]) for word, times in count.items()
        }
        length = math.sqrt(sum(value * value for value in weights.values())) or 1.0
        vectors.append({word: value / length for word, value in weights.items()})
    return vectors


def _candidates(
    words: list[dict[str, float]], layouts: list[str | None], contracts: list[str | None]
) -> set[tuple[int, int]]:
    """Pairs that share a word, layout or contract which not too many have."""
    holders: dict[str, list[int]] = {}
    for at, vector in enumerate(words):
        for value in (*vector, f"layout {layouts[at]}", f"contract {contracts[at]}"):
            holders.setdefault(value, []).append(at)
    holders.pop("layout None", None)
    holders.pop("contract None", None)
    return {
        (a, b)
        for held in holders.values()
        if len(held) <= _COMMON
        for place, a in enumerate(held)
        for b in held[place + 1 :]
    }


def _compare(
    words_a: dict[str, float],
    words_b: dict[str, float],
    layout_a: str | None,
    layout_b: str | None,
    contract_a: str | None,
    contract_b: str | None,
) -> float:
    total, parts = _WORDS_SHARE, _WORDS_SHARE * sum(value * words_b.get(word, 0.0) for word, value in words_a.items())
    for share, one, other in ((_LAYOUT_SHARE, layout_a, layout_b), (_CONTRACT_SHARE, contract_a, contract_b)):
        if one is not None or other is not None:
            total, parts = total + share, parts + share * (one == other)
    return parts / total


def _root(family: list[int], at: int) -> int:
    while family[at] != at:
        family[at] = family[family[at]]
        at = family[at]
    return at
