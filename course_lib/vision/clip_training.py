"""Training CLIP on drawings: the kinds of batches in turn, and the loss of their groups.

Taught in:        multimodal
Paper:            Radford et al. 2021, arXiv:2103.00020
Checked against:  the loss of whole batches; a run without interruption
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.device import seeded_draws
from course_lib.training.data import Batch
from course_lib.training.loop import Plan, StepReport, Training
from course_lib.vision.captions import END_OF_TEXT, MOST_TOKENS, drawing_tokenizer
from course_lib.vision.clip import Clip, ClipConfig
from course_lib.vision.contrastive import clip_loss
from course_lib.vision.encoder import TextConfig, VisionConfig
from course_lib.vision.pairing import PairedBatch, paired_batch

MIX = ("pairs", "shape", "pairs", "list", "pairs", "full")
MOST_SCALE = 100.0


def drawing_clip_config() -> ClipConfig:
    """Return the sizes of the course's own CLIP."""
    tokenizer = drawing_tokenizer()
    text = TextConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        vocab_size=tokenizer.vocab_size,
        max_position_embeddings=MOST_TOKENS,
        eos_token_id=tokenizer.special_tokens[END_OF_TEXT],
    )
    return ClipConfig(VisionConfig(96, 192, 3, 4, image_size=32, patch_size=8), text, 64)


def fresh_clip(seed: int = 0) -> Clip:
    """Return the untrained model, the same each time."""
    with seeded_draws(seed):
        return Clip(drawing_clip_config())


class ClipTraining(Training):
    """The training loop on pictures and captions.

    `mix` names the kinds of batches, one step each in turn. With `steady`, a thing is always drawn
    in the same way.
    """

    def __init__(
        self, model: Clip, plan: Plan, mix: Sequence[str] = MIX, steady: bool = False
    ) -> None:
        self.clip, self.mix, self.steady = model, tuple(mix), steady
        super().__init__(model, self._draw, plan)

    def _draw(self, step: int, generator: torch.Generator) -> Batch:
        self.paired = paired_batch(self.mix[step % len(self.mix)], generator, self.steady)
        return Batch(self.paired.ids, torch.ones_like(self.paired.ids, dtype=torch.bool))

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Return the loss of the pictures and captions that were drawn last."""
        return pairing_loss(self.clip, self.paired)

    def step(self) -> StepReport:
        """Take one step, and keep the scale below its limit."""
        report = super().step()
        with torch.no_grad():
            self.clip.logit_scale.clamp_(max=math.log(MOST_SCALE))
        return report


def pairing_loss(model: Clip, batch: PairedBatch) -> Float[Tensor, ""]:
    """Return the mean of CLIP's loss over the groups of a batch."""
    device = model.logit_scale.device
    pictures = model.picture_vectors(batch.pictures.to(device)).split(batch.group)
    texts = model.text_vectors(batch.ids.to(device)).split(batch.group)
    scale = model.logit_scale.exp()
    losses = [clip_loss(p, t, scale) for p, t in zip(pictures, texts, strict=True)]
    return torch.stack(losses).mean()
