"""Tiled attention of one head, and the backward pass of a tile, against autograd."""

import pytest
import torch

from course_lib.attention import scaled_dot_product_attention
from course_lib.chapters.flash_attention.answers import attend_in_blocks, backward_of_tile
from course_lib.device import seeded


@pytest.mark.parametrize("blocks", [(1, 1), (4, 3), (20, 30)], ids=str)
def test_the_short_form_is_attention(blocks):
    q, k, v = (
        torch.randn(n, d, generator=seeded(n)).double() for n, d in ((9, 4), (13, 4), (13, 2))
    )
    expected = scaled_dot_product_attention(q, k, v)
    assert (attend_in_blocks(q, k, v, *blocks) - expected).abs().max() < 1e-14


def head(queries, keys):
    """Return q, k, v and a gradient of the output, all in float64."""
    shapes = ((queries, 4), (keys, 4), (keys, 3), (queries, 3))
    return tuple(torch.randn(shape, generator=seeded(i)).double() for i, shape in enumerate(shapes))


def test_the_tiles_add_up_to_the_gradient_of_attention():
    q, k, v, grad = head(5, 11)
    leaves = [x.clone().requires_grad_() for x in (q, k, v)]
    output = scaled_dot_product_attention(*leaves)
    expected = torch.autograd.grad(output, leaves, grad)
    lse = (q @ k.T / 2).logsumexp(-1)
    found = [torch.zeros_like(x) for x in (q, k, v)]
    for rows in (slice(0, 3), slice(3, 5)):
        for cols in (slice(0, 4), slice(4, 8), slice(8, 11)):
            given = q[rows], k[cols], v[cols], grad[rows], output.detach()[rows], lse[rows]
            dq, dk, dv = backward_of_tile(*given, 0.5)
            found[0][rows] += dq
            found[1][cols] += dk
            found[2][cols] += dv
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_tile_by_hand():
    q, k = torch.tensor([[1.0]]), torch.tensor([[0.0], [3.0]]).log1p()
    v, one = torch.tensor([[4.0], [8.0]]), torch.tensor([[1.0]])
    lse = torch.tensor([5.0]).log()  # weights 1/5 and 4/5, output 7.2
    dq, dk, dv = backward_of_tile(q, k, v, one, torch.tensor([[7.2]]), lse, 1.0)
    torch.testing.assert_close(dv, torch.tensor([[0.2], [0.8]]))
    torch.testing.assert_close(dk, torch.tensor([[-0.64], [0.64]]))
    torch.testing.assert_close(dq, 0.64 * k[1:])
