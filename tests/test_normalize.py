from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from linkage.templates import normalize as room
from linkage.templates.normalize import DROPPED, EXPANDED, NEWLINE, SOLO, SPACE, fold_character, fold_table, normalize


def test_words_and_lines_stay():
    assert normalize("Summarize the text.\n\nBe brief!") == "summarize the text\nbe brief"


@pytest.mark.parametrize(
    "evasive",
    [
        "SUMMARIZE the following text",
        "Summarize   the\tfollowing\u00a0text ",
        "Summ\u200barize the fol\u2060lowing te\u00adxt",
        "Summаrіze the fоllowіng tехt",  # Cyrillic letters
        "Ｓｕｍｍａｒｉｚｅ the following text",  # full-width letters
        "S.u.m.m.a.r.i.z.e the, following; text!!",
        "Súmmärize thé fóllowing têxt",
        "\u202eSummarize the following text\u202c",
        "𝐒𝐮𝐦𝐦𝐚𝐫𝐢𝐳𝐞 the *following* _text_",
    ],
)
def test_evasive_spelling_changes_nothing(evasive):
    assert normalize(evasive) == "summarize the following text"


def test_colon_is_kept_because_it_marks_labels():
    assert normalize("Question:What?\n:: Answer :: yes") == "question : what\nanswer : yes"


def test_scripts_without_spaces_become_single_characters():
    assert normalize("请总结文章。") == normalize("请 总结 文章") == "请 总 结 文 章"


def test_korean_words_and_hindi_vowels_stay_whole():
    assert normalize("요약 हिन्दी") == "요약 हिन्दी"


def test_numbers_of_any_script_become_plain_digits():
    assert normalize("١٢٣ １２ ½") == "123 12 1 2"


def test_the_original_is_not_changed():
    text = "KEEP Me"
    normalize(text)
    assert text == "KEEP Me"


@pytest.mark.parametrize("text", ["", " \n\t ", "?!...", "\u200b"])
def test_text_without_words_becomes_empty(text):
    assert normalize(text) == ""


def test_table_agrees_with_the_fold_of_each_character():
    table = fold_table()
    for character in "aÀß½ \n?.\u0430漢한\U0001f600ﷺ":
        code = int(table.codes[ord(character)])
        row = code - EXPANDED
        codes = table.expansions[table.starts[row] : table.starts[row + 1]].tolist() if code >= EXPANDED else [code]
        assert codes == (fold_character(character) or [DROPPED])


def test_table_codes_are_characters_or_known_marks():
    codes = fold_table().codes
    assert codes.dtype == np.int32
    assert (codes[[ord(" "), ord("\n"), ord("漢")]] == [SPACE, NEWLINE, ord("漢") | SOLO]).all()


def test_threads_that_ask_at_once_make_the_table_once():
    room._make_table.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        tables = [made.result() for made in [pool.submit(fold_table) for _ in range(4)]]
    assert len({id(table) for table in tables}) == 1
    assert room._make_table.cache_info().misses == 1
