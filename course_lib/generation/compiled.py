"""A decode step as one compiled program.

After fusing, each layer still has about twenty small operations, with Python between them.
`torch.compile` makes one C++ (or GPU) program of a whole step, in which neighbouring operations
share a loop. It needs shapes that never change: so the step attends to the whole cache, filled or
not, under a mask, and gets the position of the new token as a tensor.

    keys[place] = k;  weights = softmax(q @ keys.T where place is visible)       over all N places

The first step compiles, which takes seconds to a minute and needs a C++ compiler. Where a fused
step is a single call already, of the program that the course compiles itself, it stays that: on a
CPU, for a few texts. It reads only the places that are filled, and needs no compiling for a new
shape.

Taught in:        generation
Paper:            none
Checked against:  `FusedDecoder` and `DecoderLM` with the same weights
Shapes:           B batch, S all tokens so far, N places of the cache, C model width, H query heads,
                  G key/value heads, D head width
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int
from torch import Tensor

from course_lib.attention import KVCache
from course_lib.generation.fused import FusedDecoder, FusedLayer
from course_lib.model import DecoderLM, Output

Compiler = Callable[..., Callable[..., Tensor]]


class CompiledDecoder(FusedDecoder):
    """A `FusedDecoder` whose steps of one token are one compiled program; prefill is not."""

    def __init__(self, model: DecoderLM, compiler: Compiler = torch.compile) -> None:
        super().__init__(model)
        self.step = compiler(decoding_step, fullgraph=True)

    @torch.no_grad()
    def __call__(
        self,
        ids: Int[Tensor, "B T"],
        padding: Bool[Tensor, "B S"] | None = None,
        cache: Sequence[KVCache] | None = None,
        positions: Int[Tensor, "..."] | None = None,
        *,
        last_only: bool = False,
    ) -> Output:
        """Return the logits of the next token after each token of `ids`, as `DecoderLM` does."""
        if cache is None or ids.shape[1] != 1 or self.in_one_call(ids) is not None:
            return super().__call__(ids, padding, cache, positions, last_only=last_only)
        place = torch.tensor([cache[0].length], device=ids.device)
        where = place if positions is None else positions[:, 0]
        # Check the capacity of the cache before anything is written.
        memory = [layer.next_place() for layer in cache]
        logits = self.step(
            self.embedding[ids[:, 0]],
            place,
            self._visible(place, cache[0].capacity, padding),
            (self.cos[where][:, None], self.sin[where][:, None]),
            memory,
            self.layers,
            self.head,
            self.config.norm_eps,
        )
        for layer in cache:
            layer.length += 1
        return Output(logits[:, None])

    def _visible(self, place: Tensor, capacity: int, padding: Tensor | None) -> Tensor:
        """Return the mask of places that may be attended to, (B or 1, 1, 1, N)."""
        visible = torch.arange(capacity, device=place.device) <= place
        if padding is None:
            return visible.view(1, 1, 1, capacity)
        real = F.pad(padding, (0, capacity - padding.shape[1]), value=True)
        return (visible & real)[:, None, None, :]


def decoding_step(
    x: Any,
    place: Any,
    visible: Any,
    rotations: tuple[Any, Any],
    memory: Sequence[tuple[Any, Any]],
    layers: Sequence[FusedLayer],
    head: Any,
    eps: float,
) -> Any:
    """Return the logits after one new token of each row; its keys and values go into `memory`.

    Only tensor operations, which compile well: no checks, no shapes that change.
    """
    for layer, (keys, values) in zip(layers, memory, strict=True):
        x = _attend(x, layer, keys, values, place, visible, rotations, eps)
        gate, up = F.linear(_norm(x, eps), layer.gate_up).chunk(2, dim=-1)
        x = x + F.linear(F.silu(gate) * up, layer.down)
    return F.linear(_norm(x, eps), head)


def _attend(
    x: Any,
    layer: FusedLayer,
    keys: Any,
    values: Any,
    place: Any,
    visible: Any,
    rotations: tuple[Any, Any],
    eps: float,
) -> Any:
    batch, groups, _, width = keys.shape
    heads = F.linear(_norm(x, eps), layer.qkv, layer.qkv_bias).view(batch, -1, width)
    qk, v = heads[:, :-groups], heads[:, -groups:]
    if layer.qk_norm is not None:
        qk = _norm(qk, eps) * layer.qk_norm
    qk = _rotate(qk, *rotations)
    q, k = qk[:, :-groups], qk[:, -groups:]
    keys.index_copy_(2, place, k[:, :, None])
    values.index_copy_(2, place, v[:, :, None])
    q = q.reshape(batch, groups, -1, width)  # (B, G, H / G, D)
    scores = (q @ keys.transpose(2, 3)).masked_fill(~visible, torch.finfo(x.dtype).min)
    read = (scores.softmax(-1) @ values).reshape(batch, -1)
    return x + F.linear(read, layer.out, layer.out_bias)


def _norm(x: Any, eps: float) -> Any:
    """Divide by the root of the sum of squares; the root of C is in the matrix that follows."""
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + x.shape[-1] * eps)


def _rotate(x: Any, cos: Any, sin: Any) -> Any:
    """Rotate pairs of neighbouring features, without complex numbers, which are not fused."""
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1).flatten(-2)
