"""An exercise that is taught elsewhere now: its cells are checked, its results count there."""

import subprocess
import sys

import pytest

from course_lib import SYLLABUS
from course_lib.study import chapter_parts
from course_lib.study.chapter_parts import (
    all_exercises,
    current_exercise_id,
    find_exercise,
    part_of,
    retired_exercises,
)
from course_lib.study.check import decorator, reveal
from course_lib.study.record.evidence import chapters
from course_lib.study.record.progress import FILE_NAME, Store

OLD, NEW = next(iter(retired_exercises().items()))
CHAPTER = NEW.partition(".")[0]


@pytest.fixture
def results(tmp_path, monkeypatch):
    found = Store(tmp_path / FILE_NAME)
    monkeypatch.setattr(decorator, "store", lambda: found)
    monkeypatch.setattr(reveal, "store", lambda: found)
    monkeypatch.setattr(reveal, "_asked", reveal.Counter())
    monkeypatch.setattr(decorator, "_memory", decorator._Memory())
    return found


def done(results):
    """Return the exercises passed in the chapter that teaches it now."""
    found = {each.notebook.slug: each.evidence.exercises.done for each in chapters(results)}
    assert sum(found.values()) == found[CHAPTER]
    return found[CHAPTER]


def test_every_retired_id_leads_to_an_exercise_in_one_step():
    known = {each.id for each in all_exercises()}
    for notebook in SYLLABUS:
        for old, new in getattr(part_of(notebook.slug, "retired"), "RETIRED", {}).items():
            assert old.partition(".")[0] == notebook.slug
            assert old not in known
            assert new in known
    assert current_exercise_id(NEW) == NEW
    assert current_exercise_id("softmax.stable") == "softmax.stable"


def test_a_cell_with_an_old_id_is_checked_and_recorded_under_the_new_one(results, capsys):
    solution = find_exercise(OLD).solution
    decorator.exercise(OLD)(lambda padding, tokens: solution(padding, tokens) + 1)
    assert f"{NEW}: not yet" in capsys.readouterr().out
    decorator.hint()
    decorator.hint(OLD)
    assert decorator.exercise(OLD)(solution) is solution
    assert f"{NEW}: passed" in capsys.readouterr().out
    assert set(results.exercises()) == {NEW}
    assert (results.exercises()[NEW].attempts, results.exercises()[NEW].hints) == (2, 2)
    reveal.reveal(OLD)
    assert "(folded)" not in capsys.readouterr().out  # open for one who has passed


def test_recorded_results_of_the_old_id_count_for_the_new_one(results):
    results.record_hint(OLD, 1)
    results.record_hint(NEW, 2)
    assert not results.passed(NEW)
    assert done(results) == 0
    results.record_exercise(OLD, "passed")
    results.record_exercise(NEW, "not yet", "counted from 1")
    assert results.passed(NEW)
    assert results.passed(OLD)
    assert done(results) == 1
    record = results.exercises()[NEW]
    assert (record.attempts, record.passed, record.hints) == (2, True, 2)
    assert record.last_diagnosis == "counted from 1"
    assert not results.passed("transformer.greedy")


@pytest.mark.parametrize("named", [OLD, NEW, CHAPTER, None])
def test_old_results_are_forgotten_with_the_exercise_that_they_count_for(results, named):
    results.record_exercise(OLD, "passed")
    results.record_hint(OLD, 1)
    assert results.reset(OLD.partition(".")[0]) == 0
    assert results.reset(named) == 2
    assert results.exercises() == {}


def test_without_the_mapping_the_old_id_is_unknown(monkeypatch):
    monkeypatch.setattr(chapter_parts, "retired_exercises", dict)
    with pytest.raises(ValueError, match=f"no exercise named '{OLD}'"):
        find_exercise(OLD)


def test_asking_what_is_retired_loads_no_heavy_library():
    code = (
        "import sys; from course_lib.study.chapter_parts import retired_exercises;"
        "assert retired_exercises(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
