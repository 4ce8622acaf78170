"""The running state and the join of parts, against softmax over all scores at once in float64."""

import math

import pytest
import torch

from course_lib.device import seeded
from course_lib.flash import (
    AttentionState,
    attend_scores,
    empty_state,
    finish,
    join_parts,
)
from course_lib.flash.online_attention import LN_2, LOG2_E, attend_scores_

T, S, D = 5, 11, 3


def scores_and_values(dtype=torch.float64, size=3.0):
    g = seeded(0)
    scores = torch.randn(2, T, S, generator=g, dtype=torch.float64) * size
    return scores.to(dtype), torch.randn(2, S, D, generator=g, dtype=torch.float64).to(dtype)


def walk(scores, values, cuts):
    state = empty_state(scores[..., :0].new_zeros(2, T, 1), values.shape[-1])
    pieces = zip(scores.split(cuts, -1), values.split(cuts, -2), strict=True)
    for some_scores, some_values in pieces:
        state = attend_scores(state, some_scores, some_values)
    return finish(state)


@pytest.mark.parametrize("cuts", [[11], [1] * 11, [4, 7], [5, 1, 5]])
def test_any_blocks_give_softmax_times_values(cuts):
    scores, values = scores_and_values()
    output, lse = walk(scores, values, cuts)
    assert (output - torch.softmax(scores, -1) @ values).abs().max() < 1e-14
    assert (lse - torch.logsumexp(scores, -1)).abs().max() < 1e-14


def test_one_tile_by_hand():
    # Seen: a score 0 with the value 6. The tile: scores ln 2 and ln 4 with values 3 and 9.
    state = AttentionState(torch.tensor([0.0]), torch.tensor([1.0]), torch.tensor([[6.0]]))
    scores = torch.tensor([[math.log(2), math.log(4)]])
    after = attend_scores(state, scores, torch.tensor([[3.0], [9.0]]))
    assert after.maximum.item() == pytest.approx(math.log(4))
    assert after.total.item() == pytest.approx(1 / 4 + 1 / 2 + 1)
    assert after.mixed.item() == pytest.approx(6 / 4 + 3 / 2 + 9)
    output, lse = finish(after)
    assert output.item() == pytest.approx((6 + 2 * 3 + 4 * 9) / 7)
    assert lse.item() == pytest.approx(math.log(7))


def test_inputs_are_left_alone():
    scores, values = scores_and_values()
    state = empty_state(scores.new_zeros(2, T, 1), D)
    kept = [x.clone() for x in (*state, scores, values)]
    attend_scores(state, scores, values)
    assert all(torch.equal(a, b) for a, b in zip(kept, (*state, scores, values), strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_scores_and_rows_that_read_nothing(dtype):
    scores, values = scores_and_values(dtype, 1e4)
    scores[0, 1] = -torch.inf  # reads nothing at all
    scores[1, 2, :6] = -torch.inf  # the first tile holds nothing for it
    output, lse = walk(scores, values, [6, 5])
    assert output.isfinite().all()
    assert output[0, 1].abs().max() == 0
    assert lse[0, 1] == -torch.inf
    expected = torch.softmax(scores[1].double(), -1) @ values[1].double()
    assert (output[1].double() - expected).abs().max() < 1e-5
    # negative control: exp without a maximum does not survive these scores
    assert not (scores[1].exp() @ values[1]).isfinite().all()


@pytest.mark.parametrize("cuts", [[11], [1] * 11, [6, 5]])
def test_in_place_with_powers_of_two_the_state_is_the_same(cuts):
    scores, values = scores_and_values()
    scores[0, 1] = -torch.inf  # reads nothing at all
    scores[1, 2, :6] = -torch.inf
    pure, changed = (empty_state(scores.new_zeros(2, T, 1), D) for _ in range(2))
    total, mixed = changed.total, changed.mixed
    for some, v in zip(scores.split(cuts, -1), values.split(cuts, -2), strict=True):
        pure = attend_scores(pure, some, v)
        changed = attend_scores_(changed, some * LOG2_E, v)
    torch.testing.assert_close(changed._replace(maximum=changed.maximum * LN_2), pure)
    assert changed.total is total, "no new tensors"
    assert changed.mixed is mixed, "no new tensors"


@pytest.mark.parametrize("cuts", [[6, 5], [1, 2, 8], [11, 0]])
def test_parts_join_in_any_order(cuts):
    scores, values = scores_and_values()
    pieces = zip(scores.split(cuts, -1), values.split(cuts, -2), strict=True)
    outputs, lses = [], []
    for some_scores, some_values in pieces:
        outputs.append(torch.softmax(some_scores, -1) @ some_values)
        lses.append(torch.logsumexp(some_scores, -1))
    for order in (1, -1):
        output, lse = join_parts(torch.stack(outputs[::order]), torch.stack(lses[::order]))
        assert (output - torch.softmax(scores, -1) @ values).abs().max() < 1e-14
        assert (lse - torch.logsumexp(scores, -1)).abs().max() < 1e-14
    if 0 not in cuts:  # negative control: the mean of the parts is different
        assert (torch.stack(outputs).mean(0) - output).abs().max() > 0.01


def test_join_by_hand_and_of_nothing():
    # Weights 1 and 3 of 4: exp(lse) of the parts.
    outputs = torch.tensor([[[2.0]], [[10.0]]])
    lses = torch.tensor([[0.0], [math.log(3)]])
    output, lse = join_parts(outputs, lses)
    assert output.item() == pytest.approx(8.0)
    assert lse.item() == pytest.approx(math.log(4))
    nothing, empty = join_parts(torch.zeros(2, 1, 1), torch.full((2, 1), -torch.inf))
    assert (nothing.item(), empty.item()) == (0.0, -math.inf)
    far, _ = join_parts(outputs, torch.tensor([[1000.0], [1001.0]]))
    assert far.item() == pytest.approx((2 + 10 * math.e) / (1 + math.e), rel=1e-5)
