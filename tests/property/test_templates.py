import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage.settings import TemplateSettings
from linkage.templates.features import extract_features, join_features
from linkage.templates.mine import assign, learn
from linkage.templates.normalize import normalize

WORDS = [
    "amber",
    "basin",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "heath",
    "islet",
    "jetty",
    "knoll",
    "lagoon",
    "marsh",
    "north",
    "ocean",
    "plain",
]
SHAPES = (
    "Give a short title for this note: {a}\nTitle:",
    "{a}\nWhich of the words above is the odd one out?",
    "Context: {a}\nQuestion: {b}\nAnswer briefly:",
    "{a} {b} {a}",
)


def prompts_of(seed: int, size: int) -> list[str]:
    rand = random.Random(seed)

    def text(least: int) -> str:
        return " ".join(rand.choice(WORDS) + rand.choice(WORDS) for _ in range(rand.randrange(least, least + 20)))

    return [rand.choice(SHAPES).format(a=text(8), b=text(4)) for _ in range(size)]


def ids_of(blocks, prompts) -> list[int]:
    model = learn(blocks, settings=TemplateSettings())
    return assign(extract_features(prompts), model).template_ids.tolist()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.integers(20, 120), st.integers(1, 5), st.randoms(use_true_random=False))
def test_order_duplicates_and_splits_change_no_template_id(seed, size, parts, rand):
    prompts = prompts_of(seed, size)
    expected = ids_of([extract_features(prompts)], prompts)
    shuffled = prompts + prompts[: size // 3]
    rand.shuffle(shuffled)
    blocks = [extract_features(shuffled[at::parts]) for at in range(parts)]
    assert ids_of(blocks, prompts) == expected


NOISE = ("\u200b", "\u2060", "\u00ad", "\u0301", ".", ",", "'", "*", "_")
TWINS = str.maketrans("aeocpxyi", "аеосрхуі")


def evade(text: str, rand: random.Random) -> str:
    """The text with case, look-alikes, invisible characters, white space and inserted punctuation."""
    out = []
    for character in text:
        character = character.upper() if rand.random() < 0.3 else character
        character = character.translate(TWINS) if rand.random() < 0.3 else character
        character = rand.choice(("  ", "\t", "\u00a0")) if character == " " and rand.random() < 0.3 else character
        out.append(character + (rand.choice(NOISE) if rand.random() < 0.1 else ""))
    return "".join(out)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_evasive_noise_makes_no_new_prompt(seed, noise):
    rand = random.Random(noise)
    prompts = prompts_of(seed, 5)
    plain, evasive = extract_features(prompts), extract_features([evade(text, rand) for text in prompts])
    assert plain.to_blobs() == evasive.to_blobs()
    assert np.array_equal(plain.prompt_ids, evasive.prompt_ids)


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=80))
def test_features_are_a_function_of_the_normalised_text(text):
    folded = normalize(text)
    assert normalize(folded) == folded
    one, two = extract_features([text, folded, "other"]), extract_features([folded])
    assert one.prompt_ids[0] == one.prompt_ids[1] == two.prompt_ids[0]
    assert one.to_blobs()[0] == two.to_blobs()[0]


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10_000))
def test_a_tenth_more_data_keeps_template_ids(seed):
    prompts = prompts_of(seed, 1100)
    before = np.array(ids_of([extract_features(prompts[:1000])], prompts[:1000]))
    after = np.array(ids_of([extract_features(prompts)], prompts[:1000]))
    assert (before == after).mean() >= 0.99


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10_000), st.integers(0, 60))
def test_joined_features_are_those_of_all_prompts(seed, cut):
    prompts = prompts_of(seed, 60)
    joined = join_features([extract_features(prompts[:cut]), extract_features(prompts[cut:])])
    assert joined.to_blobs() == extract_features(prompts).to_blobs()
