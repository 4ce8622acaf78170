"""Mutants are right answers with one fault; a fault that passes is told from one that is none."""

import json
import random
import time
from dataclasses import replace

import torch

from course_lib.study.chapter_parts import find_exercise
from course_lib.study.check.mutants import mutants_of
from course_lib.study.check.mutation_score import (
    SECONDS_FOR_ONE,
    SHORTEST,
    MutationScore,
    is_plain,
    mutation_score,
    right_everywhere,
    same_numbers,
    seconds_for,
    trace,
)
from course_lib.study.check.spec import Probe, call

EXERCISE = find_exercise("softmax.stable")


def clipped_sum(values, low=0, scale=2.0):
    """Return a sum: lines, constants, a comparison, a loop."""
    total = 0
    for value in values:
        if value < low:
            continue
        total += scale * value
    return total


def rows(rng):
    shape = [rng.randint(1, 5) for _ in range(rng.randint(1, 3))]
    generator = torch.Generator().manual_seed(rng.getrandbits(60))
    return call(100 * torch.randn(shape, generator=generator), dim=rng.randrange(-1, 1))


def test_each_mutant_changes_one_thing():
    made = {str(each): each.function for each in mutants_of(clipped_sum)}
    assert made["`<=` in place of `<`, line 5"]([0, 1]) == 2.0
    assert made["`-` in place of `+`, line 7"]([1, 2]) == -6.0
    assert made["`/` in place of `*`, line 7"]([1]) == 2.0
    assert made["`4.0` in place of `2.0`, line 1"]([1]) == 4.0
    assert made["a line left out, line 7"]([1, 2]) == 0
    assert made["a line left out, line 5"]([-1, 2]) == 2.0
    assert made["a condition inverted, line 5"]([-1, 2]) == -2.0
    assert clipped_sum([-1, 2]) == 4.0
    assert not [name for name in made if "line 2 " in name], "a docstring is no line to drop"


def paired_sum(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def read_strictly(text):
    return json.JSONDecoder(strict=True).decode(text)


def test_what_only_raises_where_lengths_differ_is_left_as_it_is():
    assert {str(each) for each in mutants_of(paired_sum)} == {
        "`/` in place of `*`, line 2",
    }
    read = {str(each) for each in mutants_of(read_strictly)}
    assert read == {"`strict` left out, line 2", "`False` in place of `True`, line 2"}


def test_a_function_that_needs_a_closure_has_none():
    factor = random.random()
    assert list(mutants_of(lambda x: factor * x)) == []
    assert list(mutants_of(len)) == []


def test_the_generator_kills_what_few_probes_leave():
    first = EXERCISE.probes[:1]
    weak = replace(EXERCISE, probes=first, generator=None, alternatives=())
    assert mutation_score(weak).survivors
    strong = mutation_score(replace(weak, generator=rows))
    assert strong.survivors == ()
    assert strong.made == mutation_score(weak).made


def abs_twice(x, dim=-1):
    return torch.softmax(x, dim) + 0 * x.shape[0]


def test_a_change_that_is_no_fault_is_equivalent():
    exercise = replace(EXERCISE, solution=abs_twice, alternatives=(), generator=rows)
    score = mutation_score(exercise)
    assert score.equivalent > 0
    assert right_everywhere(exercise, abs_twice)
    assert not right_everywhere(exercise, lambda x, dim=-1: torch.softmax(x, dim) * 0.5)


def endless(x, dim=-1):
    while True:
        pass


def test_what_never_ends_is_not_right(monkeypatch):
    monkeypatch.setattr("course_lib.study.check.mutation_score.SECONDS_FOR_ALL", 0.1)
    assert not right_everywhere(replace(EXERCISE, generator=rows), endless)


def counted_up(x, dim=-1):
    step = 0
    while step < 3:
        step += 1
    return torch.softmax(x, dim)


def test_a_mutant_that_never_ends_is_caught():
    exercise = replace(EXERCISE, solution=counted_up, alternatives=(), generator=rows)
    score = mutation_score(exercise)
    assert score.survivors == ()
    assert score.equivalent >= 2  # whoever counts further gets there too


def test_a_mutant_may_take_longer_where_the_right_answer_takes_long():
    def busy(seconds):
        def softmax(x, dim=-1):
            end = time.thread_time() + seconds
            while time.thread_time() < end:
                pass
            return torch.softmax(x, dim)

        return softmax

    few = replace(EXERCISE, probes=EXERCISE.probes[:2])
    assert seconds_for(few, busy(0.0)) == SHORTEST
    assert SHORTEST < seconds_for(few, busy(0.008)) <= SECONDS_FOR_ONE
    assert seconds_for(few, busy(0.05)) == SECONDS_FOR_ONE


def test_without_a_generator_nothing_is_called_equivalent():
    probe = Probe("one", lambda: call(torch.tensor([1.0, 2.0])), "A row.")
    exercise = replace(EXERCISE, solution=abs_twice, alternatives=(), probes=(probe,))
    score = mutation_score(replace(exercise, generator=None))
    assert score.equivalent == 0
    assert score.survivors


def summed(numbers):
    return sum(numbers)


def test_an_input_that_one_function_spoils_is_whole_for_the_next():
    numbers = replace(
        EXERCISE, reference=sum, generator=lambda rng: call([rng.random() for _ in range(3)])
    )

    def spoils(numbers):
        total = summed(numbers)
        numbers.append(1.0)
        return total

    assert right_everywhere(numbers, spoils)
    assert right_everywhere(numbers, summed)
    assert right_everywhere(numbers, lambda numbers: summed(numbers) + (len(numbers) != 3))
    assert not right_everywhere(numbers, lambda numbers: summed(numbers) + (len(numbers) == 3))


def test_a_result_is_only_spared_a_comparison_where_it_is_the_same_as_a_right_one():
    first, second = torch.tensor([1.0, torch.nan]), torch.tensor([1.0, torch.nan])
    assert same_numbers((first, "a", {"b": None}), (second, "a", {"b": None}))
    for other in (
        torch.tensor([1.0, 2.0]),
        first.double(),
        first[:, None],
        first.tolist(),
        torch.nn.Parameter(first),
    ):
        assert not same_numbers(first, other)
    assert not same_numbers(1, True)
    assert not same_numbers(1, 1.0)
    assert not same_numbers([1], (1,))
    assert not same_numbers(object, object)
    assert same_numbers(call(first, x=1), call(second, x=1))
    assert not same_numbers(call(first, x=1), call(second, x=True))
    assert not same_numbers(call(first), call(second.double()))


def test_an_input_is_made_again_only_where_it_was_changed():
    made = []

    def numbers(rng):
        made.append(rng.random())
        shift = torch.tensor(made[-1])
        return call(lambda x: x + shift, torch.tensor(0.5))

    def spoils(add, x):
        total = add(x)
        x.zero_()
        return total

    def right(add, x):
        return add(x)

    exercise = replace(EXERCISE, reference=right, generator=numbers)
    counts = []
    for function in (right, right, spoils, right):
        assert right_everywhere(exercise, function)
        counts.append(len(made))
    inputs = len(set(made))
    assert counts == [2 * inputs, 2 * inputs, 2 * inputs, 3 * inputs]  # 2: one for the reference


def test_a_trace_tells_that_a_value_was_changed():
    x, held, numbers = torch.ones(2), torch.ones(2), [1.0, float("nan")]
    value = call([x, {"k": numbers}], lambda: held, score=MutationScore(1, 2, ("a",)))
    changes = (
        lambda: x.add_(1),
        lambda: x.detach()[1:].zero_(),
        lambda: held.mul_(2),
        lambda: numbers.append(1.0),
        lambda: numbers.__setitem__(0, 1),
        lambda: value.args[0][1].pop("k"),
        lambda: value.args[0].__setitem__(0, x.clone()),
        lambda: value.args[0].reverse(),
    )
    for change in changes:
        before = trace(value)
        assert trace(value) == before
        change()
        assert trace(value) != before
    for unknown in (iter(()), torch.ones(1, requires_grad=True), torch.nn.Linear(1, 1)):
        assert trace(unknown) != trace(unknown)


def test_only_plain_values_are_kept():
    assert is_plain(call([1, "a", torch.ones(2)], x={"k": (None, 0.5, b"c")}))
    assert is_plain(call(call(torch.ones(2)), MutationScore(1, 2, ("a",))))
    for value in (torch.Generator(), torch.ones(1, requires_grad=True), [iter(())], {1: {2}}):
        assert not is_plain(call(value))
