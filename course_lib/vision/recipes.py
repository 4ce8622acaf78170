"""The recipes of the models of drawings: what each starts from, what it learns, for how long.

    drawing-clip       CLIP from random weights; two to three minutes on an idle core
    drawing-words      the language model, on conversations without pictures
    drawing-projector  a projector between the two, on captions
    drawing-llava      projector and language model, on questions

Each is stored with its log and its card; `course train --recipe NAME` makes it again.

Taught in:        multimodal
Checked against:  the logs and cards of the stored models
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from course_lib.training.loop import Plan, Training
from course_lib.training.runs import Record
from course_lib.vision.clip_training import ClipTraining, fresh_clip
from course_lib.vision.evaluation import PictureKind, answer_rates, zero_shot_pairs
from course_lib.vision.files import load_clip, load_llava, save_clip, save_llava
from course_lib.vision.llava_training import LlavaTraining, fresh_llava
from course_lib.vision.stored import stored_folder
from course_lib.vision.world import NEVER, SEEN

CLIP_PLAN = Plan(steps=2000, warmup=100, peak=1.5e-3, final=3e-5, betas=(0.9, 0.98))
WORDS_PLAN = Plan(steps=250, warmup=50, peak=2e-3, final=1e-4, betas=(0.9, 0.98), weight_decay=0.05)
PROJECTOR_PLAN = replace(WORDS_PLAN, steps=150, warmup=30)
ANSWERS_PLAN = replace(WORDS_PLAN, steps=2600)
LOOK, CARD = 64, 200  # scenes for each kind of question


@dataclass(frozen=True)
class VisionRecipe:
    """One recipe: how its training is set up, measured and saved, and what its card says."""

    name: str
    summary: str
    start: Callable[[int, Path | None], Training]  # the seed, and the folder of the recipe before
    look: Callable[[Any], Record]
    rates: Callable[[Any], dict[str, str]]  # for the card, with intervals
    save: Callable[[Any, Path, torch.dtype], None]
    look_every: int = 100
    save_every: int = 100


def start_clip(seed: int, before: Path | None = None) -> Training:
    """Return the training of CLIP, before its first step."""
    return ClipTraining(fresh_clip(seed), replace(CLIP_PLAN, seed=seed))


def start_words(seed: int, before: Path | None = None) -> Training:
    """Return the training of the language model, on a vision encoder that it does not use yet."""
    clip = load_clip(before or stored_folder("drawing-clip"))
    return LlavaTraining(fresh_llava(clip, seed), replace(WORDS_PLAN, seed=seed), "words")


def start_projector(seed: int, before: Path | None = None) -> Training:
    """Return the training of the projector, before its first step."""
    model = load_llava(before or stored_folder("drawing-words"))
    return LlavaTraining(model, replace(PROJECTOR_PLAN, seed=seed), "projector", captions=1.0)


def start_answers(seed: int, before: Path | None = None) -> Training:
    """Return the training on questions, before its first step."""
    model = load_llava(before or stored_folder("drawing-projector"))
    return LlavaTraining(model, replace(ANSWERS_PLAN, seed=seed), "answers", growing=True)


def _look_at_clip(model: Any) -> Record:
    seen, never = zero_shot_pairs(model, SEEN, 5), zero_shot_pairs(model, NEVER, 25)
    return {
        "seen pairs": round(seen.pair.share, 4),
        "never-seen pairs": round(never.pair.share, 4),
        "never-seen, shape": round(never.shape.share, 4),
        "scale": round(model.logit_scale.exp().item(), 2),
    }


def _rates_of_clip(model: Any) -> dict[str, str]:
    found = {}
    for name, pairs, each in (("seen", SEEN, 20), ("never-seen", NEVER, 100)):
        result = zero_shot_pairs(model, pairs, each, seed=1)
        found[f"{name} pairs, colour and shape"] = str(result.pair)
        found[f"{name} pairs, colour"] = str(result.colour)
        found[f"{name} pairs, shape"] = str(result.shape)
    return found


def _look_at_answers(pictures: PictureKind) -> Callable[[Any], Record]:
    def look(model: Any) -> Record:
        found = answer_rates(model, LOOK, pictures=pictures)
        kinds = {kind: round(rate.share, 4) for kind, rate in found.kinds.items()}
        return {"all": round(found.all.share, 4), **kinds}

    return look


def _rates_of_answers(*shown: tuple[str, PictureKind]) -> Callable[[Any], dict[str, str]]:
    def rates(model: Any) -> dict[str, str]:
        found = {}
        for label, pictures in shown:
            answers = answer_rates(model, CARD, SEEN, pictures, seed=1)
            found[f"{label}, all"] = str(answers.all)
            found |= {f"{label}, {kind}": str(rate) for kind, rate in answers.kinds.items()}
        if shown[0][1] == "own":
            never = answer_rates(model, CARD, NEVER, "own", seed=1)
            found["pairs never seen, all"] = str(never.all)
        return found

    return rates


RECIPES = {
    recipe.name: recipe
    for recipe in (
        VisionRecipe(
            "drawing-clip",
            "A CLIP for drawings of 32 x 32 pixels: a vision encoder of 3 layers and a text "
            "encoder of 2. Eight of 48 pairs of a colour and a shape were never shown to it.",
            start_clip,
            _look_at_clip,
            _rates_of_clip,
            save_clip,
        ),
        VisionRecipe(
            "drawing-words",
            "The language model of `drawing-llava` before it saw anything: it has read the same "
            "conversations without pictures, and answers what is most likely.",
            start_words,
            _look_at_answers("none"),
            _rates_of_answers(("no picture", "none")),
            save_llava,
            look_every=50,
        ),
        VisionRecipe(
            "drawing-projector",
            "`drawing-words` with a projector trained on captions; nothing else has changed.",
            start_projector,
            _look_at_answers("own"),
            _rates_of_answers(("its picture", "own")),
            save_llava,
            look_every=50,
        ),
        VisionRecipe(
            "drawing-llava",
            "`drawing-projector` after projector and language model have learned from questions, "
            "with a quarter of captions among them. The vision encoder is that of `drawing-clip`.",
            start_answers,
            _look_at_answers("own"),
            _rates_of_answers(
                ("its picture", "own"), ("grey picture", "blank"), ("another picture", "other")
            ),
            save_llava,
            look_every=200,
        ),
    )
}
