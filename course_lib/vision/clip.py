"""CLIP: two encoders that put a picture and its caption at the same place.

Taught in:        multimodal
Paper:            Radford et al. 2021, arXiv:2103.00020
Checked against:  transformers' CLIPModel: equal logits, loss and gradients
Shapes:           B pictures, K captions, T tokens, E width of the shared space
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from course_lib.embeddings import draw_
from course_lib.vision.encoder import TextConfig, TextModel, VisionConfig, VisionModel, unit

SCALE = 1 / 0.07  # where the scale begins; it is learned as its logarithm


@dataclass(frozen=True)
class ClipConfig:
    """The two encoders and the width of the space that they share."""

    vision: VisionConfig
    text: TextConfig
    projection_dim: int


class Clip(nn.Module):
    """Two encoders, two projections into the shared space, and the logarithm of the scale."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.config = config
        self.vision_model = VisionModel(config.vision)
        self.text_model = TextModel(config.text)
        width = config.projection_dim
        self.visual_projection = nn.Linear(config.vision.hidden_size, width, bias=False)
        self.text_projection = nn.Linear(config.text.hidden_size, width, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(SCALE)))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                draw_(module.weight, module.in_features**-0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def picture_vectors(self, pictures: Shaped[Tensor, "..."]) -> Float[Tensor, "B E"]:
        """Return a unit vector for each picture."""
        pooled = self.vision_model.pooled(self.vision_model(pictures))
        return unit(self.visual_projection(pooled))

    def text_vectors(self, ids: Int[Tensor, "K T"]) -> Float[Tensor, "K E"]:
        """Return a unit vector for each text."""
        return unit(self.text_projection(self.text_model(ids)))

    def forward(
        self, pictures: Shaped[Tensor, "..."], ids: Int[Tensor, "K T"]
    ) -> Float[Tensor, "B K"]:
        """Return the logits: cosines times the scale."""
        scale = self.logit_scale.exp()
        return scale * self.picture_vectors(pictures) @ self.text_vectors(ids).T
