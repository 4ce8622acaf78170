"""The same runner on weights laid out for decoding, as `FusedDecoder` has them.

A step of a small model is many short operations. With one matrix for queries, keys and values, one
for gate and up, and the norms' weights multiplied in, there are fewer of them, and the cache and
the block tables stay as they are. The weights are copied, which takes their memory again.

Taught in:        serving
Paper:            Pope et al. 2022, arXiv:2211.05102
Checked against:  `PagedRunner` on the same rows
Shapes:           N tokens of a step, C model width, V vocabulary
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from course_lib.generation import FusedDecoder
from course_lib.serving.paged_attention import Row, paged_attention, step_of
from course_lib.serving.runner import PagedRunner


class FusedRunner(PagedRunner):
    """Runs a model's pieces through a fused copy of its weights."""

    def _prepare(self) -> None:
        self.fused = FusedDecoder(self.model)

    def _stream(self, rows: Sequence[Row]) -> Float[Tensor, "N C"]:
        fused, queries = self.fused, self.model.config.num_attention_heads
        step = step_of(rows, self.block_size, self.device)
        masks, count = step.masks(self.block_size), len(step.ids)
        rotations = fused.rotations[step.positions][:, None]  # the same for all heads
        x = F.embedding(step.ids, fused.embedding)
        for layer, pool in zip(fused.layers, self.pools, strict=True):
            qk, v = fused.project(x, layer, rotations, (count,))
            pool.write(step.places, torch.cat((qk[:, queries:], v), dim=1))
            read = paged_attention(
                qk[:, :queries].transpose(0, 1), pool, step.groups, masks, scale=1.0
            )
            x = fused.finish(x, layer, read.transpose(0, 1).reshape(count, -1))
        return x

    def _logits(self, stream: Float[Tensor, "N C"]) -> Float[Tensor, "N V"]:
        return self.fused.logits(stream)
