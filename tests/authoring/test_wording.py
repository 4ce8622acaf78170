"""The worst words of the glossary stand nowhere that a learner or an author reads."""

from pathlib import Path

import pytest

from course_lib.authoring.wording import odd_words

ROOT = Path(__file__).parents[2]
READ = sorted(
    path
    for pattern in (
        *("course_lib/**/*.py", "course_lib/**/*.txt", "notebooks/source/*.py"),
        *("benchmarks/*.py", "*.md", "docs/*.md", "start.py", "course_lib/pretrained/*.md"),
    )
    for path in ROOT.glob(pattern)
    if path.name != "wording.py" and "corpora" not in path.parts
)


def test_there_is_something_to_read():
    assert len(READ) > 300


def test_no_odd_word_is_left():
    found = [f"{path}: {each}" for path in READ for each in odd_words(path.read_text("utf-8"))]
    assert found == []


@pytest.mark.parametrize(
    ("sentence", "remedy"),
    [
        ("the token behind the prompt", "after"),
        ("which it foretells", "predict"),
        ("so many heads as there are", "number of"),
        ("a text of ten signs", "character"),
        ("cut after each sign", "character"),
        ("Throw the dart.", "sample"),
        ("in another order", "a different"),
    ],
)
def test_odd_words_are_found(sentence, remedy):
    (said,) = odd_words(f"A good line.\n{sentence}")
    assert said.startswith("line 2: ")
    assert remedy in said


@pytest.mark.parametrize(
    "sentence",
    [
        *("the sign of a gradient", "signs of training", "another model", "a minus sign"),
        *("so many methods that", '# %% [markdown] id="the-token-behind"'),
    ],
)
def test_good_sentences_are_left_alone(sentence):
    assert list(odd_words(sentence)) == []
