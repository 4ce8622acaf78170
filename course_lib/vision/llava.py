"""LLaVA: a language model that reads the patches of a picture among its words.

The stream of the vision encoder before its last block, without the class token, goes through the
projector; the results take the places of placeholders in the text. From there on it is a decoder
like any other.

    stage "words"       only the language model learns, from text
    stage "projector"   only the projector learns, on captions
    stage "answers"     projector and language model learn, on questions; the encoder stays frozen

Taught in:        multimodal
Paper:            Liu et al. 2023, arXiv:2304.08485 and arXiv:2310.03744
Checked against:  transformers' LlavaForConditionalGeneration: equal logits and gradients
Shapes:           B texts, T tokens, P pictures, N patches, M visual tokens, C model width
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from course_lib.model import DecoderLM, ModelConfig
from course_lib.model.decoder import Output
from course_lib.vision.encoder import VisionConfig, VisionModel
from course_lib.vision.projector import Projector
from course_lib.vision.splice import splice

STAGES = {
    "words": ("language_model.",),
    "projector": ("multi_modal_projector.",),
    "answers": ("multi_modal_projector.", "language_model."),
}


@dataclass(frozen=True)
class LlavaConfig:
    """The two models, and how they are joined."""

    vision: VisionConfig
    text: ModelConfig
    image_token: int
    feature_layer: int = -2  # of the stream at every depth: the one before the last block
    shuffle: int = 1

    @property
    def visual_tokens(self) -> int:
        """The number of visual tokens of a picture."""
        return self.vision.patches // self.shuffle**2


class Llava(nn.Module):
    """A vision encoder, a projector and a decoder, named as in Hugging Face's LLaVA."""

    def __init__(self, config: LlavaConfig) -> None:
        super().__init__()
        self.config = config
        self.vision_tower = VisionModel(config.vision)
        self.multi_modal_projector = Projector(
            config.vision.hidden_size, config.text.hidden_size, config.shuffle
        )
        self.language_model = DecoderLM(config.text)

    @property
    def encoder_learns(self) -> bool:
        """Whether the encoder takes gradients; a frozen one need not keep what they would need."""
        return any(p.requires_grad for p in self.vision_tower.parameters())

    def patches(self, pictures: Shaped[Tensor, "..."]) -> Float[Tensor, "P N width"]:
        """Return what the encoder makes of each patch."""
        stream: Tensor = self.vision_tower(pictures).hidden[self.config.feature_layer]
        return stream[:, 1:]

    def embed(
        self, ids: Int[Tensor, "B T"], patches: Float[Tensor, "P N width"] | None
    ) -> Float[Tensor, "B T C"]:
        """Return the stream before the first block: words, and pictures in their places."""
        words: Tensor = self.language_model.model.embed_tokens(ids)
        if patches is None:
            return words
        return splice(words, ids, self.multi_modal_projector(patches), self.config.image_token)

    def forward(
        self,
        ids: Int[Tensor, "B T"],
        pictures: Shaped[Tensor, "..."] | None = None,
        *,
        patches: Float[Tensor, "P N width"] | None = None,
        return_weights: bool = False,
    ) -> Output:
        """Return logits for the next token; `patches` may stand for pictures already encoded."""
        if pictures is not None:
            with torch.set_grad_enabled(torch.is_grad_enabled() and self.encoder_learns):
                patches = self.patches(pictures)
        output: Output = self.language_model(
            ids, embedded=self.embed(ids, patches), return_weights=return_weights
        )
        return output


def learning_names(names: Iterable[str], stage: str) -> list[str]:
    """Return which of the parameters learn in a stage, in their order."""
    if stage not in STAGES:
        raise ValueError(f"a stage must be one of {', '.join(STAGES)}; got {stage!r}.")
    return [name for name in names if name.startswith(STAGES[stage])]


def freeze_for(model: Llava, stage: str) -> Llava:
    """Let only the parameters of a stage take gradients; the others are frozen."""
    learning = set(learning_names((name for name, _ in model.named_parameters()), stage))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in learning)
    return model
