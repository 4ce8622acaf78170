"""Pages, chunks, search, and answers that keep to what they cite."""

import inspect
import shutil
import textwrap
from itertools import pairwise

import pytest

from course_lib import ask_command, cli
from course_lib.retrieval import (
    documentation_pages,
    find_page,
    paragraph_chunks,
    passages,
    search,
    windows,
    word_chunks,
)
from course_lib.retrieval.grounding import (
    check_answer,
    contradictions,
    grounded_prompt,
    is_on_its_page,
    support,
)
from course_lib.retrieval.pages import help_name
from course_lib.retrieval.questions import PARTS, evaluate, stored_questions


def test_pages_say_what_python_says():
    for function in (textwrap.wrap, shutil.copytree):
        name = f"{function.__module__}.{function.__name__}"
        assert find_page(name).text.partition("\n\n")[2] == inspect.getdoc(function)
    assert find_page("sorted").text.startswith("sorted\n\n")
    assert "assert" in find_page("topic:assert").text
    names = [page.name for page in documentation_pages()]
    assert names == sorted(set(names))
    names = ("textwrap.wrap", "topic:execmodel", "topic:assert", "topic:nothing")
    assert [*map(help_name, names)] == ["textwrap.wrap", "EXECUTION", "assert", None]
    with pytest.raises(ValueError, match="no_such"):
        find_page("no_such")


def test_windows_cover_everything_once_and_overlap():
    for count, size, overlap in ((0, 3, 1), (10, 4, 1), (8, 8, 0), (9, 2, 1)):
        spans = windows(count, size, overlap)
        assert {i for start, stop in spans for i in range(start, stop)} == set(range(count))
        steps = [b.start - a.start for a, b in pairwise(spans)]
        assert set(steps) <= {size - overlap}
    with pytest.raises(ValueError, match="4"):
        windows(10, 4, 4)


def test_chunks_are_slices_of_the_text():
    text = "One two three.\n\n  Four five.\n\n\n" + "six " * 30 + "\n\nseven"
    words = [text[start:stop] for start, stop in word_chunks(text, 5, 2)]
    assert words[0] == "One two three.\n\n  Four five."
    parts = [text[start:stop] for start, stop in paragraph_chunks(text, 8)]
    assert parts[0] == "One two three.\n\n  Four five."
    assert parts[-1] == "seven"
    assert all(len(part.split()) <= 8 for part in parts)
    assert sum(part.count("six") for part in parts) >= 30
    assert paragraph_chunks("", 5) == word_chunks(" \n", 5, 1) == []


def test_every_passage_is_on_its_page():
    for passage in passages()[::97]:
        assert find_page(passage.page).text[passage.start : passage.stop] == passage.text


def test_search_finds_and_cites():
    found = search("how do I wrap a long line of text?", 4)
    assert any(hit.page.startswith("textwrap") for hit in found)
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
    assert all(map(is_on_its_page, found))
    assert not is_on_its_page(found[0]._replace(start=found[0].start + 1))
    assert not is_on_its_page(found[0]._replace(page="nowhere"))
    assert search("xyzzy plugh", 2) == []
    with pytest.raises(ValueError, match="' '"):
        search(" ", 2)


def test_stored_questions_are_answered_by_pages_that_exist():
    known = {page.name for page in documentation_pages()}
    parts = {part: stored_questions(part) for part in PARTS}
    texts = [each.text for part in parts.values() for each in part]
    assert len(texts) == len(set(texts)) > 90
    assert all(set(each.gains) <= known for part in parts.values() for each in part)
    perfect = (
        evaluate(lambda text: list(by_text[text]), parts["test"])
        if (
            by_text := {
                each.text: sorted(each.gains, key=lambda p: -each.gains[p])
                for each in parts["test"]
            }
        )
        else None
    )
    assert tuple(perfect) == (1.0, 1.0, pytest.approx(1.0))
    with pytest.raises(ValueError, match="at least one"):
        evaluate(list, [])
    quality = evaluate(lambda text: [hit.page for hit in search(text, 40)], parts["test"])
    assert quality.recall > 0.5
    with pytest.raises(ValueError, match="training"):
        stored_questions("training")


PASSAGE = "rmtree deletes an entire directory tree; path must point to a directory."


def test_answers_are_checked_against_what_they_cite():
    assert check_answer("rmtree deletes an entire directory tree [1].", [PASSAGE]).faithful
    assert check_answer("It deletes trees [3].", [PASSAGE]).unknown == [3]
    assert check_answer('It says "path may be a link" [1].', [PASSAGE]).misquoted
    assert not check_answer('"path must point to a directory" [1].', [PASSAGE]).misquoted
    assert check_answer("rmtree deletes an entire directory tree.", [PASSAGE]).unsupported
    assert support("the and of", "") == 1.0
    planted = contradictions("The path must be 3 letters long.")
    assert planted["negated"] == "The path must not be 3 letters long."
    assert planted["number"] == "The path must be 10 letters long."
    assert not check_answer(f"{planted['foreign']} [1]", [PASSAGE]).faithful


def test_the_prompt_has_numbered_passages():
    hits = search("copy a directory tree", 2)
    prompt = grounded_prompt("How?", hits)
    assert f"[1] {hits[0].page}\n{hits[0].text}" in prompt
    assert prompt.endswith("Question: How?\n\nAnswer:")


def test_the_command_prints_passages_with_their_pages(capsys):
    assert cli.main(["ask", "how do I copy a directory tree", "--count", "4"]) == 0
    printed = capsys.readouterr().out
    assert "[4] " in printed
    assert "shutil.copytree   python -m pydoc shutil.copytree" in printed
    assert cli.main(["ask", "xyzzy"]) == 1
    assert "Ask differently" in capsys.readouterr().err


def test_the_command_lets_a_model_answer_and_reports(capsys, monkeypatch):
    monkeypatch.setattr(ask_command, "ANSWER_TOKENS", 8)
    from course_lib.pretrained import FOLDER

    assert ask_command.ask("copy a directory tree", 1, FOLDER) == 0
    assert "[1] " in capsys.readouterr().out
