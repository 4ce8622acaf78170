"""What each ingredient of the recipes adds: short runs with and without it, stored.

    python -m course_lib.chapters.multimodal.measurements          all of them
    python -m course_lib.chapters.multimodal.measurements 1 2      only with these seeds

A run of `clip` learns from captions for a part of the recipe's steps, and must name pictures. One
of `llava` starts from new weights on the stored encoder and learns from questions, about drawings
of one or two things, so that the few steps of a run get somewhere. Each variant differs from the
recipe in one respect. `data/ingredients.json` holds, for each variant and seed, the fractions that
were right and the processor's seconds; runs that it holds are not repeated.

Taught in:        multimodal
Checked against:  the runs that it names; scipy's intervals of a mean
Shapes:           none
"""

import itertools
import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor

from course_lib.atomic_write import write_whole_text
from course_lib.device import seeded
from course_lib.training.loop import Plan, Training
from course_lib.vision.clip_training import MIX, ClipTraining, fresh_clip
from course_lib.vision.evaluation import answer_rates, zero_shot_pairs
from course_lib.vision.llava_training import ALIKE, CAPTIONS, ROWS, LlavaTraining, fresh_llava
from course_lib.vision.recipes import ANSWERS_PLAN, CLIP_PLAN
from course_lib.vision.stored import stored_clip
from course_lib.vision.world import NEVER, SEEN, Scenes, draw, random_scenes

FILE = Path(__file__).with_name("data") / "ingredients.json"
SEEDS = (0, 1, 2)
T = 4.303  # 97.5 % of Student's distribution with two degrees of freedom lie below it
FEW = 2  # things in a drawing
POOL = 512  # drawings that are encoded once
STEPS = {"clip": 200, "llava": 150}
LOOK = {"clip": 400, "llava": 64}  # pictures; drawings for each kind of question
RECIPE = "as in the recipe"


class FewThings(LlavaTraining):
    """Training on drawings of one or two things."""

    def scenes(self, most: int, generator: torch.Generator) -> Scenes:
        """Return the scenes of a batch."""
        return super().scenes(min(most, FEW), generator)


class Cached(FewThings):
    """The same, on a fixed number of drawings, of which the encoder's features are kept."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        generator = seeded(self.plan.seed)
        self.pool = random_scenes(POOL, generator, (1, FEW), SEEN, ALIKE)
        with torch.no_grad():
            self.patches = self.llava.patches(draw(self.pool, generator))

    def scenes(self, most: int, generator: torch.Generator) -> Scenes:
        """Return scenes of the pool."""
        fitting = (self.pool.present.sum(-1) <= most).nonzero()[:, 0]
        self.rows = fitting[torch.randint(len(fitting), (ROWS,), generator=generator)]
        return self.pool.rows(self.rows)

    def view(self, scenes: Scenes, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the features that were kept."""
        return {"patches": self.patches[self.rows]}


def shortened(plan: Plan, share: float | int) -> Plan:
    """Return a plan with this share of its steps, the warm-up included."""
    return replace(plan, steps=round(plan.steps * share), warmup=round(plan.warmup * share))


@dataclass(frozen=True)
class ClipVariant:
    """A recipe of CLIP: its kinds of batches, whether drawings vary, and its length."""

    mix: tuple[str, ...] = MIX
    steady: bool = False
    share: float | int = 1

    def training(self, seed: int, steps: int) -> Training:
        """Return the run before its first step."""
        plan = shortened(replace(CLIP_PLAN, steps=steps, warmup=30, seed=seed), self.share)
        return ClipTraining(fresh_clip(seed), plan, self.mix, self.steady)


@dataclass(frozen=True)
class LlavaVariant:
    """A recipe of LLaVA on questions: what learns from what, and for how long."""

    kind: type[LlavaTraining] = FewThings
    captions: float | int = CAPTIONS
    std: float | None = None
    share: float | int = 1

    def training(self, seed: int, steps: int) -> Training:
        """Return the run before its first step."""
        model = fresh_llava(stored_clip(), seed, self.std)
        plan = shortened(replace(ANSWERS_PLAN, steps=steps, seed=seed), self.share)
        return self.kind(model, plan, "answers", self.captions, growing=True)


VARIANTS: dict[str, Mapping[str, ClipVariant | LlavaVariant]] = {
    "clip": {
        RECIPE: ClipVariant(),
        "batches as they come": ClipVariant(("random",)),
        "no groups that differ in shape": ClipVariant(tuple(k for k in MIX if k != "shape")),
        "drawings that never vary": ClipVariant(steady=True),
        "half the steps": ClipVariant(share=0.5),
    },
    "llava": {
        RECIPE: LlavaVariant(),
        "no descriptions": LlavaVariant(captions=0.0),
        f"{POOL} drawings, encoded once": LlavaVariant(Cached),
        "half the steps": LlavaVariant(share=0.5),
        "first weights of 0.02": LlavaVariant(std=0.02),
    },
}


def clip_shares(model: Any, count: int) -> dict[str, float]:
    """Return how often pictures are named right, of pairs that were shown and of others."""
    found = {
        name: zero_shot_pairs(model, pairs, -(-count // len(pairs))).pair
        for name, pairs in (("seen", SEEN), ("never seen", NEVER))
    }
    return {name: each.share for name, each in found.items()}


def llava_shares(model: Any, count: int) -> dict[str, float]:
    """Return how often questions are answered right: all, each kind, and about other pairs."""
    found = answer_rates(model, count, things=(1, FEW))
    never = answer_rates(model, count, NEVER, things=(1, FEW))
    kinds = {kind: each.share for kind, each in found.kinds.items()}
    return {"seen": found.all.share, **kinds, "never seen": never.all.share}


SHARES: dict[str, Callable[[Any, int], dict[str, float]]] = {
    "clip": clip_shares,
    "llava": llava_shares,
}


def measured(
    model: str, variant: str, seed: int, steps: int | None = None, look: int | None = None
) -> dict[str, float]:
    """Return the fractions that a run gets right, and the processor's seconds that it took."""
    if variant not in VARIANTS[model]:
        raise ValueError(f"a variant must be one of {', '.join(VARIANTS[model])}; got {variant!r}.")
    began = time.process_time()
    training = VARIANTS[model][variant].training(seed, steps or STEPS[model])
    for _ in range(training.plan.steps):
        training.step()
    seconds = time.process_time() - began
    shares = SHARES[model](training.model, look or LOOK[model])
    return {name: round(each, 4) for name, each in shares.items()} | {"seconds": round(seconds, 1)}


def stored() -> dict[str, Any]:
    """Return what is stored: `steps`, and for each model, variant and seed its `runs`."""
    content: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return content


@dataclass(frozen=True)
class Gain:
    """What a variant changes: a difference for each seed, their mean, and its 95 % interval."""

    differences: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return mean(self.differences)

    @property
    def half(self) -> float:
        """Half of the interval's width, by Student's distribution for three seeds."""
        return T * stdev(self.differences) / math.sqrt(len(self.differences))

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside of the interval."""
        return abs(self.mean) > self.half


def gains(model: str, measure: str = "seen") -> dict[str, Gain]:
    """Return what each variant changes, compared with the recipe's run of the same seed."""
    runs, seeds = stored()["runs"][model], [str(seed) for seed in SEEDS]
    base = runs[RECIPE]
    return {
        variant: Gain(tuple(found[seed][measure] - base[seed][measure] for seed in seeds))
        for variant, found in runs.items()
        if variant != RECIPE
    }


def main(seeds: Sequence[int] = SEEDS, steps: Mapping[str, int] = STEPS) -> None:
    """Measure what is not stored yet, variant by variant, and store each run when it is done."""
    before = stored() if FILE.is_file() else {}
    runs = before["runs"] if before.get("steps") == dict(steps) else {}
    every = [(model, variant) for model, variants in VARIANTS.items() for variant in variants]
    for (model, variant), seed in itertools.product(every, seeds):
        found = runs.setdefault(model, {}).setdefault(variant, {})
        if str(seed) not in found:
            found[str(seed)] = measured(model, variant, seed, steps[model])
            content = {"steps": dict(steps), "runs": runs}
            write_whole_text(FILE, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1:])) or SEEDS)
