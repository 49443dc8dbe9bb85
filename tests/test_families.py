from linkage.settings import TemplateSettings
from linkage.templates.families import find_contract, find_layout, tie_families
from linkage.terms import TemplateId

TEXTS = {
    TemplateId("t-a1"): "Summarize the following article in two sentences: <*>",
    TemplateId("t-a2"): "In two sentences, give a summary of the following article: <*>",
    TemplateId("t-a3"): "Please summarise the article below in two short sentences.\n\n<*>",
    TemplateId("t-b1"): "Context: <*>\nQuestion: <*>\nAnswer:",
    TemplateId("t-b2"): "Kontext: <*>\nFrage: <*>\nAntwort:",
    TemplateId("t-c1"): 'Solve the riddle <*>. Reply as JSON {"answer": ""}',
    TemplateId("t-d1"): "Write a haiku about <*>",
}


def family_of(settings=None):
    frame = tie_families(TEXTS, settings=settings).set_index("template_id")
    return frame["family_id"]


def test_paraphrases_and_reorderings_are_one_family():
    families = family_of()
    assert families["t-a1"] == families["t-a2"] == families["t-a3"] == "f-a1"


def test_a_chain_of_small_likenesses_is_no_family():
    words = [f"{a}{b}" for a in ("apple", "cedar", "flute", "lemon") for b in ("wood", "stone", "fish", "light")]
    words = [word[::-1] for word in words]
    chain = {TemplateId(f"t-{at:02d}"): " ".join(words[at : at + 4]) + " <*>" for at in range(13)}
    families = tie_families(chain)["family_id"]
    assert families.nunique() > 2


def test_soft_formats_are_no_part_of_a_contract_with_tags():
    plain = "Put the result in <answer></answer>. <*>"
    assert find_contract(plain) == find_contract(f"{plain} Think step by step, as a bulleted list.")


def test_unlike_templates_have_no_family():
    families = family_of()
    assert families[["t-c1", "t-d1"]].isna().all()


def test_translated_labels_are_tied_by_their_layout():
    assert find_layout(TEXTS[TemplateId("t-b1")]) == find_layout(TEXTS[TemplateId("t-b2")]) == "LS|LS|L"
    families = family_of(TemplateSettings(family_similarity=0.25))
    assert families["t-b1"] == families["t-b2"]


def test_similarity_threshold_changes_the_families():
    assert family_of(TemplateSettings(family_similarity=0.99)).isna().all()


def test_order_of_the_texts_changes_nothing():
    backwards = dict(reversed(TEXTS.items()))
    assert tie_families(TEXTS).equals(tie_families(backwards))


def test_contract_survives_a_paraphrase():
    one = find_contract('Answer <*> as JSON: {"answer": "", "why": ""}')
    two = find_contract('For the task <*> give JSON only, such as {"why": "...", "answer": "..."}')
    assert one == two == "format=json;keys=answer,why;slots=1"


def test_contract_tells_tags_and_formats():
    assert find_contract("Put it in <answer></answer>. <*> Think step by step.") == "tags=answer;slots=1"


def test_template_that_asks_for_nothing_specific_has_no_contract():
    assert find_contract("Tell me about <*>") is None


def test_no_templates_give_the_same_columns():
    assert list(tie_families({}).columns) == list(tie_families(TEXTS).columns)
    assert tie_families({}).dtypes.tolist() == tie_families(TEXTS).dtypes.tolist()
