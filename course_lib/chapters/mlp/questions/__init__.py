"""The quiz of this notebook: activations, gated layers, mixtures of experts.

Taught in:        mlp
Checked against:  `course_lib.mlp` and `course_lib.experts`, which compute every numeric answer
"""

from course_lib.chapters.mlp.questions import layers, mixtures, routing
from course_lib.study.ask.question import Question

QUESTIONS: tuple[Question, ...] = (
    layers.ALONE,
    layers.GELUS,
    layers.DEAD,
    layers.UNIT,
    layers.NAMES,
    layers.MATCHED,
    layers.MEMORY,
    layers.BUG_GATED,
    routing.STEPS,
    routing.GATE,
    routing.ORDER,
    routing.BUG_ROUTE,
    mixtures.BALANCE,
    mixtures.GRADIENT,
    mixtures.CAPACITY,
    mixtures.ACTIVE,
    mixtures.ROOM,
)
