"""Answers that only the exercises need: activations of a block, bytes of a decode step, MFU.

The library counts these for every family, with biases, QK-norm and experts. Here is the plain case
of each as one short formula.

Taught in:        parameter_counting
Paper:            Korthikanti et al. 2022, arXiv:2205.05198; Chowdhery et al. 2022, arXiv:2204.02311
Checked against:  `activation_bytes` and the tensors that autograd saves; `model_step`
Shapes:           B batch, T tokens, C model width, F FFN width, H query heads, G key/value heads,
                  D head width
"""

from course_lib.accounting import kv_cache_bytes, model_flops_utilisation, total_parameters
from course_lib.model import ModelConfig


def block_activations(
    batch: int,
    tokens: int,
    hidden_size: int,
    intermediate_size: int,
    num_attention_heads: int,
    num_key_value_heads: int,
    head_dim: int,
) -> int:
    """Return how many numbers a gated block without QK-norm keeps for the backward pass.

    Two norms keep 3·C each, attention its q, k, v and output, the softmax two tables of T numbers
    for each head, the feed-forward layer 5·F. One number per token of each norm, and the sums of
    the softmax, are left out.
    """
    norms = 2 * 3 * hidden_size
    attention = 2 * (num_attention_heads + num_key_value_heads) * head_dim
    softmax = 2 * num_attention_heads * tokens
    mlp = 5 * intermediate_size
    return batch * tokens * (norms + attention + softmax + mlp)


def decode_step_bytes(
    config: ModelConfig, context: int, batch: int = 1, bytes_per_number: int = 2
) -> int:
    """Return the bytes that a decode step of a dense model reads: weights once, all caches.

    An untied embedding table is only looked up: one row for each text. A tied one is read whole,
    since the logits need it.
    """
    read = total_parameters(config)
    if not config.tie_word_embeddings:
        read += (batch - config.vocab_size) * config.hidden_size
    heads = (config.num_key_value_heads, config.head_dim)
    cache = kv_cache_bytes(config.num_hidden_layers, *heads, context, batch, bytes_per_number)
    return read * bytes_per_number + cache


def training_utilisation(
    parameters: int,
    num_hidden_layers: int,
    attention_width: int,
    context: int,
    tokens_per_second: float,
    peak_flops: float,
) -> float:
    """Return the MFU of a training run: 6·N + 12·L·n·d FLOPs for each token, over the peak."""
    flops = 6 * parameters + 12 * num_hidden_layers * context * attention_width
    return model_flops_utilisation(tokens_per_second, flops, peak_flops)
