"""A model in pieces: by width, depth, experts and text; each equals one process, with gradients."""

import copy
import functools
import operator

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_lib.experts import SparseMoE
from course_lib.model import DecoderLM, ModelConfig
from course_lib.parallel import (
    ORDERS,
    DeadlockError,
    ExpertParallel,
    SplitDecoder,
    bubble_fraction,
    causal_pairs,
    contiguous_positions,
    cut_into_stages,
    gpipe_order,
    idle_share,
    most_kept,
    one_f_one_b_order,
    ring_attention,
    run_pipeline,
    run_ranks,
    timeline,
    vocab_parallel_losses,
    zigzag_positions,
)
from course_lib.parallel.costs import collective_traffic
from course_lib.parallel.held import whole_name
from course_lib.training.objective import next_token_loss

IDS = torch.randint(36, (3, 12), generator=torch.Generator().manual_seed(1))


def own_part(whole, like, comm):
    if whole.shape == like.shape:
        return whole
    dim = 0 if whole.shape[0] != like.shape[0] else 1
    return whole.chunk(comm.size, dim)[comm.rank]


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("sequence", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_a_split_decoder_has_the_loss_and_gradients_of_the_whole(ranks, sequence, tied):
    config = ModelConfig(36, 24, 48, 2, 6, 6, 4, 64, tie_word_embeddings=tied)
    torch.manual_seed(0)
    whole = DecoderLM(config).double()
    counted = torch.rand(IDS.shape) < 0.6
    loss = next_token_loss(whole(IDS).logits, IDS, counted)
    loss.backward()

    def program(comm):
        part = SplitDecoder(whole, comm, sequence)
        mine = part.loss(IDS, counted)
        mine.backward()
        torch.testing.assert_close(mine, loss)
        for name, p in part.named_parameters():
            wanted = whole.get_parameter(whole_name(part, name)).grad
            torch.testing.assert_close(p.grad, own_part(wanted, p, comm))
        return sum(p.numel() for p in part.parameters())

    numbers = sum(p.numel() for p in whole.parameters())
    norms = sum(p.numel() for name, p in whole.named_parameters() if "norm" in name)
    found = run_ranks(program, ranks)
    assert found == [(numbers - norms) // ranks + norms] * ranks


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("sequence", [False, True])
def test_a_layer_sends_four_all_reduces_of_the_stream(ranks, sequence):
    def sent(layers):
        config = ModelConfig(36, 24, 48, layers, 6, 6, 4, 64, qk_norm=False)
        whole = DecoderLM(config)

        def program(comm):
            part = SplitDecoder(whole, comm, sequence)
            before = comm.meter.bytes
            part.loss(IDS).backward()
            return comm.meter.bytes - before

        return run_ranks(program, ranks)[0]

    stream, norm = 4 * IDS.numel() * 24, 4 * 24
    expected = 4 * collective_traffic("all-reduce", stream, ranks).bytes
    if sequence:  # the gradients of two norms too
        expected += 2 * collective_traffic("all-reduce", norm, ranks).bytes
    assert sent(2) - sent(1) == expected


def test_frozen_parts_stay_without_gradients():
    whole = DecoderLM(ModelConfig(36, 24, 48, 1, 6, 6, 4, 64, tie_word_embeddings=True))
    frozen = ("q_norm", "input_layernorm", "embed_tokens", "up_proj")
    for name, p in whole.named_parameters():
        p.requires_grad_(not any(part in name for part in frozen))
    next_token_loss(whole(IDS).logits, IDS).backward()

    def program(comm):
        part = SplitDecoder(whole, comm, sequence=True)
        part.loss(IDS).backward()
        for name, p in part.named_parameters():
            wanted = whole.get_parameter(whole_name(part, name)).grad
            assert (p.grad is None) == (wanted is None)
            if wanted is not None:
                torch.testing.assert_close(p.grad, own_part(wanted, p, comm))

    run_ranks(program, 2)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"num_attention_heads": 4, "num_key_value_heads": 4}, "num_attention_heads"),
        ({"num_key_value_heads": 2}, "num_key_value_heads"),
        ({"intermediate_size": 50}, "intermediate_size"),
        ({"vocab_size": 37}, "vocab_size"),
    ],
)
def test_what_cannot_be_cut_is_named_on_every_rank(change, name):
    sizes = {
        "vocab_size": 36,
        "hidden_size": 24,
        "intermediate_size": 48,
        "num_hidden_layers": 1,
        "num_attention_heads": 6,
        "num_key_value_heads": 6,
        "head_dim": 4,
        "max_position_embeddings": 64,
    }
    model = DecoderLM(ModelConfig(**(sizes | change)))

    def program(comm):
        with pytest.raises(ValueError, match=name):
            SplitDecoder(model, comm)
        return True

    assert run_ranks(program, 3) == [True] * 3


def test_a_text_that_cannot_be_cut_is_named(decoder):
    with pytest.raises(ValueError, match="9 tokens and 2 ranks"):
        run_ranks(lambda comm: SplitDecoder(decoder, comm, True)(IDS[:, :9]), 2)


def test_losses_of_a_vocabulary_in_pieces_have_the_right_gradient():
    logits = (20 * torch.randn(5, 7, dtype=torch.float64)).requires_grad_()
    targets, weights = torch.tensor([0, 6, 3, 2, 2]), torch.randn(5, dtype=torch.float64)
    wanted = F.cross_entropy(logits, targets, reduction="none")
    (wanted * weights).sum().backward()
    sizes = [1, 4, 2]

    def program(comm):
        own = logits.detach().split(sizes, 1)[comm.rank].clone().requires_grad_()
        losses = vocab_parallel_losses(comm, own, targets, sum(sizes[: comm.rank]))
        (losses * weights).sum().backward()
        return losses.detach(), own.grad

    found = run_ranks(program, 3)
    for losses, _ in found:
        torch.testing.assert_close(losses, wanted)
    torch.testing.assert_close(torch.cat([grad for _, grad in found], 1), logits.grad)


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("cut", [contiguous_positions, zigzag_positions])
def test_ring_attention_equals_attention(ranks, causal, cut):
    torch.manual_seed(0)
    q = torch.randn(2, 4, 12, 8, dtype=torch.float64, requires_grad=True)
    k, v = (torch.randn(2, 2, 12, 8, dtype=torch.float64, requires_grad=True) for _ in range(2))
    whole = F.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True)
    weights = torch.randn_like(whole)
    wanted = torch.autograd.grad((whole * weights).sum(), (q, k, v))

    def program(comm):
        places = cut(12, comm.rank, comm.size)
        own = [x.detach()[:, :, places].clone().requires_grad_() for x in (q, k, v)]
        read = ring_attention(comm, *own, positions=places if causal else None)
        torch.testing.assert_close(read, whole[:, :, places])
        (read * weights[:, :, places]).sum().backward()
        for mine, grad in zip(own, wanted, strict=True):
            torch.testing.assert_close(mine.grad, grad[:, :, places])
        return places.tolist()

    assert sorted(functools.reduce(operator.iadd, run_ranks(program, ranks), [])) == list(range(12))


def test_zigzag_balances_the_work():
    work = [
        [causal_pairs(cut(16, r, 4)) for r in range(4)]
        for cut in (contiguous_positions, zigzag_positions)
    ]
    assert work == [[10, 26, 42, 58], [34] * 4]
    with pytest.raises(ValueError, match="multiple of 8 tokens; got 12"):
        zigzag_positions(12, 0, 4)


@pytest.mark.parametrize("ranks", [2, 3])
def test_experts_on_ranks_equal_the_layer(ranks):
    torch.manual_seed(0)
    layer = SparseMoE(16, 12, num_experts=6, k=2)
    for p in layer.parameters():
        p.data.normal_(std=0.3)
    x = torch.randn(11, 16, requires_grad=True)  # uneven, and some experts get little
    y = layer(x)
    y.square().sum().backward()

    def program(comm):
        own = ExpertParallel(copy.deepcopy(layer), comm)
        own.gate.weight.grad = None
        mine = x.detach().tensor_split(comm.size)[comm.rank].clone().requires_grad_()
        rows = own(mine)
        rows.square().sum().backward()
        torch.testing.assert_close(rows, y.tensor_split(comm.size)[comm.rank])
        torch.testing.assert_close(mine.grad, x.grad.tensor_split(comm.size)[comm.rank])
        for name in ("gate_up_proj", "down_proj"):
            whole = getattr(layer.experts, name).grad.chunk(comm.size)[comm.rank]
            torch.testing.assert_close(getattr(own, name).grad, whole)
        torch.testing.assert_close(comm.all_reduce(own.gate.weight.grad), layer.gate.weight.grad)

    run_ranks(program, ranks)


def test_experts_that_cannot_be_cut_are_named():
    with pytest.raises(ValueError, match="got 6 and 4"):
        run_ranks(lambda comm: ExpertParallel(SparseMoE(4, 4, 6, 2), comm), 4)
    with pytest.raises(ValueError, match="shared expert"):
        run_ranks(lambda comm: ExpertParallel(SparseMoE(4, 4, 6, 2, shared_hidden=4), comm), 2)


@pytest.mark.parametrize("stages", [1, 2, 4, 5])
@pytest.mark.parametrize("microbatches", [1, 3, 8])
def test_both_schedules_have_the_bubble_of_the_formula(stages, microbatches):
    for schedule in ORDERS.values():
        bars = timeline([schedule(stage, stages, microbatches) for stage in range(stages)])
        assert idle_share(bars, stages) == pytest.approx(bubble_fraction(stages, microbatches))
    for stage in range(stages):
        assert most_kept(gpipe_order(stage, stages, microbatches)) == microbatches
        kept = most_kept(one_f_one_b_order(stage, stages, microbatches))
        assert kept == min(stages - stage, microbatches)


def test_schedules_by_hand():
    names = ["".join(f"{k}{i}" for k, i in one_f_one_b_order(s, 3, 4)) for s in range(3)]
    assert names == ["F0F1F2B0F3B1B2B3", "F0F1B0F2B1F3B2B3", "F0B0F1B1F2B2F3B3"]
    with pytest.raises(DeadlockError, match="stage 0 waits with B0 for B0 of stage 1"):
        timeline([[("F", 0), ("B", 0), ("F", 1)], [("F", 0), ("F", 1), ("B", 0)]])
    with pytest.raises(ValueError, match="stage 3 of 3"):
        gpipe_order(3, 3, 1)


@pytest.mark.parametrize("stages", [1, 2, 3])
@pytest.mark.parametrize("schedule", ORDERS)
def test_a_pipeline_has_the_gradients_of_the_whole(stages, schedule):
    torch.manual_seed(0)
    layers = [nn.Sequential(nn.Linear(6, 6), nn.Tanh()) for _ in range(5)]
    x, y = torch.randn(2, 8, 6)
    whole = nn.Sequential(*copy.deepcopy(layers))
    loss = (whole(x) - y).square().mean()
    loss.backward()

    def program(comm):
        stage = cut_into_stages(copy.deepcopy(layers), comm.size)[comm.rank]
        targets = y.chunk(4)
        order = ORDERS[schedule](comm.rank, comm.size, 4)
        run = run_pipeline(
            comm, stage, x.chunk(4), lambda o, i: (o - targets[i]).square().mean() / 4, order, x[:2]
        )
        return [p.grad for p in stage.parameters()], run.total, run.most_kept == most_kept(order)

    found = run_ranks(program, stages)
    grads = [grad for each, *_ in found for grad in each]
    for grad, p in zip(grads, whole.parameters(), strict=True):
        torch.testing.assert_close(grad, p.grad)
    assert found[-1][1] == pytest.approx(loss.item())
    assert all(as_said for *_, as_said in found)


def test_a_pipeline_in_a_wrong_order_is_a_deadlock():
    def program(comm):
        order = [("B", 0)] if comm.rank == 0 else [("F", 0), ("B", 0)]
        order = order if comm.rank else [("F", 0), ("B", 0)]
        return run_pipeline(
            comm,
            nn.Linear(2, 2),
            [torch.ones(1, 2)],
            lambda o, i: o.sum(),
            order[: 1 + comm.rank],
            torch.ones(1, 2),
        )

    run_ranks(program, 2)  # the first stage forgets its backward pass, and nobody waits for it
    with pytest.raises(DeadlockError, match="rank 1 waits in recv for rank 0"):
        run_ranks(
            lambda comm: run_pipeline(
                comm,
                nn.Linear(2, 2),
                [torch.ones(1, 2)] * 2,
                lambda o, i: o.sum(),
                [("F", 0), ("B", 0), ("F", 1)]
                if comm.rank == 0
                else [("F", 0), ("F", 1), ("B", 0)],
                torch.ones(1, 2),
            ),
            2,
        )


def test_stages_by_hand():
    layers = [nn.Linear(1, 1) for _ in range(5)]
    assert [len(stage) for stage in cut_into_stages(layers, 3)] == [2, 2, 1]
    with pytest.raises(ValueError, match="1 to 5 stages; got 6"):
        cut_into_stages(layers, 6)
