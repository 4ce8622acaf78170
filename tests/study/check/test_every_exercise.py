"""Every exercise ever declared is proven here; a new one needs no new test.

What must pass passes, every known mistake is named, and no right answer with one fault passes:
each mutant is caught, or right on a thousand inputs. Each chapter has a process of its own, in
which shapes are not checked at run time: with that check the calls would take five times as long.
"""

import pytest

from course_lib.study.chapter_parts import all_exercises
from tests.study.check.chapter_proof import proven_elsewhere

SLUGS = sorted({each.id.partition(".")[0] for each in all_exercises()})


@pytest.mark.timeout(1800)  # alone a minute or two; a busy machine takes ten times as long
@pytest.mark.parametrize("slug", SLUGS)
def test_every_claim_holds_and_every_mutant_is_caught_or_no_fault(slug, record_property):
    found, seconds = proven_elsewhere(slug)
    record_property("cpu", seconds)
    assert found == []
