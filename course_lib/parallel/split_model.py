"""A decoder of the course, cut for tensor parallelism.

Attention is cut by heads, the feed-forward layer by hidden units, embedding and output head by
tokens of the vocabulary. Norms are small, and every rank has them in full. Without sequence
parallelism their gradients are the same on every rank; with it each rank sees its own tokens only,
and the gradients of norms have to be summed (`sum_norm_gradients`).

Taught in:        parallel
Paper:            Shoeybi et al. 2019, arXiv:1909.08053; Korthikanti et al. 2022, arXiv:2205.05198
Checked against:  the model on one process: loss, gradients, a step of training
Shapes:           B batch, T tokens, C model width, V vocabulary
"""

import copy
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from course_lib.experts import SparseMoE
from course_lib.model import DecoderLM
from course_lib.parallel.communicator import Communicator
from course_lib.parallel.differentiable import copy_to_ranks, gather_from_ranks
from course_lib.parallel.tensor_parallel import (
    ColumnParallelLinear,
    RowParallelLinear,
    VocabParallelEmbedding,
    own_part,
    vocab_parallel_losses,
)

COLUMNS = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj")
ROWS = ("o_proj", "down_proj")


class SplitDecoder(nn.Module):
    """This rank's part of a decoder. The whole model, the same on every rank, stays as it is."""

    def __init__(self, whole: DecoderLM, comm: Communicator, sequence: bool = False) -> None:
        super().__init__()
        check_divides(whole, comm.size)
        self.comm, self.sequence, self.whole_config = comm, sequence, whole.config
        self.model = copy.deepcopy(whole)
        parts: Any = self.model  # whose layers are replaced by others
        for block in parts.blocks:
            for part in (block.self_attn, block.mlp):
                self._cut_layers(part)
            block.self_attn.num_heads //= comm.size
            block.self_attn.num_key_value_heads //= comm.size
        table = own_part(whole.model.embed_tokens.weight, comm, 0)
        parts.model.embed_tokens = VocabParallelEmbedding(table, comm, sequence)
        tied = whole.config.tie_word_embeddings
        self.head = table if tied else own_part(whole.lm_head.weight, comm, 0)
        parts.lm_head = nn.Identity()

    def _cut_layers(self, part: nn.Module) -> None:
        for names, kind in ((COLUMNS, ColumnParallelLinear), (ROWS, RowParallelLinear)):
            for name in names:
                if hasattr(part, name):
                    setattr(part, name, kind(getattr(part, name), self.comm, self.sequence))

    def forward(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T own"]:
        """Return the logits of this rank's part of the vocabulary, for all tokens."""
        if self.sequence and ids.shape[1] % self.comm.size:
            raise ValueError(
                "with sequence parallelism the number of tokens must be a multiple of the number "
                f"of ranks; got {ids.shape[1]} tokens and {self.comm.size} ranks. Pad the text."
            )
        x = self.model.embed(ids, ids)
        positions = torch.arange(ids.shape[1], device=ids.device)
        masks = self.model._masks(ids.shape[1], ids.shape[1], None, ids.device)
        rotate = self.model.rotation(positions)
        for layer, block in enumerate(self.model.blocks):
            x, _ = block(x, masks[self.whole_config.window_of(layer)], rotate)
        x = self.model.last_norm(x)
        x = gather_from_ranks(self.comm, x, 1) if self.sequence else copy_to_ranks(self.comm, x)
        return x @ self.head.mT

    def loss(
        self, ids: Int[Tensor, "B T"], counted: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, ""]:
        """Return the mean cross-entropy of the next token, the same on every rank."""
        logits = self(ids)[:, :-1]
        start = self.comm.rank * len(self.head)
        losses = vocab_parallel_losses(
            self.comm, _wide(logits).flatten(0, 1), ids[:, 1:].flatten(), start
        )
        if counted is None:
            return losses.mean()
        weights = counted[:, 1:].flatten().to(losses.dtype)
        return (losses * weights).sum() / weights.sum()

    def sum_norm_gradients(self) -> None:
        """Add the gradients of the norms over the ranks, where each has seen its own tokens.

        Norms of single heads are seen by the ranks of these heads only, so they are summed always.
        """
        for name, p in self.named_parameters():
            by_heads = ".q_norm." in name or ".k_norm." in name
            if p.grad is not None and (by_heads or (self.sequence and "norm" in name)):
                p.grad = self.comm.all_reduce(p.grad)


def check_divides(model: DecoderLM, ranks: int) -> None:
    """Raise `ValueError` unless heads, hidden units and vocabulary can be cut evenly."""
    config = model.config
    if any(isinstance(module, SparseMoE) for module in model.modules()):
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
