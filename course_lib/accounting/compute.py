"""FLOPs: what a model computes. A multiplication and an addition count as two.

    forward, per token   2 * N  +  4 * n * d * layers      N matrices, n tokens read, d = H*D
    training             6 * N * tokens                    backward costs twice the forward pass

Backward has two matrix products where forward has one: for the gradient of the input and for that
of the weight. The second term is attention itself: q with n keys, attention weights with n values.

Taught in:        parameter_counting
Paper:            Kaplan et al. 2020, arXiv:2001.08361;
                  Chowdhery et al. 2022, arXiv:2204.02311 (MFU)
Checked against:  torch.utils.flop_counter, forward and backward
Shapes:           B batch, T new tokens, S all tokens so far
"""

from course_lib.accounting.parameters import matmul_parameters, matmul_parts
from course_lib.model import ModelConfig


def flops_per_token(
    parameters: int, num_hidden_layers: int, attention_width: int, context: int
) -> int:
    """Return the forward FLOPs of one token that attends to `context` tokens, itself included.

    `attention_width` is heads times head width.
    """
    return 2 * parameters + 4 * num_hidden_layers * context * attention_width


def training_flops(parameters: int, tokens: int) -> int:
    """Return the FLOPs of training on `tokens` tokens: 2 forward and 4 backward per parameter."""
    return 6 * parameters * tokens


def attention_flops(config: ModelConfig, tokens: int, past: int = 0, batch: int = 1) -> int:
    """Return the FLOPs of q·k and of attention weights times v, in all layers.

    A causal mask hides half of the pairs. It saves FLOPs only if the code skips masked pairs.
    """
    width = config.num_attention_heads * config.head_dim
    return 4 * config.num_hidden_layers * batch * tokens * (past + tokens) * width


def flops_by_part(config: ModelConfig, context: int) -> dict[str, int]:
    """Return the forward FLOPs of one token that reads `context` tokens, itself included, by part.

    "projections" are the four matrices of attention, "scores" its products without parameters: q
    with the keys, and the weights with the values.
    """
    matrices = {name: 2 * numbers for name, numbers in matmul_parts(config).items()}
    return {
        "projections": matrices["attention"],
        "scores": attention_flops(config, 1, past=context - 1),
        "MLP": matrices["MLP"],
        "output head": matrices["output head"],
    }


def forward_flops(
    config: ModelConfig, tokens: int, past: int = 0, batch: int = 1, last_only: bool = False
) -> int:
    """Return the FLOPs of all matrix products of a forward pass, exactly.

    `past` tokens are in the cache already; `last_only` computes logits for the last token only.
    """
    head = config.vocab_size * config.hidden_size
    scored = 1 if last_only else tokens
    matrices = tokens * (matmul_parameters(config) - head) + scored * head
    return 2 * batch * matrices + attention_flops(config, tokens, past, batch)


def model_flops_utilisation(
    tokens_per_second: int | float, flops_per_token: int | float, peak_flops: int | float
) -> float:
    """Return the fraction of the peak that the model's own FLOPs use (MFU).

    `flops_per_token` leaves out what is computed a second time, as with checkpointing.
    """
    if peak_flops <= 0:
        raise ValueError(
            f"peak_flops must be positive; got {peak_flops}. Use the device's dense "
            "figure for the dtype, not the one for sparse matrices."
        )
    return tokens_per_second * flops_per_token / peak_flops
