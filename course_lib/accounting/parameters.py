"""Where the parameters are: one formula per component, and their sum.

    attention   C * H*D  +  2 * C * G*D  +  H*D * C           q, then k and v, then output
    MLP         3 * C * F  with a gate,  2 * C * F  without
    experts     E * 3 * C * F  +  E * C                       all experts, and the router
    tables      V * C, once if the output head is tied to the embedding, else twice

Taught in:        parameter_counting
Checked against:  the models themselves on the meta device, ours and those of transformers
Shapes:           V vocabulary, C model width, F FFN width, H query heads, G key/value heads,
                  D head width, E experts
"""

from collections.abc import Mapping
from typing import NamedTuple

from course_lib.experts import expert_parameters
from course_lib.model import ModelConfig


class Part(NamedTuple):
    """One component in all layers together: its parameters, and their formula."""

    name: str
    parameters: int
    formula: str


def attention_parameters(
    hidden_size: int,
    num_attention_heads: int,
    num_key_value_heads: int,
    head_dim: int,
    qkv_bias: bool = False,
    output_bias: bool = False,
    qk_norm: bool = False,
) -> int:
    """Return the parameters of one attention layer."""
    width, kv_width = num_attention_heads * head_dim, num_key_value_heads * head_dim
    count = hidden_size * width + 2 * hidden_size * kv_width + width * hidden_size
    count += (width + 2 * kv_width) * qkv_bias + hidden_size * output_bias
    return count + 2 * head_dim * qk_norm


def mlp_parameters(
    hidden_size: int, intermediate_size: int, gated: bool = True, bias: bool = False
) -> int:
    """Return the parameters of one feed-forward layer: three matrices with a gate, else two."""
    into = 2 if gated else 1
    count = (into + 1) * hidden_size * intermediate_size
    return count + (into * intermediate_size + hidden_size) * bias


def norm_parameters(hidden_size: int, num_hidden_layers: int, bias: bool = False) -> int:
    """Return the parameters of the norms: two in each layer and one after the last."""
    return (2 * num_hidden_layers + 1) * hidden_size * (2 if bias else 1)


def parameter_parts(config: ModelConfig) -> tuple[Part, ...]:
    """Return all components that have parameters, from the embedding to the output head."""
    gpt2, layers, width = config.model_type == "gpt2", config.num_hidden_layers, config.hidden_size
    sparse = _sparse_layers(config)
    dense = mlp_parameters(width, config.intermediate_size, gated=not gpt2, bias=gpt2)
    experts = _experts(config)[0]
    head = 0 if config.tie_word_embeddings else config.vocab_size * width
    mlp = ("2·C·F + F + C" if gpt2 else "3·C·F") + f" = {dense:,} in each of {layers - sparse}"
    parts = (
        Part("embedding", config.vocab_size * width, "V·C"),
        Part("positions", config.max_position_embeddings * width * gpt2, "P·C"),
        Part("attention", layers * _attention(config), _attention_formula(config)),
        Part("MLP", (layers - sparse) * dense, mlp + " layers"),
        Part(
            "experts", sparse * experts, f"E·3·C·F + E·C = {experts:,} in each of {sparse} layers"
        ),
        Part("norms", norm_parameters(width, layers, gpt2), f"(2·{layers} + 1)·C" + "·2" * gpt2),
        Part("output head", head, "V·C"),
    )
    return tuple(part for part in parts if part.parameters)


def inner_parts(config: ModelConfig) -> Mapping[str, tuple[Part, ...]]:
    """Return what attention, MLP and experts are made of, with the names of `parameter_parts`."""
    gpt2, layers, width = config.model_type == "gpt2", config.num_hidden_layers, config.hidden_size
    heads, groups, depth = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    sparse, experts = _sparse_layers(config), config.num_experts
    attention = _in_each(
        layers,
        ("queries", width * heads * depth, "C·H·D"),
        ("keys", width * groups * depth, "C·G·D"),
        ("values", width * groups * depth, "C·G·D"),
        ("output", heads * depth * width, "H·D·C"),
        ("QK-norm", 2 * depth * (config.qk_norm and not gpt2), "2·D"),
    )
    dense, inside = width * config.intermediate_size, width * config.moe_intermediate_size
    mlp = _in_each(
        layers - sparse,
        ("gate", dense * (not gpt2), "C·F"),
        ("up", dense, "C·F"),
        ("down", dense, "F·C"),
    )
    mixture = _in_each(
        sparse,
        ("gates", experts * inside, "E·C·F"),
        ("ups", experts * inside, "E·C·F"),
        ("downs", experts * inside, "E·F·C"),
        ("router", experts * width, "E·C"),
    )
    found = {"attention": attention, "MLP": mlp, "experts": mixture}
    return {
        part.name: _with_biases(part, found[part.name])
        for part in parameter_parts(config)
        if part.name in found
    }


def _in_each(layers: int, *parts: tuple[str, int, str]) -> tuple[Part, ...]:
    return tuple(
        Part(name, layers * count, f"{formula} = {count:,} in each of {layers} layers")
        for name, count, formula in parts
        if layers * count
    )


def _with_biases(whole: Part, matrices: tuple[Part, ...]) -> tuple[Part, ...]:
    rest = whole.parameters - sum(part.parameters for part in matrices)
    return (*matrices, Part("biases", rest, "one for each output")) if rest else matrices


def total_parameters(config: ModelConfig) -> int:
    """Return the number of parameters; a tied output head counts once."""
    return sum(part.parameters for part in parameter_parts(config))


def parameters_without_embeddings(config: ModelConfig) -> int:
    """Return the parameters that are neither embedding nor head."""
    tables = ("embedding", "positions", "output head")
    return sum(part.parameters for part in parameter_parts(config) if part.name not in tables)


def active_parameters(config: ModelConfig) -> int:
    """Return the parameters without the experts that a token does not use."""
    total, active = _experts(config)
    return total_parameters(config) - _sparse_layers(config) * (total - active)


def matmul_parameters(config: ModelConfig) -> int:
    """Return the parameters that one token is multiplied with: active matrices and the output head.

    A row of the embedding is looked up; norms and biases scale or add: no matrix products.
    """
    return sum(matmul_parts(config).values())


def matmul_parts(config: ModelConfig) -> dict[str, int]:
    """Return the parameters that one token is multiplied with, by part."""
    gpt2, sparse = config.model_type == "gpt2", _sparse_layers(config)
    heads = (config.num_attention_heads, config.num_key_value_heads, config.head_dim)
    attention = config.num_hidden_layers * attention_parameters(config.hidden_size, *heads)
    dense = mlp_parameters(config.hidden_size, config.intermediate_size, gated=not gpt2)
    mlp = (config.num_hidden_layers - sparse) * dense + sparse * _experts(config)[1]
    head = config.vocab_size * config.hidden_size
    return {"attention": attention, "MLP": mlp, "output head": head}


def _sparse_layers(config: ModelConfig) -> int:
    return sum(config.is_sparse(layer) for layer in range(config.num_hidden_layers))


def _experts(config: ModelConfig) -> tuple[int, int]:
    return expert_parameters(
        config.hidden_size,
        config.moe_intermediate_size,
        config.num_experts,
        config.num_experts_per_tok,
    )


def _attention(config: ModelConfig) -> int:
    gpt2 = config.model_type == "gpt2"
    return attention_parameters(
        config.hidden_size,
        config.num_attention_heads,
        config.num_key_value_heads,
        config.head_dim,
        qkv_bias=config.qkv_bias or gpt2,
        output_bias=config.output_bias or gpt2,
        qk_norm=config.qk_norm and not gpt2,
    )


def _attention_formula(config: ModelConfig) -> str:
    gpt2 = config.model_type == "gpt2"
    formula = "C·H·D + 2·C·G·D + H·D·C"
    formula += " + H·D + 2·G·D" * (config.qkv_bias or gpt2) + " + C" * (config.output_bias or gpt2)
    formula += " + 2·D" * (config.qk_norm and not gpt2)
    return f"{formula} = {_attention(config):,} in each of {config.num_hidden_layers} layers"
