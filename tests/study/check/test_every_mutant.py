"""No right answer with one fault passes: every mutant is caught, or right on a thousand inputs."""

import pytest

from course_lib.study.chapter_parts import all_exercises
from course_lib.study.check.mutation_score import mutation_score

WITH_GENERATOR = [each for each in all_exercises() if each.generator]


@pytest.mark.parametrize("exercise", WITH_GENERATOR, ids=lambda each: each.id)
def test_every_mutant_is_caught_or_no_fault(exercise):
    score = mutation_score(exercise)
    assert score.survivors == ()
    assert score.killed >= 5
