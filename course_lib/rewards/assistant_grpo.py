"""The recipe `assistant-grpo`: the assistant learns from nothing but whether its sums are right.

It starts from the stage `assistant`, which answers with a work-out, directly, or with chatter. No
one tells it which way is best; the reward is 1 for the right number at the end, and 0 otherwise.

Taught in:        rewards
Paper:            Shao et al. 2024, arXiv:2402.03300 (GRPO); DeepSeek-AI 2025, arXiv:2501.12948
                  (rewards from rules alone)
Checked against:  a run without interruption; the stored log and model card
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from course_lib.assistant.arithmetic import (
    Question,
    draw_question,
    held_out_questions,
    is_right,
)
from course_lib.assistant.evaluation import ANSWER_TOKENS, SAMPLED, answers, chat_prompts
from course_lib.assistant.runs import Stage, StageRun
from course_lib.assistant.stages import load_folder, stage_folder
from course_lib.assistant.tokenizer import role_tokenizer
from course_lib.rewards.learning import Measures, RewardPlan, RewardTraining, Task
from course_lib.rewards.objectives import OBJECTIVES
from course_lib.tokenization.chat import END
from course_lib.training.runs import Record

Reward = Callable[[Question, str], float]

PLAN = RewardPlan(
    steps=80,
    warmup=2,
    peak=4e-4,
    final=4e-5,
    prompts=8,
    group=8,
    max_new_tokens=ANSWER_TOKENS,
    objective=replace(OBJECTIVES["GRPO"], kl_weight=0.02),
)
WATCHED = 3  # held-out questions whose answers are kept in the log


def exact(question: Question, text: str) -> float:
    """Return 1 if an answer ends with the right number, else 0."""
    return float(is_right(question, text))


def arithmetic_task(reward: Reward = exact) -> Task[Question]:
    """Return the assistant's task: sums asked in words, judged by a reward."""
    tokenizer = role_tokenizer()
    return Task(
        draw=draw_question,
        prompt=lambda question: chat_prompts(tokenizer, [question])[0],
        reward=reward,
        decode=tokenizer.decode,
        stop_id=tokenizer.special_tokens[END],
    )


def assistant_training(
    plan: RewardPlan = PLAN, reward: Reward = exact, start: Path | None = None
) -> RewardTraining[Question]:
    """Return a training of the stored assistant, or of the model in a folder."""
    folder = start or stage_folder("assistant")
    model, reference = load_folder(folder), load_folder(folder).requires_grad_(False)
    return RewardTraining(model, arithmetic_task(reward), plan, reference)


GRPO_STAGE = Stage(
    "assistant-grpo",
    f"The stage `assistant` after GRPO ({PLAN.steps} steps of {PLAN.prompts} questions with "
    f"{PLAN.group} answers each), with a reward of 1 for the right number at the end of an "
    "answer and 0 for anything else. It has found by itself that working a sum out is worth it.",
    lambda seed, before: assistant_training(replace(PLAN, seed=seed), start=before),
    look_every=10,
    save_every=20,
)


class RewardRun(StageRun):
    """A stage that learns from rewards; its log also holds rewards, distances and some answers."""

    def look(self) -> Record:
        """Return the scores, the mean measures since the last look, and watched answers."""
        return {**super().look(), **self._means(), "answers": self._watched()}

    def _means(self) -> Record:
        training = self.training
        assert isinstance(training, RewardTraining), "the stage learns from rewards"
        seen, training.history = training.history, []
        names = Measures._fields if seen else ()
        return {name: round(fmean(getattr(each, name) for each in seen), 4) for name in names}

    def _watched(self) -> list[Record]:
        questions = held_out_questions(WATCHED)
        texts = answers(self.model, self.tokenizer, questions, SAMPLED)
        return [
            {"question": str(question), "text": text, "right": is_right(question, text)}
            for question, text in zip(questions, texts, strict=True)
        ]
