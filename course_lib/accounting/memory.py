"""Bytes: the memory that a model needs to be stored, run and trained.

    weights        parameters * bytes of one number
    KV cache       2 * layers * G * D * bytes * tokens * batch         keys and values
    training       weights + gradients + 2 moments of Adam + activations + 4 tables of logits

Activations are the tensors that the forward pass keeps for the backward pass. With checkpointing
only the input of each block is kept, and one block at a time is computed again.

Taught in:        parameter_counting
Paper:            Korthikanti et al. 2022, arXiv:2205.05198 (activations);
                  Chen et al. 2016, arXiv:1604.06174 (checkpointing)
Checked against:  `nbytes` of tensors, and the tensors that autograd keeps
Shapes:           B batch, T tokens, V vocabulary, C model width, F FFN width, H query heads,
                  G key/value heads, D head width, E experts, k of them used
"""

from typing import NamedTuple

from course_lib.accounting.parameters import total_parameters
from course_lib.attention import kv_cache_bytes
from course_lib.model import ModelConfig

_BYTES = {"float64": 8.0, "float32": 4.0, "bfloat16": 2.0, "float16": 2.0, "float8": 1.0,
          "int8": 1.0, "int4": 0.5}  # fmt: skip
# How many numbers an activation function keeps for each hidden unit, besides its output.
_ACTIVATION_KEEPS = {"relu": 0, "silu": 2, "gelu": 3, "gelu_new": 4, "gelu_pytorch_tanh": 4}


def bytes_per_number(dtype: str) -> float:
    """Return the bytes of one number; quantised types without their scales."""
    if dtype not in _BYTES:
        raise ValueError(
            f"dtype must be one of {', '.join(_BYTES)}; got {dtype!r}. Write it without 'torch.'."
        )
    return _BYTES[dtype]


class InferenceMemory(NamedTuple):
    """The bytes that generation needs."""

    weights: float  # half a byte for each parameter in int4
    cache: int

    @property
    def total(self) -> float:
        """The sum of both."""
        return self.weights + self.cache


def inference_memory(
    config: ModelConfig, tokens: int, batch: int = 1, dtype: str = "bfloat16"
) -> InferenceMemory:
    """Return the bytes of the weights in `dtype`, and of the cache in bfloat16 or wider."""
    cache = kv_cache_bytes(
        config.num_hidden_layers,
        config.num_key_value_heads,
        config.head_dim,
        tokens,
        batch,
        max(2, int(bytes_per_number(dtype))),
    )
    return InferenceMemory(total_parameters(config) * bytes_per_number(dtype), cache)


class TrainingMemory(NamedTuple):
    """The bytes at the peak of a training step: at the loss, with all gradients allocated."""

    weights: int
    gradients: int
    moments: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        """The sum of all."""
        return sum(self)


def training_memory(
    config: ModelConfig,
    tokens: int,
    batch: int = 1,
    weight_bytes: int = 4,
    gradient_bytes: int = 4,
    moment_bytes: int = 8,
    activation_number_bytes: int = 4,
    checkpointing: bool = False,
) -> TrainingMemory:
    """Return the bytes of one step with AdamW; the defaults are those of plain float32.

    For bfloat16 with float32 master weights pass weight_bytes=6, gradient_bytes=2 and
    activation_number_bytes=2. The logits count four times: logits, log-probabilities, and
    the gradient of each. With checkpointing the sum is an upper bound, since the logits are freed
    before a block is computed again.
    """
    n = total_parameters(config)
    return TrainingMemory(
        n * weight_bytes,
        n * gradient_bytes,
        n * moment_bytes,
        activation_bytes(config, tokens, batch, activation_number_bytes, checkpointing),
        4 * batch * tokens * config.vocab_size * activation_number_bytes,
    )


def activation_bytes(
    config: ModelConfig,
    tokens: int,
    batch: int = 1,
    bytes_per_number: int = 4,
    checkpointing: bool = False,
) -> int:
    """Return the bytes that the course's model keeps between its forward and its backward pass.

    Attention scores are T numbers per head and token, so they grow with T * T.
    """
    layers = range(config.num_hidden_layers)
    blocks = [_block_bytes(config, layer, tokens, bytes_per_number) for layer in layers]
    if checkpointing:
        kept = len(blocks) * config.hidden_size * bytes_per_number + max(blocks)
    else:
        kept = sum(blocks)
    kept += _norm_numbers(config) * bytes_per_number + 8  # the last norm, and the ids themselves
    masks = len(blocks) * tokens * tokens
    positions = 8 if config.model_type == "gpt2" else 8 * config.head_dim  # cosines and sines
    return batch * tokens * kept + masks + positions * tokens


def _block_bytes(config: ModelConfig, layer: int, tokens: int, size: int) -> int:
    """Return the bytes that one block keeps for each token."""
    heads, groups, head_dim = (
        config.num_attention_heads,
        config.num_key_value_heads,
        config.head_dim,
    )
    numbers = 2 * _norm_numbers(config)
    numbers += 2 * (heads + groups) * head_dim  # q, k, v, and the output of the heads
    if config.qk_norm and config.model_type != "gpt2":
        numbers += (heads + groups) * (2 * head_dim + 1)  # before and within the norm
    numbers += heads * (2 * tokens + 1)  # the softmax: its exponentials, their sum, the weights
    integers = heads  # which rows have no key to attend to, one byte each
    if config.is_sparse(layer):
        moe, chosen = config.moe_intermediate_size, config.num_experts_per_tok
        units = (_ACTIVATION_KEEPS[config.hidden_act] + 4) * moe
        numbers += chosen * (units + config.hidden_size + 1) + 2 * config.num_experts + 2
        numbers += (chosen + 1) * config.norm_topk_prob  # the gates and their sum
        integers += 4 * 8 * chosen  # which token goes to which expert
    else:
        rest = 1 if config.model_type == "gpt2" else 3  # its output; with a gate, `up` and product
        numbers += (_ACTIVATION_KEEPS[config.hidden_act] + rest) * config.intermediate_size
    return numbers * size + integers


def _norm_numbers(config: ModelConfig) -> int:
    """Return the numbers a norm keeps of a token: input, normalised, output; LayerNorm one more."""
    return (4 if config.model_type == "gpt2" else 3) * config.hidden_size + 1
