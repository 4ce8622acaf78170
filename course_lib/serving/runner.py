"""The runner: a model, a paged cache, and a pass over tokens of many requests at once.

Linear layers, norms and the feed-forward part work on each token alone, so they take the tokens of
all requests as one long row. Only attention must know which token belongs to whom.

    write    the keys and values of new tokens go to their places in the blocks
    read     attention gathers through the block tables

Taught in:        serving
Paper:            Yu et al. 2022, "Orca", OSDI (selective batching)
Checked against:  `DecoderLM` on each request alone
Shapes:           N tokens of a step, C model width, H query heads, G key/value heads, D head width,
                  V vocabulary
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.attention import MultiHeadAttention, merge_heads, split_heads
from course_lib.model import DecoderLM
from course_lib.model.decoder import Rotation
from course_lib.serving.paged_attention import Row, Step, paged_attention, step_of
from course_lib.serving.pools import MakePool, Pool, empty_pool


class PagedRunner:
    """Runs a model on pieces of many requests, with their keys and values in one paged cache."""

    def __init__(
        self,
        model: DecoderLM,
        num_blocks: int,
        block_size: int = 16,
        make_pool: MakePool = empty_pool,
    ) -> None:
        _check(model)
        self.model, self.block_size = model, block_size
        self._prepare()
        config, weight = model.config, model.lm_head.weight
        shape = (num_blocks, block_size, 2 * config.num_key_value_heads, config.head_dim)
        self.device = weight.device
        self.pools = [make_pool(shape, weight.dtype, weight.device) for _ in model.blocks]

    def _prepare(self) -> None:
        """Make what steps need besides the model; called once, before there is a cache."""

    @property
    def nbytes(self) -> int:
        """The memory of the cache."""
        return sum(pool.nbytes for pool in self.pools)

    def copy_blocks(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Copy what the first block of each pair holds to the second."""
        if pairs:
            sources, targets = torch.tensor(pairs, device=self.device).T
            for pool in self.pools:
                pool.copy_blocks(sources, targets)

    @torch.inference_mode()
    def run(self, rows: Sequence[Row], scored: Sequence[int]) -> list[Float[Tensor, "..."]]:
        """Read the new tokens of all rows; return logits after the last `scored` of each row."""
        order = sorted(range(len(rows)), key=lambda i: len(rows[i].ids))
        ordered = [rows[i] for i in order]
        stream = self._stream(ordered)  # (N, C)
        chosen: list[int] = []
        end = 0
        for place, row in zip(order, ordered, strict=True):
            end += len(row.ids)
            chosen += range(end - scored[place], end)
        logits = self._logits(stream[torch.tensor(chosen, dtype=torch.long, device=self.device)])
        parts = logits.split([scored[i] for i in order])
        found = dict(zip(order, parts, strict=True))
        return [found[i] for i in range(len(rows))]

    def _stream(self, rows: Sequence[Row]) -> Float[Tensor, "N C"]:
        """Return the residual stream of all tokens after the last block."""
        step = step_of(rows, self.block_size, self.device)
        windows = {self.model.config.window_of(i) for i in range(len(self.pools))}
        masks = {w: step.masks(self.block_size, w) for w in windows}
        x = self.model.embed(step.ids[None], step.positions)
        rotate = self.model.rotation(step.positions)
        for layer, (block, pool) in enumerate(zip(self.model.blocks, self.pools, strict=True)):
            own = masks[self.model.config.window_of(layer)]
            normed = block.input_layernorm(x)  # type: ignore[operator]
            x = x + _attend(block.self_attn, normed, rotate, pool, step, own)  # type: ignore[arg-type]
            x = x + block.mlp(block.post_attention_layernorm(x))  # type: ignore[operator]
        return x[0]

    def _logits(self, stream: Float[Tensor, "N C"]) -> Float[Tensor, "N V"]:
        """Return the logits of some tokens."""
        return self.model.lm_head(self.model.last_norm(stream[None])[0])


def _attend(
    attention: MultiHeadAttention,
    x: Float[Tensor, "one N C"],
    rotate: Rotation | None,
    pool: Pool,
    step: Step,
    masks: Sequence[Tensor],
) -> Float[Tensor, "one N C"]:
    """Return what the layer's attention reads, with its keys and values written into the pool."""
    q = attention.q_norm(split_heads(attention.q_proj(x), attention.num_heads))
    k = attention.k_norm(split_heads(attention.k_proj(x), attention.num_key_value_heads))
    v = split_heads(attention.v_proj(x), attention.num_key_value_heads)
    if rotate is not None:
        q, k = rotate(q), rotate(k)
    new = torch.cat((k, v), dim=1)[0].transpose(0, 1)  # (N, 2G, D)
    pool.write(step.places, new)
    read = paged_attention(q[0], pool, step.groups, masks, attention.scale)
    output: Tensor = attention.o_proj(merge_heads(read[None]))
    return output


def _check(model: DecoderLM) -> None:
    plain = all(isinstance(getattr(b, "self_attn", None), MultiHeadAttention) for b in model.blocks)
    moves = model.config.rope_parameters.get("rope_type") in ("dynamic", "longrope")
    if not plain or moves:
        raise ValueError(
            "the engine serves decoders whose keys depend on their position only: Llama, Mistral, "
            f"Qwen2, Qwen3 and their mixtures; got {model.config.model_type} with "
            f"rope_parameters={dict(model.config.rope_parameters)}. Generate with the model itself."
        )
