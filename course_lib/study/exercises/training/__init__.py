"""The exercises of 11 training, in the notebook's order."""

from course_lib.study.exercises.training.adamw import ADAMW
from course_lib.study.exercises.training.descent import DESCEND
from course_lib.study.exercises.training.gradients import ACCUMULATE, CLIP
from course_lib.study.exercises.training.measures import BITS_PER_BYTE, POWER_LAW
from course_lib.study.exercises.training.objective import NEXT_TOKEN_LOSS
from course_lib.study.exercises.training.schedule import SCHEDULE

EXERCISES = (
    NEXT_TOKEN_LOSS,
    DESCEND,
    ADAMW,
    SCHEDULE,
    CLIP,
    ACCUMULATE,
    BITS_PER_BYTE,
    POWER_LAW,
)
