"""FLOPs: what a model computes. A multiplication and the addition after it count as two.

    forward, per token   2 * N  +  4 * n * d * layers      N matrices, n tokens read, d = H*D
    training             6 * N * tokens                    backward costs twice the forward pass

Backward multiplies twice where forward multiplies once: to get the gradient of the input and that
of the weight. Attention's own products are the second term: q with n keys, weights with n values.

Taught in:        parameter_counting
Paper:            Kaplan et al. 2020, arXiv:2001.08361;
                  Chowdhery et al. 2022, arXiv:2204.02311 (MFU)
Checked against:  torch.utils.flop_counter, forward and backward
Shapes:           B batch, T new tokens, S all tokens so far
"""

from course_lib.accounting.parameters import matmul_parameters
from course_lib.model import ModelConfig


def flops_per_token(
    parameters: int, num_hidden_layers: int, attention_width: int, context: int
) -> int:
    """Return the forward FLOPs of one token that reads `context` tokens, itself included.

    `attention_width` is heads times head width.
    """
    return 2 * parameters + 4 * num_hidden_layers * context * attention_width


def training_flops(parameters: int, tokens: int) -> int:
    """Return the FLOPs of training on `tokens` tokens: 2 forward and 4 backward per parameter."""
    return 6 * parameters * tokens


def attention_flops(config: ModelConfig, tokens: int, past: int = 0, batch: int = 1) -> int:
    """Return the FLOPs of q with k and of weights with v, in all layers.

    A mask forbids half of the pairs and saves nothing, unless the code skips what is masked.
    """
    width = config.num_attention_heads * config.head_dim
    return 4 * config.num_hidden_layers * batch * tokens * (past + tokens) * width


def forward_flops(
    config: ModelConfig, tokens: int, past: int = 0, batch: int = 1, last_only: bool = False
) -> int:
    """Return the FLOPs of all matrix products of a forward pass, exactly.

    `past` tokens are in the cache already; `last_only` scores what follows the last token alone.
    """
    head = config.vocab_size * config.hidden_size
    scored = 1 if last_only else tokens
    matrices = tokens * (matmul_parameters(config) - head) + scored * head
    return 2 * batch * matrices + attention_flops(config, tokens, past, batch)


def model_flops_utilisation(
    tokens_per_second: int | float, flops_per_token: int | float, peak_flops: int | float
) -> float:
    """Return the share of the machine's FLOPs that went into the model's own products (MFU)."""
    if peak_flops <= 0:
        raise ValueError(
            f"peak_flops must be positive; got {peak_flops}. Take the dense figure of the device "
            "for the number type in use, not the one for sparse matrices."
        )
    return tokens_per_second * flops_per_token / peak_flops
