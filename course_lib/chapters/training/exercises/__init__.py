"""The exercises of 11 training, in the notebook's order."""

from course_lib.chapters.training.exercises.adamw import ADAMW
from course_lib.chapters.training.exercises.descent import DESCEND
from course_lib.chapters.training.exercises.gradients import ACCUMULATE, CLIP
from course_lib.chapters.training.exercises.loop import TRAIN
from course_lib.chapters.training.exercises.measures import BITS_PER_BYTE, POWER_LAW
from course_lib.chapters.training.exercises.objective import NEXT_TOKEN_LOSS
from course_lib.chapters.training.exercises.schedule import SCHEDULE

EXERCISES = (
    NEXT_TOKEN_LOSS,
    DESCEND,
    ADAMW,
    SCHEDULE,
    CLIP,
    ACCUMULATE,
    TRAIN,
    BITS_PER_BYTE,
    POWER_LAW,
)
