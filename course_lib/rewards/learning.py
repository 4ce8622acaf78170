"""Learning from rewards: sample answers, judge them, make the better ones more likely.

    questions → answers (a group for each) → rewards → advantages → one or a few steps of the loss

The loop knows no method: an `Objective` says how advantages, ratio, clip and average are computed,
and a `Task` says what is asked and what is right. Everything that determines the next step can be
saved; a resumed run ends with the same weights, bit for bit, as one without interruption.

Taught in:        rewards
Paper:            Shao et al. 2024, arXiv:2402.03300 (GRPO)
Checked against:  a run without interruption; trl's loss for the same answers
Shapes:           P prompts, G answers to each, B = P·G answers, T tokens
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.model import DecoderLM
from course_lib.rewards.advantages import check_finite
from course_lib.rewards.clipping import is_clipped
from course_lib.rewards.kl_estimators import k3
from course_lib.rewards.objectives import (
    OBJECTIVES,
    Objective,
    advantages_of,
    policy_loss,
    ratio_of,
)
from course_lib.rewards.rollouts import Rollouts, answer_log_probabilities, sample_answers
from course_lib.training.data import Batch
from course_lib.training.loop import Plan, Training

Question = TypeVar("Question")


@dataclass(frozen=True)
class Task(Generic[Question]):
    """What is asked, and what an answer is worth."""

    draw: Callable[[random.Random], Question]
    prompt: Callable[[Question], Sequence[int]]  # the ids of the prompt
    reward: Callable[[Question, str], float]
    decode: Callable[[list[int]], str]  # the text of an answer, without the token that ends it
    stop_id: int


@dataclass(frozen=True)
class RewardPlan(Plan):
    """The settings of a run, apart from the models and the task."""

    steps: int = 100  # of the optimizer
    warmup: int = 2
    peak: float = 4e-4
    final: float = 4e-5
    weight_decay: float = 0.0  # it would pull towards 0, away from the reference
    prompts: int = 8
    group: int = 8
    max_new_tokens: int = 48
    updates: int = 1  # steps of the optimizer on each batch of answers
    temperature: float = 1.0
    objective: Objective = field(default_factory=lambda: OBJECTIVES["GRPO"])


class Judged(NamedTuple):
    """The answers to a batch of questions, and what they are worth."""

    rollouts: Rollouts
    texts: list[str]
    rewards: Float[Tensor, "P G"]
    advantages: Float[Tensor, "P G"]
    reference: Float[Tensor, "B T"] | None  # log-probabilities under the reference


class Measures(NamedTuple):
    """The measurements of a step, made before it changed the weights."""

    reward: float  # mean over all answers
    silent: float  # fraction of groups whose rewards are all equal: they teach nothing
    length: float  # tokens of an answer
    kl: float  # to the reference, in nats for each answer, by k3; nan without a reference
    surprise: float  # mean of -log p of the sampled tokens, an estimate of the entropy, in nats
    clipped: float  # fraction of the tokens at which the clip switched the gradient off


class RewardTraining(Training, Generic[Question]):
    """A policy, the reference that it should stay close to, a task, and the steps done.

    `judged` and `measures` are those of the last step, `history` holds those of all steps.
    """

    judged: Judged
    measures: Measures

    def __init__(
        self,
        model: DecoderLM,
        task: Task[Question],
        plan: RewardPlan,
        reference: DecoderLM | None = None,
    ) -> None:
        super().__init__(model, self._answers, plan)
        self.policy, self.task, self.settings, self.reference = model, task, plan, reference
        self.history: list[Measures] = []

    def sample(self) -> Judged:
        """Return answers to new questions, with rewards and advantages."""
        plan, task = self.settings, self.task
        source = random.Random(int(torch.randint(2**62, (), generator=self.generator)))
        questions = [task.draw(source) for _ in range(plan.prompts)]
        rollouts = sample_answers(
            self.policy,
            [task.prompt(question) for question in questions],
            plan.group,
            plan.max_new_tokens,
            task.stop_id,
            temperature=plan.temperature,
            generator=self.generator,
        )
        texts = answer_texts(rollouts, task)
        rewards = torch.tensor(
            [task.reward(questions[i // plan.group], text) for i, text in enumerate(texts)]
        ).view(plan.prompts, plan.group)
        check_finite(rewards)
        advantages = advantages_of(plan.objective, rewards)
        return Judged(rollouts, texts, rewards, advantages, self._under_reference(rollouts))

    def _answers(self, step: int, generator: torch.Generator) -> Batch:
        """Return the batch of a step as ids: new answers, or the same for another update."""
        if step % self.settings.updates == 0:
            self.judged = self.sample()
        rollouts = self.judged.rollouts
        counted = torch.cat((torch.zeros_like(rollouts.prompt_mask), rollouts.mask), 1)
        return Batch(torch.cat((rollouts.prompts, rollouts.answers), 1), counted)

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Return the loss of the answers that were sampled last, with its graph."""
        plan, judged = self.settings, self.judged
        rollouts = judged.rollouts
        new = answer_log_probabilities(self.policy, rollouts, plan.temperature)
        self.measures = _measures(plan.objective, judged, new.detach())
        self.history.append(self.measures)
        return policy_loss(
            plan.objective,
            new,
            rollouts.log_probabilities,
            judged.advantages.flatten().to(new.device),
            rollouts.mask,
            judged.reference,
            plan.max_new_tokens,
        )

    @torch.no_grad()
    def _under_reference(self, rollouts: Rollouts) -> Tensor | None:
        if self.reference is None:
            return None
        return answer_log_probabilities(self.reference, rollouts, self.settings.temperature)

    def save(self, path: str | Path) -> None:
        """Write everything that determines the next step, completely or not at all.

        Answers are not saved, so a run is saved before it samples new ones.
        """
        if self.done % self.settings.updates:
            raise ValueError(
                f"a run with {self.settings.updates} updates on each batch of answers is saved "
                f"between batches; got {self.done} steps. Save after a multiple of the updates."
            )
        super().save(path)


def answer_texts(rollouts: Rollouts, task: Task[Any]) -> list[str]:
    """Return the text of each answer, without the token that ends it."""
    return [task.decode([i for i in row if i != task.stop_id]) for row in rollouts.rows()]


def _measures(objective: Objective, judged: Judged, new: Float[Tensor, "B T"]) -> Measures:
    rollouts, rewards = judged.rollouts, judged.rewards
    old, mask = rollouts.log_probabilities, rollouts.mask
    advantages = judged.advantages.flatten().to(new.device)[:, None].expand_as(new)
    ratio = ratio_of(objective, new, old, mask)
    off = is_clipped(ratio, advantages, objective.low, objective.high) & mask
    equal = rewards.amax(-1) == rewards.amin(-1)
    kl = None if judged.reference is None else k3(new, judged.reference).sum(-1).mean()
    tokens = mask.sum().item()
    return Measures(
        reward=rewards.mean().item(),
        silent=equal.float().mean().item(),
        length=tokens / len(mask),
        kl=float("nan") if kl is None else kl.item(),
        surprise=-old.sum().item() / tokens,
        clipped=off.sum().item() / tokens,
    )
