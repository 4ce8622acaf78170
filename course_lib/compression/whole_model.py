"""A whole model in few bits: every linear layer of its blocks, and on request the embedding.

    nearest    each weight to its nearest code
    gptq       column after column, errors corrected            needs calibration
    awq        columns scaled by how large their inputs are     needs calibration

Norms stay as they are: they are a thousandth of the numbers. The embedding is the head too in many
small models, where it is a large part of the whole and more sensitive than the rest.

Taught in:        compression
Checked against:  each layer quantised by itself; a model with the dequantised weights
Shapes:           those of the model
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.compression.awq import awq_search
from course_lib.compression.calibration import InputStatistics, linear_layers
from course_lib.compression.gptq import gptq
from course_lib.compression.layers import (
    QuantisedEmbedding,
    QuantisedLinear,
    quantised_layers,
    replace_layer,
)
from course_lib.compression.pruning import kept_mask, sparsegpt, two_four_mask
from course_lib.compression.tensors import Scheme, quantise
from course_lib.embeddings import Embedding
from course_lib.model import DecoderLM

METHODS = ("nearest", "gptq", "awq")
EMBEDDING, HEAD = "model.embed_tokens", "lm_head"
Statistics = Mapping[str, InputStatistics]


@torch.no_grad()
def quantise_model(
    model: DecoderLM,
    scheme: Scheme,
    method: str = "nearest",
    statistics: Statistics | None = None,
    *,
    embedding: bool = False,
    activation_bits: int | None = None,
) -> DecoderLM:
    """Replace the linear layers of a model by packed ones, in place, and return the model."""
    if method not in METHODS:
        raise ValueError(f"a method is one of {', '.join(METHODS)}; got {method!r}.")
    if method != "nearest" and statistics is None:
        raise ValueError(f"{method} needs statistics of the inputs; got none. Call `calibrate`.")
    layers = linear_layers(model)
    if not layers:
        raise ValueError("there must be nn.Linear layers to quantise; got a model without any.")
    for name, layer in layers.items():
        own = None if statistics is None else statistics[name]
        small = _quantised(layer, scheme, method, own, activation_bits)
        replace_layer(model, name, small)
    if embedding:
        quantise_embedding(model, scheme)
    return model


def _quantised(
    layer: nn.Linear,
    scheme: Scheme,
    method: str,
    own: InputStatistics | None,
    activation_bits: int | None,
) -> QuantisedLinear:
    weight = layer.weight.detach().float()
    more: dict[str, Any] = {
        "bias": layer.bias,
        "activation_bits": activation_bits,
        "dtype": layer.weight.dtype,
    }
    if method == "gptq" and own is not None:
        return QuantisedLinear(gptq(weight, own.gram, scheme), **more)
    if method == "awq" and own is not None:
        scales = awq_search(weight, own.mean, own.gram, scheme).scales
        return QuantisedLinear(quantise(weight * scales, scheme), input_scale=scales, **more)
    return QuantisedLinear(quantise(weight, scheme), **more)


@torch.no_grad()
def quantise_embedding(model: DecoderLM, scheme: Scheme) -> DecoderLM:
    """Replace the embedding by a packed one, and the head that shares its table with it."""
    table = model.get_submodule(EMBEDDING)
    if not isinstance(table, Embedding):
        raise ValueError(f"an Embedding can be quantised once; got {type(table).__name__}.")
    stored = quantise(table.weight.detach().float(), scheme)
    tied = model.lm_head.weight is table.weight
    kind = table.weight.dtype
    replace_layer(model, EMBEDDING, QuantisedEmbedding(stored, kind))
    if tied:
        replace_layer(model, HEAD, QuantisedLinear(stored, dtype=kind))
    return model


@torch.no_grad()
def dequantise_model(model: DecoderLM) -> DecoderLM:
    """Put plain layers back, with the weights for which the codes stand."""
    for name, layer in list(quantised_layers(model)):
        weight = layer.weight
        if isinstance(layer, QuantisedEmbedding):
            replace_layer(model, name, _table(weight))
        elif isinstance(layer, QuantisedLinear):
            if layer.input_scale is not None:
                weight = weight / layer.input_scale.to(weight.dtype)
            replace_layer(model, name, _linear(weight, layer.bias))
    if model.config.tie_word_embeddings:
        model.lm_head.weight = model.get_parameter(f"{EMBEDDING}.weight")
    return model


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    outputs, inputs = weight.shape
    with torch.device("meta"):
        layer = nn.Linear(inputs, outputs, bias=bias is not None)
    layer.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach(), requires_grad=False)
    return layer


def _table(weight: Tensor) -> Embedding:
    with torch.device("meta"):
        table = Embedding(*weight.shape)
    table.weight = nn.Parameter(weight, requires_grad=False)
    return table


@torch.no_grad()
def prune_model(
    model: DecoderLM,
    method: str,
    sparsity: float | None = 0.5,
    statistics: Statistics | None = None,
) -> DecoderLM:
    """Set weights of the blocks' linear layers to zero, in place; `sparsity` None is 2:4."""
    for name, layer in linear_layers(model).items():
        own = None if statistics is None else statistics[name]
        layer.weight.copy_(pruned(layer.weight, method, sparsity, own))
    return model


def pruned(
    weight: Tensor, method: str, sparsity: float | None, own: InputStatistics | None
) -> Tensor:
    """Return one pruned matrix; the method is "magnitude", "wanda" or "sparsegpt"."""
    if method not in ("magnitude", "wanda", "sparsegpt"):
        raise ValueError(f"a method is magnitude, wanda or sparsegpt; got {method!r}.")
    if method == "magnitude":
        return weight * _mask(weight.abs(), sparsity)
    if own is None:
        raise ValueError(f"{method} needs statistics of the inputs; got none. Call `calibrate`.")
    if method == "wanda":
        return weight * _mask(weight.abs() * own.norm, sparsity)
    return sparsegpt(weight, own.gram, sparsity)


def _mask(scores: Tensor, sparsity: float | None) -> Tensor:
    return two_four_mask(scores) if sparsity is None else kept_mask(scores, sparsity)
