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
from course_lib.training import AdamW, clip_by_global_norm, cosine_rate, decay_groups
from course_lib.training.training_state import resume_training, save_training

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
class RewardPlan:
    """The settings of a run, apart from the models and the task."""

    steps: int = 100
    prompts: int = 8
    group: int = 8
    max_new_tokens: int = 48
    peak: float = 4e-4
    final: float = 4e-5
    warmup: int = 2
    betas: tuple[float, float] = (0.9, 0.95)
    max_norm: float = 1.0
    updates: int = 1  # steps of the optimizer on each batch of answers
    temperature: float = 1.0
    seed: int = 0
    objective: Objective = field(default_factory=lambda: OBJECTIVES["GRPO"])


class Batch(NamedTuple):
    """The answers of one step, and what they are worth."""

    rollouts: Rollouts
    texts: list[str]
    rewards: Float[Tensor, "P G"]
    advantages: Float[Tensor, "P G"]


class StepReport(NamedTuple):
    """The measurements of one step; those of the loss are of its last update."""

    reward: float  # mean over all answers
    silent: float  # fraction of groups whose rewards are all equal: they teach nothing
    length: float  # tokens of an answer
    kl: float  # to the reference, in nats for each answer, by k3; nan without a reference
    surprise: float  # mean of -log p of the sampled tokens, an estimate of the entropy, in nats
    clipped: float  # fraction of the tokens at which the clip switched the gradient off
    loss: float
    norm: float  # of the gradient, before it was clipped


class RewardTraining(Generic[Question]):
    """A policy, the reference that it should stay close to, a task, and the steps done."""

    def __init__(
        self,
        model: DecoderLM,
        task: Task[Question],
        plan: RewardPlan,
        reference: DecoderLM | None = None,
    ) -> None:
        self.model, self.task, self.plan = model.use_kernels(), task, plan
        self.reference = reference
        self.generator = torch.Generator().manual_seed(plan.seed)
        groups = decay_groups(model, 0.0)  # decay would pull towards 0, away from the reference
        self.optimizer = AdamW(groups, lr=plan.peak, betas=plan.betas)
        self.done = 0
        self.last: Batch | None = None

    def step(self) -> StepReport:
        """Sample answers to new questions, judge them, and update the policy."""
        batch = self.last = self.sample()
        reference = self._reference_log_probabilities(batch.rollouts)
        for _ in range(self.plan.updates):
            report = self._update(batch, reference)
        self.done += 1
        return report

    def sample(self) -> Batch:
        """Return answers to new questions, with rewards and advantages."""
        plan, task = self.plan, self.task
        source = random.Random(int(torch.randint(2**62, (), generator=self.generator)))
        questions = [task.draw(source) for _ in range(plan.prompts)]
        rollouts = sample_answers(
            self.model,
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
        return Batch(rollouts, texts, rewards, advantages_of(plan.objective, rewards))

    def _update(self, batch: Batch, reference: Tensor | None) -> StepReport:
        plan, rollouts = self.plan, batch.rollouts
        new = answer_log_probabilities(self.model, rollouts, plan.temperature)
        advantages = batch.advantages.flatten().to(new.device)
        loss = policy_loss(
            plan.objective,
            new,
            rollouts.log_probabilities,
            advantages,
            rollouts.mask,
            reference,
            plan.max_new_tokens,
        )
        self.optimizer.zero_grad()
        loss.backward()
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = clip_by_global_norm(parameters, plan.max_norm).item()
        rate = cosine_rate(
            self.done + 1, warmup=plan.warmup, steps=plan.steps, peak=plan.peak, final=plan.final
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        return _report(plan.objective, batch, new.detach(), reference, loss.item(), norm)

    @torch.no_grad()
    def _reference_log_probabilities(self, rollouts: Rollouts) -> Tensor | None:
        if self.reference is None:
            return None
        return answer_log_probabilities(self.reference, rollouts, self.plan.temperature)

    def save(self, path: str | Path) -> None:
        """Write everything that determines the next step, completely or not at all."""
        save_training(path, self.model, self.optimizer, self.done, self.generator)

    def resume(self, path: str | Path) -> None:
        """Resume a saved run with the same plan, task and reference."""
        self.done = resume_training(path, self.model, self.optimizer, self.generator)


def answer_texts(rollouts: Rollouts, task: Task[Any]) -> list[str]:
    """Return the text of each answer, without the token that ends it."""
    return [task.decode([i for i in row if i != task.stop_id]) for row in rollouts.rows()]


def _report(
    objective: Objective,
    batch: Batch,
    new: Tensor,
    reference: Tensor | None,
    loss: float,
    norm: float,
) -> StepReport:
    old, mask = batch.rollouts.log_probabilities, batch.rollouts.mask
    advantages = batch.advantages.flatten().to(new.device)[:, None].expand_as(new)
    ratio = ratio_of(objective, new, old, mask)
    off = is_clipped(ratio, advantages, objective.low, objective.high) & mask
    equal = batch.rewards.amax(-1) == batch.rewards.amin(-1)
    kl = float("nan") if reference is None else k3(new, reference).sum(-1).mean().item()
    tokens = mask.sum().item()
    return StepReport(
        batch.rewards.mean().item(),
        equal.float().mean().item(),
        tokens / len(mask),
        kl,
        -old.sum().item() / tokens,
        off.sum().item() / tokens,
        loss,
        norm,
    )
