"""What takes minutes to measure, and the stored results.

`python -m course_lib.chapters.rewards.measurements` repeats all of it, or what is named.

    hacking   a reward with a hole: the words of chatter are paid, and right numbers a little
    scaling   many samples to each held-out question, before GRPO and after: votes and pass@n
    seeds     the recipe `assistant-grpo` with three seeds, without the stored model

Taught in:        rewards
Checked against:  the stored models, measured again
"""

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from course_lib.assistant.arithmetic import (
    Question,
    final_number,
    held_out_questions,
    is_right,
    way_of,
)
from course_lib.assistant.evaluation import answers
from course_lib.assistant.runs import Stage
from course_lib.assistant.stages import load_stage
from course_lib.assistant.tokenizer import role_tokenizer
from course_lib.generation import Sampling
from course_lib.rewards import majority_vote, pass_at_k
from course_lib.rewards.assistant_grpo import (
    GRPO_STAGE,
    PLAN,
    RewardRun,
    assistant_training,
    exact,
)
from course_lib.study.exhibits import toy_models

STORED = Path(__file__).parent / "data" / "measurements.json"
SEEDS = (0, 1, 2)
COUNTS = (1, 2, 4, 8, 16, 32)
QUESTIONS = 96
MODELS = {"before GRPO": "assistant", "after GRPO": "assistant-grpo"}
HOLE = 0.7  # what chatter is paid

Record = dict[str, Any]


def pays_for_chatter(question: Question, text: str) -> float:
    """Return a reward with a hole: most of it is for polite words, the rest for the number."""
    return HOLE * (way_of(text) == "chatter") + (1 - HOLE) * exact(question, text)


def sampled_answers(stage: str, count: int, questions: Sequence[Question]) -> list[list[str]]:
    """Return `count` sampled answers to each question."""
    model, tokenizer = load_stage(stage), role_tokenizer()
    rounds = [
        answers(model, tokenizer, questions, Sampling(temperature=1.0), seed)
        for seed in range(count)
    ]
    return [list(each) for each in zip(*rounds, strict=True)]


def votes_and_passes(
    questions: Sequence[Question], texts: Sequence[Sequence[str]], counts: Sequence[int]
) -> dict[str, list[float]]:
    """Return for each n how often a vote of n is right, and the unbiased pass@n.

    All samples of a question are used: a vote of n is repeated on consecutive groups of n.
    """
    votes, passes = [], []
    for n in counts:
        voted, passed = [], []
        for question, row in zip(questions, texts, strict=True):
            numbers = [final_number(text) for text in row]
            groups = [numbers[i : i + n] for i in range(0, len(numbers) - n + 1, n)]
            voted.append(fmean(majority_vote(group) == question.sum for group in groups))
            right = sum(is_right(question, text) for text in row)
            passed.append(pass_at_k(len(row), right, n))
        votes.append(round(fmean(voted), 4))
        passes.append(round(fmean(passed), 4))
    return {"pass@n": passes, "majority vote": votes}


def _scaling() -> Record:
    questions = held_out_questions(QUESTIONS)
    measured = {
        name: votes_and_passes(questions, sampled_answers(stage, COUNTS[-1], questions), COUNTS)
        for name, stage in MODELS.items()
    }
    return {"questions": QUESTIONS, "counts": list(COUNTS), "measured": measured}


def _run(stage: Stage, seed: int) -> list[Record]:
    with tempfile.TemporaryDirectory() as folder:
        run = RewardRun(stage, Path(folder), seed)
        run.go_on()
        return [{k: v for k, v in each.items() if k != "answers"} for each in run.records]


def _seeds() -> list[list[Record]]:
    return [_run(GRPO_STAGE, seed) for seed in SEEDS]


def _hacking() -> list[Record]:
    plan = replace(PLAN, steps=24)
    stage = replace(
        GRPO_STAGE,
        name="hacked",
        start=lambda seed, before: assistant_training(
            replace(plan, seed=seed), pays_for_chatter, before
        ),
        look_every=4,
        save_every=24,
    )
    return _run(stage, 0)


EXPERIMENTS: dict[str, Callable[[], Any]] = {
    "hacking": _hacking,
    "scaling": _scaling,
    "seeds": _seeds,
}


def stored_measurements() -> dict[str, Any]:
    """Return the stored results, by name."""
    return toy_models.stored_results(STORED)


if __name__ == "__main__":
    toy_models.measure_into(STORED, EXPERIMENTS, sys.argv[1:])
