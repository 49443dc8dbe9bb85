import random

import numpy as np
import pandas as pd
import pytest

from linkage.errors import TemplateError
from linkage.settings import TemplateSettings
from linkage.templates.features import Features, extract_features, join_features
from linkage.templates.mine import assign, learn, mine_templates, template_name

NOUNS = [
    "river",
    "engine",
    "letter",
    "garden",
    "market",
    "window",
    "copper",
    "violin",
    "harbour",
    "winter",
    "mountain",
    "story",
    "lamp",
    "bridge",
]
VERBS = ["carries", "paints", "follows", "measures", "forgets", "repairs", "borrows", "watches", "sells", "describes"]
SMALL = ["the", "a", "one", "every", "this", "that", "some", "no"]


def sentence(rand: random.Random, words: int = 14) -> str:
    kinds = (SMALL, NOUNS, VERBS)
    return " ".join(rand.choice(kinds[at % 3]) + str(rand.randrange(40)) * (at % 3 == 1) for at in range(words))


TEMPLATES = {
    "summary": lambda rand: f"Summarize the following article in two sentences.\n\n{sentence(rand, 60)}\n\nSummary:",
    "reviews": lambda rand: f"{sentence(rand, 40)}\nIs the review above positive or negative?",
    "qa": lambda rand: f"Context: {sentence(rand, 50)}\nQuestion: {sentence(rand, 8)}?\nAnswer with a short phrase:",
    "json": lambda rand: f'Extract all names as JSON {{"names": []}} from this text: {sentence(rand, 30)}',
    "code": lambda rand: f"Write a Python function that {sentence(rand, 9)}. Include tests and a docstring.",
    "hints": lambda rand: f"Tutor mode on. Give me three hints, no solution, for: {sentence(rand, 12)}",
}


def world(sizes: dict[str, int], seed: int = 7) -> tuple[list[str], list[str]]:
    rand = random.Random(seed)
    rows = [(TEMPLATES[name](rand), name) for name, size in sizes.items() for _ in range(size)]
    rand.shuffle(rows)
    return [prompt for prompt, _ in rows], [name for _, name in rows]


def groups(labels, truth) -> dict[str, set[int]]:
    return {
        name: {int(label) for label, each in zip(labels, truth, strict=True) if each == name} for name in set(truth)
    }


def test_each_template_is_one_label_whatever_its_size():
    sizes = {"summary": 2000, "reviews": 400, "qa": 100, "json": 40, "code": 20, "hints": 10}
    prompts, truth = world(sizes)
    mined = mine_templates(prompts)
    found = groups(mined.labels, truth)
    assert all(len(labels) == 1 and -1 not in labels for labels in found.values()), found
    assert len({label for labels in found.values() for label in labels}) == len(sizes)
    assert mined.table["prompts"].tolist() == sorted(sizes.values(), reverse=True)


def test_text_of_a_template_shows_fixed_text_in_full_and_slots_marked():
    prompts, _ = world({"qa": 30})
    table = mine_templates(prompts).table
    assert table["text"].tolist() == ["Context: <*>\nQuestion: <*>?\nAnswer with a short phrase:"]
    assert table["slots"].tolist() == [2]


def test_long_fixed_text_is_shown_in_full():
    preamble = "You are a careful grader. " + " ".join(
        f"Rule {at}: weigh {noun} twice." for at, noun in enumerate(NOUNS * 9)
    )
    rand = random.Random(3)
    table = mine_templates([f"{preamble}\nEssay: {sentence(rand, 25)}" for _ in range(8)]).table
    assert table["text"].tolist() == [f"{preamble}\nEssay: <*>"]


def test_free_prompts_get_no_template():
    rand = random.Random(5)
    free = [sentence(rand, rand.randrange(6, 40)) for _ in range(1500)]
    prompts, truth = world({"summary": 50, "qa": 50})
    mined = mine_templates(free + prompts)
    assert (mined.labels[:1500] >= 0).mean() <= 0.02
    assert all(len(labels) == 1 and -1 not in labels for labels in groups(mined.labels[1500:], truth).values())


def test_two_prompts_alike_are_no_template():
    prompts, _ = world({"summary": 2})
    assert mine_templates(prompts).labels.tolist() == [-1, -1]


def test_templates_that_differ_only_in_a_label_behind_a_long_slot_are_told_apart():
    rand = random.Random(11)
    ask = [f"Read this passage first.\n{sentence(rand, 40)}\nQuery: {sentence(rand, 8)}\nAnswer:" for _ in range(30)]
    task = [f"Read this passage first.\n{sentence(rand, 40)}\nClaim: {sentence(rand, 8)}\nAnswer:" for _ in range(30)]
    labels = mine_templates(ask + task).labels
    assert len(set(labels[:30])) == len(set(labels[30:])) == 1
    assert labels[0] != labels[30]


def assert_told_apart(*groups_of_prompts: list[str]) -> None:
    labels = mine_templates([prompt for prompts in groups_of_prompts for prompt in prompts]).labels
    parts = np.split(labels, np.cumsum([len(prompts) for prompts in groups_of_prompts])[:-1])
    found = [set(part.tolist()) for part in parts]
    assert all(len(part) == 1 and -1 not in part for part in found), found
    assert len(set.union(*found)) == len(found)


def test_lettered_and_dashed_choices_are_two_templates():
    rand = random.Random(17)

    def ask(marks: list[str]) -> str:
        choices = "\n".join(f"{mark} {sentence(rand, 7)}" for mark in marks)
        return f"Read the passage and pick an option.\n{sentence(rand, 40)}\n{choices}"

    assert_told_apart([ask(["A.", "B.", "C.", "D."]) for _ in range(30)], [ask(["-"] * 4) for _ in range(30)])


def test_question_above_a_long_list_is_seen():
    rand = random.Random(19)

    def ask(question: str) -> str:
        entries = "\n".join(f"- {rand.choice(NOUNS)}{rand.randrange(900)}" for _ in range(rand.randrange(20, 40)))
        return f"Information:\n{sentence(rand, 60)}\n\n\n{sentence(rand, 30)}\n{question}\n\nChoices:\n{entries}"

    asked = [f"Which of these entities is the one that {sentence(rand, 4)}?" for _ in range(30)]
    named = [f"Give the name of the object in relation to {sentence(rand, 4)}." for _ in range(30)]
    assert_told_apart([ask(each) for each in asked], [ask(each) for each in named])


def test_words_that_close_a_line_between_two_slots_are_seen():
    rand = random.Random(23)

    def ask(closing: str) -> str:
        asked = f"{sentence(rand, 5)} and {sentence(rand, 6)} {closing}"
        return f"{sentence(rand, 20)}\n\n{asked}\n\nOptions:\n{sentence(rand, 7)}"

    assert_told_apart(
        [ask("mean the same thing?") for _ in range(40)], [ask("are of one kind only?") for _ in range(40)]
    )


def test_a_whole_line_behind_two_slots_tells_templates_apart():
    rand = random.Random(29)

    def ask(question: str) -> str:
        return (
            f"Premise: {sentence(rand, 20)}\nHypothesis: {sentence(rand, 9)}\n{question}\nOptions:\n{sentence(rand, 6)}"
        )

    assert_told_apart(
        [ask("Does the premise entail the hypothesis?") for _ in range(40)],
        [ask("Is the hypothesis a thing to be trusted?") for _ in range(40)],
    )


def test_texts_that_fill_a_slot_again_and_again_are_not_templates():
    rand = random.Random(13)
    passages = [sentence(rand, 50) for _ in range(40)]
    prompts = [
        f"Context: {one}\nAsk something hard about it.\n{sentence(rand, 9)}" for one in passages for _ in range(5)
    ]
    assert set(mine_templates(prompts).labels.tolist()) == {0}


def test_templates_that_differ_in_one_sentence_are_told_apart_however_few_have_one():
    rand = random.Random(37)
    start = "You are a careful assistant. Draft a reply which politely declines. Use plain words.\n\nInput:"

    def ask(manner: str) -> str:
        return f"{start}\n{sentence(rand, 50)}\n\n{manner} Format your answer as JSON."

    manners = {"Quote what supports you.": 400, "Use at most fifty words.": 150, "Avoid bullets of any kind.": 12}
    assert_told_apart(*([ask(manner) for _ in range(size)] for manner, size in manners.items()))


def test_what_may_still_be_fixed_text_is_not_counted_as_a_slots_opening():
    rand = random.Random(41)
    fixed = (
        "You are an assistant. Summarize the text between the lines without adding anything. End with a short verdict."
    )
    prompts = [f"{fixed}\n###\n{word} {sentence(rand, 60)}" for word in NOUNS[:9] for _ in range(15)]
    assert set(mine_templates(prompts).labels.tolist()) == {0}


def test_a_dozen_long_texts_that_fill_a_slot_are_no_templates():
    rand = random.Random(43)
    texts = [sentence(rand, 90) for _ in range(12)]
    ask = "Write a reply of one paragraph to this. Give your reasons first.\n\nDocument:"
    prompts = [f"{ask}\n{one}\n{rand.choice(NOUNS)} {sentence(rand, 5)}" for one in texts for _ in range(40)]
    assert set(mine_templates(prompts).labels.tolist()) == {0}


def test_a_dozen_kinds_of_question_behind_a_long_instruction_are_no_templates():
    rand = random.Random(53)
    asks = [f"There are {{}} in {{}}. {sentence(rand, 13)}?" for _ in range(12)]
    start = (
        "Role: an expert in deduction\nWork out the puzzle, number each inference.\nNever mention the solver\n"
        "Write for a reader of age 72\nRespond in YAML with certainty and conclusion.\n\nRiddle:"
    )
    prompts = [f"{start} {ask.format(*rand.sample(NOUNS, 2))}" for ask in asks for _ in range(40)]
    assert set(mine_templates(prompts).labels.tolist()) == {0}


def test_a_few_frames_of_questions_under_many_long_instructions_are_no_templates():
    rand = random.Random(53)
    frames = [
        "A code has {} digits, {} of them right. Which code with {} digits can it be?",
        "A tank holds {} litres and a pipe drains {} a minute. When are {} litres left?",
        "A train leaves with {} km to go, another {} minutes later. Do they meet in {} hours?",
        "A dealer buys {} crates of {} bottles and returns {} of them. What is his total?",
        "A field has sides of {} and {} metres. What does a fence at {} a metre cost?",
        "A bag holds {} red and {} blue balls. What is the chance that {} are red?",
    ]

    def ask(instruction: str) -> str:
        return f"{instruction}\n\n{rand.choice(frames).format(*(rand.randrange(999) for _ in range(3)))}"

    instructions = [sentence(rand, 60) for _ in range(12)]
    assert_told_apart(*([ask(instruction) for _ in range(200)] for instruction in instructions))


def test_none_and_empty_prompts_get_no_label():
    prompts, _ = world({"qa": 10})
    mined = mine_templates([None, "", "  ", *prompts])
    assert mined.labels[:3].tolist() == [-1, -1, -1]
    assert set(mined.labels[3:].tolist()) == {0}


def test_nothing_in_gives_the_same_columns_out():
    empty, full = mine_templates([]), mine_templates(world({"qa": 10})[0])
    assert empty.labels.tolist() == []
    assert empty.table.dtypes.tolist() == full.table.dtypes.tolist()
    assert list(empty.table.columns) == list(full.table.columns)


def test_prompts_may_be_a_series_and_requests_accounts_and_times_are_counted():
    prompts, _ = world({"json": 12})
    series = pd.Series([*prompts, prompts[0]], index=range(100, 113))
    accounts = ["a", "b"] * 6 + ["c"]
    times = pd.date_range("2026-01-01", periods=13, freq="h", tz="UTC")
    row = mine_templates(series, account_ids=accounts, timestamps=list(times)).table.iloc[0]
    assert (row["prompts"], row["requests"], row["accounts"]) == (12, 13, 3)
    assert (row["first_at"], row["last_at"]) == (times[0], times[-1])


def test_accounts_of_another_number_than_prompts_are_refused():
    with pytest.raises(TemplateError, match="account_ids"):
        mine_templates(["a b c"], account_ids=["x", "y"])


def test_one_text_is_not_taken_for_its_letters():
    with pytest.raises(TemplateError, match=r"wanted several prompts; got one text of 5 characters. Give a list"):
        mine_templates("hello")


def test_result_shows_itself_with_text_escaped():
    rand = random.Random(1)
    mined = mine_templates([f"<script>alert(1)</script> please review the {sentence(rand)}" for _ in range(9)])
    assert repr(mined) == "MinedTemplates(1 templates, 9 of 9 prompts have one)"
    assert "<script>" not in mined._repr_html_()


def test_new_prompts_take_the_templates_that_were_learned():
    prompts, truth = world({"summary": 60, "qa": 60, "code": 60})
    model = learn([extract_features(prompts)], settings=TemplateSettings())
    known = dict(zip(truth, assign(extract_features(prompts), model).template_ids.tolist(), strict=True))
    later, names = world({"summary": 20, "qa": 20, "code": 20}, seed=99)
    found = assign(extract_features(later), model).template_ids.tolist()
    assert found == [known[name] for name in names]


def test_same_item_under_two_templates_or_bare_has_the_same_fingerprint():
    rand = random.Random(17)
    items = [sentence(rand, 30) for _ in range(40)]
    one = [f"Translate into German, keep the tone.\n\n{item}\n\nTranslation:" for item in items]
    two = [f"Here is a passage: {item}\nWhat is it about? Answer in one line." for item in items]
    found = mine_templates(one + two + items).items
    for at in range(40):
        wrapped, other, bare = (set(found[at + shift].tolist()) for shift in (0, 40, 80))
        assert wrapped & other
        assert wrapped & bare
    assert not any(set(found[a].tolist()) & set(found[40 + b].tolist()) for a in range(40) for b in range(40) if a != b)


def test_short_slot_is_an_item_as_a_whole():
    rand = random.Random(19)
    asks = [sentence(rand, 5) for _ in range(20)]
    found = mine_templates([f"Answer with one word only please: {ask}" for ask in asks] + asks).items
    assert all(set(found[at].tolist()) & set(found[at + len(asks)].tolist()) for at in range(len(asks)))


def test_settings_change_outcomes():
    prompts, _ = world({"qa": 6, "reviews": 40})
    count = lambda **changes: len(mine_templates(prompts, settings=TemplateSettings(**changes)).table)  # noqa: E731
    assert (count(), count(min_support=7), count(min_strength=30)) == (2, 1, 0)


def test_item_share_says_what_is_boilerplate():
    prompts, _ = world({"qa": 6, "reviews": 40})
    few = mine_templates(prompts, settings=TemplateSettings(item_share=0.01)).items
    many = mine_templates(prompts, settings=TemplateSettings(item_share=1)).items
    assert sum(map(len, few)) < sum(map(len, many))


def test_learning_from_a_sample_knows_only_the_sample():
    prompts, _ = world({"qa": 300})
    block = extract_features(prompts)
    model = learn([block], settings=TemplateSettings(learn_prompts=100))
    assert model.patterns.direct.sum() == 100
    assert (assign(block, model).template_ids != 0).mean() > 0.99


def test_blobs_hold_all_features_and_stay_small():
    rand = random.Random(23)
    prompts = ["", "one", "日本語の文章です", sentence(rand, 150), "x " * 50_000, "a: b\n" * 500, "é" * 30_000]
    features = extract_features(prompts)
    blobs = features.to_blobs()
    again = Features.from_blobs(features.prompt_ids, blobs)
    for name in ("prompt_ids", "words", "wholes", "heads", "tails", "openings", "item_starts", "items"):
        assert np.array_equal(getattr(features, name), getattr(again, name))
    assert max(map(len, blobs)) <= 1024


@pytest.mark.parametrize("blob", [b"", b"x", b"\x05" * 40])
def test_blobs_of_another_make_are_refused(blob):
    with pytest.raises(TemplateError, match="blobs"):
        Features.from_blobs([1], [blob])


def test_ids_and_blobs_must_match_in_number():
    with pytest.raises(TemplateError, match="one id per blob"):
        Features.from_blobs([1, 2], [])


def test_no_features_join_to_none():
    assert len(join_features([])) == len(extract_features([])) == 0


def test_very_long_prompts_keep_both_ends():
    rand = random.Random(29)
    prompts = [f"Read this log.\nLog: {sentence(rand, 9000)}\nList the three worst errors." for _ in range(6)]
    assert min(map(len, prompts)) > 50_000
    assert mine_templates(prompts).table["text"].tolist() == ["Read this log.\nLog: <*>\nList the three worst errors."]


def test_chinese_templates_are_found():
    rand = random.Random(31)
    texts = ["".join(rand.choice("山水火木金土日月天地人心手口目耳") for _ in range(30)) for _ in range(12)]
    assert set(mine_templates([f"请总结以下文章:{text}。请用三句话回答。" for text in texts]).labels.tolist()) == {0}


def test_a_character_of_a_script_without_spaces_says_less_than_a_word():
    rand = random.Random(47)
    letters = "河机信园市窗铜琴港冬山故灯桥画跟量忘修借看卖述大小红蓝快慢新旧天地风雨春秋书纸"

    def text(size: int) -> str:
        return "".join(rand.choice(letters) for _ in range(size))

    asked = [f"什么是{text(rand.randrange(4, 12))}？" for _ in range(60)]
    told = [f"{text(rand.randrange(12, 30))}，你说呢" for _ in range(60)]
    planted = [f"请用两句话概括下面的文章：{text(rand.randrange(12, 30))}" for _ in range(60)]
    labels = mine_templates(asked + told + planted).labels
    assert set(labels[:120].tolist()) == {-1}
    assert set(labels[120:].tolist()) == {0}


def test_what_most_words_of_a_prompt_are_is_kept_in_its_blob():
    features = extract_features(["什么是河？", "What is 河 in English?", "Tell me what it is."])
    assert features.dense.tolist() == [True, False, False]
    again = Features.from_blobs(features.prompt_ids, features.to_blobs())
    assert (again.dense.tolist(), again.words.tolist()) == (features.dense.tolist(), features.words.tolist())
    assert join_features([again.take(np.array([0])), again]).dense.tolist() == [True, True, False, False]


def test_names_are_sixteen_hex_digits():
    assert template_name(2**63 - 1) == "t-7fffffffffffffff"
