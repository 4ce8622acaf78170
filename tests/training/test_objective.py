"""The loss next to torch's and transformers', its shift, and what does not count."""

import math

import pytest
import torch
import torch.nn.functional as F

from course_lib.device import seeded
from course_lib.training.objective import (
    IGNORED,
    MeanCrossEntropy,
    expected_initial_loss,
    next_token_loss,
)

LOGITS = torch.randn(3, 7, 11, generator=seeded(0)) * 3
IDS = torch.randint(11, (3, 7), generator=seeded(1))


def test_loss_and_gradient_are_those_of_torch():
    ours, theirs = (LOGITS.clone().requires_grad_() for _ in range(2))
    loss = next_token_loss(ours, IDS)
    expected = F.cross_entropy(theirs[:, :-1].reshape(-1, 11), IDS[:, 1:].reshape(-1))
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        torch.autograd.grad(loss, ours)[0], torch.autograd.grad(expected, theirs)[0]
    )


def test_padding_neither_counts_nor_divides():
    counted = torch.ones_like(IDS, dtype=torch.bool)
    counted[0, 4:] = counted[2, 1:] = False
    labels = torch.where(counted, IDS, -100)
    expected = F.cross_entropy(
        LOGITS[:, :-1].reshape(-1, 11), labels[:, 1:].reshape(-1), ignore_index=-100
    )
    torch.testing.assert_close(next_token_loss(LOGITS, IDS, counted), expected)
    disturbed = LOGITS.clone()
    disturbed[0, 3:] = 1e4  # these rows score ids that do not count
    torch.testing.assert_close(next_token_loss(disturbed, IDS, counted), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_that_are_ignored_get_no_gradient(dtype):
    logits = torch.randn(5, 7, generator=seeded(2)).to(dtype) * 50
    logits[1, 0] = logits[3, 2] = -torch.inf  # an id that is impossible, also where none counts
    targets = torch.tensor([3, IGNORED, 0, IGNORED, 6])
    ours, theirs = (logits.clone().requires_grad_() for _ in range(2))
    loss, expected = MeanCrossEntropy.apply(ours, targets), F.cross_entropy(theirs, targets)
    torch.testing.assert_close(loss, expected)
    assert loss.dtype == dtype
    (3 * loss).backward()
    (3 * expected).backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    assert ours.grad[targets == IGNORED].abs().max() == 0
    assert ours.grad[targets != IGNORED].abs().max() > 0


def test_the_gradient_is_the_formula_each_time_it_is_asked_for():
    logits = LOGITS.double().flatten(0, 1).requires_grad_()
    targets = IDS.flatten().where(IDS.flatten() != 3, IGNORED)
    assert torch.autograd.gradcheck(lambda x: MeanCrossEntropy.apply(x, targets), logits)
    loss = MeanCrossEntropy.apply(logits, targets)
    for _ in range(2):  # what is kept for the backward pass is not changed by it
        loss.backward(retain_graph=True)
    (expected,) = torch.autograd.grad(F.cross_entropy(logits, targets), logits)
    torch.testing.assert_close(logits.grad, 2 * expected)


def test_one_tensor_of_the_logits_size_is_kept():
    logits, kept = LOGITS.flatten(0, 1).requires_grad_(), []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.append(t.numel()) or t, lambda t: t
    ):
        MeanCrossEntropy.apply(logits, IDS.flatten())
    assert kept == [logits.numel()]


def test_many_rows_in_half_precision_have_an_exact_share():
    logits = torch.randn(1001, 5, generator=seeded(3)).bfloat16().requires_grad_()
    targets = torch.arange(1001) % 5
    loss, expected = (each(logits, targets) for each in (MeanCrossEntropy.apply, F.cross_entropy))
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(*(torch.autograd.grad(each, logits)[0] for each in (loss, expected)))


def test_the_loss_of_certain_scores_is_exact():
    logits = torch.tensor([[0.0, 200.0, -1e4], [3e4, 0.0, 1.0]])
    loss = MeanCrossEntropy.apply(logits, torch.tensor([0, 2]))
    assert loss.item() == (200.0 + 29_999.0) / 2  # though both p are zero


def test_transformers_shifts_its_labels_the_same_way(tiny_reference):
    model = tiny_reference("qwen3")
    ids = torch.randint(101, (2, 9), generator=seeded(4))
    with torch.no_grad():
        output = model(ids, labels=ids)
    torch.testing.assert_close(next_token_loss(output.logits, ids), output.loss)


def test_a_row_scores_the_id_after_it():
    ids = torch.tensor([[2, 0, 1]])
    logits = torch.full((1, 3, 4), -30.0)
    logits[0, 0, 0] = logits[0, 1, 1] = 30.0
    assert next_token_loss(logits, ids).item() == pytest.approx(0.0, abs=1e-6)
    assert next_token_loss(logits.roll(1, dims=1), ids).item() > 10


def test_equal_scores_cost_the_logarithm_of_the_vocabulary():
    assert next_token_loss(torch.zeros(2, 5, 11), IDS[:2, :5]).item() == pytest.approx(math.log(11))
    assert expected_initial_loss(11) == pytest.approx(math.log(11), abs=1e-6)


def test_nothing_to_count_is_an_error():
    only_first = torch.zeros_like(IDS, dtype=torch.bool)
    only_first[:, 0] = True
    with pytest.raises(ValueError, match="at least one id after the first"):
        next_token_loss(LOGITS, IDS, only_first)
