"""The exercises of this chapter, in the order of the notebook."""

from course_lib.chapters.agents.exercises.calls import CALLS
from course_lib.chapters.agents.exercises.loop import LOOP
from course_lib.chapters.agents.exercises.memory import MEMORY
from course_lib.chapters.agents.exercises.policy import POLICY
from course_lib.chapters.agents.exercises.resume import RESUME
from course_lib.chapters.agents.exercises.rpc import RPC
from course_lib.chapters.agents.exercises.schemas import SCHEMA
from course_lib.chapters.agents.exercises.validation import ARGUMENTS

EXERCISES = (SCHEMA, CALLS, ARGUMENTS, LOOP, RESUME, MEMORY, RPC, POLICY)
