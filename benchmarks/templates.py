"""Template mining: this miner, drain3, rensa and datasketch on the same prompts.

Every measurement runs in a process of its own, so that peak memory is the method's and the prompts'. The
prompts are made here, from a seed; when the environment variable ``LINKAGE_DATA`` names a folder with
``p3-templates-dev.jsonl.gz``, those are measured too. The MinHash peers group by leader: a prompt joins the
first group whose founder is similar enough, else founds one; all pairs would take them hours.
"""

import collections
import gzip
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

from benchmarks.memory import peak_mb

METHODS = ("linkage", "drain3", "rensa", "datasketch")
RUNS = 3

_VOCABULARY = 20_000
_TASKS = (
    "Summarize",
    "Rewrite",
    "Translate",
    "Classify",
    "Explain",
    "Review",
    "Extract facts from",
    "Find errors in",
    "Write questions about",
    "Continue",
    "Simplify",
    "Rate",
    "Compare the claims in",
    "Draft a reply to",
    "List the risks in",
)
_OBJECTS = (
    "the following article",
    "this customer message",
    "the passage below",
    "the text between the lines",
    "this meeting note",
    "the report that follows",
    "this product description",
    "the letter below",
    "this dialogue",
    "the abstract below",
)
_MANNERS = (
    "in plain English",
    "in two sentences",
    "for a ten year old",
    "without adding anything",
    "step by step",
    "as a bulleted list",
    "as JSON with keys answer and reason",
    "in a formal tone",
    "and give your confidence",
    "with one example",
)
_LABELS = (
    "Text",
    "Input",
    "Article",
    "Passage",
    "Document",
    "Context",
    "Content",
    "Message",
)
_CLOSINGS = (
    "Answer:",
    "Result:",
    "Output:",
    "Your answer here:",
    "Only output the result, nothing else.",
    "Think carefully before you answer.",
    "What would an expert say about this?",
    "End with a short conclusion.",
    "Reply in the language of the text.",
    "Do not mention these instructions.",
)


class Writer:
    """Running text of made-up words whose frequencies follow Zipf's law, with common words between."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        consonants, vowels = "bcdfghjklmnprstvwz", "aeiou"
        maker = random.Random(1)
        self.words = [
            "".join(maker.choice(consonants) + maker.choice(vowels) for _ in range(maker.randrange(2, 5)))
            for _ in range(_VOCABULARY)
        ]
        self.cumulative: list[float] = []
        total = 0.0
        for rank in range(_VOCABULARY):
            total += 1.0 / (rank + 10)
            self.cumulative.append(total)

    def text(self, words: int) -> str:
        """Sentences of so many words in all."""
        drawn = self.random.choices(self.words, cum_weights=self.cumulative, k=words)
        for at in range(0, words, 3):
            drawn[at] = self.random.choice(("the", "a", "of", "and", "to", "in", "is", "that", "for", "it", "with"))
        for at in range(11, words, 12):
            drawn[at] += "."
        return " ".join(drawn)


def make_scaffolds(count: int, seed: int) -> list[str]:
    """Distinct templates with ``{0}`` (long) and at times ``{1}`` (short) for slots, in several styles."""
    rand = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        ask = f"{rand.choice(_TASKS)} {rand.choice(_OBJECTS)} {rand.choice(_MANNERS)}."
        label, closing = rand.choice(_LABELS), rand.choice(_CLOSINGS)
        styles = (
            f"{ask}\n\n{label}: {{0}}\n\n{closing}",
            f"{{0}}\n\n{ask}",
            f"{label}: {{0}}\nQuestion: {{1}}\n{ask}\n{closing}",
            f"You are an assistant. {ask} {closing}\n###\n{{0}}",
            f"{ask} {{0}} {closing}",
            f"Topic: {{1}}\n{ask}\n{{0}}",
        )
        found[rand.choice(styles)] = None
    return list(found)


def make_prompts(count: int, seed: int = 11) -> tuple[list[str], list[Hashable]]:
    """Prompts of about 900 bytes and their truth: templates from 0.1% to 5% of the prompts, a tenth free."""
    writer = Writer(seed)
    scaffolds = make_scaffolds(120, seed)
    shares = [1.0 / (rank + 3) for rank in range(len(scaffolds))]
    prompts: list[str] = []
    truth: list[Hashable] = []
    for at in range(count):
        if writer.random.random() < 0.1:
            prompts.append(writer.text(writer.random.randrange(5, 260)))
            truth.append(("free", at))
            continue
        chosen = writer.random.choices(range(len(scaffolds)), shares)[0]
        long, short = writer.text(writer.random.randrange(60, 240)), writer.text(9)
        prompts.append(scaffolds[chosen].format(long, short))
        truth.append(chosen)
    return prompts, truth


def load_dev_prompts(folder: str) -> tuple[list[str], list[Hashable]]:
    """The P3 development prompts and their families."""
    with gzip.open(Path(folder) / "p3-templates-dev.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [row["prompt"] for row in rows], [row["family"] for row in rows]


def score(labels: Sequence[Hashable], truth: Sequence[Hashable]) -> tuple[float, float]:
    """Pairwise F1 and grouping accuracy (share of prompts whose group is exactly the true one)."""
    found, real = collections.Counter(labels), collections.Counter(truth)
    both = collections.Counter(zip(labels, truth, strict=True))
    pairs = [sum(n * (n - 1) // 2 for n in counts.values()) for counts in (both, found, real)]
    right = sum(n for (label, name), n in both.items() if found[label] == n == real[name])
    return 2 * pairs[0] / max(1, pairs[1] + pairs[2]), right / len(truth)


def group_with_linkage(prompts: list[str]) -> list[Hashable]:
    """The miner of this tool: fingerprints, learning and assigning; a prompt without template is alone."""
    from linkage.settings import TemplateSettings
    from linkage.templates.features import extract_features
    from linkage.templates.mine import assign, learn

    blocks = [extract_features(prompts[at : at + 20_000]) for at in range(0, len(prompts), 20_000)]
    model = learn(blocks, settings=TemplateSettings())
    ids = [one for block in blocks for one in assign(block, model).template_ids.tolist()]
    return [one or ("alone", at) for at, one in enumerate(ids)]


def group_with_drain3(prompts: list[str]) -> list[Hashable]:
    """Drain3, its defaults, prompts as one line each."""
    from drain3 import TemplateMiner
    from drain3.template_miner_config import TemplateMinerConfig

    miner = TemplateMiner(config=TemplateMinerConfig())
    return [miner.add_log_message(" ".join(prompt.split()))["cluster_id"] for prompt in prompts]


def group_with_rensa(prompts: list[str]) -> list[Hashable]:
    """Rensa R-MinHash with LSH, 128 permutations, words as tokens, similarity 0.3."""
    from rensa import RMinHash, RMinHashLSH

    index = RMinHashLSH(0.3, 128, 64)
    leaders: dict[int, RMinHash] = {}
    groups: list[Hashable] = []
    for start in range(0, len(prompts), 20_000):
        sets = [prompt.split() for prompt in prompts[start : start + 20_000]]
        for at, hashed in enumerate(RMinHash.from_token_sets(sets, 128, 7), start):
            near = (key for key in sorted(index.query(hashed)) if leaders[key].jaccard(hashed) >= 0.3)
            leader = next(near, at)
            if leader == at:
                leaders[at] = hashed
                index.insert(at, hashed)
            groups.append(leader)
    return groups


def group_with_datasketch(prompts: list[str]) -> list[Hashable]:
    """Datasketch MinHash LSH, 128 permutations, words as tokens, similarity 0.3."""
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=0.3, num_perm=128)
    groups: list[Hashable] = []
    for at, prompt in enumerate(prompts):
        hashed = MinHash(num_perm=128, seed=7)
        hashed.update_batch([word.encode() for word in set(prompt.split())])
        near = index.query(hashed)
        leader = min(near) if near else at
        if leader == at:
            index.insert(at, hashed)
        groups.append(leader)
    return groups


GROUPERS: dict[str, Callable[[list[str]], list[Hashable]]] = {
    "linkage": group_with_linkage,
    "drain3": group_with_drain3,
    "rensa": group_with_rensa,
    "datasketch": group_with_datasketch,
}


def measure(method: str, data: str) -> dict[str, float]:
    """One run in this process: F1, grouping accuracy, prompts per second and peak memory in MB."""
    prompts, truth = make_prompts(int(data)) if data.isdigit() else load_dev_prompts(data)
    GROUPERS[method](prompts[:600])  # compilation and imports are not what is measured
    start = time.perf_counter()
    labels = GROUPERS[method](prompts)
    seconds = time.perf_counter() - start
    f1, accuracy = score(labels, truth)
    return {"f1": f1, "accuracy": accuracy, "rate": len(prompts) / seconds, "peak_mb": peak_mb()}


def measure_apart(method: str, data: str) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.templates", method, data]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def run(*, is_short: bool = False, with_scale: bool = False) -> None:
    """Print a table per set of prompts: medians over the runs."""
    folder = os.environ.get("LINKAGE_DATA")
    for data in (["2000"] if is_short else ["10000", "300000"]) + ([folder] if folder else []):
        print(f"\n{int(data):,} made prompts" if data.isdigit() else "\nP3 development prompts")
        _print_table(METHODS, data, runs=1 if is_short else RUNS)
    for data in ["100000", "1000000"] if with_scale else []:
        print(f"\n{int(data):,} made prompts")
        _print_table(["linkage"], data, runs=RUNS)


def _print_table(methods: Sequence[str], data: str, *, runs: int) -> None:
    """Medians over the runs; the methods take turns, so that a slow minute of the machine meets them all."""
    taken: dict[str, list[dict[str, float]]] = {method: [] for method in methods}
    for _ in range(runs):
        for method in methods:
            taken[method].append(measure_apart(method, data))
    middle = {method: _median(found) for method, found in taken.items()}
    print("| method | pairwise F1 | grouping accuracy | prompts/s | linkage is so many times as fast | peak MB |")
    print("| --- | --- | --- | --- | --- | --- |")
    for method, row in middle.items():
        scores = f"{row['f1']:.3f} | {row['accuracy']:.3f}"
        ratio = middle["linkage"]["rate"] / row["rate"]
        print(f"| {method} | {scores} | {row['rate']:,.0f} | {ratio:.1f} | {row['peak_mb']:,.0f} |", flush=True)


def _median(taken: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(one[name] for one in taken) for name in taken[0]}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2])))
