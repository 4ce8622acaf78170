"""Answers that only the exercises of this chapter need: a mixture as one function, and its bias.

The library's `SparseMoE` sorts all pairs (token, choice) by expert first, so that its matrix
products are few and large. Here each expert selects its tokens: the same sums, easier to read.

    y = sum over the k best experts e of gate_e * expert_e(x)
    bias_e += rate * sign(mean load - load_e)

Taught in:        mlp
Paper:            Shazeer et al. 2017, arXiv:1701.06538; Wang et al. 2024, arXiv:2408.15664
                  (balancing without an auxiliary loss)
Checked against:  SparseMoE, transformers' Qwen3MoeSparseMoeBlock
Shapes:           N tokens, E experts, k choices, C model width, F width of one expert
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.experts import route
from course_lib.mlp import gated_ffn


def moe_forward(
    x: Float[Tensor, "N C"],
    router: Float[Tensor, "E C"],
    gate: Float[Tensor, "E F C"],
    up: Float[Tensor, "E F C"],
    down: Float[Tensor, "E C F"],
    k: int,
) -> Float[Tensor, "N C"]:
    """Return the gated sum of each token's k best experts; an expert runs on its tokens only."""
    gates, chosen = route(x @ router.mT, k)  # (N, k) each
    y = torch.zeros_like(x)
    for e in range(len(gate)):
        token, choice = (chosen == e).nonzero(as_tuple=True)
        output = gated_ffn(x[token], gate[e], up[e], down[e])  # (tokens of e, C)
        y = y.index_add(0, token, gates[token, choice, None] * output)
    return y


def bias_step(
    bias: Float[Tensor, " E"], chosen: Int[Tensor, "N k"], rate: float
) -> Float[Tensor, " E"]:
    """Return the routing bias after one batch: idle experts `rate` higher, busy ones lower."""
    load = torch.bincount(chosen.flatten(), minlength=len(bias))
    return bias + rate * torch.sign(chosen.numel() / len(bias) - load)
