"""The loop next to transformers and torch, parts of a batch, and going on exactly."""

import copy

import pytest
import torch

from course_lib.device import seeded
from course_lib.training.data import Batch, repeating_batch
from course_lib.training.loop import Plan, Training, split

PLAN = Plan(steps=12, warmup=3, peak=3e-3, final=1e-4, max_norm=0.5, seed=7)


def draw(step, generator):
    batch = repeating_batch(4, 12, (3, 5), torch.arange(20), generator)
    batch.counted[0] = True  # rows count differently many ids
    return batch


def trained(model, plan=PLAN, steps=6):
    training = Training(model, draw, plan)
    reports = [training.step() for _ in range(steps)]
    return training, reports


def same(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_steps_are_those_of_transformers_with_torch(tiny, tiny_reference):
    from transformers import get_cosine_with_min_lr_schedule_with_warmup as schedule_of

    ours, theirs = tiny("qwen3"), tiny_reference("qwen3")
    ours.load_state_dict(theirs.state_dict())
    matrices = [p for p in theirs.parameters() if p.ndim >= 2]
    vectors = [p for p in theirs.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": PLAN.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=PLAN.peak,
        betas=PLAN.betas,
    )
    schedule = schedule_of(optimizer, PLAN.warmup, PLAN.steps, min_lr=PLAN.final)
    generator = seeded(PLAN.seed)
    training = Training(ours, draw, PLAN)
    optimizer.step()  # without gradients nothing moves; torch wants it before the schedule
    for _ in range(3):
        schedule.step()
        batch = draw(0, generator)
        labels = torch.where(batch.counted, batch.ids, -100)
        loss = theirs(batch.ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(theirs.parameters(), PLAN.max_norm)
        optimizer.step()
        report = training.step()
        assert report.loss == pytest.approx(loss.item(), abs=1e-5)
        assert report.norm == pytest.approx(norm.item(), rel=1e-4)
        assert report.rate == pytest.approx(optimizer.param_groups[0]["lr"])
    expected = dict(theirs.named_parameters())
    for name, weight in ours.named_parameters():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=1e-4)


def test_loss_falls(tiny):
    plan = Plan(steps=60, warmup=5, peak=5e-3)
    _, reports = trained(tiny("qwen3 tied"), plan, steps=60)
    assert reports[-1].loss < reports[0].loss - 0.5


def test_parts_add_up_to_the_whole_batch(tiny):
    model = tiny("qwen3")
    _, first = trained(copy.deepcopy(model), steps=2)
    _, second = trained(model, Plan(**(vars(PLAN) | {"parts": 3})), steps=2)
    assert [r.loss for r in first] == pytest.approx([r.loss for r in second], abs=1e-5)
    assert [r.norm for r in first] == pytest.approx([r.norm for r in second], rel=1e-4)


def test_shares_follow_the_counted_ids():
    ids = torch.zeros(3, 4, dtype=torch.long)
    counted = torch.tensor([[1, 1, 1, 1], [0, 0, 0, 1], [1, 0, 0, 0]], dtype=torch.bool)
    pieces = split(Batch(ids[:2], counted[:2]), 2)
    assert [share for _, share in pieces] == [0.75, 0.25]  # the first id of a row never counts
    assert torch.equal(pieces[1][0].counted, counted[1:2])
    with pytest.raises(ValueError, match="has 1 to 3 parts; got 4"):
        split(Batch(ids, counted), 4)


def test_a_saved_run_goes_on_bit_for_bit(tiny, tmp_path):
    whole, reports = trained(tiny("qwen3"), steps=7)
    begun, before = trained(tiny("qwen3"), steps=4)
    begun.save(tmp_path / "state.pt")
    other = tiny("qwen3")
    for weight in other.parameters():
        weight.data.fill_(0.5)
    resumed = Training(other, draw, PLAN)
    resumed.resume(tmp_path / "state.pt")
    after = [resumed.step() for _ in range(3)]
    assert before + after == reports
    assert same(resumed.model, whole.model)
    assert [each.name for each in tmp_path.iterdir()] == ["state.pt"]


def test_other_draws_make_another_model(tiny):
    one, _ = trained(tiny("qwen3"), steps=2)
    other, _ = trained(tiny("qwen3"), Plan(**(vars(PLAN) | {"seed": 8})), steps=2)
    assert not same(one.model, other.model)


def test_autocast_computes_products_in_bfloat16_and_keeps_weights(tiny):
    _, first = trained(tiny("qwen3"), steps=3)
    mixed, second = trained(tiny("qwen3"), Plan(**(vars(PLAN) | {"autocast": True})), steps=3)
    assert {p.dtype for p in mixed.model.parameters()} == {torch.float32}
    assert [r.loss for r in first] == pytest.approx([r.loss for r in second], abs=0.05)
    assert first != second
