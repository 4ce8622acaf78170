"""An answer that makes tensors on the CPU is named, and nothing else is taken for one."""

import pytest
import torch
from torch import nn

from course_lib.study.chapter_parts import find_exercise
from course_lib.study.check import made_on_cpu
from course_lib.study.check.judge import check
from course_lib.study.check.spec import call

ANGLES, STABLE, TILED = "rope.angles", "softmax.stable", "flash_attention.tiled"
ALIBI, MODULES = "rope.alibi_bias", "transformer.modules"


def speeds_on_the_cpu(positions, head_dim, base=10_000.0):
    speed = base ** (-torch.arange(0, head_dim, 2) / head_dim)
    return positions[..., None] * speed


def speeds_beside_the_input(positions, head_dim, base=10_000.0):
    speed = base ** (-torch.arange(0, head_dim, 2, device=positions.device) / head_dim)
    return positions[..., None] * speed


def cell_by_cell(slopes, queries, keys=None):
    keys = queries if keys is None else keys
    bias = torch.zeros(len(slopes), queries, keys)
    for i in range(queries):
        for j in range(keys):
            bias[:, i, j] = -slopes * abs(keys - queries + i - j)
    return bias


def cell_by_cell_and_moved(slopes, queries, keys=None):
    return cell_by_cell(slopes, queries, keys).to(slopes.device)


def cell_by_cell_in_copies(slopes, queries, keys=None):
    keys = queries if keys is None else keys
    bias = torch.zeros(len(slopes), queries, keys)
    for i in range(queries):
        for j in range(keys):
            bias[:, i, j].copy_(-slopes * abs(keys - queries + i - j))
    return bias


def by_items(x, dim=-1):
    largest = max(each.item() for each in x.flatten())
    return torch.softmax(x - largest, dim) if largest < 1e4 else torch.softmax(x, dim)


def with_one_number(x, dim=-1):
    return torch.softmax(x * torch.tensor(1.0), dim)


@pytest.mark.parametrize(
    ("exercise", "answer", "said"),
    [
        (ANGLES, speeds_on_the_cpu, "meet in line 18: return positions[..., None] * speed"),
        (ALIBI, cell_by_cell, "your result is on the CPU"),
        (ALIBI, cell_by_cell_in_copies, "your result is on the CPU"),
    ],
)
def test_it_is_named_with_the_line_and_the_remedy(exercise, answer, said):
    feedback = check(exercise, answer)
    assert (feedback.outcome, feedback.diagnosis) == ("not yet", "a tensor made on the CPU")
    assert said in str(feedback)
    assert "right for inputs on the CPU" in str(feedback)
    assert "torch.arange(n, device=x.device)" in str(feedback)
    assert "meta" not in str(feedback)


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        (ANGLES, speeds_beside_the_input),
        (ALIBI, cell_by_cell_and_moved),
        (STABLE, by_items),
        (STABLE, with_one_number),
        (
            TILED,
            next(
                each.function for each in find_exercise(TILED).alternatives if "NumPy" in each.name
            ),
        ),
    ],
)
def test_what_is_put_beside_its_input_or_reads_its_numbers_passes(exercise, answer):
    assert check(exercise, answer).outcome == "passed"


def test_a_wrong_answer_is_named_by_its_values_first():
    def from_one(positions, head_dim, base=10_000.0):
        return speeds_on_the_cpu(positions + 1, head_dim, base)

    assert check(ANGLES, from_one).diagnosis not in (None, "a tensor made on the CPU")


def test_a_clash_that_is_not_torchs_own_is_no_such_mistake():
    def refuses(x, dim=-1):
        if x.device.type != "cpu":
            raise RuntimeError("this device is unknown to me")
        return torch.softmax(x, dim)

    assert check(STABLE, refuses).outcome == "passed"


def test_an_exercise_whose_solution_reads_numbers_stands_aside():
    assert made_on_cpu._inputs_elsewhere(find_exercise("language_models.entropy")) == ()
    assert len(made_on_cpu._inputs_elsewhere(find_exercise(ANGLES))) == 5


def test_a_model_that_an_answer_builds_is_moved_too():
    def left_behind(config, tensors, ids):
        from course_lib.chapters.transformer.exercises.modules import build_model

        model = build_model(config).requires_grad_(False)
        head = tensors["model.embed_tokens.weight"]
        model.load_state_dict({"lm_head.weight": head, **tensors}, strict=True)
        return model(ids).logits

    assert check(MODULES, left_behind).diagnosis == "a tensor made on the CPU"


def test_all_tensors_move_and_stay_what_they_are():
    shared = torch.ones(2, 3, requires_grad=True)
    layer = nn.Linear(2, 3)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    given = call([shared], {"again": shared.detach().T}, (layer,), optimizer=optimizer)
    moved = made_on_cpu.moved(given)
    (first,), table, (inner,) = moved.args
    tensors = [first, table["again"], *inner.parameters()]
    assert all(each.is_meta for each in tensors)
    assert (first.shape, first.requires_grad) == (shared.shape, True)
    assert table["again"].stride() == (1, 3)
    held = moved.kwargs["optimizer"].param_groups[0]["params"]
    assert all(mine is theirs for mine, theirs in zip(held, inner.parameters(), strict=True))
    assert not any(each.is_meta for each in (shared, *layer.parameters()))


def test_inputs_without_tensors_are_left_out():
    assert made_on_cpu.moved(call(3, "text", [1.0])) is None


def test_results_are_found_in_what_holds_them():
    a, b, c = torch.zeros(3, 1, 2)
    assert [*made_on_cpu.tensors_of((a, [{"b": b}], 3, {"c": (c,)}))] == [a, b, c]


@pytest.mark.parametrize("torchs_own", [nn.Softmax(-1), nn.functional.softmax])
def test_torchs_own_functions_pass(torchs_own):
    call_it = torchs_own if isinstance(torchs_own, nn.Module) else lambda x: torchs_own(x, -1)
    assert made_on_cpu.cpu_trouble(find_exercise(STABLE), lambda x, dim=-1: call_it(x)) is None


def test_a_long_loop_is_not_waited_for(monkeypatch):
    def endless(positions, head_dim, base=10_000.0):
        while positions.is_meta:
            pass
        return speeds_beside_the_input(positions, head_dim, base)

    monkeypatch.setattr(made_on_cpu, "SECONDS_ALLOWED", 0.02)
    assert check(ANGLES, endless).outcome == "passed"
