"""A decoder of the course, cut for the ranks that share it.

Attention is cut by heads, the feed-forward layer by hidden units, embedding and output head by
tokens of the vocabulary. Norms, and biases that are added after a sum, are small, and every rank
has them in full. Where a rank uses them for its own heads or tokens only, their gradients are
summed over the ranks during the backward pass.

A rank may also have some of the layers only, as a stage of a pipeline; some tokens of each text,
with ring attention; or some experts of each layer. What it does not have is left out. Its layers
may be recomputed in the backward pass, messages included: all ranks do so at the same place.

Taught in:        parallel
Paper:            Shoeybi et al. 2019, arXiv:1909.08053; Korthikanti et al. 2022, arXiv:2205.05198
Checked against:  the model on one process: loss, gradients, a step of training
Shapes:           B batch, T tokens, C model width, V vocabulary
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from course_lib.experts import SparseMoE
from course_lib.model import DecoderLM
from course_lib.parallel.communicator import Communicator
from course_lib.parallel.expert_parallel import ExpertParallel
from course_lib.parallel.recompute import recompute
from course_lib.parallel.ring_attention import RingAttention, zigzag_positions
from course_lib.parallel.tensor_parallel import (
    ColumnParallelLinear,
    Entrance,
    RowParallelLinear,
    VocabParallelEmbedding,
    enter,
    own_part,
    vocab_parallel_losses,
)

COLUMNS = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj")
ROWS = ("o_proj", "down_proj")


class SplitDecoder(nn.Module):
    """This rank's part of a decoder. The whole model, the same on every rank, stays as it is.

    `comm` has the ranks that share each layer, `ring` those that share a text, `experts` those that
    share the experts. `layers` are the layers of this stage of a pipeline; without it, all. With
    `recomputes`, only the input of a layer is kept for the backward pass.
    """

    def __init__(
        self,
        whole: DecoderLM,
        comm: Communicator,
        sequence: bool = False,
        *,
        layers: Sequence[int] | None = None,
        ring: Communicator | None = None,
        experts: Communicator | None = None,
        recomputes: bool = False,
    ) -> None:
        super().__init__()
        check_divides(whole, comm.size)
        count = len(whole.blocks)
        self.comm, self.sequence, self.whole_config = comm, sequence, whole.config
        self.recomputes = recomputes
        self.ring = ring if ring is not None and ring.size > 1 else None
        self.layers = list(range(count) if layers is None else layers)
        self.is_first, self.is_last = 0 in self.layers, count - 1 in self.layers
        self.model = copy.deepcopy(whole)
        parts: Any = self.model  # whose layers are replaced by others
        for number, block in enumerate(parts.blocks):
            if number in self.layers:
                self._cut_block(block, experts)
            else:
                parts.blocks[number] = nn.Identity()
        table = own_part(whole.model.embed_tokens.weight, comm, 0)
        tied = whole.config.tie_word_embeddings
        embedding = VocabParallelEmbedding(table, comm, sequence)
        parts.model.embed_tokens = embedding if self.is_first else nn.Identity()
        if self.is_last:
            self.head = table if tied else own_part(whole.lm_head.weight, comm, 0)
        else:
            parts.model.norm = nn.Identity()
        parts.lm_head = nn.Identity()
        self._sum_shared_gradients()

    def _cut_block(self, block: Any, experts: Communicator | None) -> None:
        for part in (block.self_attn, block.mlp):
            entrance = Entrance(self.comm, self.sequence)  # queries, keys and values share it
            for name in COLUMNS + ROWS:
                if whole := getattr(part, name, None):
                    given = whole, self.comm, self.sequence
                    cut: nn.Module = (
                        RowParallelLinear(*given)
                        if name in ROWS
                        else ColumnParallelLinear(*given, entrance)
                    )
                    setattr(part, name, cut)
        block.self_attn.num_heads //= self.comm.size
        block.self_attn.num_key_value_heads //= self.comm.size
        if self.ring is not None:
            block.self_attn = RingAttention(block.self_attn, self.ring)
        if experts is not None and experts.size > 1 and isinstance(block.mlp, SparseMoE):
            block.mlp = ExpertParallel(block.mlp, experts)

    def _sum_shared_gradients(self) -> None:
        """Add the gradients of what ranks have in full, where each has seen its own tokens.

        Norms of single heads are seen by the ranks of these heads only, so they are summed always.
        """
        biases = tuple(f"{name}.bias" for name in ROWS)
        for name, p in self.named_parameters():
            by_heads = ".q_norm." in name or ".k_norm." in name
            by_tokens = self.sequence and ("norm" in name or name.endswith(biases))
            if self.comm.size > 1 and p.requires_grad and (by_heads or by_tokens):
                p.register_hook(self.comm.all_reduce)

    def positions(self, tokens: int) -> Int[Tensor, " T"]:
        """Return where this rank's tokens are in a text with `tokens` of them."""
        if self.ring is None:
            return torch.arange(tokens)
        return zigzag_positions(tokens, self.ring.rank, self.ring.size)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (B, T, own) of this rank's part of the vocabulary, for its tokens.

        The first stage of a pipeline takes ids (B, T), a later one the stream (B, T, C), which all
        but the last return; with sequence parallelism it is that of this rank's tokens.
        """
        tokens, device = x.shape[1], x.device
        if self.sequence and not self.is_first:
            tokens *= self.comm.size
        if self.sequence and tokens % self.comm.size:
            raise ValueError(
                "with sequence parallelism the number of tokens must be a multiple of the number "
                f"of ranks; got {tokens} tokens and {self.comm.size} ranks. Pad the text."
            )
        if self.ring is None:
            masks = self.model._masks(tokens, tokens, None, device)
        else:
            tokens, masks = tokens * self.ring.size, {}
        positions = self.positions(tokens).to(device)
        if self.is_first:
            x = self.model.embed(x, positions)
        rotate = self.model.rotation(positions)
        for layer in self.layers:
            mask = masks.get(self.whole_config.window_of(layer))
            x = self._run(self.model.blocks[layer], x, mask, rotate)
        return self.logits(x) if self.is_last else x

    def _run(self, block: nn.Module, x: Tensor, *given: Any) -> Tensor:
        """Return what a layer makes of the stream."""

        def run(x: Tensor) -> Tensor:
            stream: Tensor = block(x, *given)[0]
            return stream

        if not self.recomputes or not torch.is_grad_enabled():
            return run(x)
        return recompute(run, x if x.requires_grad else x.detach().requires_grad_())

    def logits(self, x: Float[Tensor, "B own_T C"]) -> Float[Tensor, "B T own"]:
        """Return the last norm of the stream times this rank's part of the head."""
        return enter(self.comm, self.model.last_norm(x), self.sequence) @ self.head.mT

    def losses(
        self, logits: Float[Tensor, "*lead own"], targets: Int[Tensor, "*lead"]
    ) -> Float[Tensor, " N"]:
        """Return the cross-entropy of each target, the same on all ranks that share layers."""
        start = self.comm.rank * len(self.head)
        return vocab_parallel_losses(
            self.comm, _wide(logits).flatten(0, -2), targets.flatten(), start
        )

    def loss(
        self, ids: Int[Tensor, "B T"], counted: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, ""]:
        """Return the mean cross-entropy of the next token, the same on every rank."""
        losses = self.losses(self(ids)[:, :-1], ids[:, 1:])
        if counted is None:
            return losses.mean()
        weights = counted[:, 1:].flatten().to(losses.dtype)
        return (losses * weights).sum() / weights.sum()


def check_divides(model: DecoderLM, ranks: int) -> None:
    """Raise `ValueError` unless heads, hidden units and vocabulary can be cut evenly."""
    config = model.config
    if ranks > 1 and any(isinstance(module, SparseMoE) for module in model.modules()):
        raise ValueError("a model with experts is cut by experts; see ExpertParallel.")
    for name in (
        "num_attention_heads",
        "num_key_value_heads",
        "intermediate_size",
        "vocab_size",
    ):
        if getattr(config, name) % ranks:
            remedy = " or pad the vocabulary" if name == "vocab_size" else ""
            raise ValueError(
                f"{name} must be a multiple of the number of tensor-parallel ranks; got "
                f"{getattr(config, name)} and {ranks} ranks. Use a number of ranks that divides "
                f"it{remedy}."
            )


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
