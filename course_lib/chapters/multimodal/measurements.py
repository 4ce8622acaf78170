"""How much first weights matter to `drawing-llava`: the first steps of its recipe, stored.

    python -m course_lib.chapters.multimodal.measurements

A new language model and projector learn from questions at once, without the stages before. This is
repeated with several seeds; `data/ingredients.json` holds the fraction of questions answered.

Taught in:        multimodal
Checked against:  the runs that it names
Shapes:           none
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from course_lib.atomic_write import write_whole_text
from course_lib.vision.evaluation import answer_rates
from course_lib.vision.llava_training import LlavaTraining, fresh_llava
from course_lib.vision.recipes import ANSWERS_PLAN
from course_lib.vision.stored import stored_clip

FILE = Path(__file__).with_name("data") / "ingredients.json"
STEPS = 120  # of those of the recipe
SEEDS = (0, 1, 2)
SCENES = 64  # for each kind of question
VARIANTS = {"as in the recipe": None, "weights drawn with 0.02": 0.02}


def stored() -> dict[str, Any]:
    """Return what is stored: the steps of a run, and for each variant a score for each seed."""
    content: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return content


def measured(variant: str, seed: int, steps: int = STEPS, scenes: int = SCENES) -> float:
    """Return the fraction of questions that are answered after the first steps."""
    if variant not in VARIANTS:
        raise ValueError(f"a variant must be one of {', '.join(VARIANTS)}; got {variant!r}.")
    model = fresh_llava(stored_clip(), seed, VARIANTS[variant])
    plan = replace(ANSWERS_PLAN, seed=seed)
    training = LlavaTraining(model, plan, "answers", growing=True)
    for _ in range(steps):
        training.step()
    return answer_rates(model, scenes).all.share


def main(steps: int = STEPS) -> None:
    """Measure every variant with every seed; store the table after each seed."""
    scores: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for seed in SEEDS:
        for variant, row in scores.items():
            row.append(round(measured(variant, seed, steps), 4))
        content = {"steps": steps, "right": scores}
        write_whole_text(FILE, json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
