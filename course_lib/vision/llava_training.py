"""Training LLaVA on drawings: words first, then the projector, then answers.

    words      the language model alone, on the same conversations without pictures: it learns the
               grammar, and what can be guessed. This is the text-only baseline.
    projector  only the projector, on captions
    answers    projector and language model, on questions, with captions kept among them

Taught in:        multimodal
Paper:            Liu et al. 2023, arXiv:2304.08485
Checked against:  a run without interruption; the parameters that a stage leaves as they were
"""

import random
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.device import seeded_draws
from course_lib.fine_tuning.packing import pad_examples
from course_lib.model import ModelConfig
from course_lib.training.data import Batch
from course_lib.training.loop import Plan, Training
from course_lib.training.objective import next_token_loss
from course_lib.vision.captions import IMAGE, drawing_tokenizer
from course_lib.vision.clip import Clip
from course_lib.vision.conversations import (
    Turn,
    caption_turns,
    conversation_example,
    question_turns,
)
from course_lib.vision.llava import Llava, LlavaConfig, freeze_for
from course_lib.vision.world import SEEN, Scenes, Thing, draw, random_scenes

ROWS = 16  # conversations in a batch
CAPTIONS = 0.25  # the share of them that ask for a description, where captions are kept
ALIKE = 0.25  # so that there are several of a kind to count
GROWTH = ((0.06, 1), (0.15, 2), (1.0, 4))  # up to which share of the steps, the most things


def drawing_llava_config(clip: Clip) -> LlavaConfig:
    """Return the sizes of the course's own LLaVA, on an encoder of this kind."""
    tokenizer = drawing_tokenizer()
    text = ModelConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=24,
        max_position_embeddings=256,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        tie_word_embeddings=True,
    )
    image = tokenizer.special_tokens[IMAGE]
    return LlavaConfig(clip.config.vision, text, image, shuffle=2)


def fresh_llava(clip: Clip, seed: int = 0, std: float | None = None) -> Llava:
    """Return an untrained language model and projector on the vision encoder of a CLIP.

    Weights of the language model are drawn with the standard deviation `std`, by default one over
    the root of its width. With the usual 0.02, the blocks of so narrow a model would at first add
    almost nothing to its stream.
    """
    with seeded_draws(seed):
        model = Llava(drawing_llava_config(clip))
        model.language_model.initialise(std or model.config.text.hidden_size**-0.5)
    model.vision_tower.load_state_dict(clip.vision_model.state_dict())
    return model


class LlavaTraining(Training):
    """The training loop on conversations, in one of the stages.

    `captions` is the share of conversations that ask for a description. With `growing`, drawings
    hold one thing at first: to find one of several, a model must be able to read a single one.
    A subclass may override what is drawn (`scenes`) and what is shown of it (`view`).
    """

    def __init__(
        self,
        model: Llava,
        plan: Plan,
        stage: str,
        captions: float | int = CAPTIONS,
        growing: bool = False,
    ) -> None:
        self.llava, self.captions = freeze_for(model, stage), captions
        self.growing = growing
        self.visual = model.config.visual_tokens if stage != "words" else 0
        model.language_model.use_kernels()
        super().__init__(model, self._draw, plan)

    def _draw(self, step: int, generator: torch.Generator) -> Batch:
        source = random.Random(int(torch.randint(2**62, (), generator=generator)))
        most = most_things(step / self.plan.steps) if self.growing else 4
        scenes = self.scenes(most, generator)
        said = [self._turns(scenes.things(row), source) for row in range(ROWS)]
        self.seen = self.view(scenes, generator) if self.visual else {}
        return pad_examples([conversation_example(turns, self.visual) for turns in said])

    def scenes(self, most: int, generator: torch.Generator) -> Scenes:
        """Return the scenes of a batch; each holds at most `most` things."""
        return random_scenes(ROWS, generator, (1, most), SEEN, ALIKE)

    def view(self, scenes: Scenes, generator: torch.Generator) -> dict[str, Tensor]:
        """Return what the model is shown of the scenes: `pictures`, or the `patches` of some."""
        return {"pictures": draw(scenes, generator)}

    def _turns(self, things: Sequence[Thing], source: random.Random) -> list[Turn]:
        caption = source.random() < self.captions
        return caption_turns(things) if caption else question_turns(things, source)

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Return the loss of the conversations that were drawn last."""
        device = self.llava.language_model.lm_head.weight.device
        ids = batch.ids.to(device)
        seen = {name: each.to(device) for name, each in self.seen.items()}
        logits = self.llava(ids, **seen).logits
        return next_token_loss(logits, ids, batch.counted.to(device))


def most_things(share: float) -> int:
    """Return how many things a drawing may hold after this share of the steps."""
    return next(most for end, most in GROWTH if share < end)
