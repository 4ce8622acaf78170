"""Embedding lookup, tying and the share of parameters that tables take."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from course_lib.embeddings import (
    Embedding,
    embed,
    embedding_share,
    one_hot,
    one_hot_embed,
    require_known_ids,
    scale_embedding,
    tie_weights,
    tied_logits,
)


def randn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


IDS = torch.tensor([[4, 0, 4], [1, 10, 2]])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_lookup_is_torchs(dtype, size):
    table = (randn(11, 5) * size).to(dtype)
    assert torch.equal(embed(IDS, table), F.embedding(IDS, table))
    assert torch.equal(one_hot_embed(IDS, table), F.embedding(IDS, table))


def test_gradients_add_up_where_an_id_repeats():
    table = randn(11, 5).requires_grad_()
    incoming = randn(2, 3, 5, seed=1)
    (theirs,) = torch.autograd.grad(F.embedding(IDS, table), table, incoming)
    for lookup in (embed, one_hot_embed):
        (ours,) = torch.autograd.grad(lookup(IDS, table), table, incoming)
        torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(theirs[4], incoming[0, 0] + incoming[0, 2])
    assert theirs[3].abs().max() == 0


@given(st.lists(st.integers(0, 6), max_size=9), st.integers(1, 4))
def test_one_hot_product_is_lookup(ids, width):
    ids, table = torch.tensor(ids, dtype=torch.long), randn(7, width)
    assert torch.equal(one_hot(ids, 7), F.one_hot(ids, 7).float())
    assert torch.equal(one_hot_embed(ids, table), embed(ids, table))


def test_lookup_has_the_shape_of_its_ids():
    table = randn(11, 5)
    assert embed(torch.tensor(3), table).shape == (5,)
    assert embed(torch.zeros(2, 0, dtype=torch.long), table).shape == (2, 0, 5)
    assert embed(IDS.int(), table).shape == (2, 3, 5)


def test_tied_logits_read_the_table_backwards():
    table, hidden = randn(11, 5), randn(2, 3, 5, seed=1)
    torch.testing.assert_close(tied_logits(hidden, table), F.linear(hidden, table))
    by_hand = tied_logits(torch.tensor([2.0, 1.0]), torch.tensor([[1.0, 0], [0, 1], [3, -1]]))
    assert by_hand.tolist() == [2.0, 1.0, 5.0]


def test_a_tied_head_is_one_tensor_that_gets_both_gradients():
    embedding, head = Embedding(11, 5).double(), nn.Linear(5, 11, bias=False).double()
    parts = []
    for cut in ("input", "output"):
        x = embedding(IDS)
        logits = tied_logits(x.detach() if cut == "input" else x, embedding.weight)
        if cut == "output":
            logits = tied_logits(x, embedding.weight.detach())
        parts.append(torch.autograd.grad(logits.square().sum(), embedding.weight)[0])
    assert head.weight is not embedding.weight
    tie_weights(embedding, head)
    assert head.weight is embedding.weight
    head(embedding(IDS)).square().sum().backward()
    torch.testing.assert_close(embedding.weight.grad, parts[0] + parts[1])


def test_the_root_factor():
    x = torch.ones(2, 16)
    assert torch.equal(scale_embedding(x), torch.full((2, 16), 4.0))
    table = Embedding(1000, 64, std=64**-0.5).weight
    assert scale_embedding(table).std().item() == pytest.approx(1.0, rel=0.05)


def test_share_of_real_models():
    share = embedding_share(151_936, 1024, 596_049_920, tied=True)  # Qwen3-0.6B
    assert share == pytest.approx(1 - 440_467_456 / 596_049_920)
    share = embedding_share(151_936, 4096, 8_190_735_360, tied=False)  # Qwen3-8B
    assert share == pytest.approx(1 - 6_946_075_648 / 8_190_735_360)
    assert embedding_share(10, 3, 60, tied=False) == 1.0


def test_module():
    embedding = Embedding(11, 5)
    assert {n: tuple(p.shape) for n, p in embedding.named_parameters()} == {"weight": (11, 5)}
    assert torch.equal(embedding(IDS), embedding.weight[IDS])


def test_errors():
    with pytest.raises(IndexError):
        embed(torch.tensor([-1]), randn(11, 5))  # and not the last row in silence
    with pytest.raises(ValueError, match=r"\b0 \.\. 10\b.*\b11\b"):
        require_known_ids(torch.tensor([3, 11]), 11)
    with pytest.raises(ValueError, match=r"\b0 \.\. 10\b.*-100\b"):
        one_hot(torch.tensor([3, -100]), 11)
    with pytest.raises(ValueError, match=r"parameters=59.*10 x 3\b.*tied=True"):
        embedding_share(10, 3, 59, tied=False)
    with pytest.raises(ValueError, match=r"\(5, 11\).*\(11, 5\).*bias=False"):
        tie_weights(Embedding(11, 5), nn.Linear(11, 5, bias=False))
