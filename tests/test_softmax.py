import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from course_lib import softmax
from course_lib.chapters.softmax.exercises.size_limit import SizeLimit, TooLargeError
from course_lib.device import seeded

ROUNDING = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 1e-2, torch.float16: 2e-3}
DTYPES = list(ROUNDING)


def scores(*shape, scale=3.0, dtype=torch.float32):
    return (torch.randn(*shape, generator=seeded(7)) * scale).to(dtype)


finite = arrays.arrays(
    "float64",
    arrays.array_shapes(min_dims=1, max_dims=3, max_side=5),
    elements=st.floats(-1e4, 1e4),
).map(torch.from_numpy)


class TestAgainstTorch:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("dim", [0, 1, 2, -1])
    def test_softmax_and_log_softmax(self, dtype, dim):
        x = scores(2, 3, 5, dtype=dtype)
        limit = {"rtol": 0, "atol": ROUNDING[dtype] * 8}
        ours = softmax.stable_softmax(x, dim)
        assert ours.dtype == dtype
        torch.testing.assert_close(ours, torch.softmax(x, dim), **limit)
        torch.testing.assert_close(softmax.log_softmax(x, dim), torch.log_softmax(x, dim), **limit)
        torch.testing.assert_close(softmax.logsumexp(x, dim), torch.logsumexp(x, dim), **limit)

    def test_naive_agrees_where_nothing_overflows_and_fails_where_it_does(self):
        torch.testing.assert_close(softmax.naive_softmax(scores(4, 6)), scores(4, 6).softmax(-1))
        assert softmax.naive_softmax(scores(4, 6) + 100).isnan().any()

    def test_cross_entropy_and_its_gradient(self):
        logits = scores(4, 7).double().requires_grad_()
        targets = torch.tensor([6, 0, 3, 3])
        expected = F.cross_entropy(logits, targets)
        (gradient,) = torch.autograd.grad(expected, logits)
        torch.testing.assert_close(softmax.cross_entropy(logits, targets), expected)
        ours = softmax.cross_entropy_gradient(logits.detach(), targets)
        torch.testing.assert_close(ours, gradient)

    def test_jacobian(self):
        z = scores(5).double()
        expected = torch.autograd.functional.jacobian(lambda x: x.softmax(-1), z)
        torch.testing.assert_close(softmax.softmax_jacobian(z.softmax(-1)), expected)
        rows = scores(2, 5).double().softmax(-1)
        torch.testing.assert_close(
            softmax.softmax_jacobian(rows)[1], softmax.softmax_jacobian(rows[1])
        )

    def test_gradients_flow_through_every_form(self):
        for form in (softmax.stable_softmax, softmax.log_softmax, softmax.logsumexp):
            assert torch.autograd.gradcheck(form, scores(3, 4).double().requires_grad_())

    def test_masked(self):
        x, mask = scores(3, 4), torch.tensor([[True, False, True, True]] * 3)
        expected = torch.softmax(x.masked_fill(~mask, -torch.inf), -1)
        torch.testing.assert_close(softmax.masked_softmax(x, mask), expected)
        torch.testing.assert_close(
            softmax.masked_softmax(x.T, mask.T, dim=0), expected.T, rtol=1e-6, atol=1e-7
        )


class TestProperties:
    @given(finite, st.floats(-1e3, 1e3))
    def test_shift_invariance_and_unit_sum(self, x, shift):
        p = softmax.stable_softmax(x)
        assert torch.allclose(p.sum(-1), torch.ones_like(p.sum(-1)))
        assert torch.allclose(p, softmax.stable_softmax(x + shift), atol=1e-9)

    def test_scaling_is_no_symmetry(self):
        x = scores(6)
        assert not torch.allclose(
            softmax.stable_softmax(x), softmax.stable_softmax(2 * x), atol=0.01
        )

    @given(finite)
    def test_order_is_preserved(self, x):
        p = softmax.stable_softmax(x)
        order = x.argsort(-1)
        assert (p.gather(-1, order).diff(dim=-1) >= 0).all()

    @settings(deadline=None)
    @given(finite, st.data())
    def test_any_cut_merges_to_the_whole(self, x, data):
        cut = data.draw(st.integers(0, x.shape[-1]))
        first, second = x[..., :cut], x[..., cut:]
        parts = [self.state(part, x) for part in (first, second)]
        merged = softmax.merge_states(*parts)
        swapped = softmax.merge_states(*reversed(parts))
        whole = softmax.online_state(x)
        for state in (merged, swapped):
            torch.testing.assert_close(state.maximum, whole.maximum)
            torch.testing.assert_close(state.total, whole.total)
        torch.testing.assert_close(softmax.softmax_from_state(x, whole), torch.softmax(x, -1))

    @staticmethod
    def state(part, x):
        if part.shape[-1]:
            return softmax.online_state(part)
        empty = torch.full_like(x[..., 0], -torch.inf)
        return softmax.SoftmaxState(empty, torch.zeros_like(empty))

    def test_merge_is_associative_and_plain_addition_is_not_a_merge(self):
        a, b, c = (softmax.online_state(scores(2, 4).double() * k) for k in (1, 5, -3))
        left = softmax.merge_states(softmax.merge_states(a, b), c)
        right = softmax.merge_states(a, softmax.merge_states(b, c))
        torch.testing.assert_close(left.total, right.total)
        assert not torch.allclose(left.total, a.total + b.total + c.total)


class TestByHand:
    def test_three_scores(self):
        p = softmax.stable_softmax(torch.tensor([2.0, 1.0, 0.1]))
        assert [round(each, 3) for each in p.tolist()] == [0.659, 0.242, 0.099]

    def test_running_state_of_one_three_two(self):
        state = softmax.online_state(torch.tensor([1.0, 3.0, 2.0]))
        assert state.maximum == 3
        assert round(state.total.item(), 3) == 1.503

    def test_merge(self):
        a = softmax.SoftmaxState(torch.tensor(1.0), torch.tensor(1.5))
        b = softmax.SoftmaxState(torch.tensor(3.0), torch.tensor(1.2))
        assert round(softmax.merge_states(a, b).total.item(), 3) == 1.403

    def test_loss_of_knowing_nothing(self):
        loss = softmax.cross_entropy(torch.zeros(2, 10), torch.tensor([3, 9]))
        assert math.isclose(loss.item(), math.log(10), rel_tol=1e-6)

    def test_two_equal_shares_have_a_jacobian_of_quarters(self):
        expected = torch.tensor([[0.25, -0.25], [-0.25, 0.25]])
        assert torch.equal(softmax.softmax_jacobian(torch.tensor([0.5, 0.5])), expected)


class TestExtremes:
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_largest_scores_of_a_type(self, dtype):
        top = torch.finfo(dtype).max
        x = torch.tensor([top, top, 0.0, -top / 2], dtype=dtype)
        assert softmax.stable_softmax(x).tolist() == [0.5, 0.5, 0.0, 0.0]

    def test_gap_of_two_hundred_keeps_its_logarithm(self):
        assert softmax.log_softmax(torch.tensor([0.0, 200.0])).tolist() == [-200.0, 0.0]

    def test_rows_of_minus_infinity(self):
        nothing = torch.full((2, 3), -torch.inf)
        assert softmax.logsumexp(nothing).tolist() == [-math.inf] * 2
        state = softmax.online_state(nothing)
        assert state.total.tolist() == [0.0, 0.0]
        mask = torch.tensor([[False] * 3, [True, False, False]])
        p = softmax.masked_softmax(torch.zeros(2, 3), mask)
        assert p.tolist() == [[0.0] * 3, [1.0, 0.0, 0.0]]

    def test_hidden_scores_may_be_anything(self):
        x = torch.tensor([1.0, torch.inf, torch.nan])
        p = softmax.masked_softmax(x, torch.tensor([True, False, False]))
        assert p.tolist() == [1.0, 0.0, 0.0]


class TestTemperature:
    def test_divides_the_scores(self):
        x = scores(3, 4)
        for temperature in (0.3, 1.0, 7.0):
            ours = softmax.softmax_with_temperature(x, temperature, dim=0)
            torch.testing.assert_close(ours, torch.softmax(x / temperature, 0))

    def test_both_ends_are_limits(self):
        x = torch.tensor([1.0, 3.0, 3.0])
        assert softmax.softmax_with_temperature(x, 0.0).tolist() == [0.0, 0.5, 0.5]
        flat = softmax.softmax_with_temperature(x, math.inf)
        torch.testing.assert_close(flat, torch.full((3,), 1 / 3))
        near = softmax.softmax_with_temperature(x, 1e-6)
        torch.testing.assert_close(near, softmax.softmax_with_temperature(x, 0.0))

    @pytest.mark.parametrize("wrong", [-1.0, math.nan])
    def test_out_of_range(self, wrong):
        with pytest.raises(ValueError, match=rf"{wrong}.*0 for the largest"):
            softmax.softmax_with_temperature(torch.zeros(2), wrong)


def test_surprises_are_those_of_torch_and_their_mean_is_the_cross_entropy():
    logits = 50 * torch.randn(2, 3, 7, generator=seeded(0))
    targets = torch.randint(7, (2, 3), generator=seeded(1))
    expected = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    found = softmax.surprises(logits, targets)
    torch.testing.assert_close(found, expected.view(2, 3))
    mean = softmax.cross_entropy(logits.flatten(0, 1), targets.flatten())
    torch.testing.assert_close(found.mean(), mean)
    even = softmax.surprises(torch.zeros(1, 8), torch.tensor([5]))
    assert even.item() == pytest.approx(math.log(8))
    far = softmax.surprises(torch.tensor([[1e4, 0.0]]), torch.tensor([1]))
    assert far.item() == 1e4, "a probability of 0 in float32 has a surprise all the same"


class TestBackward:
    @pytest.mark.parametrize("dim", [0, 1, 2, -1])
    def test_agrees_with_autograd_along_any_axis(self, dim):
        z = scores(2, 3, 5).double().requires_grad_()
        p = torch.softmax(z, dim)
        gradient = scores(2, 3, 5).double().cos()
        (expected,) = torch.autograd.grad(p, z, gradient)
        ours = softmax.softmax_backward(p.detach(), gradient, dim)
        torch.testing.assert_close(ours, expected)

    def test_by_hand_and_for_a_gradient_that_is_the_same_everywhere(self):
        p = torch.tensor([0.5, 0.5])
        assert softmax.softmax_backward(p, torch.tensor([1.0, 0.0])).tolist() == [0.25, -0.25]
        assert softmax.softmax_backward(p, torch.tensor([3.0, 3.0])).tolist() == [0.0, 0.0]

    def test_a_saturated_row_passes_nothing_and_is_not_nan(self):
        p = torch.tensor([1.0, 0.0, 0.0])
        assert softmax.softmax_backward(p, torch.tensor([3.0, -1e6, 1e6])).tolist() == [0.0] * 3


class TestChunkedLoss:
    @pytest.mark.parametrize("chunk", [1, 4, 11, 100])
    def test_agrees_with_torch_for_any_chunk(self, chunk):
        hidden, table = scores(5, 3).double(), scores(11, 3).double().sin()
        targets = torch.tensor([10, 0, 4, 3, 8])
        expected = F.cross_entropy(hidden @ table.T, targets)
        ours = softmax.chunked_cross_entropy(hidden, table, targets, chunk)
        torch.testing.assert_close(ours, expected)

    def test_large_logits_do_not_overflow(self):
        hidden, table = torch.tensor([[1000.0]]), torch.tensor([[1.0], [0.5], [-1.0]])
        loss = softmax.chunked_cross_entropy(hidden, table, torch.tensor([1]), 1)
        assert loss.item() == 500.0

    def test_never_makes_as_many_numbers_as_there_are_logits(self):
        hidden, table = scores(20, 2), scores(30, 2)
        targets = torch.arange(20)
        with SizeLimit(20 * 30):
            softmax.chunked_cross_entropy(hidden, table, targets, 7)
            with pytest.raises(TooLargeError, match=r"\(20, 30\).*600"):
                softmax.chunked_cross_entropy(hidden, table, targets, 30)

    def test_the_size_of_logits_is_that_of_the_tensor(self):
        assert softmax.logits_bytes(3, 7) == torch.zeros(3, 7).nbytes
        assert softmax.logits_bytes(3, 7, 2) == torch.zeros(3, 7, dtype=torch.bfloat16).nbytes

    def test_a_chunk_of_nothing(self):
        with pytest.raises(ValueError, match=r"at least 1 .*got 0"):
            softmax.chunked_cross_entropy(scores(2, 3), scores(4, 3), torch.tensor([0, 1]), 0)
