"""The quiz of this notebook: how a token decides what to read from the others.

Taught in:        attention
Checked against:  `course_lib.attention`, from which every numeric answer is computed
"""

from course_lib.chapters.attention.questions import heads, masks, weights
from course_lib.study.ask.question import Question

QUESTIONS: tuple[Question, ...] = (
    weights.ROLES,
    weights.STEPS,
    weights.SCALED,
    weights.BY_WIDTH,
    weights.SYMMETRY,
    masks.BUG_MASK,
    masks.COUNT,
    masks.EMPTY_ROW,
    masks.NEW_QUERY,
    heads.BUG_SPLIT,
    heads.GROUP,
    heads.CACHE,
    heads.BYTES,
    weights.SHUFFLED,
    heads.INDUCTION,
    heads.ABLATION,
    heads.MEAN_ABLATION,
)
