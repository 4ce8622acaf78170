"""The watch over allocations: what it catches, what it lets pass."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from course_lib.attention import scaled_dot_product_attention
from course_lib.flash import OutsideTorchError, TableError, Watch


def test_remembers_the_largest_of_all_results():
    x = torch.randn(3, 4)
    with Watch() as watch:
        y = x @ x.T  # 9
        torch.cat([x, x])  # 24
        y.expand(100, 3, 3)  # a view: nothing is made
        x[:, None].view(12)
    assert (watch.largest, watch.shape, watch.operation) == (24, (6, 4), "cat")


def test_sees_all_of_several_results_and_the_backward_pass():
    x = torch.randn(4, 5)
    with Watch() as watch:
        torch.sort(x.repeat(3, 1))
    assert watch.largest == 60
    x.requires_grad_()
    with Watch() as watch:
        total = (x[:, None, :] * x[None]).sum()
    assert watch.largest == 80
    with Watch() as watch:
        total.backward()
    assert watch.largest >= 80


def test_stops_what_reaches_the_limit():
    q, k, v = torch.randn(3, 12, 2)
    with Watch(limit=145):
        scaled_dot_product_attention(q, k, v)
    with (
        pytest.raises(TableError, match=r"\(12, 12\), 144 .*\b144\b"),
        Watch(limit=144),
    ):
        scaled_dot_product_attention(q, k, v)
    with pytest.raises(TableError, match="made a tensor"), Watch(limit=144):
        torch.zeros(12, 12)
    with Watch(limit=144):
        q.expand(100, 12, 2)


def test_stops_fused_attention():
    q, k, v = torch.randn(3, 1, 1, 12, 8)
    said = "attention.*tiles"
    with pytest.raises(TableError, match=said), Watch(limit=10_000):
        F.scaled_dot_product_attention(q, k, v)
    with Watch():  # only looks on
        F.scaled_dot_product_attention(q, k, v)


def test_a_product_larger_than_a_tile_is_stopped_and_other_tensors_are_not():
    q, k = torch.ones(4, 3), torch.ones(12, 3)
    with Watch(tile=16):
        assert (q @ k[:4].mT).shape == (4, 4)
        assert (k * 2).numel() == 36
    for product in (lambda: q[0] @ k.mT.repeat(1, 2), lambda: q @ k.mT):
        with pytest.raises(TableError, match=r"at most 16.*Cut the keys"), Watch(tile=16):
            product()


def test_counts_what_is_held_at_the_same_time():
    x = torch.ones(4, 5)
    with Watch() as watch:
        kept = [x * n for n in range(3)]  # 60
        del kept
        y = x * 2  # 20, after the others have gone
        y[0].add_(1)
    assert (watch.most, watch.largest) == (60, 20)


def test_a_view_keeps_what_it_looks_at():
    x = torch.ones(4, 5)
    with Watch() as watch:
        rows = [(x * n)[0] for n in range(3)]
    assert watch.most == 60
    assert len(rows) == 3


def test_tiles_that_are_all_kept_are_stopped_and_passing_ones_are_not():
    q = torch.ones(16, 2)
    with Watch(limit=256, tile=16, live=64):
        for tile in q.split(4):
            for keys in q.split(4):
                (tile @ keys.T).exp().sum()
    with pytest.raises(TableError, match=r"\b80 numbers.*all kept"), Watch(live=64):
        [tile @ keys.T for tile in q.split(4) for keys in q.split(4)]


@pytest.mark.parametrize(
    "make", [np.ones, lambda shape: [[0.5] * shape[1] for _ in range(shape[0])]]
)
def test_a_table_outside_of_torch_is_stopped(make):
    n = 300
    with Watch(limit=n * n, live=n * n):
        make((n, 10))
    with pytest.raises(OutsideTorchError, match=f"NumPy.*{n * n}"), Watch(n * n, live=n * n):
        make((n, n))
