"""Blocks for one new token in a single call: the products, and all small steps between them.

A block consists of some forty operations, most of which take less time to compute than to start
from Python. Where nobody looks at what happens inside, the program in `block.c` computes the whole
block, or all blocks of a model, with the weights of the layers as they are stored. Otherwise, or
where a block is not of this kind, None says so, and the block calls its layers.

    one token of each of a few texts, attention with RoPE and a plain cache, then SwiGLU
    no hooks, replaced layers or gradients; attention weights not requested
    nobody who watches PyTorch's operations (`watchers`), nor a profiler

Taught in:        generation
Checked against:  the same block, layer by layer
Shapes:           B batch, C model width, G key/value heads, S all tokens so far, D head width
"""

import ctypes
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from course_lib.attention import KVCache, MultiHeadAttention
from course_lib.mlp import GatedFFN, silu
from course_lib.model.compiled_products import (
    FEW_ROWS,
    POINTER,
    CompiledProducts,
    Matrix,
    compiled_products,
)
from course_lib.model.watchers import (
    are_plain,
    hooks_every_module,
    is_profiled,
    is_watched,
    wants_gradient,
)
from course_lib.model.whole_rotation import WholeRotation
from course_lib.norms import RMSNorm

DTYPES = (torch.float32, torch.bfloat16)
LANES = 8  # features that the program loads at once
_DTYPE = attrgetter("dtype")
SETTINGS = ("eps", "scale", "activation")  # what the layers compute with, besides weights


class Layer(ctypes.Structure):
    """A block as the program reads it. It does not keep its tensors alive."""

    _fields_ = (
        *((name, Matrix) for name in ("q", "k", "v", "o", "gate", "up", "down")),
        *((f"{name}_bias", POINTER) for name in ("q", "k", "v", "o")),
        *((name, POINTER) for name in ("input_norm", "mlp_norm", "q_norm", "k_norm")),
        *((f"{name}_eps", ctypes.c_float) for name in ("input", "mlp", "q", "k")),
        ("scale", ctypes.c_float),
        ("half", ctypes.c_int32),
        ("neighbours", ctypes.c_int32),
        *((name, ctypes.c_int64) for name in ("heads", "groups", "width")),
    )


class _Step(ctypes.Structure):
    _fields_ = (
        *((name, POINTER) for name in ("x", "y", "keys", "values", "cos", "sin", "mask")),
        *((name, ctypes.c_int64) for name in ("texts", "capacity", "seen")),
    )


class _Plan(NamedTuple):
    """A block as the program reads it, and what it was made from."""

    parts: list[nn.Module]
    weights: list[int]  # where each is in memory
    types: list[torch.dtype]
    settings: list[Any]  # numbers and functions that the layers hold
    layer: Layer | None  # None: the program cannot compute this block


_PLANS: WeakKeyDictionary[nn.Module, _Plan] = WeakKeyDictionary()


def compiled_blocks(
    blocks: Sequence[nn.Module],
    x: Float[Tensor, "B T C"],
    mask: Bool[Tensor, "..."] | None,
    rotate: object,
    caches: Sequence[object],
) -> Float[Tensor, "B T C"] | None:
    """Return the stream after some blocks, each called as `block(x, mask, rotate, cache)`, or None.

    Hooks of the blocks themselves are the caller's business, those of their layers are not.
    """
    texts, tokens, _ = x.shape
    if tokens != 1 or not 1 <= texts <= FEW_ROWS or x.dtype not in DTYPES or x.device.type != "cpu":
        return None
    plain = [cache for cache in caches if type(cache) is KVCache]
    if len(plain) < len(caches) or type(rotate) is not WholeRotation:
        return None
    watched = is_watched() or is_profiled() or hooks_every_module()
    program = None if watched else compiled_products()
    if program is None:
        return None
    layers = []
    for block in blocks:
        layer = _layer(block, x)
        if layer is None:
            return None
        layers.append(layer)
    allowed = None if mask is None else mask.expand(texts, 1, 1, plain[0].length + 1)
    return through_layers(program, layers, x, plain, allowed, rotate.of_one_token(texts))


def through_layers(
    program: CompiledProducts,
    layers: Sequence[Layer],
    x: Float[Tensor, "B ... C"],
    caches: Sequence[KVCache],
    allowed: Bool[Tensor, "B ... S"] | None,
    rotation: tuple[Float[Tensor, "B half"], Float[Tensor, "B half"]],
) -> Tensor | None:
    """Return the stream after these layers, or None if x or the caches do not fit them."""
    memory, seen = [cache.next_place() for cache in caches], caches[0].length
    texts, width, capacity = len(x), x.shape[-1], caches[0].capacity
    if len(caches) != len(layers) or any(cache.length != seen for cache in caches):
        return None
    for layer, (keys, _) in zip(layers, memory, strict=True):
        fits = keys.shape == (texts, layer.groups, capacity, layer.width)
        if not fits or layer.q.inputs != width or keys.dtype != x.dtype or not keys.is_cpu:
            return None  # calling the layers raises the error
    x, y = x.contiguous(), torch.empty_like(x, memory_format=torch.contiguous_format)
    mask, cos, sin = (t if t is None else t.contiguous() for t in (allowed, *rotation))
    x_at, y_at, mask_at, cos_at, sin_at = (
        t if t is None else t.data_ptr() for t in (x, y, mask, cos, sin)
    )
    step = _Step(x_at, y_at, None, None, cos_at, sin_at, mask_at, texts, capacity, seen)
    addresses = POINTER * len(layers)
    failed = program.blocks(
        addresses(*map(ctypes.addressof, layers)),
        ctypes.byref(step),
        addresses(*(keys.data_ptr() for keys, _ in memory)),
        addresses(*(values.data_ptr() for _, values in memory)),
        len(layers),
        torch.get_num_threads(),
    )
    if failed:
        raise MemoryError(f"there was no memory for {texts} texts")
    for cache in caches:
        cache.length += 1
    return y


def is_altered(part: nn.Module) -> bool:
    """Whether a module does more when it is called than its class says."""
    return bool(part._forward_hooks or part._forward_pre_hooks or "forward" in part.__dict__)


def _layer(block: Any, x: Tensor) -> Layer | None:
    """Return a block as the program reads it now, or None if its layers must be called."""
    own = block._modules
    parts = [*own.values(), *own["self_attn"]._modules.values(), *own["mlp"]._modules.values()]
    tensors = []
    for part in parts:
        if is_altered(part):
            return None
        tensors += part._parameters.values()
        if part._buffers:
            tensors += part._buffers.values()
    tensors = [each for each in tensors if each is not None]
    read = [x, *tensors]
    if wants_gradient(read) or not are_plain(read):
        return None
    weights, types = list(map(Tensor.data_ptr, tensors)), list(map(_DTYPE, tensors))
    settings = [part.__dict__.get(name) for part in parts for name in SETTINGS]
    made_from = (parts, weights, types, settings)
    plan = _PLANS.get(block)
    if plan is None or plan[:4] != made_from:
        plan = _PLANS[block] = _Plan(*made_from, _built(block))
    layer = plan.layer
    wanted = torch.bfloat16 if layer is not None and layer.half else torch.float32
    return layer if x.dtype == wanted else None


def _built(block: Any) -> Layer | None:
    """Return a block as the program reads it, or None if it is of another kind."""
    attention, mlp = block.self_attn, block.mlp
    if type(attention) is not MultiHeadAttention or type(mlp) is not GatedFFN:
        return None
    norms = [block.input_layernorm, block.post_attention_layernorm]
    head_norms = [attention.q_norm, attention.k_norm]
    if any(type(each) is not nn.Identity for each in head_norms):
        norms += head_norms
    outer = [attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj]
    inner = [mlp.gate_proj, mlp.up_proj, mlp.down_proj]
    matrices = [_matrix(each) for each in (*outer, *inner)]
    plain = mlp.activation is silu and all(type(each) is RMSNorm for each in norms)
    if not plain or None in matrices or any(each.bias is not None for each in inner):
        return None
    small = [each.weight for each in norms] + [e.bias for e in outer if e.bias is not None]
    dtype, widths = small[0].dtype, (len(small[0]), attention.head_dim)
    if dtype not in DTYPES or any(width % LANES for width in widths):
        return None
    if any(each.dtype != dtype or not each.is_contiguous() for each in small):
        return None
    if not _fit(attention, matrices, [len(each.weight) for each in norms]):
        return None  # calling the layers raises the error
    missing = [None] * (4 - len(norms))
    return Layer(
        *matrices,
        *(None if each.bias is None else each.bias.data_ptr() for each in outer),
        *(each.weight.data_ptr() for each in norms),
        *missing,
        *(each.eps for each in norms),
        *(0.0 for _ in missing),
        attention.head_dim**-0.5 if attention.scale is None else attention.scale,
        dtype == torch.bfloat16,
        False,
        *(attention.num_heads, attention.num_key_value_heads, attention.head_dim),
    )


def _fit(attention: MultiHeadAttention, matrices: Sequence[Any], norms: Sequence[int]) -> bool:
    """Whether all parts of a block have the sizes that the program takes from some of them."""
    q, k, v, o, gate, up, down = matrices
    stream, width = norms[0], attention.head_dim
    heads, groups = attention.num_heads * width, attention.num_key_value_heads * width
    return (
        [each.inputs for each in matrices] == [stream] * 3 + [heads, stream, stream, gate.outputs]
        and (q.outputs, k.outputs, v.outputs) == (heads, groups, groups)
        and (o.outputs, down.outputs, up.outputs) == (stream, stream, gate.outputs)
        and list(norms) == [stream, stream, width, width][: len(norms)]
    )


def _matrix(layer: Any) -> Matrix | None:
    """Return the weight of a linear layer as the program reads it, or None if it cannot."""
    read = getattr(type(layer), "compiled_matrix", None)
    return None if read is None else read(layer)
