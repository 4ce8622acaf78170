"""How good the models of drawings are: zero-shot accuracy, and answers to questions.

Every count comes with a 95 % interval (Wilson's), since a few hundred pictures leave a few points
of uncertainty.

Taught in:        multimodal
Paper:            Wilson 1927, doi:10.1080/01621459.1927.10502953
Checked against:  the interval by solving its equation; greedy answers token by token
"""

import math
import random
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.device import seeded
from course_lib.fine_tuning.packing import pad_examples
from course_lib.vision.captions import OPENINGS, caption_ids, pair_caption
from course_lib.vision.clip import Clip
from course_lib.vision.contrastive import zero_shot
from course_lib.vision.conversations import Turn, conversation_example, drawn_questions
from course_lib.vision.llava import Llava
from course_lib.vision.pairing import single
from course_lib.vision.questions import KINDS, Question
from course_lib.vision.world import ALL_PAIRS, SEEN, draw, random_scenes, scenes_of

Z = 1.96  # standard deviations to either side that hold 95 % of a normal distribution


class Rate(NamedTuple):
    """How many of how many were right."""

    right: int
    total: int

    @property
    def share(self) -> float:
        """The fraction that was right."""
        return self.right / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the fraction, by Wilson's formula."""
        n, p = self.total, self.share
        middle = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
        half = Z / (1 + Z**2 / n) * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
        return max(0.0, middle - half), min(1.0, middle + half)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.share:.0%} ({low:.0%} to {high:.0%})"


def rate(right: Sequence[bool] | Tensor) -> Rate:
    """Return how many of these are true; there must be at least one."""
    if len(right) == 0:
        raise ValueError("a rate is over at least one item; got 0. Measure on more pictures.")
    return Rate(int(sum(bool(each) for each in right)), len(right))


class ZeroShot(NamedTuple):
    """How often the colour, the shape, and both were right, among all pairs as classes."""

    pair: Rate
    colour: Rate
    shape: Rate


@torch.no_grad()
def pair_prompts(model: Clip) -> Float[Tensor, "pairs prompts E"]:
    """Return the vectors of every pair of colour and shape, in each of the openings."""
    device = model.logit_scale.device
    rows = [
        model.text_vectors(
            caption_ids([opening + pair_caption(*pair) for pair in ALL_PAIRS]).to(device)
        )
        for opening in OPENINGS
    ]
    return torch.stack(rows, dim=1)


@torch.no_grad()
def zero_shot_pairs(
    model: Clip, pairs: Sequence[tuple[int, int]], each: int, seed: int = 0
) -> ZeroShot:
    """Return how well the model names pictures of these pairs, among all pairs there are."""
    source, generator = random.Random(seed), seeded(seed)
    wanted = [pair for pair in pairs for _ in range(each)]
    pictures = draw(scenes_of([[thing] for thing in single(wanted, source)]), generator)
    vectors = model.picture_vectors(pictures.to(model.logit_scale.device))
    found: Int[Tensor, " N"] = zero_shot(vectors, pair_prompts(model)).argmax(-1).cpu()
    named = [ALL_PAIRS[i] for i in found.tolist()]
    both = list(zip(named, wanted, strict=True))
    return ZeroShot(
        rate([a == b for a, b in both]),
        rate([a[0] == b[0] for a, b in both]),
        rate([a[1] == b[1] for a, b in both]),
    )


class Answers(NamedTuple):
    """How many questions of each kind were answered right."""

    kinds: dict[str, Rate]

    @property
    def all(self) -> Rate:
        """All questions together; each kind has about the same number."""
        rates = self.kinds.values()
        return Rate(sum(each.right for each in rates), sum(each.total for each in rates))


PictureKind = Literal["own", "blank", "other", "none"]


@torch.no_grad()
def answer_rates(
    model: Llava,
    count: int,
    pairs: Sequence[tuple[int, int]] = SEEN,
    pictures: PictureKind = "own",
    seed: int = 0,
    things: tuple[int, int] = (1, 4),
) -> Answers:
    """Return how many questions the model answers exactly, each about a picture of its own.

    `count` scenes are drawn for each kind of question, with the smallest to the largest number of
    `things`. The pictures shown are the questions' own, a grey field (`blank`), those of other
    questions (`other`), or none at all (`none`).
    """
    rates = {}
    for number, kind in enumerate(KINDS):
        generator, source = seeded(seed * 100 + number), random.Random(seed * 100 + number)
        scenes = random_scenes(count, generator, things, pairs, alike=0.25)
        rows, questions = drawn_questions(scenes, kind, source)
        drawn = draw(scenes.rows(torch.tensor(rows)), generator)
        rates[kind] = rate(answers_right(model, questions, shown(drawn, pictures)))
    return Answers(rates)


def shown(pictures: Float[Tensor, "B 3 H W"], kind: PictureKind) -> Float[Tensor, "B 3 H W"] | None:
    """Return the pictures that a model is shown: its own, grey ones, its neighbour's, or none."""
    if kind == "blank":
        return torch.full_like(pictures, 0.1)
    return {"own": pictures, "other": pictures.roll(1, 0), "none": None}[kind]


@torch.no_grad()
def answers_right(
    model: Llava, questions: Sequence[Question], pictures: Float[Tensor, "B 3 H W"] | None
) -> list[bool]:
    """Return for each question whether greedy decoding writes exactly its answer, and ends.

    It does if the most likely token is the right one at each place of the answer, given the right
    ones before; so one pass with the answer in place is enough.
    """
    device = model.language_model.lm_head.weight.device
    visual = 0 if pictures is None else model.config.visual_tokens
    batch = pad_examples(
        [conversation_example([Turn(each.text, each.answer)], visual) for each in questions]
    )
    ids, counted = batch.ids.to(device), batch.counted.to(device)
    logits = model(ids, None if pictures is None else pictures.to(device)).logits
    same = logits[:, :-1].argmax(-1) == ids[:, 1:]
    right: list[bool] = (same | ~counted[:, 1:]).all(-1).tolist()
    return right
