"""Every exercise ever declared is proven here; a new one needs no new test.

What must pass passes, every known mistake is named, and no right answer with one fault passes:
each mutant is caught, or right on a thousand inputs. Each chapter has a process of its own, in
which shapes are not checked at run time: with that check the calls would take five times as long.
"""

import os
import subprocess
import sys

import pytest

from course_lib.study.chapter_parts import all_exercises

SLUGS = sorted({each.id.partition(".")[0] for each in all_exercises()})
PROGRAM = """
import sys
from course_lib.study.chapter_parts import exercises_of
from course_lib.study.check.bank_proof import findings
from course_lib.study.check.mutation_score import survivors

exercises = exercises_of(sys.argv[1])
print(*(each for exercise in exercises for each in findings(exercise) if not each.holds), sep="\\n")
print(*survivors(exercises), sep="\\n")
"""


@pytest.mark.timeout(1800)  # alone a minute or two; a busy machine takes ten times as long
@pytest.mark.parametrize("slug", SLUGS)
def test_every_claim_holds_and_every_mutant_is_caught_or_no_fault(slug):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, slug], capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n") == ["", "", ""]
