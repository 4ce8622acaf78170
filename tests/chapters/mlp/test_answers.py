"""The chapter's answers beside the library's mixture, and by hand."""

import torch

from course_lib.chapters.mlp.answers import bias_step, moe_forward
from course_lib.device import seeded
from course_lib.experts import SparseMoE


def mixture(width=6, hidden=5, experts=7, k=3):
    layer = SparseMoE(width, hidden, experts, k)
    for number, weight in enumerate(layer.parameters()):
        torch.nn.init.normal_(weight, generator=seeded(number))
    gate, up = layer.experts.gate_up_proj.chunk(2, dim=1)
    return layer, (layer.gate.weight, gate, up, layer.experts.down_proj, k)


def test_the_function_is_the_module():
    layer, given = mixture()
    x = torch.randn(11, 6, generator=seeded(20))
    torch.testing.assert_close(moe_forward(x, *given), layer(x))
    router, gate, up, down, k = given
    assert not torch.allclose(moe_forward(x, router, up, gate, down, k), layer(x))


def test_gradients_are_those_of_the_module():
    layer, given = mixture()
    x = torch.randn(4, 6, generator=seeded(21))
    wanted = torch.autograd.grad(layer(x).square().sum(), layer.gate.weight)
    found = torch.autograd.grad(moe_forward(x, *given).square().sum(), layer.gate.weight)
    torch.testing.assert_close(found, wanted)


def test_a_mixture_by_hand():
    # Two experts, k = 1; the second has the larger score. silu(2) * 3 * 10 = 2 * 0.8808 * 30.
    column = torch.tensor([[[1.0]], [[2.0]]])
    x, router = torch.tensor([[1.0]]), torch.tensor([[0.0], [1.0]])
    found = moe_forward(x, router, column, 1.5 * column, 5 * column, 1)
    assert abs(found.item() - 52.848) < 1e-2


def test_the_bias_by_hand():
    chosen = torch.tensor([[0, 1], [0, 2], [0, 3]])  # loads 3, 1, 1, 1; mean 1.5
    bias = torch.tensor([0.5, 0.0, 0.0, -0.25])
    assert bias_step(bias, chosen, 0.25).tolist() == [0.25, 0.25, 0.25, 0.0]
    assert bias.tolist() == [0.5, 0.0, 0.0, -0.25], "the caller's bias stays as it is"
    even = torch.tensor([[0], [1], [2], [3]])
    assert torch.equal(bias_step(bias, even, 0.25), bias)


def test_the_bias_evens_the_load():
    scores = torch.randn(512, 8, generator=seeded(0)) + torch.linspace(2, -2, 8)
    bias = torch.zeros(8)
    loads = []
    for _ in range(200):
        chosen = (scores + bias).topk(2).indices
        loads.append(torch.bincount(chosen.flatten(), minlength=8).max().item() / 128)
        bias = bias_step(bias, chosen, 0.02)
    assert loads[0] > 2.5
    assert loads[-1] < 1.2
