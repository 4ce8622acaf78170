"""Full sharding: equal to one process, two layers in memory, and nobody waits for a message."""

import copy
import re

import pytest
import torch
from torch import nn

from course_lib.model import DecoderLM, ModelConfig
from course_lib.parallel import FullyShard, own_share, recompute, run_ranks
from course_lib.parallel.shards import cut_row, gather_row
from course_lib.training.optimizer import AdamW

from .conftest import largest_gap, loss_of, rows_of, steps_on_one

WAYS = ("forward", "backward")
DEEP = ModelConfig(36, 24, 48, 5, 6, 6, 4, 64, tie_word_embeddings=True)


@pytest.fixture
def deep():
    torch.manual_seed(0)
    return DecoderLM(DEEP)


def trained(comm, base, prefetch, steps=3, watch=None):
    """Return the sharded model after some steps on this rank's rows."""
    model = copy.deepcopy(base)
    sharded = FullyShard(model, comm, list(model.blocks), prefetch)
    optimizer = AdamW(sharded.groups(0.1), lr=1e-2)
    if watch is not None:
        watch(model, sharded)
    for _ in range(steps):
        ids = rows_of(comm)
        sharded.backward(loss_of(model, ids), own_share(comm, ids[:, 1:].numel()))
        sharded.clip(0.5)
        optimizer.step()
        assert all(p.grad is None and p.numel() == 0 for p in model.parameters())
        assert sharded.gathered_bytes() == 0
        optimizer.zero_grad()
    return sharded


@pytest.mark.parametrize("ranks", [2, 4])
def test_full_sharding_equals_one_process(decoder, ranks):
    def program(comm):
        sharded = trained(comm, decoder, True)
        return sharded.whole_parameters(), sum(p.nbytes for p in sharded.shards)

    wanted = steps_on_one(decoder)
    whole = sum(p.nbytes for p in decoder.parameters())
    for found, kept in run_ranks(program, ranks):
        assert largest_gap(found, wanted) < 2e-5
        assert whole / ranks <= kept < whole / ranks + 200


def test_prefetching_changes_no_bit_and_no_byte(deep):
    def program(comm, prefetch):
        before = comm.meter.bytes
        found = trained(comm, deep, prefetch, 2)
        return comm.meter.bytes - before, found.whole_parameters()

    (bytes_with, ahead), *_ = run_ranks(lambda comm: program(comm, True), 2)
    (bytes_without, plain), *_ = run_ranks(lambda comm: program(comm, False), 2)
    assert bytes_with == bytes_without
    assert all(torch.equal(ahead[name], plain[name]) for name in plain)
    assert largest_gap(ahead, deep.state_dict()) > 1e-3


@pytest.mark.parametrize(("prefetch", "layers"), [(True, 2), (False, 1)])
def test_no_more_than_two_layers_are_whole(deep, prefetch, layers):
    seen = []

    def watch(model, sharded):
        def look(*_):
            seen.append(sharded.gathered_bytes())

        for module in model.modules():
            module.register_forward_pre_hook(look)
        for p in model.parameters():
            p.register_post_accumulate_grad_hook(look)

    run_ranks(lambda comm: trained(comm, deep, prefetch, 2, watch), 2)
    layer = sum(p.nbytes for p in deep.blocks[0].parameters())
    root = sum(p.nbytes for p in deep.parameters()) - len(deep.blocks) * layer
    most = root + layers * layer
    assert most <= max(seen) <= most + 100  # padding


class Stream(nn.Module):
    """Four layers of different sizes."""

    def __init__(self, recomputes=False):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4 + i, bias=False) for i in range(4))
        self.recomputes = recomputes

    def forward(self, x):
        for layer in self.layers:  # (4, 4) to (7, 4)
            x = (recompute(layer, x) if self.recomputes else layer(x))[:, :4]
        return x.sum()


MESSAGE = re.compile(r"(start|wait) (?:all_)?(gather|reduce)\S* of float32 \((\d+),\)")


def events_of(comm, prefetch, recomputes=False):
    """Return what a rank starts, computes and awaits in a step; layers by their numbers."""
    torch.manual_seed(0)
    model, events = Stream(recomputes), comm.meter.events
    sharded = FullyShard(model, comm, list(model.layers), prefetch)
    for number, layer in enumerate(model.layers):
        forward, backward = (lambda *_, e=f"{way} {number}": events.append(e) for way in WAYS)
        layer.register_forward_pre_hook(forward)
        layer.register_full_backward_pre_hook(backward)
    sharded.backward(model(torch.ones(2, 4, requires_grad=True)))
    found = []
    for event in events:
        message = MESSAGE.match(event)  # the size of a shard on two ranks tells its layer
        found.append(f"{message[1]} {message[2]} {int(message[3]) // 2 - 4}" if message else event)
    return found


def test_gathers_start_before_the_layer_ahead_computes_and_reductions_run_meanwhile():
    found, other = run_ranks(lambda comm: events_of(comm, True), 2)
    assert found == other
    assert found == [
        "start gather 0",
        *("wait gather 0", "start gather 1", "forward 0"),
        *("wait gather 1", "start gather 2", "forward 1"),
        *("wait gather 2", "start gather 3", "forward 2"),
        *("wait gather 3", "forward 3", "start gather 3"),
        *("wait gather 3", "start gather 2", "backward 3", "start reduce 3"),
        *("wait gather 2", "start gather 1", "backward 2", "wait reduce 3", "start reduce 2"),
        *("wait gather 1", "start gather 0", "backward 1", "wait reduce 2", "start reduce 1"),
        *("wait gather 0", "backward 0", "wait reduce 1", "start reduce 0", "wait reduce 0"),
    ]


def test_without_prefetching_everything_is_awaited_at_once():
    found = run_ranks(lambda comm: events_of(comm, False), 2)[0]
    messages = [event for event in found if "ward" not in event]
    for start, wait in zip(messages[::2], messages[1::2], strict=True):
        assert (start.partition(" ")[0], wait.partition(" ")[0]) == ("start", "wait")
        assert start.partition(" ")[2] == wait.partition(" ")[2]


def test_a_layer_that_is_recomputed_is_gathered_twice_and_not_three_times():
    found = run_ranks(lambda comm: events_of(comm, True, recomputes=True), 2)[0]
    for number in range(4):
        assert found.count(f"start gather {number}") == 2
        assert found.count(f"start reduce {number}") == 1
    first = found.index("forward 3")
    assert found.index("start gather 2", first) < found.index("forward 3", first + 1)


def test_in_another_order_than_given_the_result_is_the_same():
    def program(comm, order):
        torch.manual_seed(0)
        model, seen = Stream(), []
        sharded = FullyShard(model, comm, [model.layers[i] for i in order])
        for layer in model.layers:
            layer.register_forward_pre_hook(lambda *_: seen.append(sharded.gathered_bytes()))
        sharded.backward(model(torch.ones(2, 4, requires_grad=True)))
        grads = {len(u.shard): u.shard.grad for u in sharded.all_units()}
        return grads, max(seen), sharded.gathered_bytes()

    (wanted, _, _), _ = run_ranks(lambda comm: program(comm, (0, 1, 2, 3)), 2)
    (found, most, left), _ = run_ranks(lambda comm: program(comm, (2, 0, 3, 1)), 2)
    assert all(torch.equal(found[size], wanted[size]) for size in wanted)
    assert most <= 4 * (4 * 7 + 4 * 6)  # the two largest layers
    assert left == 0


class Twice(nn.Module):
    """A layer that runs twice, and one with a parameter that nobody uses."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.spare = nn.Parameter(torch.ones(2, 3))

    def forward(self, x):
        return self.first(self.second(self.first(x)).tanh()).square().sum()


def test_a_layer_that_runs_twice_and_one_that_is_not_used_in_full():
    torch.manual_seed(0)
    base, x = Twice(), torch.randn(3, 4, requires_grad=True)
    base(x).backward()

    def program(comm):
        model = copy.deepcopy(base)
        model.zero_grad()
        sharded = FullyShard(model, comm, [model.first, model.second])
        sharded.backward(model(x))
        found = {}
        for unit in sharded.all_units():
            row = gather_row(comm, unit.shard.grad)
            found |= zip(unit.parameters, cut_row(row, unit.views), strict=True)
        return {name: found[p] for name, p in model.named_parameters()}, sharded.gathered_bytes()

    for found, left in run_ranks(program, 2):
        assert left == 0
        for name, p in base.named_parameters():
            wanted = torch.zeros_like(p) if p.grad is None else p.grad
            torch.testing.assert_close(found[name], wanted)


def test_a_freed_parameter_is_empty(decoder):
    def program(comm):
        sharded = FullyShard(decoder, comm, list(decoder.blocks))
        freed = [p.numel() for p in decoder.parameters()]
        unit = sharded.all_units()[0]
        unit.gather()
        return freed, [p.shape for p in unit.parameters]

    shapes = [p.shape for p in decoder.blocks[0].parameters() if p.ndim > 1]
    freed, gathered = run_ranks(program, 1)[0]
    assert set(freed) == {0}
    assert gathered == shapes


def test_bad_input_is_named(decoder):
    shared = nn.Sequential(decoder.blocks[0])
    with pytest.raises(ValueError, match="Sequential"):
        run_ranks(lambda comm: FullyShard(decoder, comm, [decoder.blocks[0], shared]), 1)
    decoder.blocks[0].input_layernorm.weight.requires_grad_(False)
    with pytest.raises(ValueError, match="input_layernorm"):
        run_ranks(lambda comm: FullyShard(decoder, comm, list(decoder.blocks)), 1)
