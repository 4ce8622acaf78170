"""The inner loop of the kernel as a function on tensors, against attention and its own mutants."""

import subprocess
import sys

import pytest
import torch

from course_lib.flash import kernel_trouble
from course_lib.study.chapter_parts import find_exercise
from course_lib.study.check.judge import check, passes
from course_lib.study.check.mutants import mutants_of
from course_lib.study.check.wrapped_mutants import wrapped_mutants
from course_lib.study.outcomes import Outcome

if kernel_trouble() is None:
    import triton.language as tl
LEG = find_exercise("flash_attention.leg")
HARMLESS = {
    "`input_precision` left out",  # matters in a compiled kernel alone
    "the arguments of `maximum` swapped",
    "a fixed value in place of `BLOCK_S`",  # the result does not depend on the tiles
    "`False` in place of `True`",  # keys past the end, whose scores are masked
}
needs_triton = pytest.mark.skipif(kernel_trouble() is not None, reason=str(kernel_trouble()))


def leg_of(q, k, v):
    """Return the state of the last 16 queries after all keys, two legs one after the other."""
    queries, keys, width = len(q), len(k), q.shape[1]
    given = {
        "acc": torch.zeros(queries, width),
        "m": torch.full((queries,), -torch.inf),
        "total": torch.zeros(queries),
    }
    fixed = (torch.arange(keys - queries, keys), 1.4426950408889634 / width**0.5, keys, width, 16)
    state = LEG.solution(*given.values(), q, k, v, 0, 32, *fixed)
    return LEG.solution(*state, q, k, v, 32, keys, *fixed)


@needs_triton
def test_two_legs_are_causal_attention():
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(n, 16, generator=generator) for n in (16, 50, 50))
    acc, m, total = leg_of(q, k, v)
    mask = torch.ones(16, 50).tril(34).bool()
    scores = (q.double() @ k.double().T / 4).masked_fill(~mask, -torch.inf)
    torch.testing.assert_close(acc / total[:, None], (scores.softmax(-1) @ v.double()).float())
    torch.testing.assert_close(
        (m + total.log2()) * 0.6931471805599453, scores.logsumexp(-1).float()
    )


@needs_triton
def test_every_mutant_is_caught_or_harmless():
    mutants = [*mutants_of(LEG.solution, LEG.adapted), *wrapped_mutants(LEG)]
    assert len(mutants) > 50
    survivors = {each.change for each in mutants if passes(LEG, each.function)}
    assert survivors <= HARMLESS


@needs_triton
@pytest.mark.parametrize("wrong", [{0: (16, 32)}, {2: (15,)}, {4: (50, 8)}, {11: 32}], ids=str)
def test_nothing_is_read_or_written_outside_of_a_tensor(wrong):
    shapes = ((16, 16), (16,), (16,), (16, 16), (50, 16), (50, 16))
    given = [torch.zeros(wrong.get(place, shape)) for place, shape in enumerate(shapes)]
    width = wrong.get(11, 16)
    with pytest.raises((ValueError, TypeError), match=r"\b16\b"):
        LEG.solution(*given, 0, 50, torch.arange(34, 50), 0.4, 50, width, 16)


def without_state(acc, m, total, q, K, V, first, last, positions, scale, S, D, BLOCK_S):
    return tl.exp2([acc, m][2]), m, total


@needs_triton
def test_an_error_is_the_learners_own():
    feedback = check(LEG.id, without_state)
    assert feedback.outcome is Outcome.RAISED
    assert "IndexError" in str(feedback)
    assert "Interpreter" not in str(feedback)


def test_without_triton_the_exercise_is_skipped():
    program = """
import sys
sys.modules["triton"] = None
from course_lib.study.chapter_parts import find_exercise
from course_lib.study.check.judge import check
print(check("flash_attention.leg", find_exercise("flash_attention.leg").solution))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("flash_attention.leg: not attempted")
    assert "pip install triton" in done.stdout
