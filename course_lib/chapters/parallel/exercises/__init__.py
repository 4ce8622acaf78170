"""The exercises of this chapter, in the order of the notebook."""

from course_lib.chapters.parallel.exercises.all_gather import ALL_GATHER
from course_lib.chapters.parallel.exercises.averages import AVERAGE
from course_lib.chapters.parallel.exercises.gather import GATHER
from course_lib.chapters.parallel.exercises.layers import MLP
from course_lib.chapters.parallel.exercises.optimizer import SHARD
from course_lib.chapters.parallel.exercises.planning import ORDER, STAGE
from course_lib.chapters.parallel.exercises.reduce_scatter import REDUCE_SCATTER
from course_lib.chapters.parallel.exercises.texts import RING
from course_lib.chapters.parallel.exercises.vocabulary import LOSS

EXERCISES = (REDUCE_SCATTER, ALL_GATHER, AVERAGE, SHARD, GATHER, MLP, LOSS, ORDER, RING, STAGE)
