"""Tensors that fit a model and tensors that do not, next to torch's own judgement."""

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from course_lib.attention import MultiHeadAttention
from course_lib.checkpoint import misfits, separate_fused, with_head
from course_lib.device import seeded

TABLE, HEAD = "model.embed_tokens.weight", "lm_head.weight"
MODEL = nn.Sequential(nn.Linear(3, 5), nn.LayerNorm(5))
GOOD = MODEL.state_dict()
BAD = {
    "a name missing": {name: t for name, t in GOOD.items() if name != "1.bias"},
    "a name too many": GOOD | {"2.weight": torch.ones(1)},
    "turned": GOOD | {"0.weight": GOOD["0.weight"].T},
    "one axis more": GOOD | {"0.bias": GOOD["0.bias"][None]},
}


def test_what_fits_fits():
    assert misfits(GOOD, GOOD) == ([], [], [])
    assert MODEL.load_state_dict(GOOD, strict=True)


@pytest.mark.parametrize("name", BAD)
def test_what_torch_refuses_is_found(name):
    with pytest.raises(RuntimeError):
        nn.Sequential(nn.Linear(3, 5), nn.LayerNorm(5)).load_state_dict(BAD[name], strict=True)
    assert any(misfits(GOOD, BAD[name]))


def test_misfits_by_hand():
    slots = {"a": torch.ones(2), "b": torch.ones(2, 3), "c": torch.ones(1), "d": torch.ones(4)}
    given = {"z": torch.ones(1), "b": torch.ones(3, 2), "d": torch.ones(4), "y": torch.ones(9)}
    assert misfits(slots, given) == (["a", "c"], ["z", "y"], ["b"])


def test_tied_head_is_the_embedding_itself():
    table = torch.ones(4, 2)
    completed = with_head({TABLE: table}, tied=True)
    assert completed[HEAD] is table
    assert with_head({TABLE: table, HEAD: table.clone()}, tied=True)[HEAD] is table


def test_untied_head_stays():
    table, head = torch.ones(4, 2), torch.zeros(4, 2)
    assert with_head({TABLE: table, HEAD: head}, tied=False)[HEAD] is head
    assert HEAD not in with_head({TABLE: table}, tied=False)


def test_tied_head_that_differs_is_an_error():
    tensors = {TABLE: torch.ones(4, 2), HEAD: torch.zeros(4, 2)}
    with pytest.raises(ValueError, match=r"tied head is the embedding.*differ.*=false"):
        with_head(tensors, tied=True)


def test_separated_matrices_do_what_conv1d_does():
    fused = Conv1D(3 * 12, 12)
    for number, weight in enumerate(fused.parameters()):
        nn.init.normal_(weight, generator=seeded(number))
    attention = MultiHeadAttention(12, 3, qkv_bias=True)
    parts = separate_fused(fused.weight.detach(), fused.bias.detach())
    assert attention.load_state_dict(parts, strict=False).unexpected_keys == []
    x = torch.randn(2, 5, 12, generator=seeded(9))
    expected = fused(x).chunk(3, dim=-1)
    for name, theirs in zip(("q_proj", "k_proj", "v_proj"), expected, strict=True):
        torch.testing.assert_close(getattr(attention, name)(x), theirs)


def test_a_transposed_weight_is_an_error():
    with pytest.raises(
        ValueError, match=r"\(C, 3 C\).*got \(6, 2\) and \(6,\).*already transposed"
    ):
        separate_fused(torch.ones(6, 2), torch.ones(6))
