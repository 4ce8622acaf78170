"""Trainings on ranks that recompute layers, or scale losses: the same steps, bit for bit."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from course_lib.model import ModelConfig, build_model
from course_lib.parallel import collective_traffic, recompute, run_ranks, split_model
from course_lib.parallel.sharded_checkpoint import LATEST
from course_lib.parallel.spread import Parallelism
from course_lib.parallel.training import ParallelTraining
from course_lib.training.data import Batch
from course_lib.training.loop import Plan

PLAN = Plan(steps=20, warmup=2, peak=1e-2, max_norm=0.5)
ROWS, TOKENS, LAYERS, WIDTH = 4, 12, 2, 24
DENSE = ModelConfig(36, WIDTH, 48, LAYERS, 4, 4, 8, 64, tie_word_embeddings=True)
SPARSE = replace(
    DENSE, model_type="qwen3_moe", num_experts=4, num_experts_per_tok=2, moe_intermediate_size=20
)
LAYOUTS = (
    *("dp=2,zero=2,microbatches=2", "dp=2,zero=3", "tp=2,sequence=1", "pp=2,microbatches=2"),
    *("cp=2", "dp=2,ep=2"),
)


def draw(step, generator):
    ids = torch.randint(36, (ROWS, TOKENS), generator=generator)
    return Batch(ids, torch.rand(ROWS, TOKENS, generator=generator) < 0.7)


def made(comm, layout, plan=PLAN):
    torch.manual_seed(0)
    spread = Parallelism.parsed(layout)
    return ParallelTraining(
        build_model(SPARSE if spread.ep > 1 else DENSE), draw, plan, comm, spread
    )


def on_ranks(program, layout):
    return run_ranks(program, Parallelism.parsed(layout).ranks)


def equal(found, wanted):
    return all(torch.equal(found[name], wanted[name]) for name in wanted)


def drop(training):
    """Let half of what each feed-forward layer adds be dropped, at random."""
    for layer in training.local.layers:
        mlp = training.local.model.blocks[layer].mlp
        mlp.register_forward_hook(lambda _, given, out: torch.dropout(out, 0.5, True))


def dropped(comm, layout, plan=PLAN):
    """Return losses and weights of two steps with dropout."""
    training = made(comm, layout, plan)
    drop(training)
    return [training.step().loss for _ in range(2)], training.whole_state()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_recomputing_changes_no_bit_not_even_with_dropout(layout):
    losses, weights = on_ranks(lambda comm: dropped(comm, layout), layout)[0]
    for found, whole in on_ranks(lambda comm: dropped(comm, f"{layout},recompute=1"), layout):
        assert found == losses
        assert equal(whole, weights)


def test_without_the_random_state_the_weights_differ(monkeypatch):
    _, weights = run_ranks(lambda comm: dropped(comm, "dp=2"), 2)[0]
    forgetful = partial(recompute, restore_random=False)
    monkeypatch.setattr(split_model, "recompute", forgetful)
    _, whole = run_ranks(lambda comm: dropped(comm, "dp=2,recompute=1"), 2)[0]
    assert not equal(whole, weights)


@pytest.mark.parametrize("layout", ["dp=2,zero=3", "tp=2"])
def test_recomputing_has_the_numbers_of_autocast(layout):
    plan = replace(PLAN, autocast=True)
    losses, weights = on_ranks(lambda comm: dropped(comm, layout, plan), layout)[0]
    again = on_ranks(lambda comm: dropped(comm, f"{layout},recompute=1", plan), layout)[0]
    assert again[0] == losses
    assert equal(again[1], weights)


def sent(comm, layout):
    training = made(comm, layout)
    before = comm.meter.bytes
    training.step()
    return comm.meter.bytes - before


def test_the_forward_pass_sends_its_messages_twice():
    plain, again = (
        run_ranks(lambda comm, text=text: sent(comm, text), 2)[0]
        for text in ("tp=2", "tp=2,recompute=1")
    )
    stream = 4 * ROWS * TOKENS * WIDTH
    assert again - plain == 2 * LAYERS * collective_traffic("all-reduce", stream, 2).bytes
    sizes = [run_ranks(lambda c, t=t: sent(c, f"dp=2,zero=3{t}"), 2) for t in ("", ",recompute=1")]
    assert sizes[0] == sizes[1]  # a gathered layer stays for its backward pass


class Overflow(torch.autograd.Function):
    """The same loss, with an infinite gradient."""

    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        return grad * torch.inf


def overflowing(training, comm):
    """Take a step in which the last rank alone has an infinite gradient."""
    right = training._loss
    if comm.rank == comm.size - 1:
        training._loss = lambda *given: Overflow.apply(right(*given))
    report = training.step()
    training._loss = right
    return report


def started(training):
    """Let the first batch be drawn and left out."""
    training.draw(0, training.generator)
    training.done = 1
    return training


@pytest.mark.parametrize("layout", [*LAYOUTS, "dp=2", "dp=2,zero=1", "dp=2,tp=2,zero=1"])
def test_an_overflow_on_one_rank_skips_the_step_on_all(layout):
    def program(comm):
        training = made(comm, f"{layout},loss_scale=1024")
        before = training.whole_state()
        report = overflowing(training, comm)
        unchanged = equal(training.whole_state(), before)
        first = unchanged, training.done, training.skipped, training.scaler.scale
        return first, report, training.step(), training.whole_state()

    def wanted(comm):
        training = started(made(comm, layout))
        return training.step(), training.whole_state()

    later, weights = on_ranks(wanted, layout)[0]
    for first, report, second, whole in on_ranks(program, layout):
        assert first == (True, 1, 1, 512.0)
        assert not torch.tensor(report.norm).isfinite()
        assert torch.tensor(report.loss).isfinite()
        assert second == later
        assert equal(whole, weights)


@pytest.mark.parametrize("layout", ["dp=2,zero=2", "tp=2"])
def test_a_resumed_run_has_the_scale_and_the_number_of_updates(layout, tmp_path):
    text = f"{layout},loss_scale=1024"

    def program(comm):
        training = made(comm, text)
        overflowing(training, comm)
        training.step()
        training.save(tmp_path / LATEST)
        return training.step(), training.whole_state()

    def resumed(comm, text):
        training = made(comm, text)
        training.resume(tmp_path / LATEST)
        scaler = training.scaler
        state = scaler and (scaler.scale, scaler.good_steps), training.skipped
        return state, training.step(), training.whole_state()

    report, weights = run_ranks(program, 2)[0]
    for state, again, whole in run_ranks(lambda comm: resumed(comm, text), 2):
        assert state == ((512.0, 1), 1)
        assert again == report
        assert equal(whole, weights)
    for other in ("pp=2,loss_scale=64", "dp=2,zero=3,loss_scale=64"):
        assert run_ranks(lambda comm, o=other: resumed(comm, o), 2)[1][0] == ((512.0, 1), 1)
    assert run_ranks(lambda comm: resumed(comm, "dp=2"), 2)[0][0] == (None, 1)


@pytest.mark.parametrize("layout", ["dp=2,zero=3,recompute=1", "tp=2,sequence=1"])
def test_with_a_scale_products_are_in_float16(layout):
    seen = set()

    def program(comm, text, autocast):
        training = made(comm, text, replace(PLAN, autocast=autocast))
        query = training.local.model.blocks[0].self_attn.q_proj
        query.register_forward_hook(lambda _, given, out: seen.add(out.dtype))
        return [training.step().loss for _ in range(2)]

    exact = run_ranks(lambda comm: program(comm, layout, False), 2)[0]
    assert seen == {torch.float32}
    seen.clear()
    found = run_ranks(lambda comm: program(comm, f"{layout},loss_scale=1024", True), 2)[0]
    assert seen == {torch.float16}
    assert found == pytest.approx(exact, abs=5e-3)
    assert found != exact


def test_a_scale_that_is_too_large_for_float16_falls_until_it_fits():
    def program(comm):
        plan = replace(PLAN, autocast=True)
        training = made(comm, "dp=2,zero=1,loss_scale=4294967296", plan)
        norms = [training.step().norm for _ in range(20)]
        return norms, training.skipped, training.scaler.scale

    (norms, skipped, scale), other = run_ranks(program, 2)
    assert other[1:] == (skipped, scale)
    assert 0 < skipped < 20
    assert scale == 2.0 ** (32 - skipped)
    assert torch.tensor(norms).isfinite().sum() == 20 - skipped


def test_a_training_that_diverged_ends_on_every_rank():
    def program(comm):
        training = made(comm, "dp=2,loss_scale=1")
        for _ in range(11):
            overflowing(training, comm)
        with pytest.raises(ValueError, match="diverged"):
            overflowing(training, comm)
        return training.scaler.scale

    assert run_ranks(program, 2) == [2.0**-11] * 2
