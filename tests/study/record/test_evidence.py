"""Evidence is what was recorded, counted for each chapter and ability."""

import pytest

from course_lib import SYLLABUS
from course_lib.study.chapter_parts import abilities_of, exercises_of, questions_of
from course_lib.study.record.evidence import Count, Evidence, chapters, total
from course_lib.study.record.progress import Store


@pytest.fixture
def results(tmp_path):
    return Store(tmp_path / "p.sqlite")


def of(found, slug):
    return next(each for each in found if each.notebook.slug == slug)


def test_without_results_everything_is_known_and_nothing_done(results):
    found = chapters(results)
    assert [each.notebook for each in found] == list(SYLLABUS)
    softmax = of(found, "softmax").evidence
    assert softmax.exercises == Count(0, len(exercises_of("softmax")))
    assert softmax.questions == Count(0, len(questions_of("softmax")))
    assert (softmax.word, softmax.share, softmax.last_at) == ("no evidence yet", 0.0, None)
    assert [ability for ability, _ in of(found, "softmax").abilities] == list(
        abilities_of("softmax")
    )


def test_an_exercise_counts_once_passed_and_a_question_by_its_last_answer(results):
    results.record_exercise("softmax.temperature", "passed")
    results.record_exercise("softmax.temperature", "not yet")
    results.record_exercise("softmax.stable", "not yet")
    results.record_question("softmax.temperature", True)
    results.record_question("softmax.cold", True)
    results.record_question("softmax.cold", False)
    results.record_question("softmax.shift", True, (2, 3))
    results.record_question("softmax.gone", True)
    chapter = of(chapters(results), "softmax")
    assert chapter.evidence.exercises.done == 1
    assert chapter.evidence.questions.done == 2
    assert (chapter.evidence.answered, chapter.evidence.assessed) == (3, 1)
    stable, temperature, *rest = [evidence for _, evidence in chapter.abilities]
    assert temperature == Evidence(Count(1, 1), Count(1, 2), 2, 0, temperature.last_at)
    assert temperature.word == "begun"
    assert temperature.share == pytest.approx(2 / 3)
    assert (stable.questions.done, stable.assessed) == (1, 1)
    assert all(each.word == "no evidence yet" for each in rest)
    results.record_question("softmax.cold", True)
    assert of(chapters(results), "softmax").abilities[1][1].word == "shown"


def test_the_sum_of_all(results):
    results.record_exercise("softmax.stable", "passed")
    results.record_question("rope.blind", True)
    found = chapters(results)
    whole = total(found)
    assert whole.exercises.done == whole.questions.done == whole.answered == 1
    assert whole.exercises.known == sum(len(exercises_of(each.slug)) for each in SYLLABUS)
    assert whole.last_at == results.questions()["rope.blind"].last_at


def test_counts_read_as_words():
    assert str(Count(2, 5)) == "2 of 5"
    assert str(Count(0, 0)) == "–"
