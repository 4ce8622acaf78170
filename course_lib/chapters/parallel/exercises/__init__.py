"""The exercises of this chapter, in the order of the notebook."""

from course_lib.chapters.parallel.exercises.averages import AVERAGE
from course_lib.chapters.parallel.exercises.layers import LOSS, MLP
from course_lib.chapters.parallel.exercises.planning import ORDER, STAGE
from course_lib.chapters.parallel.exercises.rings import ALL_GATHER, REDUCE_SCATTER
from course_lib.chapters.parallel.exercises.sharding import GATHER, SHARD
from course_lib.chapters.parallel.exercises.texts import RING

EXERCISES = (REDUCE_SCATTER, ALL_GATHER, AVERAGE, SHARD, GATHER, MLP, LOSS, ORDER, RING, STAGE)
