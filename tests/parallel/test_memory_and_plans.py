"""Recomputation, loss scaling, and the planner: formulas against tensors and values by hand."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from course_lib.accounting.limits import DEVICES
from course_lib.accounting.models import MODELS
from course_lib.accounting.parameters import total_parameters
from course_lib.model import ModelConfig
from course_lib.parallel import (
    Batch,
    Cluster,
    Layout,
    LossScaler,
    plan,
    prediction,
    recompute,
    run_ranks,
)
from course_lib.parallel.layout import memory_of, numbers_per_token, sizes_of, time_of

CONFIG = MODELS["Qwen3-8B"]


def gradients(run):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 5), nn.Dropout(0.5), nn.Tanh(), nn.Linear(5, 2))
    x = torch.randn(3, 5, requires_grad=True)
    run(net, x).square().sum().backward()
    return [x.grad, *(p.grad for p in net.parameters())], torch.rand(1)


def test_recomputing_gives_the_same_gradients_and_random_numbers():
    plain, drawn = gradients(lambda net, x: net(x))
    for run in (recompute, lambda net, x: checkpoint(net, x, use_reentrant=False)):
        again, then = gradients(run)
        assert all(torch.equal(a, b) for a, b in zip(plain, again, strict=True))
        assert torch.equal(drawn, then)
    other, _ = gradients(lambda net, x: recompute(net, x, restore_random=False))
    assert not all(torch.equal(a, b) for a, b in zip(plain, other, strict=True))


def test_recomputing_keeps_only_the_input():
    net, kept = nn.Sequential(*(nn.Linear(4, 4) for _ in range(6))), []
    x = torch.randn(2, 4, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.append(t.numel()) or t, lambda t: t
    ):
        recompute(net, x)
    assert kept == [8]
    with pytest.raises(ValueError, match="got 1 inputs without"):
        recompute(net, x.detach())


@pytest.mark.parametrize("bad_step", [None, 1])
def test_the_scale_follows_that_of_torch(bad_step):
    theirs = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3)
    ours, scales = LossScaler(2.0**10, interval=3), []
    weights = [nn.Parameter(torch.ones(2)) for _ in range(2)]
    optimizers = [torch.optim.SGD([w], 0.1) for w in weights]
    for step in range(7):
        factor = float("inf") if step == bad_step else 1.0
        theirs.scale(weights[0].sum() * factor).backward()
        theirs.step(optimizers[0])
        theirs.update()
        ours.scaled(weights[1].sum() * factor).backward()
        if ours.unscale([weights[1]]):
            optimizers[1].step()
        for optimizer in optimizers:
            optimizer.zero_grad()
        scales.append((ours.scale, theirs.get_scale()))
        torch.testing.assert_close(*weights)
    assert all(a == b for a, b in scales)
    assert len({a for a, _ in scales}) > 1


def test_ranks_skip_a_step_together():
    def program(comm):
        p = nn.Parameter(torch.ones(2))
        p.grad = torch.tensor([1.0, float("nan") if comm.rank == 1 else 1.0])
        scaler = LossScaler(8)
        return scaler.unscale([p], comm), scaler.scale

    assert run_ranks(program, 3) == [(False, 4.0)] * 3
    with pytest.raises(ValueError, match="got 0"):
        LossScaler(0)


def test_a_scale_that_never_is_small_enough_is_named():
    scaler, p = LossScaler(2.0**-9), nn.Parameter(torch.ones(1))
    for _ in range(2):
        p.grad = torch.full((1,), torch.nan)
        assert not scaler.unscale([p])
    with pytest.raises(ValueError, match="diverged"):
        scaler.unscale([p])


def test_recomputing_uses_the_numbers_of_autocast():
    torch.manual_seed(0)
    net, x = nn.Linear(5, 4), torch.randn(3, 5, requires_grad=True)
    grads = []
    for run in (net, lambda x: recompute(net, x)):
        net.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            found = run(x)
        assert found.dtype == torch.bfloat16
        found.square().sum().backward()
        grads.append(net.weight.grad)
    assert torch.equal(*grads)


def test_parameters_of_a_layout_add_up():
    for name in ("Qwen3-8B", "Qwen3-30B-A3B", "GPT-2"):
        config = MODELS[name]
        assert sum(sizes_of(config, Layout())) == total_parameters(config)
        layout = Layout(dp=4, tp=2, ep=2)
        sizes = sizes_of(config, layout)
        assert 2 * (sizes.dense + 2 * sizes.experts) == total_parameters(config)


def test_memory_by_hand():
    config = ModelConfig(10, 4, 6, 2, 2, 1, 2, 8, qk_norm=False, tie_word_embeddings=True)
    count = total_parameters(config)
    found = memory_of(config, Layout(dp=2, zero=1, microbatch=3), Batch(6, 5))
    assert (found.parameters, found.gradients, found.optimizer) == (2 * count, 2 * count, 6 * count)
    assert numbers_per_token(config) == 6 * 4 + (4 + 2) + 2 + 2 * 4 + 4 * 6
    assert found.activations == 15 * (2 * 2 * 64 + 2 * 3 * 4 + 6 * 10)
    full = memory_of(config, Layout(dp=2, zero=3), Batch(2, 5))  # two layers whole, and the table
    assert (full.parameters, full.gradients) == (3 * count - 40, 2 * count)
    again = memory_of(config, Layout(dp=2, microbatch=3, recompute=True), Batch(6, 5))
    assert again.activations == 15 * 2 * (2 * 4 + 64 + 3 * 6 + 3 * 4)
    wide = replace(config, vocab_size=100)  # logits are more than a layer
    again = memory_of(wide, Layout(dp=2, microbatch=3, recompute=True), Batch(6, 5))
    assert again.activations == 15 * (2 * 2 * 4 + 2 * 3 * 4 + 6 * 100)


def test_numbers_per_token_are_those_that_autograd_keeps():
    from course_lib.model import DecoderLM

    kept, config = {}, ModelConfig(50, 32, 48, 1, 4, 2, 8, 64)
    for layers in (1, 2):
        model = DecoderLM(ModelConfig(50, 32, 48, layers, 4, 2, 8, 64)).use_kernels()
        weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
        seen = {}

        def pack(x, seen=seen, weights=weights):
            if x.is_floating_point() and x.untyped_storage().data_ptr() not in weights:
                seen[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes() // 4
            return x

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            logits = model(torch.arange(40)[None]).logits
        kept[layers] = sum(seen.values())
        del logits
    measured = (kept[2] - kept[1]) / 40 - 40  # the mask, which kernels for long texts do without
    assert measured == pytest.approx(numbers_per_token(config), rel=0.05)


def test_time_by_hand():
    cluster = Cluster(DEVICES["A100 SXM 80 GB"], 8, latency=0.0, efficiency=0.5)
    alone = time_of(CONFIG, Layout(dp=8), Batch(16, 1024), cluster)
    again = time_of(CONFIG, Layout(dp=8, recompute=True), Batch(16, 1024), cluster)
    assert again.compute == pytest.approx(4 / 3 * alone.compute)
    piped = time_of(CONFIG, Layout(dp=2, pp=4), Batch(16, 1024), cluster)
    assert piped.bubble == pytest.approx(3 / 8 * piped.compute)
    chunked = time_of(CONFIG, Layout(dp=2, pp=4, chunks=3), Batch(16, 1024), cluster)
    assert chunked.bubble == pytest.approx(piped.bubble / 3)
    wide = time_of(CONFIG, Layout(tp=8), Batch(1, 1024), cluster)
    assert wide.tensor == pytest.approx(4 * 36 * 2 * 7 / 8 * 2 * 4096 * 1024 / 450e9)
    again = time_of(CONFIG, Layout(tp=8, recompute=True), Batch(1, 1024), cluster)
    assert again.tensor == pytest.approx(6 / 4 * wide.tensor)
    assert wide.data == wide.bubble == 0


def test_the_best_plan_fits_and_is_the_fastest():
    found = plan(CONFIG, Cluster(devices=16), Batch(64, 4096))
    fitting = [each for each in found if each.fits]
    assert found[0].fits
    assert found[0].time.total == min(each.time.total for each in fitting)
    assert all(each.layout.devices == 16 for each in found)
    assert not any(
        each.fits for each in plan(MODELS["Llama-3-70B"], Cluster(devices=8), Batch(8, 8192))
    )
    again = prediction(CONFIG, found[0].layout, Batch(64, 4096), Cluster(devices=16))
    assert again == found[0]


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        (Layout(dp=3), "3 x 1 x 1 = 3"),
        (Layout(dp=1, tp=16), "num_key_value_heads must be a multiple of tp; got 8 and 16"),
        (Layout(dp=1, pp=16), "num_hidden_layers"),
        (Layout(dp=16, microbatch=8), "sequences must be a multiple"),
    ],
)
def test_impossible_layouts_are_named(layout, words):
    with pytest.raises(ValueError, match=words):
        prediction(CONFIG, layout, Batch(64, 128), Cluster(devices=16))


def test_tokens_that_devices_share_are_divided_by_them():
    batch, cluster = Batch(64, 130), Cluster(devices=16)
    assert prediction(CONFIG, Layout(dp=4, tp=4), batch, cluster).memory.total > 0
    with pytest.raises(ValueError, match="tokens must be a multiple of tp; got 130 and 4"):
        prediction(CONFIG, Layout(dp=4, tp=4, sequence=True), batch, cluster)
    assert {each.layout.tp for each in plan(CONFIG, cluster, batch)} == {1, 2}


def test_no_layout_at_all_is_named():
    with pytest.raises(ValueError, match="7 devices"):
        plan(CONFIG, Cluster(devices=7, per_node=7), Batch(5, 128))
