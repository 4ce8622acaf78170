"""Abilities: in the words of the notebooks, with every exercise and question as evidence of one."""

import re
from collections import Counter
from pathlib import Path

import pytest

from course_lib import SYLLABUS
from course_lib.study.chapter_parts import abilities_of, exercises_of, questions_of
from course_lib.study.display.markup import EMPHASIS, spans
from course_lib.study.record.ability import ability

SOURCES = Path(__file__).parents[3] / "notebooks" / "source"


def promised(notebook):
    """Return the list under `After this notebook you can`, each entry in one line."""
    text = (SOURCES / f"{notebook.stem}.py").read_text(encoding="utf-8")
    block = re.search(r"# After this notebook you can\n((?:# .+\n)+)", text)
    entries = re.split(r"^# - ", block[1], flags=re.MULTILINE)[1:] if block else []
    return [" ".join(entry.replace("\n#", " ").split()).rstrip(";.") for entry in entries]


def words_of(text):
    """Return a text without the marks of code and emphasis, which the two may set differently."""
    return "".join(piece for piece, _ in spans(EMPHASIS.sub(r"\1", text)))


def test_marks_alone_make_no_difference():
    assert words_of("run *not* `x_1`") == words_of("run not x_1")
    assert words_of("a * b") == "a * b"
    assert words_of("run not x_1") != words_of("run not x_2")


@pytest.mark.parametrize("notebook", SYLLABUS, ids=lambda each: each.slug)
def test_every_exercise_and_question_is_evidence_of_one_ability(notebook):
    found = abilities_of(notebook.slug)
    exercises = Counter(name for each in found for name in each.exercise_ids)
    asked = Counter(name for each in found for name in each.question_ids)
    assert exercises == Counter(each.id for each in exercises_of(notebook.slug))
    assert asked == Counter(each.id for each in questions_of(notebook.slug))
    assert all(each.exercises or each.questions for each in found)


@pytest.mark.parametrize("notebook", SYLLABUS[1:], ids=lambda each: each.slug)
def test_abilities_are_those_that_the_notebook_promises(notebook):
    texts = [each.text for each in abilities_of(notebook.slug)]
    entries = promised(notebook)
    assert len(entries) == len(texts)
    for entry, text in zip(entries, texts, strict=True):
        assert words_of(entry) == words_of(text)


def test_names_belong_to_the_notebook():
    found = ability("softmax", "do it", exercises="stable  log", questions="shift")
    assert found.exercise_ids == ("softmax.stable", "softmax.log")
    assert found.question_ids == ("softmax.shift",)


def test_a_notebook_without_abilities_has_none():
    assert abilities_of("no_such_notebook") == ()
