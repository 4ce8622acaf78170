"""The stored notebooks of the course, without running them; `course test` replays them besides."""

import pytest

from course_lib import SYLLABUS
from course_lib.authoring.build import NOTEBOOKS, SOURCES, static_problems


@pytest.mark.parametrize("entry", SYLLABUS, ids=lambda entry: entry.stem)
def test_a_notebook_agrees_with_its_source_its_chapter_and_the_rules(entry):
    assert static_problems(entry) == []


def test_every_notebook_and_every_source_is_in_the_catalogue():
    stems = {entry.stem for entry in SYLLABUS}
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} <= stems
    assert {path.stem for path in SOURCES.glob("*.py")} <= stems
