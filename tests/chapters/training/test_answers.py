"""Plain descent step by step, gradients of parts beside the whole batch, and a whole loop."""

import pytest
import torch

from course_lib.chapters.training.answers import accumulated, descend, train
from course_lib.chapters.training.tiny_decoders import byte_config, fresh
from course_lib.device import seeded
from course_lib.training.data import Batch
from course_lib.training.loop import Plan, Training
from course_lib.training.optimizer import AdamW, decay_groups


def test_one_step_of_regression_by_hand():
    # Prediction 2·3 = 6 for y = 1: the gradient of (6 - 1)² is 2 · 5 · 3 = 30.
    weight = torch.tensor([2.0])
    moved = descend(weight, [(torch.tensor([[3.0]]), torch.tensor([1.0]))], 0.1)
    assert moved.item() == pytest.approx(2.0 - 3.0)
    assert weight.item() == 2.0
    assert not moved.requires_grad


def test_batches_come_one_after_the_other():
    draws = seeded(2)
    weight = torch.randn(4, generator=draws)
    batches = [
        (torch.randn(n, 4, generator=draws), torch.randn(n, generator=draws)) for n in (5, 3)
    ]
    whole = descend(weight, batches, 0.07)
    apart = descend(descend(weight, batches[:1], 0.07), batches[1:], 0.07)
    torch.testing.assert_close(whole, apart)
    assert not torch.allclose(whole, descend(weight, batches[::-1], 0.07))


def test_parts_add_up_to_the_whole_batch():
    draws = seeded(1)
    x, y = torch.randn(9, 4, generator=draws), torch.randn(9, generator=draws)

    def gradient(rows):
        weight = torch.ones(4, requires_grad=True)
        (x[rows] @ weight - y[rows]).square().mean().backward()
        return weight.grad

    parts = [slice(0, 2), slice(2, 3), slice(3, 9)]
    together = accumulated([gradient(rows) for rows in parts], [2, 1, 6])
    torch.testing.assert_close(together, gradient(slice(None)))
    alike = accumulated([gradient(rows) for rows in parts], [1, 1, 1])
    assert not torch.allclose(alike, together)
    with pytest.raises(ValueError, match="got 1 gradients and 2 counts"):
        accumulated([torch.ones(2)], [1, 2])


def _model_and_parts():
    model = fresh(byte_config(16))
    draws = seeded(3)
    parts = []
    for rows in (1, 3):
        ids = torch.randint(256, (rows, 12), generator=draws)
        parts.append((ids, torch.rand(ids.shape, generator=draws) < 0.6))
    return model, parts


def test_a_loop_in_parts_is_the_librarys_loop_on_the_whole_batch():
    model, parts = _model_and_parts()
    batch = Batch(*(torch.cat(each) for each in zip(*parts, strict=True)))
    plan = Plan(steps=10, warmup=2, peak=0.01, max_norm=0.5)
    library = Training(fresh(byte_config(16)), lambda step, generator: batch, plan)
    expected = [library.step() for _ in range(3)]
    adamw = AdamW(decay_groups(model, plan.weight_decay), lr=9.0, betas=plan.betas)
    rates = [report.rate for report in expected]
    found = train(model, adamw, [parts] * 3, rates, plan.max_norm)
    for (loss, norm), report in zip(found, expected, strict=True):
        assert loss == pytest.approx(report.loss, rel=1e-4)
        assert norm == pytest.approx(report.norm, rel=1e-3)
    for p, q in zip(model.parameters(), library.model.parameters(), strict=True):
        torch.testing.assert_close(p, q, atol=1e-3, rtol=1e-3)


def test_a_rate_of_zero_moves_nothing_and_lengths_must_agree():
    model, parts = _model_and_parts()
    before = [p.detach().clone() for p in model.parameters()]
    (loss, _), (again, _) = train(model, AdamW(model.parameters()), [parts] * 2, [0.0, 0.0], 1.0)
    assert loss == again
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
    with pytest.raises(ValueError, match="shorter"):
        train(model, AdamW(model.parameters()), [parts] * 2, [0.1], 1.0)
