"""The questions that close this notebook: what pieces text is cut into, and what that costs.

Taught in:        tokenization
Checked against:  `course_lib.tokenization`, from which every numeric answer is computed
"""

from course_lib.chapters.tokenization.questions import merges, pieces, use
from course_lib.study.ask.question import Question

QUESTIONS: tuple[Question, ...] = (
    merges.UTF8,
    merges.NO_UNKNOWN,
    merges.PAIR_COUNT,
    merges.TRAINING,
    merges.BUG_MERGE,
    merges.RANK,
    merges.DIGITS,
    merges.HALF_CHARACTER,
    pieces.SCORE,
    pieces.ALL_OR_NOTHING,
    pieces.WAYS,
    pieces.SHARE,
    pieces.BEST_WAY,
    use.INJECTION,
    use.BUG_SPECIAL,
    use.TEMPLATE,
    use.WINDOW,
    use.VOCABULARY,
)
