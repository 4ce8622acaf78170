"""The exercises of the chapter on rewards, in the notebook's order."""

from course_lib.chapters.rewards.exercises.clip import CLIP
from course_lib.chapters.rewards.exercises.gae import GAE
from course_lib.chapters.rewards.exercises.gradient import POLICY_GRADIENT
from course_lib.chapters.rewards.exercises.group import GROUP_ADVANTAGES
from course_lib.chapters.rewards.exercises.kl import KL
from course_lib.chapters.rewards.exercises.loss import GRPO_LOSS
from course_lib.chapters.rewards.exercises.samples import MAJORITY, PASS_AT_K
from course_lib.chapters.rewards.exercises.verifier import VERIFIER

EXERCISES = (
    POLICY_GRADIENT,
    CLIP,
    GAE,
    GROUP_ADVANTAGES,
    KL,
    GRPO_LOSS,
    VERIFIER,
    MAJORITY,
    PASS_AT_K,
)
