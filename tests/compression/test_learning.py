"""Distillation and training through rounding, beside torch's own losses and gradients."""

import copy

import pytest
import torch
import torch.nn.functional as F

from course_lib import compression
from course_lib.compression import Scheme
from course_lib.device import seeded
from course_lib.training.data import Batch
from course_lib.training.loop import Plan
from course_lib.training.objective import next_token_loss


@pytest.fixture
def logits():
    return [torch.randn(4, 7, generator=seeded(n), dtype=torch.float64) * 2 for n in (0, 1)]


@pytest.mark.parametrize("temperature", [1, 2.5])
def test_the_loss_is_torchs_divergence(logits, temperature):
    student, teacher = logits
    log_q, log_p = ((each / temperature).log_softmax(-1) for each in logits)
    forward = F.kl_div(log_q, log_p, log_target=True, reduction="batchmean") * temperature**2
    torch.testing.assert_close(
        compression.distillation_loss(student, teacher, temperature), forward
    )
    backward = F.kl_div(log_p, log_q, log_target=True, reduction="batchmean") * temperature**2
    torch.testing.assert_close(
        compression.distillation_loss(student, teacher, temperature, reverse=True), backward
    )


def test_the_gradient_by_hand(logits):
    student, teacher = logits
    student.requires_grad_(), teacher.requires_grad_()
    compression.distillation_loss(student, teacher, 3.0).backward()
    by_hand = compression.distillation_gradient(student.detach(), teacher.detach(), 3.0)
    torch.testing.assert_close(student.grad, by_hand)
    assert teacher.grad is None
    with pytest.raises(ValueError, match="got 0"):
        compression.distillation_loss(student, teacher, 0)


def test_the_loop_mixes_both_losses(small, ids):
    student, teacher = copy.deepcopy(small).requires_grad_(True), small
    student.model.norm.weight.data *= 0.5
    batch = Batch(ids, torch.ones_like(ids, dtype=torch.bool))
    plan = Plan(steps=2, warmup=1, peak=0.01)

    def loss(share):
        training = compression.DistillationTraining(
            student, teacher, lambda *_: batch, plan, share, temperature=2
        )
        return training.loss(batch)

    text = next_token_loss(student(ids).logits, ids)
    taught = compression.distillation_loss(
        student(ids).logits[:, :-1], teacher(ids).logits[:, :-1], 2
    )
    torch.testing.assert_close(loss(0), text)
    torch.testing.assert_close(loss(1), taught)
    torch.testing.assert_close(loss(0.25), 0.75 * text + 0.25 * taught)
    training = compression.DistillationTraining(student, teacher, lambda *_: batch, plan)
    before = teacher.model.norm.weight.clone()
    losses = [training.step().loss for _ in range(2)]  # measured before each step
    assert losses[0] == pytest.approx(loss(1).item(), rel=0.5)
    assert torch.equal(teacher.model.norm.weight, before)
    with pytest.raises(ValueError, match=r"got 1\.5"):
        loss(1.5)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_straight_through_is_torchs_fake_quantisation(bits):
    x = (torch.randn(40, generator=seeded(bits)) * 3).requires_grad_()
    theirs = x.detach().clone().requires_grad_()
    most = compression.largest_code(bits)
    upstream = torch.randn(40, generator=seeded(9))
    found = compression.straight_through(x, torch.tensor(0.25), bits)
    known = torch.fake_quantize_per_tensor_affine(theirs, 0.25, 0, -most, most)
    found.backward(upstream), known.backward(upstream)
    assert torch.equal(found, known)
    assert torch.equal(x.grad, theirs.grad)


def test_training_through_rounding_lowers_the_loss_of_the_rounded_model(small, ids):
    scheme = Scheme(2, 8)
    rounded = compression.train_rounded(small.requires_grad_(True), scheme)
    plain = {n: p for n, p in rounded.named_parameters() if n.endswith("original")}
    assert len(plain) == 14
    optimizer = torch.optim.Adam(rounded.parameters(), lr=0.02)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = next_token_loss(rounded(ids).logits, ids)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    last = rounded(ids).logits
    kept = compression.keep_rounded(rounded)
    assert torch.equal(kept(ids).logits, last)
    for layer in compression.linear_layers(kept).values():
        assert (
            layer.weight.unflatten(1, (-1, 8)).unique(dim=None).numel()
            <= 3 * layer.weight.numel() // 8
        )
        codes = layer.weight.unflatten(1, (-1, 8))
        assert bool(((codes.abs() == codes.abs().amax(-1, keepdim=True)) | (codes == 0)).all())


def test_bad_schemes_are_named(small):
    with pytest.raises(ValueError, match="NF4"):
        compression.train_rounded(small, Scheme(4, 8, "nf4"))
