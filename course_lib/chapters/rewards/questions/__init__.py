"""The questions that close this notebook: gradients from rewards, objectives, many samples.

Taught in:        rewards
Checked against:  `course_lib.rewards`, from which numeric answers and repairs are computed
"""

from course_lib.chapters.rewards.questions import objectives, policies, samples
from course_lib.study.ask.question import Question

QUESTIONS: tuple[Question, ...] = (
    policies.EXACT,
    policies.BASELINE,
    policies.CLIPPED,
    policies.BUG_GAE,
    policies.PRINTS_GROUP,
    objectives.ADVANTAGE,
    objectives.LOSS_ZERO,
    objectives.SILENT,
    objectives.KL_LOSS,
    objectives.BUG_LOSS,
    objectives.STEPS,
    samples.PASS,
    samples.VOTING,
    samples.VERIFIER,
    samples.HACKING,
    samples.WHAT_GRPO_ADDS,
)
